"""Everything that a configuration names, opened and checked: what `validate` does, and what `run` starts from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..engine.models import Models
from ..errors import InputError, nearest
from ..evaluators.build import build_evaluators
from ..evaluators.evaluator import IntArray
from ..evaluators.panel import Panel
from ..evaluators.statistics.split import split_samples
from ..search.recommend import Problem, Recommendation
from ..spaces.build import build_space
from ..spaces.canonical import canonical_points
from ..spaces.published import families
from ..spaces.space import Space
from ..spaces.table import CoefficientTable
from .baselines import Baselines
from .config import Config
from .evaluation_cache import EvaluationCache
from .folder import RunFolder
from .guides import guides_for
from .objectives import Objectives
from .offer import Offer
from .opening import Opened, open_live, open_models
from .plan import Plan
from .proposals import Proposals
from .racing.race import Race
from .score_files import ScoreFiles, score_key
from .searching import Search
from .workbench import Workbench

Samples = dict[str, IntArray]

_SMOOTH = ("box", "simplex", "affine")  # kinds of spaces in which a slope leads somewhere


@dataclass(frozen=True)
class Session:
    """An opened run: nothing evaluated yet, nothing written.

    Attributes:
        config: what the user gave.
        folder: where the run keeps its files.
        models: base and members.
        bench: the live model and its evaluators.
        proposals: what to evaluate in which order.
        race: how candidates are scored.
        search_samples: what the search sees, ascending indices per task.
        held_out: what it does not see.
        fresh: what it does not see either, and its elite is scored on; empty where none are kept.
        recommended: the searcher that was chosen for it, with `search: auto`.
    """

    config: Config
    folder: RunFolder
    models: Models
    bench: Workbench
    proposals: Proposals
    race: Race
    search_samples: Samples
    held_out: Samples
    fresh: Samples
    recommended: Recommendation | None = None

    def plan(self) -> Plan:
        """What to write down of it."""
        space = self.proposals.baselines.space
        parts = [self.search_samples, self.held_out, *([self.fresh] if self.fresh else [])]
        return Plan(
            objectives=self.proposals.objectives,
            members=self.models.names,
            groups=list(self.bench.live.groups.names),
            coordinates=dict(zip(space.names, space.bounds.tolist(), strict=True)),
            baselines=self.proposals.baselines.names,
            samples={task: [len(part.get(task, ())) for part in parts] for task in self.search_samples},
            bank=self.bench.live.bank.fingerprint,
            panel=self.bench.identities.panel,
            study=self._study(),
            recommended=None if self.recommended is None else vars(self.recommended),
        )

    def _study(self) -> str:
        """The configured name, and a few digits of all that the trials hang on."""
        identity = json.dumps(self.config.identity(), sort_keys=True)
        content = score_key(identity, self.bench.live.bank.fingerprint, self.bench.identities.panel)
        return f"{self.config.name} {content[:8]}"


def open_session(config: Config) -> Session:
    """Open and check all that the configuration names. The run folder is only read.

    Raises:
        InputError: anything in the configuration that cannot be used, before anything is evaluated.
    """
    folder = RunFolder(config.folder)
    folder.check(config)
    panel = build_evaluators(config.evaluators)
    for evaluator in panel.evaluators:
        evaluator.output = folder.printed_by(evaluator.name)
    search = Search.named(config.search)
    models = open_models(config.models)
    panel.prepare(models.model, models.tokenizer)
    objectives = Objectives.resolve(config.objectives, panel.metrics())
    if search:
        search.check(config.search, objectives)
    _check_references(panel, models.names)
    _check_adapters(panel, config.models.adapters)
    search_samples, held_out, fresh = _split(config, panel)
    opened = open_live(config, models)
    space = build_space(config.space.options(), opened.live.groups, models.names)
    baselines = _baselines(config, space, opened)
    cache = EvaluationCache(Path(config.cache or Path(config.out) / ".cache"))
    bench = Workbench(opened.live, models.members, panel, ScoreFiles(folder.scores), cache)
    scalarise = config.search.scalarise is not None and len(objectives.each) > 1
    asked = search is None or search.searcher.gradients != "unused"  # evaluators may have to prepare for it
    differentiable = panel.differentiable() if asked else {}
    search = search or Search.recommended_for(
        _problem(config, baselines, objectives, differentiable), config.search, folder
    )
    followed = None if scalarise else [search.searcher.follows(number) for number in range(len(objectives.each))]
    guides = guides_for(objectives, differentiable, search.name, search.searcher.gradients, followed)
    if guides:
        opened.live.prepare_pullback()
    known = [guide for guide in guides or () if guide is not None]
    baselines.check(objectives, known if len(known) == len(objectives.each) else [])
    proposals = Proposals(baselines, search.searcher, search.name, objectives, scalarise, guides)
    proposals.ask([])  # what it cannot search it says now, and not after the baselines
    race = Race(bench, proposals, search_samples, config)
    return Session(config, folder, models, bench, proposals, race, search_samples, held_out, fresh, search.recommended)


def _problem(
    config: Config, baselines: Baselines, objectives: Objectives, differentiable: Mapping[str, Sequence[str]]
) -> Problem:
    options = config.space.options()
    kind = options.get("kind", "box")
    return Problem(
        objectives=1 if config.search.scalarise else len(objectives.each),
        members=baselines.space.members,
        dimension=baselines.space.dimension,
        trials=max(0, config.budget.trials - len(baselines.names)),
        differentiable=kind in _SMOOTH
        and "step" not in options
        and all(differentiable.get(t) for t in objectives.tasks),
        snapshots=config.models.trajectory is not None and kind == "affine",
    )


def _check_references(panel: Panel, members: Sequence[str]) -> None:
    for name in panel.references():
        if name != "base" and name not in members:
            raise InputError(f"an evaluator compares with '{name}'; {nearest(name, ['base', *members])}")


def _check_adapters(panel: Panel, adapters: str) -> None:
    reading = [one.name for one in panel.evaluators if one.reads_weights]
    if adapters == "live" and reading:
        raise InputError(
            f"evaluator '{reading[0]}' reads the weights, which live adapters leave as the base's; "
            "set models.adapters: merged"
        )


def _split(config: Config, panel: Panel) -> tuple[Samples, Samples, Samples]:
    options = config.samples
    parts = {
        task: split_samples(count, options.held_out, options.seed, task, options.limit, options.fresh)
        for task, count in panel.tasks().items()
    }
    held_out = {task: part.held_out for task, part in parts.items() if len(part.held_out)}
    fresh = {task: part.fresh for task, part in parts.items() if len(part.fresh)}
    return {task: part.search for task, part in parts.items()}, held_out, fresh


def _baselines(config: Config, space: Space, opened: Opened) -> Baselines:
    names = opened.models.names
    points = canonical_points(space.groups, names)
    if opened.transform:
        row = np.array(opened.transform.canonical_row(space.members))
        points[repr(opened.transform)] = CoefficientTable.tied(row, space.groups)
    offer = Offer(points, families(opened.live.groups, names, opened.models.steps))
    patterns = offer.usual(opened.models) if config.search.baselines is None else config.search.baselines
    return Baselines(space, *offer.chosen(patterns), raw_members=opened.transform is not None)
