"""How much memory a device has: its own, or what the operating system or a container leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .devices import HOST

_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Memory:
    """Memory of a device in bytes: all of it, and what this process can still have."""

    free: int
    total: int


def memory_of(device: torch.device) -> Memory:
    """Free and total memory of a device; what torch's own cache holds unused is free.

    Of the CPU it is what the operating system, or the container that this process is in, can give.
    """
    if device.type == HOST.type:
        return _host_memory()
    module = torch.get_device_module(device)
    if hasattr(module, "recommended_max_memory"):  # memory shared with the CPU, of which a part may be used
        total = int(module.recommended_max_memory())
        return Memory(max(0, total - int(module.driver_allocated_memory())), total)
    free, total = (getattr(module, "mem_get_info", None) or torch.accelerator.get_memory_info)(device)
    return Memory(int(free) + _cached(module, device), int(total))


def _cached(module: Any, device: torch.device) -> int:
    """Bytes that torch's allocator keeps for later tensors."""
    if not hasattr(module, "memory_reserved"):
        return 0
    return int(module.memory_reserved(device)) - int(module.memory_allocated(device))


def _host_memory() -> Memory:
    import psutil

    system = psutil.virtual_memory()
    whole = Memory(int(system.available), int(system.total))
    own = _container() or whole
    return Memory(min(whole.free, own.free), min(whole.total, own.total))


def _container(folder: Path = _CGROUP) -> Memory | None:
    """What the control group (version 2) at `folder` leaves of its memory; None where it sets no limit."""
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
    except OSError:
        return None
    if limit == "max":
        return None
    reclaimable = int(statistics.get("inactive_file", 0))  # files that the system keeps until somebody needs the memory
    return Memory(max(0, int(limit) - used + reclaimable), int(limit))
