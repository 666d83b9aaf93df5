"""The third tier: a mapped file, whose pages are fetched before the kernel reaches them and dropped behind it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import torch

from ..bank.layout import BLOCK
from ..devices.devices import HOST
from ..storage.delta import cut, tensors
from .mapping import PAGE, MappedFile
from .staging import copied
from .streaming import double_buffered, spans
from .tier import Deltas, Part, Span, Tier, part_of

_STRIDE = 16 * PAGE  # what a system brings in by itself around a page that is missing


class FileTier(Tier):
    """Buffers in one file; without one given, in a file that has no name and is gone with the process.

    What the kernel reads, it reads from the mapped pages themselves; no more than two chunks of them are resident.

    Args:
        mapped: the file.
    """

    name = "file"

    def __init__(self, mapped: MappedFile) -> None:
        self.mapped = mapped

    @classmethod
    def temporary(cls, folder: Path | None = None) -> FileTier:
        """A tier in a file without a name, in `folder` or where temporary files go."""
        place = Path(folder or tempfile.gettempdir())
        # The mapping keeps the file alive when the object is closed.
        return cls(MappedFile(tempfile.TemporaryFile(dir=place, prefix="mergesearch-"), place))

    def allocate(self, blocks: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """Zeros in the file."""
        return self.mapped.extend(blocks * BLOCK * dtype.itemsize).view(dtype).view(blocks, BLOCK)

    def keep(self, tensor: torch.Tensor, device: torch.device = HOST) -> torch.Tensor:
        """A copy in the file."""
        kept = self.mapped.extend(tensor.nbytes).view(tensor.dtype).view(tensor.shape)
        kept.copy_(tensor)
        self.release(kept)
        return kept

    def stream(self, base: torch.Tensor, deltas: Deltas, device: torch.device, blocks: int) -> Iterator[Part]:
        """The mapped pages themselves, chunk by chunk; for an accelerator, copies of them."""
        for fetched in (_fetched if device == HOST else copied)(base, deltas, device, blocks):
            yield fetched
            self.release(*_leaves(base, deltas, (fetched.start, fetched.stop)))

    def scratch(self) -> IO[bytes]:
        """A file without a name, beside the bank's."""
        return tempfile.TemporaryFile(dir=self.mapped.folder, prefix="mergesearch-")

    def release(self, *tensors: torch.Tensor) -> None:
        """Drop resident pages."""
        for tensor in tensors:
            self.mapped.release(tensor)


def _fetched(base: torch.Tensor, deltas: Deltas, device: torch.device, blocks: int) -> Iterator[Part]:
    def fetch(number: int, span: Span) -> Part:
        # A byte here and there, in one operation, which leaves the interpreter to the kernel meanwhile.
        torch.cat([leaf.view(-1).view(torch.uint8)[::_STRIDE] for leaf in _leaves(base, deltas, span)])
        return part_of(base, deltas, span)

    return double_buffered(spans([base, *deltas], blocks), fetch)


def _leaves(base: torch.Tensor, deltas: Deltas, span: Span) -> list[torch.Tensor]:
    """All tensors that these blocks are kept in."""
    return [base[slice(*span)], *(leaf for delta in deltas for leaf in tensors(cut(delta, *span)))]
