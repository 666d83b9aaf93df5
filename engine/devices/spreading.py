"""Moves the modules of a model to several devices, and connects them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import nn

from ...errors import InputError

Devices = Mapping[str, torch.device]


def move(model: nn.Module, devices: Devices) -> None:
    """Move all parameters and buffers; tied ones stay tied, which `nn.Module.to` grants only some devices."""
    found: dict[int, list[str]] = {}
    for name, tensor in [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]:
        found.setdefault(id(tensor), []).append(name)
    for names in found.values():
        _check_together(names, devices)
        holders = [(model.get_submodule(path), name) for path, _, name in (one.rpartition(".") for one in names)]
        moved = _moved(getattr(*holders[0]), device_of(names[0], devices))
        for module, name in holders:
            setattr(module, name, moved)


def connect(model: nn.Module, devices: Devices) -> None:
    """Hook each part to take its inputs to its device, and the model to return its outputs to where its inputs were."""
    from accelerate import hooks

    parts = disjoint(model, devices)
    if undivided(model):  # what leaves a layer goes on to the next one; caches stay where they are
        skipped = getattr(model, "_skip_keys_device_placement", None)
        placed = {"": devices[""], **parts}
        hooks.attach_align_device_hook_on_blocks(model, placed, dict.fromkeys(parts, False), skip_keys=skipped)
        model.hf_device_map = parts  # type: ignore[assignment]  # where transformers looks for it
        return
    # Of any other module nobody knows whether a part's output will meet its input again, so that it goes back there.
    for path, device in {"": devices[""], **parts}.items():
        hooks.add_hook_to_module(model.get_submodule(path), hooks.AlignDevicesHook(device, io_same_device=True))


def disjoint(model: nn.Module, devices: Devices) -> dict[str, torch.device]:
    """Device of the largest modules that are on one device each; none of them is in another."""
    paths = [path for path, _ in model.named_modules() if not divided(path, devices)]
    return {path: device_of(path, devices) for path in paths if not path or divided(path.rpartition(".")[0], devices)}


def device_of(path: str, devices: Devices) -> torch.device:
    """Device of the module or tensor at `path`: that of the innermost named module that holds it."""
    return devices[max((other for other in devices if _within(path, other)), key=len)]


def divided(path: str, devices: Devices) -> bool:
    """Whether something in the module is on another device than the module itself."""
    own = device_of(path, devices)
    return any(_within(other, path) and device != own for other, device in devices.items())


def undivided(model: nn.Module) -> Collection[str]:
    """Names of the classes that transformers never divides among devices: layers with residual connections."""
    return getattr(model, "_no_split_modules", None) or ()


def _within(path: str, outer: str) -> bool:
    return not outer or path == outer or path.startswith(f"{outer}.")


def _check_together(tied: list[str], devices: Devices) -> None:
    first, *others = tied
    for other in others:
        here, there = device_of(first, devices), device_of(other, devices)
        if here != there:
            raise InputError(
                f"models.device puts '{first}' on {here} and '{other}' on {there}, but they are one tensor; "
                "put both on one device"
            )


def _moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    if tensor.device == device:
        return tensor
    moved = tensor.detach().to(device)
    return nn.Parameter(moved, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else moved
