"""The real images that generated ones are compared with: read in chunks, never held all at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from ...errors import InputError
from ...plugins import call_user, load_object
from .._digest import digest
from .._scoring import undisturbed

_CHUNK = 256


class RealImages:
    """What `function(**arguments)` returns: a tensor of images, or a map-style dataset of them.

    A dataset's item is an image, or a tuple that begins with one; labels are not used.
    """

    def __init__(self, function: str, arguments: Mapping[str, Any]) -> None:
        self._name, self._arguments = function, arguments
        self._function = load_object(function)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the content of all images."""
        with undisturbed():
            return digest([digest(chunk) for _, chunk in self.batches(_CHUNK)])

    def batches(self, size: int) -> Iterator[tuple[int, Any]]:
        """All images, in batches of up to `size`: (their number, tensor).

        Raises:
            InputError: images that are no tensors of one shape; names the function.
        """
        from torch.utils.data import default_collate

        images = self._images
        for start in range(0, len(images), size):
            if hasattr(images, "detach"):
                batch = images[start : start + size]
            else:
                rows = (images[row] for row in range(start, min(start + size, len(images))))
                try:
                    batch = default_collate([row[0] if isinstance(row, tuple | list) else row for row in rows])
                except (RuntimeError, TypeError) as error:
                    raise InputError(f"images of {self._name} do not stack ({error}); make them alike") from error
            yield len(batch), batch

    @cached_property
    def _images(self) -> Any:
        with undisturbed():
            images = call_user(f"reference {self._name}", self._function, **self._arguments)
        if not (hasattr(images, "__getitem__") and hasattr(images, "__len__")) or len(images) < 2:
            raise InputError(f"reference {self._name} returned {images!r}, not a tensor or dataset of 2 images or more")
        return images
