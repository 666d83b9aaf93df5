"""Where the live model goes: to one device, or module by module to several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ...errors import InputError, nearest
from ..network.tensors import check_in_memory, floating_tensors
from .devices import AUTO, accelerators, has_fp64, resolve_device
from .memory import memory_of
from .spreading import Devices, connect, device_of, divided, move, undivided

SHARDED = "sharded"


@dataclass(frozen=True)
class Placement:
    """The device of each module that is named, and of all that is in it; None: shared out among all accelerators.

    The name of the whole model is "".
    """

    devices: Devices | None

    @classmethod
    def of(cls, device: str | Mapping[str, str]) -> Placement:
        """The placement on one device, on all accelerators (`sharded`), or by module; what is not named goes to `auto`.

        Raises:
            InputError: a device that is unknown or not there; `sharded` without an accelerator.
        """
        if isinstance(device, Mapping):
            named = {module: resolve_device(name) for module, name in device.items()}
            return cls(named if "" in named else {"": resolve_device(AUTO), **named})
        if device != SHARDED:
            return cls({"": resolve_device(device)})
        found = accelerators()
        if not found:
            raise InputError(f"device '{SHARDED}' shares a model out among accelerators, but there is none; give auto")
        return cls({"": found[0]} if len(found) == 1 else None)

    @property
    def loading(self) -> dict[str, Any]:
        """Options of transformers' `from_pretrained`, which reads each tensor of a shared-out model to its device."""
        if self.devices is not None:
            return {}
        room = {device.index: memory_of(device).free for device in accelerators()}
        return {"device_map": "balanced", "max_memory": room}

    def place(self, model: nn.Module) -> nn.Module:
        """Return `model` on its devices; between several, accelerate's hooks carry the activations.

        Raises:
            InputError: a module that the model lacks, or a layer that is divided; tied tensors on two devices; a dtype
                that a device does not compute in; a model that only its author knows how to share out, or that does
                not fit the accelerators' memory.
        """
        if self.devices is None and not hasattr(model, "hf_device_map"):
            raise InputError(
                f"device '{SHARDED}' is for folders of transformers; "
                "say which module of this model goes where, as in device: {module: device}"
            )
        if self.devices is not None:
            _check_names(model, self.devices)
            _check_precision(model, self.devices)
            move(model, self.devices)
            if len(set(self.devices.values())) > 1:
                connect(model, self.devices)
        check_in_memory(floating_tensors(model))
        return model


def _check_names(model: nn.Module, devices: Devices) -> None:
    modules = dict(model.named_modules())
    for path in devices:
        if path not in modules:
            raise InputError(
                f"models.device names the module '{path}', which the model lacks; {nearest(path, modules)}"
            )
    for path, module in modules.items():
        if type(module).__name__ in undivided(model) and divided(path, devices):
            raise InputError(f"models.device divides the layer '{path}', whose parts add up; name the whole layer")


def _check_precision(model: nn.Module, devices: Devices) -> None:
    wide = [name for name, tensor in floating_tensors(model).items() if tensor.dtype == torch.float64]
    for name in wide:
        device = device_of(name, devices)
        if not has_fp64(device):
            raise InputError(f"'{name}' is float64, in which {device} does not compute; set models.dtype to float32")
