"""A feature extractor of the user's: the space in which generated images are compared with real ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from ...errors import InputError
from ...plugins import call_user, load_object
from .._digest import digest
from .._scoring import undisturbed


class Extractor:
    """What `factory(**arguments)` returns: a torch.nn.Module, or any function of a batch of images.

    It gives a tensor with one row of features per image; further dimensions are flattened.
    """

    def __init__(self, factory: str, arguments: Mapping[str, Any]) -> None:
        self._name, self._arguments = factory, arguments
        self._factory = load_object(factory)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the code, the arguments and, of a module, the weights."""
        network = self._network
        weights = network.state_dict() if hasattr(network, "state_dict") else network
        return digest(self._factory, self._arguments, weights)

    def features(self, batches: Iterable[tuple[int, Any]], device: Any) -> Any:
        """Features of all batches, (rows that count, images): a tensor on `device`, float32, `samples x features`.

        Raises:
            InputError: images that are no tensors, or features that are not one row per image.
        """
        import torch

        network = self._network.to(device) if hasattr(self._network, "to") else self._network
        parts = []
        for count, images in batches:
            if not isinstance(images, torch.Tensor):
                raise InputError(f"{self._name} is given {type(images).__name__}; images must be tensors, batch x ...")
            found = network(images.to(device))
            if not isinstance(found, torch.Tensor) or found.ndim < 2 or len(found) != len(images):
                shape = tuple(getattr(found, "shape", ()))
                raise InputError(
                    f"{self._name} gave {type(found).__name__} of shape {shape} for {len(images)} images; "
                    "return a tensor of one row of features per image"
                )
            parts.append(found[:count].flatten(1).float())
        return torch.cat(parts)

    @cached_property
    def _network(self) -> Any:
        with undisturbed():
            network = call_user(f"extractor {self._name}", self._factory, **self._arguments)
        if not callable(network):
            raise InputError(f"extractor {self._name} returned {network!r}; return a torch module or a function")
        return network.eval() if hasattr(network, "eval") else network
