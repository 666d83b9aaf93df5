"""Devices by name: which there are, and what they can do.

The only module that names devices. All else goes through torch's device-neutral interfaces.
"""

from __future__ import annotations

import importlib
from functools import cache

import torch

from ...errors import InputError, nearest

HOST = torch.device("cpu")
AUTO = "auto"

# ROCm's devices are called cuda, too. A backend registered with torch by any other package is known by its own name.
_ACCELERATORS = ("cuda", "xpu", "mps", "npu")
_OTHER_NAMES = {"gpu": AUTO, "rocm": "cuda", "hip": "cuda", "metal": "mps", "ascend": "npu"}  # what people call them
_PLUGINS = {"npu": ("torch_npu", "pip install torch-npu, of torch's own version, beside Ascend's CANN")}
_TRITON = ("cuda", "xpu")
_EAGER = ("mps",)  # torch's code generator for Metal is a prototype, whose bits were never compared with the eager ones


def resolve_device(name: str) -> torch.device:
    """Return the device called `name`, an accelerator's with its index; `auto` is the accelerator, or else the CPU.

    Raises:
        InputError: an unknown name; a device that this machine lacks, or whose package is not installed.
    """
    if name == AUTO:
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        return _numbered(accelerator.type) if accelerator else HOST
    kind, colon, number = name.partition(":")
    if kind not in known_kinds():
        raise InputError(f"device '{name}' is unknown; {nearest(_OTHER_NAMES.get(kind, kind), [AUTO, *known_kinds()])}")
    if kind in _PLUGINS:
        _import_plugin(kind)
    if (colon and not number.isdecimal()) or int(number or 0) >= device_count(kind):
        there = ", ".join(map(str, [HOST, *accelerators()]))
        raise InputError(f"device '{name}' is not there: this machine has {there}; give one of these, or {AUTO}")
    return HOST if kind == HOST.type else _numbered(kind, int(number) if colon else None)


def known_kinds() -> tuple[str, ...]:
    """Names of all kinds of devices that torch may have here, whether or not this machine has one."""
    registered: str = torch._C._get_privateuse1_backend_name()  # by an out-of-tree package, once it is loaded
    return tuple(dict.fromkeys([HOST.type, *_ACCELERATORS, *([registered] if hasattr(torch, registered) else [])]))


def accelerators() -> list[torch.device]:
    """All devices of this machine but the CPU."""
    kinds = [kind for kind in known_kinds() if kind != HOST.type]
    return [torch.device(kind, number) for kind in kinds for number in range(device_count(kind))]


def device_count(kind: str) -> int:
    """How many devices of a kind this machine has; 0 where torch was built without it."""
    if kind == HOST.type:
        return 1
    try:
        module = torch.get_device_module(kind)
    except RuntimeError:
        return 0
    return int(module.device_count()) if module.is_available() else 0


def synchronise(device: torch.device) -> None:
    """Wait until the device has done all that it was given. The CPU never lags behind."""
    if device.type != HOST.type:
        torch.accelerator.synchronize(device)


@cache
def has_fp64(device: torch.device) -> bool:
    """Whether the device computes in double precision (Apple's does not, nor do some of Intel's)."""
    try:
        return bool(torch.ones((), dtype=torch.float64, device=device) + 1 == 2)
    except (RuntimeError, TypeError):
        return False


def can_compile(device: torch.device) -> bool:
    """Whether torch.compile can build kernels for the device: through C++, Triton, or what its backend registered."""
    from torch._inductor.codegen.common import get_scheduling_for_device, init_backend_registration
    from torch.utils._triton import has_triton

    if device.type in _TRITON:
        return has_triton()
    init_backend_registration()
    return device.type not in _EAGER and get_scheduling_for_device(device.type) is not None


def _numbered(kind: str, number: int | None = None) -> torch.device:
    return torch.device(kind, torch.accelerator.current_device_index() if number is None else number)


def _import_plugin(kind: str) -> None:
    package, remedy = _PLUGINS[kind]
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise InputError(f"device '{kind}' needs the package {package} ({error}); install it: {remedy}") from error
