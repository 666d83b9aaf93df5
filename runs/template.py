"""The commented configuration that `init` writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..engine.checkpoints.adapter import AdapterCheckpoint
from ..engine.checkpoints.checkpoint import Checkpoint
from ..engine.checkpoints.diffusion import is_diffusers
from ..engine.checkpoints.naming import open_members
from ..engine.checkpoints.opening import open_checkpoint
from ..errors import InputError

_TEMPLATE = """\
# A search for the coefficients with which to average fine-tuned models.
# Check it with `mergesearch validate {path}`, start or resume it with `mergesearch run {path}`.
# Paths are relative to the folder that the command is started in.

name: {name}  # the run's folder, mergesearch-runs/{name}

models:
  base: {base}  # the common ancestor
  members:  # what was fine-tuned from it; LoRA adapters stay factored
{members}
{network}  # storage: fp16     # how deltas are kept; `exact` is the default
  # device: sharded  # on all accelerators; `auto`, the default, takes one, if there is one

space:
  groups: layers  # model, layers, kinds, layers x kinds, tensors, {{blocks: 4}} or {{patterns: {{name: glob}}}}
  kind: box  # box, simplex, affine (sum 1, negatives allowed), subset or fixed
  low: 0.0  # bounds of the coefficients (box, affine)
  high: 1.0
  # scale: [0.0, 1.5]  # for a simplex: what each group's coefficients may sum to
  # knots: 3         # a few anchors interpolated over depth, instead of one row per group
  # tied: true       # one row for all groups

search:
  searcher: gp  # auto, gp, tpe, nsga2, nsga3, cmaes, lcsc (snapshots), random, sobol, grid, greedy, uniform
  seed: 0
  # scalarise: mean  # search one weighted mean instead of the front (needed by cmaes and lcsc)

evaluators:
{evaluators}

objectives:  # task/metric; several of them give a Pareto front
{objectives}

samples:
  held_out: 0.5  # fraction that the search never sees, to re-score its front honestly
  # limit: 200       # samples per task

# racing: off  # every candidate is scored on all samples; by default bad ones stop early

budget:
  trials: 60  # baselines count: base, members, uniform soup, greedy soup, task arithmetic
  # time: 8h
"""

_LANGUAGE_MODEL = """\
  benchmarks:
    kind: lm_eval
    tasks: [arc_easy, hellaswag]  # lm-eval's task names, or paths of local task files
    # include_path: tasks  # folder with more tasks"""

_DIFFUSION_MODEL = """\
  quality:
    kind: callable
    function: my_metric.py:denoising_loss  # (model, samples) -> {metric: one value per sample}
    samples: 500
    metrics: {loss: minimize}"""

_OTHER_MODEL = """\
  quality:
    kind: dataloader
    dataset: my_data.py:dataset  # function that returns a torch Dataset of (input, label)
    metrics: [accuracy, loss]"""


def write_template(path: Path, models: Sequence[str], name: str) -> None:
    """Write a configuration for `models`: the base first, then the members (or a glob).

    Raises:
        InputError: fewer than two models, a model that cannot be opened, or the file exists.
    """
    if path.exists():
        raise InputError(f"'{path}' exists; give another name with --out, or remove it first")
    if len(models) < 2:
        raise InputError(f"{len(models)} model given; give the base first, then what was fine-tuned from it")
    base, members = models[0], open_members(list(models[1:]))
    opened = open_checkpoint(base)
    path.write_text(_fill(path, name, base, opened, members), encoding="utf-8")


def _fill(path: Path, name: str, base: str, opened: Checkpoint, members: dict[str, Checkpoint]) -> str:
    evaluators, tasks = _scored(opened)
    network = "" if opened.config else "  network: my_model.py:network  # function that builds the untrained module\n"
    return _TEMPLATE.format(
        path=path,
        name=name,
        base=base,
        members="\n".join(f"    {key}: {_given(checkpoint)}" for key, checkpoint in members.items()),
        network=network,
        evaluators=evaluators,
        objectives="\n".join(f"  - {task}" for task in tasks),
    )


def _scored(opened: Checkpoint) -> tuple[str, list[str]]:
    """Evaluators for such a model, and their objectives."""
    if is_diffusers(opened):
        return _DIFFUSION_MODEL, ["quality/loss"]
    if opened.config:
        return _LANGUAGE_MODEL, ["arc_easy/acc", "hellaswag/acc_norm"]
    return _OTHER_MODEL, ["quality/accuracy"]


def _given(checkpoint: Checkpoint) -> str:
    return f"{checkpoint.path}  # LoRA adapter" if isinstance(checkpoint, AdapterCheckpoint) else str(checkpoint.path)
