"""A merge whose accuracies are known: sigmoids of concave quadratics, one peak near each member."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from mergesearch.search.history import FloatArray, Guides, History
from mergesearch.search.searcher import Searcher
from mergesearch.spaces.box import Box
from mergesearch.spaces.canonical import soup
from mergesearch.spaces.space import Space

SAMPLES = 1000


class Truth:
    """Latent z = logit(peak) - (c - m)'K(c - m)/2 per objective, m = 0.9·eₙ + noise, K with eigenvalues in [1, 5].

    Losses are negative accuracies sigmoid(z), guides the cross entropies log(1 + exp(-z)), of the mean row of a table.
    """

    def __init__(self, members: int, seed: int = 0, objectives: int | None = None, floor: float | None = None) -> None:
        rng, count = np.random.default_rng(seed), objectives or members
        self.members, self.floor = members, floor
        self.peaks = 0.9 * np.eye(max(count, members))[:count, :members] + 0.05 * rng.normal(size=(count, members))
        turns = [np.linalg.qr(rng.normal(size=(members, members)))[0] for _ in range(count)]
        self.curvatures = np.array([turn @ np.diag(rng.uniform(1, 5, members)) @ turn.T for turn in turns])
        self.heights = logit(rng.uniform(0.75, 0.97, count))

    def latent(self, c: FloatArray) -> FloatArray:
        """Latent scores, `points x objectives`."""
        step = c[:, None] - self.peaks
        return np.asarray(self.heights - 0.5 * np.einsum("pni,nij,pnj->pn", step, self.curvatures, step))

    def losses(self, c: FloatArray) -> FloatArray:
        """Negative accuracies, `points x objectives`."""
        return -np.asarray(expit(self.latent(c)), dtype=np.float64)

    def guides(self, c: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Cross entropies, `points x objectives`, and their slopes, `points x objectives x members`."""
        z = self.latent(c)
        slopes = np.einsum("nij,pnj->pni", self.curvatures, c[:, None] - self.peaks)
        return np.logaddexp(0.0, -z), expit(-z)[:, :, None] * slopes


def start(truth: Truth, space: Space, x: FloatArray, gradients: bool) -> History:
    """The history of trials at x, `trials x dimension`."""
    tables = np.array([space.table(one).members for one in x]).reshape(len(x), space.groups, space.members)
    rows = tables.mean(axis=1)
    losses = truth.losses(rows)
    guides = None
    if gradients:
        values, slopes = truth.guides(rows)
        shared = np.repeat(slopes[:, :, None], space.groups, axis=2) / space.groups
        guides = Guides(values, shared)
    missed = np.empty((len(x), 0)) if truth.floor is None else (rows.sum(axis=1) - truth.floor)[:, None]
    errors = np.sqrt(-losses * (1 + losses) / (SAMPLES - 1))
    return History(space, len(x), x, losses, errors, missed, np.empty((0, space.dimension)), guides)


def canonical(space: Space) -> FloatArray:
    """X of base, members and uniform soup, as far as the space has them."""
    everyone = range(space.members)
    subsets = [(), *((index,) for index in everyone), tuple(everyone)]
    found = [space.vector(soup(subset, space.groups, space.members)) for subset in subsets]
    return np.array([x for x in found if x is not None]).reshape(-1, space.dimension)


def search(
    searcher: Searcher, truth: Truth, trials: int, gradients: bool, space: Space | None = None, baselines: bool = True
) -> History:
    """Trials up to a budget, or until the searcher has nothing left to try."""
    space = space or Box(truth.members)
    x = canonical(space) if baselines else np.empty((0, space.dimension))
    while len(x) < trials:
        proposed = searcher.ask(start(truth, space, x, gradients))
        if proposed is None:
            break
        x = np.vstack([x, proposed])
    return start(truth, space, x, gradients)
