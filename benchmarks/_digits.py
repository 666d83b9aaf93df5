"""Two, four or eight digit experts behind a live model: any row of coefficients scored, with or without gradients."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mergesearch.engine.bank.member import BankOptions
from mergesearch.engine.models import ModelPaths, Models
from mergesearch.evaluators.dataloader import DataLoaderEvaluator
from mergesearch.evaluators.statistics.split import split_samples
from mergesearch.search.history import Guides, History
from mergesearch.spaces.groups import group_tensors
from mergesearch.spaces.space import Space
from mergesearch.spaces.table import CoefficientTable

FloatArray = NDArray[np.float64]
ROOT = Path(__file__).parent.parent
MEMBERS = ("rotate", "flip", "invert", "shift", "half_turn", "turn_back", "upend", "transpose")


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation tells.

    Attributes:
        losses: 1 - accuracy would rank alike; these are negative accuracies, `objectives`.
        errors: standard errors, `objectives`.
        guides: cross entropies, `objectives`; NaN without gradients.
        slopes: of the cross entropies, `objectives x members`; NaN without gradients.
        seconds: what it took.
    """

    losses: FloatArray
    errors: FloatArray
    guides: FloatArray
    slopes: FloatArray
    seconds: float


class Digits:
    """The first experts of the zoo, each with its own task as an objective.

    Args:
        members: how many.
        zoo: folder of the trained zoo.
        split: seed of the split into search and held-out samples; the search samples are scored.
    """

    def __init__(self, members: int, zoo: Path = ROOT / "zoo", split: int = 0) -> None:
        self.tasks, self.members = MEMBERS[:members], members
        code = ROOT / "examples" / "zoo" / "digits.py"
        folders = ["digits" if place < 4 else "digits8" for place in range(members)]
        files = {task: str(zoo / part / f"{task}.safetensors") for part, task in zip(folders, self.tasks, strict=True)}
        base = str(zoo / "digits" / "base.safetensors")
        models = Models(ModelPaths(base=base, members=files, network=f"{code}:network", device="cpu"))
        groups = group_tensors(models.places(), "model")
        self.live = models.live(models.build_bank(BankOptions()), groups)
        tasks = {task: {"task": task} for task in self.tasks}
        self.evaluator = DataLoaderEvaluator("digits", f"{code}:dataset", tasks=tasks, batch_size=450)
        self.evaluator.prepare(models.model, None)
        counts = self.evaluator.tasks()
        self.samples = {task: split_samples(counts[task], 0.5, split, task).search for task in self.tasks}
        self._known: dict[tuple[bytes, bool], Evaluation] = {}

    def evaluate(self, row: FloatArray, gradients: bool = False) -> Evaluation:
        """Score one row of coefficients, `members`; what was scored before is remembered, with the time it took."""
        key = (row.tobytes(), gradients)
        if key not in self._known:
            self._known[key] = self._evaluate(row, gradients)
        return self._known[key]

    def losses(self, rows: FloatArray) -> FloatArray:
        """Negative accuracies of rows, `points x members` → `points x objectives`."""
        return np.array([self.evaluate(row).losses for row in rows]).reshape(len(rows), self.members)

    def history(self, space: Space, x: FloatArray, gradients: bool) -> History:
        """A search's history at x, `trials x dimension`."""
        found = [self.evaluate(space.table(one).members[0], gradients) for one in x]
        losses, errors, guides, slopes = (
            np.array([getattr(one, name) for one in found]) for name in ("losses", "errors", "guides", "slopes")
        )
        return History(
            space=space,
            number=len(x),
            x=x,
            losses=losses,
            errors=errors,
            violations=np.empty((len(x), 0)),
            guides=Guides(guides, slopes[:, :, None, :]) if gradients else None,
            baselines=self.members + 2,
        )

    def _evaluate(self, row: FloatArray, gradients: bool) -> Evaluation:
        clock = time.perf_counter()
        self.live.write(CoefficientTable.tied(row, 1))
        scores = self.evaluator.score(self.live.model, self.samples)
        each = [scores[task]["accuracy"] for task in self.tasks]
        guides, slopes = np.full(self.members, np.nan), np.full((self.members, self.members), np.nan)
        for place, task in enumerate(self.tasks if gradients else ()):
            with self.live.pullback() as gradient:
                loss = self.evaluator.backward(self.live.model, task, "loss", self.samples[task])
            guides[place], slopes[place] = loss.value, gradient.members[0]
        losses, errors = -np.array([one.value for one in each]), np.array([one.stderr for one in each])
        return Evaluation(losses, errors, guides, slopes, time.perf_counter() - clock)
