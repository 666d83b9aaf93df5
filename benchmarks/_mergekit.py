"""Merges as mergekit runs them: as its command in a fresh process, and as its own graph in this one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

# What makes the command fastest, and nothing that changes the merge.
OPTIONS = ("--lazy-unpickle", "--no-copy-tokenizer", "--no-write-model-card", "--quiet")


@dataclass(frozen=True)
class Recipe:
    """A merge as mergekit's configuration.

    Attributes:
        method: mergekit's name of it.
        weights: one per model, in the order of the files; the base's first, for methods that merge it like the others.
        parameters: of the method.
        dtype: what mergekit computes in; bf16 is written either way.
    """

    method: str
    weights: Sequence[float]
    parameters: dict[str, Any]
    dtype: str = "float32"

    def configuration(self, folder: Path) -> dict[str, Any]:
        """What `mergekit-yaml` reads: for the models `base`, `member0` and so on in a folder."""
        members = [str(folder / f"member{number}") for number in range(len(list(folder.glob("member*"))))]
        base = str(folder / "base")
        models = members if len(self.weights) == len(members) else [base, *members]
        return {
            "merge_method": self.method,
            "models": [
                {"model": model, "parameters": {"weight": weight}}
                for model, weight in zip(models, self.weights, strict=True)
            ],
            **({"base_model": base} if models == members else {}),
            "parameters": self.parameters,
            "dtype": self.dtype,
            "out_dtype": "bfloat16",
        }


def command(recipe: Recipe, folder: Path, out: Path, times: int) -> float:
    """Seconds of the fastest of some runs of the command, each in a fresh process; `out` then holds the merge."""
    source = folder / "recipe.yaml"  # JSON is YAML
    source.write_text(json.dumps(recipe.configuration(folder)), encoding="utf-8")
    program = shutil.which("mergekit-yaml", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    seconds = []
    for _ in range(times):
        shutil.rmtree(out, ignore_errors=True)
        started = time.perf_counter()
        subprocess.run([str(program), str(source), str(out), *OPTIONS], check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def graph(recipe: Recipe, folder: Path, times: int) -> float:
    """Seconds of the fastest of some runs of mergekit's graph in this process: no imports, no planning, no writing."""
    from mergekit.architecture import get_architecture_info
    from mergekit.config import MergeConfiguration
    from mergekit.graph import Executor
    from mergekit.io.tasks import LoaderCache, SaveTensor
    from mergekit.options import MergeOptions
    from mergekit.plan import MergePlanner

    configuration = MergeConfiguration.model_validate(recipe.configuration(folder))
    options = MergeOptions(lazy_unpickle=True, quiet=True, copy_tokenizer=False)
    LoaderCache().setup(options=options)
    planner = MergePlanner(
        configuration,
        get_architecture_info(configuration, options),
        options=options,
        out_model_config=configuration.referenced_models()[0].config(),
    )
    saving = planner.plan_to_disk(out_path=str(folder / "never written"))
    targets = [task.tensor_task for task in saving if isinstance(task, SaveTensor)]
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        run = Executor(targets, math_device="cpu", storage_device="cpu").run(quiet=True)
        merged = [value.to(torch.bfloat16) for _, value in run]
        seconds.append(time.perf_counter() - started)
        del merged
    return min(seconds)


def written(out: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Name and value of each tensor that the command wrote."""
    for path in sorted(out.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                yield name, file.get_tensor(name)
