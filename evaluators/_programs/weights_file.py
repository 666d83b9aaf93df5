"""The live weights as files for another program, in memory where there is a file system of memory with room."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...errors import TrialError
from .._quiet import without_bars
from .passing_folder import passing_folder

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of one's own is made in it
_SLACK = 64 * 2**20  # bytes for configuration, tokenizer and headers
_SHARD = "2GB"  # of which a copy is made while it is written


@contextmanager
def written(model: Any, tokenizer: Any | None, folder: bool) -> Iterator[Path]:
    """Write the weights that `model` (torch.nn.Module) shows; they go at the end of the `with`, or of the process.

    Args:
        model: of transformers (or diffusers), where a folder is wanted.
        tokenizer: saved beside the weights; None for none.
        folder: whether to write one with configuration and tokenizer, as `save_pretrained` does, rather than one file.

    Yields:
        Path of the folder, or of the safetensors file. Tied tensors are stored once.

    Raises:
        TrialError: there is no room.
    """
    with passing_folder(roomy(bytes_of(model))) as own:
        if folder:
            with without_bars():
                model.save_pretrained(own, max_shard_size=_SHARD)
            if tokenizer is not None:
                tokenizer.save_pretrained(own)
            yield own
        else:
            from safetensors.torch import save_file

            path = own / "model.safetensors"
            save_file({key: tensor.contiguous() for key, tensor in _stored(model).items()}, path)
            yield path


def bytes_of(model: Any) -> int:
    """Size of all tensors that are saved."""
    return sum(tensor.numel() * tensor.element_size() for tensor in _stored(model).values())


def roomy(size: int) -> Path:
    """The folder for temporary files of `size` bytes: of memory if it has room, or else the usual one.

    Raises:
        TrialError: neither has.
    """
    places = [_MEMORY] if os.access(_MEMORY, os.W_OK) else []
    places.append(Path(tempfile.gettempdir()))
    free = {place: shutil.disk_usage(place).free for place in places}
    for place, room in free.items():
        if room >= size + _SLACK:
            return place
    shown = " and ".join(f"{room / 1e9:.1f} GB in '{place}'" for place, room in free.items())
    raise TrialError(
        f"the weights take {size / 1e9:.1f} GB, and there are {shown}; make room, or set TMPDIR to a folder that has it"
    )


def _stored(model: Any) -> dict[str, Any]:
    """Tensors by name; tied ones once, under their first name."""
    first: dict[Any, tuple[str, Any]] = {}
    for name, tensor in model.state_dict().items():
        key = (tensor.data_ptr(), tensor.shape) if tensor.numel() else name
        first.setdefault(key, (name, tensor))
    return dict(first.values())
