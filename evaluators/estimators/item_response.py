"""Item response: every sample has a difficulty, every candidate an ability, and what was not visited is predicted."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from ..racing.strata import BoolArray, FloatArray, IntArray, Strata
from .estimator import Estimate, Estimator
from .stratified import Stratified

_CLIP = 30.0  # of logits
_EASE = 9.0  # variance of difficulties, in that of discriminations: what all get wrong is hard, not contrary
_PRIOR = 8.0  # samples that the dispersion expected counts for, before any of a candidate's is seen


class ItemResponse(Estimator):
    """Two-parameter item response theory, fitted to the members' own scores; no public item bank is needed.

    A sample i of stratum h is got right with probability σ(a_i·θ - b_i + δ_h). Discriminations a, difficulties b and
    the members' abilities θ_k are fitted to the members' scores. A merge is taken to lie between its members,
    θ = Σ λ_k θ_k, but for a shift δ_h of its own in every stratum; λ and δ are fitted to the visited samples with a
    ridge towards 1/K and 0. The shifts are what the members cannot tell of a merge: without them the model is wrong
    by the same amount on many samples, which no error of λ speaks of. Scores are scaled to 0 (the members' least) and
    1 (their greatest).

    Source: Birnbaum 1968 (the model); Polo et al. 2024, tinyBenchmarks (p-IRT); Mencattini et al. 2025, Mergenetic
    (mp-IRT: abilities in the members' span), here with a ridge and with items fitted to the members; Rao and Molina
    2015, Small area estimation, chapter 9 (logistic model with random area effects).

    Args:
        strata: of the task.
        references: full scores of the members, float64, `references x samples`. Without any, strata estimate.
        ridge: weight of λ = 1/K, in units of a squared coefficient.
        dimensions: of abilities.
        shift: standard deviation of the shifts δ, in logits.
    """

    def __init__(
        self,
        strata: Strata,
        references: FloatArray,
        ridge: float = 5.0,
        dimensions: int = 2,
        shift: float = 0.8,
    ) -> None:
        super().__init__(strata, references)
        self._low, self._range = (float(references.min()), float(np.ptp(references))) if references.size else (0.0, 0.0)
        if self._range > 0:
            patterns, numbers, counts = np.unique(references, axis=1, return_inverse=True, return_counts=True)
            logits, difficulties = _items(self._scaled(patterns), counts.astype(np.float64), dimensions)
            numbers, members, areas = numbers.reshape(-1), len(references), len(strata.sizes)
            self._features = np.hstack([logits[numbers], np.eye(areas)[strata.numbers]])
            self._difficulties = difficulties[numbers]
            self._prior = np.repeat([1.0 / members, 0.0], [members, areas])
            self._precision = np.repeat([ridge, 1.0 / shift**2], [members, areas])
            scores = self._scaled(references)
            self._expected = float(scores.var() / (scores.mean() * (1.0 - scores.mean())))

    def estimate(self, visited: IntArray, values: FloatArray) -> Estimate:
        """The visited samples as they are, the others as predicted.

        The error is that of the delta method: of λ and δ, whose priors count as if they were right, and of the luck on
        the samples that were not visited; all stretched or shrunk by how the visited ones depart from the model.
        """
        if self._range == 0:
            return Stratified(self.strata, self.references).estimate(visited, values)
        total = len(self.strata.numbers)
        effects, hessian = self._effects(visited, self._scaled(values))
        unseen = np.ones(total, dtype=np.bool_)
        unseen[visited] = False
        chance = self._chance(unseen, effects)
        spread = chance * (1.0 - chance)
        slope = spread @ self._features[unseen]
        dispersion = self._dispersion(self._scaled(values), self._chance(visited, effects))
        variance = dispersion * (slope @ np.linalg.solve(hessian, slope) + spread.sum())
        whole = values.sum() + (self._low + self._range * chance).sum()
        return Estimate(float(whole / total), float(self._range * np.sqrt(variance) / total))

    def _dispersion(self, values: FloatArray, chance: FloatArray) -> float:
        """Variance of the visited scores over what it were if they were right or wrong, 1 for those that are.

        Shrunk towards the same of the members' scores, about their mean.
        """
        ratio = ((values - chance) ** 2).sum() / (chance * (1.0 - chance)).sum()
        return float((len(values) * ratio + _PRIOR * self._expected) / (len(values) + _PRIOR))

    def _chance(self, samples: IntArray | BoolArray, effects: FloatArray) -> FloatArray:
        return _sigmoid(self._features[samples] @ effects - self._difficulties[samples])

    def _scaled(self, scores: FloatArray) -> FloatArray:
        return np.asarray(np.clip((scores - self._low) / self._range, 0.0, 1.0))

    def _effects(self, visited: IntArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """λ and δ, `references + strata`, and the Hessian of the penalised negative log-likelihood there."""
        features, difficulties = self._features[visited], self._difficulties[visited]

        def loss(effects: FloatArray) -> tuple[float, FloatArray]:
            terms, away = features @ effects - difficulties, effects - self._prior
            fit = (np.logaddexp(0.0, terms) - values * terms).sum() + self._precision @ away**2 / 2.0
            return float(fit), features.T @ (_sigmoid(terms) - values) + self._precision * away

        def hessian(effects: FloatArray) -> FloatArray:
            chance = _sigmoid(features @ effects - difficulties)
            return np.asarray((features.T * (chance * (1.0 - chance))) @ features + np.diag(self._precision))

        effects = minimize(loss, self._prior, jac=True, hess=hessian, method="trust-exact").x
        return effects, hessian(effects)


def _items(scores: FloatArray, counts: FloatArray, dimensions: int) -> tuple[FloatArray, FloatArray]:
    """a_i·θ_k, `items x references`, and b_i, `items`: maximum a posteriori under normal priors.

    Args:
        scores: of the references in [0, 1], `references x items`.
        counts: samples per item, `items`.
        dimensions: of abilities.
    """
    references, items = scores.shape
    centred = (scores - scores.mean(axis=1, keepdims=True)) * np.sqrt(counts)
    left = np.linalg.svd(centred, full_matrices=False)[0][:, :dimensions] * np.sqrt(references)
    parts = left.size, left.size + items * left.shape[1]

    def unpacked(flat: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        return flat[: parts[0]].reshape(left.shape), flat[parts[0] : parts[1]].reshape(items, -1), flat[parts[1] :]

    def loss(flat: FloatArray) -> tuple[float, FloatArray]:
        abilities, steepness, difficulties = unpacked(flat)
        logits = abilities @ steepness.T - difficulties
        fit = (counts * (np.logaddexp(0.0, logits) - scores * logits)).sum()
        prior = (abilities**2).sum() + (counts[:, None] * steepness**2).sum() + (counts * difficulties**2).sum() / _EASE
        excess = counts * (_sigmoid(logits) - scores)
        slopes = (
            excess @ steepness + abilities,
            excess.T @ abilities + counts[:, None] * steepness,
            counts * difficulties / _EASE - excess.sum(axis=0),
        )
        return float(fit + prior / 2.0), np.concatenate([slope.ravel() for slope in slopes])

    start = np.concatenate([left.ravel(), ((2.0 * scores.T - 1.0) @ left / references).ravel(), np.zeros(items)])
    abilities, steepness, difficulties = unpacked(minimize(loss, start, jac=True, method="L-BFGS-B").x)
    return steepness @ abilities.T, difficulties


def _sigmoid(logits: FloatArray) -> FloatArray:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -_CLIP, _CLIP))))
