"""Folders whose files name tensors otherwise than the network does, because transformers converts them as it loads.

Mixtures of experts, for one: a file per expert and matrix on disk, one tensor for all experts in memory.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from ..network.loading import load_transformers, target_without_files
from ..network.tensors import floating_tensors
from .adapter import AdapterCheckpoint
from .checkpoint import Checkpoint
from .diffusion import is_diffusers
from .safetensors_checkpoint import SafetensorsCheckpoint
from .source import stored_names


class ConvertedCheckpoint(SafetensorsCheckpoint):
    """A checkpoint under the live model's names, in a temporary file that is deleted with this object.

    Its folder, for configuration and tokenizer, is the original's.
    """

    def __init__(self, original: Checkpoint, model: nn.Module) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="mergesearch-")
        file = Path(self._temporary.name) / original.single
        save_file({name: value.detach().contiguous() for name, value in floating_tensors(model).items()}, file)
        super().__init__(file)
        self.folder = original.folder


def under_live_names(checkpoint: Checkpoint, model: nn.Module) -> Checkpoint:
    """Return the checkpoint itself where its files have the names of `model`, else a converted copy.

    One whole model is held in memory while it is converted. A folder that transformers cannot load completely is
    returned as it is, for the comparison with the base names what is wrong with it.
    """
    if checkpoint.folder is None or not checkpoint.config or isinstance(checkpoint, AdapterCheckpoint):
        return checkpoint
    if is_diffusers(checkpoint):
        return checkpoint
    target = target_without_files(model)
    if len(stored_names(checkpoint, target)) == len(target.headers):
        return checkpoint
    loaded, complete = load_transformers(checkpoint.folder, checkpoint.config, None)
    same = complete and list(floating_tensors(loaded)) == list(target.headers)
    return ConvertedCheckpoint(checkpoint, loaded) if same else checkpoint
