"""Train once: artefacts are kept under the hash of the recipe that made them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from score_table import ScoreTable

RECIPE_FILE = "recipe.json"
SCORES_FILE = "scores.json"


@dataclass(frozen=True)
class Recipe:
    """What decides the outcome of a training; subclasses add their hyper-parameters.

    Attributes:
        version: Raised by hand when the training code changes, so that older artefacts are retrained.
        seed: Seed of the initial weights, of the batches and of the evaluation documents.
    """

    version: int = 1
    seed: int = 0

    def digest(self) -> str:
        """Return the SHA-256 of the recipe's kind and of every hyper-parameter, in hexadecimal."""
        return hashlib.sha256(f"{type(self).__name__} {asdict(self)}".encode()).hexdigest()


@dataclass(frozen=True)
class Artefacts:
    """A trained folder, its scores, and whether this very call trained it."""

    folder: Path
    scores: ScoreTable
    trained: bool


def train_once(folder: Path, recipe: Recipe, train: Callable[[Path], ScoreTable]) -> Artefacts:
    """Return the artefacts of a recipe, training them only when the folder does not hold them yet.

    Args:
        folder: Where the artefacts live; replaced when it was made by another recipe.
        recipe: The hyper-parameters, whose hash is written beside the artefacts.
        train: Writes the artefacts into the empty folder that it is given and returns their scores.

    Returns:
        The artefacts, with the scores that were measured when they were trained.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Parallel test workers ask for the same models at once: one trains, the others wait and find them.
    with FileLock(folder.parent / f".{folder.name}.lock"):
        if _recorded_digest(folder) == recipe.digest():
            return Artefacts(folder, ScoreTable.load(folder / SCORES_FILE), trained=False)
        return Artefacts(folder, _train_and_publish(folder, recipe, train), trained=True)


def _train_and_publish(folder: Path, recipe: Recipe, train: Callable[[Path], ScoreTable]) -> ScoreTable:
    # A training that is killed leaves only this hidden folder behind: the final name is never half filled.
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        scores = train(unfinished)
        scores.save(unfinished / SCORES_FILE)
        _record(unfinished / RECIPE_FILE, recipe)
        unfinished.chmod(0o755)  # mkdtemp makes folders that only their owner can read
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return scores


def _recorded_digest(folder: Path) -> str | None:
    path = folder / RECIPE_FILE
    if not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return str(record["sha256"])


def _record(path: Path, recipe: Recipe) -> None:
    record = {"sha256": recipe.digest(), "recipe": asdict(recipe)}
    path.write_text(json.dumps(record, indent=2), encoding="utf-8")
