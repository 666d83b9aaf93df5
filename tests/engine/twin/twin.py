"""Builds `twin.cpp` and makes its two devices known to torch, as the package of an accelerator would.

With them, what holds for several devices and for devices that are not the CPU can be tested on any machine.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from pathlib import Path
from types import ModuleType

import torch
from torch.utils import backend_registration, cpp_extension

COUNT = 2
MEMORY = 1 << 30  # bytes of each, as far as anybody asks
SOURCE = Path(__file__).with_name("twin.cpp")


def register() -> None:
    """Load the devices `twin:0` and `twin:1` into this process."""
    torch.ops.load_library(str(_built()))
    backend_registration.rename_privateuse1_backend("twin")
    torch._register_device_module("twin", _module())


def _built() -> Path:
    """The compiled library, which later processes find where the first one left it."""
    source = SOURCE.read_bytes()
    key = hashlib.sha256(source + torch.__version__.encode()).hexdigest()[:16]
    library = Path(tempfile.gettempdir()) / f"mergesearch-twin-{os.getuid()}-{key}.so"
    if not library.exists():
        draft = library.with_suffix(f".{os.getpid()}")
        folders = [f"-I{folder}" for folder in cpp_extension.include_paths()]
        libraries = [
            flag for folder in cpp_extension.library_paths() for flag in (f"-L{folder}", f"-Wl,-rpath,{folder}")
        ]
        command = [
            os.environ.get("CXX", "c++"),
            "-std=c++20",
            "-O1",
            "-shared",
            "-fPIC",
            "-w",
            str(SOURCE),
            "-o",
            str(draft),
        ]
        subprocess.run([*command, *folders, *libraries, "-ltorch_cpu", "-lc10"], check=True)
        draft.rename(library)
    return library


def _module() -> ModuleType:
    """What torch calls `torch.twin`."""
    module = ModuleType("torch.twin")
    module.__dict__.update(
        is_available=lambda: True,
        device_count=lambda: COUNT,
        current_device=torch.accelerator.current_device_index,
        _is_in_bad_fork=lambda: False,
        manual_seed_all=lambda seed: None,
        mem_get_info=lambda device=None: (MEMORY, MEMORY),
    )
    return module
