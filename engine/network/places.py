"""Where each tensor of a model stands: its layer, depth and module type, read from the tree of modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from ...spaces.place import TensorPlace
from .tensors import floating_tensors

_MIDDLE = {"mid_block": "up_blocks", "middle_block": "output_blocks"}  # of a U-Net, and what it is computed before


def tensor_places(model: nn.Module) -> list[TensorPlace]:
    """Place every floating tensor of `model`, in the order of its modules.

    Layers are the elements of the outermost `nn.ModuleList`s, whatever they are called; lists one after another
    (an encoder's and a decoder's) count on. The middle block of a U-Net is a layer between those of its two lists. A
    tensor's kind is the child of its layer that holds it (`self_attn`, `mlp`); children that hold vectors only are of
    one kind, `norm`. Outside of layers it is the tensor's own module, and its depth is 0 while layers follow in the
    innermost module that holds it and layers, 1 after the last of them (so a decoder's embeddings are input, although
    the encoder's layers stand before them).
    """
    layers = _layers(model)
    vectors = _vector_children(model, layers)
    tensors = floating_tensors(model)
    owners = [_owner(name, layers) for name in tensors]
    stacks = _stacks(list(tensors), owners)
    places = []
    for position, ((name, tensor), owner) in enumerate(zip(tensors.items(), owners, strict=True)):
        layer = layers[owner] if owner else None
        depth = _depth(layer, len(layers)) if layer is not None else float(position > stacks[_stack(name, stacks)])
        places.append(TensorPlace(name, tensor.numel(), layer, depth, _kind(name, owner, vectors)))
    return places


def _layers(model: nn.Module) -> dict[str, int]:
    """Path of every layer -> its running index."""
    found: dict[str, nn.Module] = {}
    for path, module in model.named_modules():
        if _owner(path, found) is not None:
            continue
        if isinstance(module, nn.ModuleList):
            found |= {f"{path}.{child}" if path else child: layer for child, layer in module.named_children()}
        elif path.split(".")[-1] in _MIDDLE:
            found[path] = module
    weighty = [path for path, layer in found.items() if any(v.is_floating_point() for v in layer.state_dict().values())]
    return {path: index for index, path in enumerate(_as_computed(weighty))}


def _as_computed(paths: Sequence[str]) -> list[str]:
    """Put a U-Net's middle block before the blocks that follow it, wherever its class lists it."""
    ordered = list(paths)
    for path in paths:
        parent, _, name = path.rpartition(".")
        following = f"{parent}.{_MIDDLE.get(name)}.".removeprefix(".")
        after = next((place for place, other in enumerate(ordered) if other.startswith(following)), len(ordered))
        if name in _MIDDLE and after < ordered.index(path):
            ordered.insert(after, ordered.pop(ordered.index(path)))
    return ordered


def _stacks(names: list[str], owners: list[str | None]) -> dict[str, int]:
    """Path of every module that holds layers (the model itself is "") -> position of its last tensor in a layer."""
    last: dict[str, int] = {"": len(names)}
    for position, owner in enumerate(owners):
        if owner:
            parts = owner.split(".")[:-1]
            last.update({".".join(parts[:end]): position for end in range(len(parts) + 1)})
    return last


def _stack(name: str, stacks: dict[str, int]) -> str:
    """The innermost of these modules that holds the tensor."""
    parts = name.split(".")
    return next(path for end in range(len(parts) - 1, -1, -1) if (path := ".".join(parts[:end])) in stacks)


def _owner(name: str, layers: Mapping[str, object]) -> str | None:
    parts = name.split(".")
    paths = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((path for path in paths if path in layers), None)


def _depth(layer: int, layers: int) -> float:
    return layer / (layers - 1) if layers > 1 else 0.5


def _vector_children(model: nn.Module, layers: dict[str, int]) -> set[str]:
    """Paths of the layers' children that hold vectors only: norms, and the like."""
    return {
        path
        for layer in layers
        for child, module in model.get_submodule(layer).named_children()
        for path in [f"{layer}.{child}"]
        if all(tensor.ndim <= 1 for tensor in module.parameters())
    }


def _kind(name: str, owner: str | None, vectors: set[str]) -> str:
    if owner is None:
        parts = name.split(".")
        return parts[-2] if len(parts) > 1 else parts[0]
    child = name.removeprefix(f"{owner}.").split(".")[0]
    return "norm" if f"{owner}.{child}" in vectors else child
