"""From a path to a checkpoint: which kind it is, is read from what lies there."""

from __future__ import annotations

import glob
import re
from pathlib import Path

from ...errors import CheckpointError
from .adapter import CONFIG as ADAPTER_CONFIG
from .adapter import AdapterCheckpoint
from .checkpoint import Checkpoint
from .diffusion import PIPELINE, STEM, denoiser_of
from .safetensors_checkpoint import SafetensorsCheckpoint
from .torch_checkpoint import SUFFIXES, TorchCheckpoint

_STEMS = ("model", STEM)
_PICKLED = {"pytorch_model.bin": "model", "model.pt": "model", f"{STEM}.bin": STEM}


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Open a Hugging Face folder, a safetensors file, a torch state dict or a LoRA adapter; reads no tensor.

    Of the folder of a diffusion pipeline it is the denoiser. A name `owner/model` that is no local path is fetched
    from the Hugging Face hub.

    Raises:
        CheckpointError: nothing there, or nothing that can be opened.
    """
    local = find(path)
    if local.is_dir():
        return _open_folder(local)
    if local.suffix == ".safetensors":
        return SafetensorsCheckpoint(local)
    if local.suffix in SUFFIXES:
        return TorchCheckpoint(local)
    known = ", ".join([".safetensors", *sorted(SUFFIXES)])
    raise CheckpointError(f"'{local}' is no checkpoint by its name; known endings: {known}")


def open_trajectory(pattern: str) -> dict[int, Checkpoint]:
    """Open the snapshots of one run: step -> checkpoint, oldest first; the step is the last number in the name.

    Raises:
        CheckpointError: the pattern matches nothing, a name has no number, or two names have the same.
    """
    paths = [Path(path) for path in sorted(glob.glob(pattern, recursive=True))]
    if not paths:
        raise CheckpointError(f"no file matches '{pattern}'; check the pattern, relative to the current folder")
    steps: dict[int, Path] = {}
    for path in paths:
        numbers = re.findall(r"\d+", path.name.removesuffix(path.suffix) if path.is_file() else path.name)
        if not numbers:
            raise CheckpointError(f"'{path}' has no step in its name; name snapshots like step_00100.safetensors")
        step = int(numbers[-1])
        if step in steps:
            raise CheckpointError(f"'{path}' and '{steps[step]}' both have step {step}; narrow the pattern")
        steps[step] = path
    return {step: open_checkpoint(steps[step]) for step in sorted(steps)}


def find(path: str | Path) -> Path:
    """Local path of a checkpoint; fetches `owner/model` from the hub where no such path exists.

    Raises:
        CheckpointError: no such path, and no such model on the hub (or the hub cannot be reached).
    """
    local = Path(path).expanduser()
    if local.exists():
        return local
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(path)):
        raise CheckpointError(f"no file or folder '{path}'; check the path, relative to the current folder")
    return _fetch(str(path))


def _fetch(repository: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, ignore_patterns=["*.bin", "*.pt", "*.gguf", "*.h5", "*.msgpack"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise CheckpointError(
            f"no file or folder '{repository}', and no such model on the hub ({type(error).__name__}); check the name"
        ) from error


def _open_folder(folder: Path) -> Checkpoint:
    if (folder / ADAPTER_CONFIG).is_file():
        return AdapterCheckpoint(folder)
    if (folder / PIPELINE).is_file():
        checkpoint = _open_folder(folder / denoiser_of(folder))
        checkpoint.pipeline = folder
        return checkpoint
    for stem in _STEMS:
        checkpoint = SafetensorsCheckpoint(folder, stem)
        if (folder / checkpoint.index).is_file() or (folder / checkpoint.single).is_file():
            return checkpoint
    for name, stem in _PICKLED.items():
        if (folder / name).is_file():
            return TorchFolder(folder, name, stem)
    known = [f"{stem}.safetensors{end}" for stem in _STEMS for end in ("", ".index.json")]
    raise CheckpointError(f"folder '{folder}' holds no {', '.join([*known, *_PICKLED, PIPELINE])} or {ADAPTER_CONFIG}")


class TorchFolder(TorchCheckpoint):
    """A Hugging Face folder whose weights are one torch file."""

    def __init__(self, folder: Path, name: str, stem: str) -> None:
        super().__init__(folder / name, stem)
        self.folder = folder
