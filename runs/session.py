"""Everything that a configuration names, opened and checked: what `validate` does, and what `run` starts from."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..engine.live import LiveModel
from ..engine.member import BankOptions
from ..engine.models import ModelPaths, Models
from ..engine.transforms.transform import Transform
from ..errors import InputError, nearest
from ..evaluators.evaluator import IntArray
from ..evaluators.panel import Panel, build_evaluators
from ..evaluators.split import split_samples
from ..plugins import load_plugin
from ..search.searcher import Searcher
from ..spaces.build import build_space
from ..spaces.canonical import canonical_points
from ..spaces.groups import group_tensors
from ..spaces.space import Space
from ..spaces.table import CoefficientTable
from .config import Config, ModelsConfig
from .folder import RunFolder
from .guides import guides_for
from .objectives import Objectives
from .plan import Plan
from .proposals import Baselines, Proposals
from .score_files import ScoreFiles, score_key
from .workbench import Workbench

Samples = dict[str, IntArray]


@dataclass(frozen=True)
class Session:
    """An opened run: nothing evaluated yet, nothing written.

    Attributes:
        config: what the user gave.
        folder: where the run keeps its files.
        models: base and members.
        bench: the live model and its evaluators.
        proposals: what to evaluate in which order.
        search_samples: what the search sees, ascending indices per task.
        held_out: what it does not see.
    """

    config: Config
    folder: RunFolder
    models: Models
    bench: Workbench
    proposals: Proposals
    search_samples: Samples
    held_out: Samples

    def plan(self) -> Plan:
        """What to write down of it."""
        space = self.proposals.baselines.space
        return Plan(
            objectives=self.proposals.objectives,
            members=self.models.names,
            groups=list(self.bench.live.groups.names),
            coordinates=dict(zip(space.names, space.bounds.tolist(), strict=True)),
            baselines=list(self.proposals.baselines.points),
            samples={task: [len(seen), len(self.held_out.get(task, ()))] for task, seen in self.search_samples.items()},
            bank=self.bench.live.bank.fingerprint,
            panel=self.bench.panel_fingerprint,
            study=self._study(),
        )

    def _study(self) -> str:
        """The configured name, and a few digits of all that the trials hang on."""
        identity = json.dumps(self.config.identity(), sort_keys=True)
        content = score_key(identity, self.bench.live.bank.fingerprint, self.bench.panel_fingerprint)
        return f"{self.config.name} {content[:8]}"


def open_session(config: Config) -> Session:
    """Open and check all that the configuration names. The run folder is only read.

    Raises:
        InputError: anything in the configuration that cannot be used, before anything is evaluated.
    """
    folder = RunFolder(config.folder)
    folder.check(config)
    panel = build_evaluators(config.evaluators)
    searcher = _searcher(config)
    models = Models(_paths(config.models))
    panel.prepare(models.model, models.tokenizer)
    objectives = Objectives.resolve(config.objectives, panel.metrics())
    _check_searcher(config, searcher, objectives)
    search_samples, held_out = _split(config, panel)
    opened = open_live(config, models)
    space = build_space(config.space.options(), opened.live.groups, models.names)
    baselines = _baselines(config, space, opened)
    bench = Workbench(opened.live, models.members, panel, ScoreFiles(folder.scores))
    scalarise = config.search.scalarise is not None and len(objectives.each) > 1
    guides = guides_for(objectives, panel.differentiable(), config.search.searcher, searcher.gradients)
    proposals = Proposals(baselines, searcher, config.search.searcher, objectives, scalarise, guides)
    proposals.ask([])  # what it cannot search it says now, and not after the baselines
    return Session(config, folder, models, bench, proposals, search_samples, held_out)


@dataclass(frozen=True)
class Opened:
    """Base and members as a live model: what exporting needs, too.

    Attributes:
        models: base and members.
        live: bound to the bank.
        transform: what the deltas went through, if anything.
    """

    models: Models
    live: LiveModel
    transform: Transform | None


def open_live(config: Config, models: Models | None = None) -> Opened:
    """Open base and members, build the bank, and bind the live model.

    Raises:
        InputError: anything under `models` or `space.groups` that cannot be used.
    """
    transform = _transform(config.models)
    models = models or Models(_paths(config.models))
    groups = group_tensors(models.places(), config.space.groups)
    bank = models.build_bank(BankOptions(config.models.storage, transform))
    return Opened(models, models.live(bank, groups, config.models.kernel), transform)


def _paths(models: ModelsConfig) -> ModelPaths:
    return ModelPaths(
        base=models.base,
        members=models.members,
        trajectory=models.trajectory,
        anchors=models.anchors,
        network=models.network,
        ignore=tuple(models.ignore),
        dtype=models.dtype,
        device=models.device,
    )


def _searcher(config: Config) -> Searcher:
    name = config.search.searcher
    kind = load_plugin(name, f"{_package()}.search", Searcher)
    _refuse_unknown(f"searcher '{name}'", kind, config.search.options, given=("seed",))
    return kind(seed=config.search.seed, **config.search.options)


def _transform(models: ModelsConfig) -> Transform | None:
    if models.transform is None:
        return None
    options = dict(models.transform)
    if "kind" not in options:
        raise InputError(f"models.transform is {models.transform}; give it a kind, such as trim, ties or dare")
    kind = load_plugin(options.pop("kind"), f"{_package()}.engine.transforms", Transform)
    _refuse_unknown(f"transform '{kind.__name__}'", kind, options)
    return kind(**options)


def _refuse_unknown(what: str, kind: type, options: Mapping[str, Any], given: tuple[str, ...] = ()) -> None:
    known = [name for name in inspect.signature(kind).parameters if name not in given]
    for key in options:
        if key not in known:
            raise InputError(f"{what} has no option '{key}'; {nearest(key, known)}")


def _check_searcher(config: Config, searcher: Searcher, objectives: Objectives) -> None:
    if searcher.multi_objective or config.search.scalarise or len(objectives.each) == 1:
        return
    raise InputError(
        f"searcher '{config.search.searcher}' searches one objective, but {len(objectives.each)} are given; "
        "set search.scalarise: mean, or take tpe, nsga2 or nsga3"
    )


def _split(config: Config, panel: Panel) -> tuple[Samples, Samples]:
    options = config.samples
    parts = {
        task: split_samples(count, options.held_out, options.seed, task, options.limit)
        for task, count in panel.tasks().items()
    }
    held_out = {task: held for task, (_, held) in parts.items() if len(held)}
    return {task: seen for task, (seen, _) in parts.items()}, held_out


def _baselines(config: Config, space: Space, opened: Opened) -> Baselines:
    points = canonical_points(space.groups, opened.models.names)
    if opened.transform:
        row = np.array(opened.transform.canonical_row(space.members))
        points[repr(opened.transform)] = CoefficientTable.tied(row, space.groups)
    return Baselines.choose(space, points, config.search.baselines, raw_members=opened.transform is not None)


def _package() -> str:
    """Name of the package that this room is in."""
    return __name__.rsplit(".", 2)[0]
