"""Train the zoo: `python examples/zoo/train.py --out zoo`. What is trained already is not trained again."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from consistency_training import ConsistencyRecipe, train_consistency
from digits_training import DigitsRecipe, FurtherDigitsRecipe, train_digits, train_further_digits
from llama_recipe import LlamaRecipe
from llama_training import train_llama
from rich.console import Console
from trajectory_training import TrajectoryRecipe, train_trajectory
from zoo_cache import Artefacts, train_once

Announce = Callable[[str], None]
PARTS = ("llama", "digits", "digits8", "trajectory", "consistency")


def build_llama(folder: Path, recipe: LlamaRecipe, announce: Announce) -> Artefacts:
    """Train the small Llama, its experts and its lm-eval tasks, or return them from the cache."""
    return train_once(folder, recipe, partial(train_llama, recipe, folder, announce))


def build_digits(folder: Path, recipe: DigitsRecipe, announce: Announce) -> Artefacts:
    """Train the digit classifiers, or return them from the cache."""
    return train_once(folder, recipe, partial(train_digits, recipe, announce))


def build_further_digits(folder: Path, recipe: FurtherDigitsRecipe, announce: Announce) -> Artefacts:
    """Train four further digit classifiers from the base in the folder `digits` beside, or return them from the cache.

    The base is trained first where it is not there.
    """
    base = _base_digits(folder, DigitsRecipe(**asdict(recipe)), announce)
    return train_once(folder, recipe, partial(train_further_digits, recipe, announce, base))


def build_trajectory(folder: Path, recipe: TrajectoryRecipe, announce: Announce) -> Artefacts:
    """Train the run whose snapshots are kept, or return them from the cache."""
    return train_once(folder, recipe, partial(train_trajectory, recipe, announce))


def build_consistency(folder: Path, recipe: ConsistencyRecipe, announce: Announce) -> Artefacts:
    """Train the consistency model whose snapshots are kept, or return them from the cache.

    The digit classifier in the folder `digits` beside, which reads its images, is trained first where it is not there.
    """
    base = _base_digits(folder, DigitsRecipe(), announce)
    return train_once(folder, recipe, partial(train_consistency, recipe, announce, base))


def build_zoo(out: Path, only: str | None = None, announce: Announce = print) -> dict[str, Artefacts]:
    """Build every part of the zoo, or the one that `only` names, under `out`."""
    parts: dict[str, Callable[[Path], Artefacts]] = {
        "llama": partial(build_llama, recipe=LlamaRecipe(), announce=announce),
        "digits": partial(build_digits, recipe=DigitsRecipe(), announce=announce),
        "digits8": partial(build_further_digits, recipe=FurtherDigitsRecipe(), announce=announce),
        "trajectory": partial(build_trajectory, recipe=TrajectoryRecipe(), announce=announce),
        "consistency": partial(build_consistency, recipe=ConsistencyRecipe(), announce=announce),
    }
    return {name: build(out / name) for name, build in parts.items() if only in (None, name)}


def _base_digits(folder: Path, recipe: DigitsRecipe, announce: Announce) -> Path:
    """The digit classifier in the folder `digits` beside `folder`."""
    return build_digits(folder.parent / "digits", recipe, announce).folder / "base.safetensors"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write the zoo to")
    parser.add_argument("--only", choices=PARTS, help="train one part")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of PyTorch")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    console = Console()
    started = time.perf_counter()
    for name, artefacts in build_zoo(options.out, options.only, console.print).items():
        console.print(artefacts.scores.render(name))
        console.print(
            "trained now" if artefacts.trained else "found in the cache: nothing was trained", artefacts.folder
        )
    console.print(f"{time.perf_counter() - started:.1f} s in all")


if __name__ == "__main__":
    main()
