"""Item response: every sample has a difficulty, every candidate an ability, and what was not visited is predicted."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from ..racing.strata import FloatArray, IntArray, Strata
from .estimator import Estimate, Estimator
from .stratified import Stratified

_CLIP = 30.0  # of logits
_EASE = 9.0  # variance of difficulties, in that of discriminations: what all get wrong is hard, not contrary


class ItemResponse(Estimator):
    """Two-parameter item response theory, fitted to the members' own scores; no public item bank is needed.

    A sample i is got right with probability σ(a_i·θ - b_i). Discriminations a, difficulties b and the members'
    abilities θ_k are fitted to the members' scores. A merge is taken to lie between its members, θ = Σ λ_k θ_k, and
    λ is fitted to the visited samples with a ridge towards 1/K. Scores are scaled to 0 (the members' least) and 1
    (their greatest).

    Source: Birnbaum 1968 (the model); Polo et al. 2024, tinyBenchmarks (p-IRT); Mencattini et al. 2025, Mergenetic
    (mp-IRT: abilities in the members' span), here with a ridge and with items fitted to the members.

    Args:
        strata: of the task.
        references: full scores of the members, float64, `references x samples`. Without any, strata estimate.
        ridge: weight of λ = 1/K, in units of a squared coefficient.
        dimensions: of abilities.
    """

    def __init__(self, strata: Strata, references: FloatArray, ridge: float = 5.0, dimensions: int = 2) -> None:
        super().__init__(strata, references)
        self.ridge = ridge
        self._low, self._range = (float(references.min()), float(np.ptp(references))) if references.size else (0.0, 0.0)
        if self._range > 0:
            patterns, numbers, counts = np.unique(references, axis=1, return_inverse=True, return_counts=True)
            logits, difficulties = _items(self._scaled(patterns), counts.astype(np.float64), dimensions)
            self._logits, self._difficulties = logits[numbers.reshape(-1)], difficulties[numbers.reshape(-1)]

    def estimate(self, visited: IntArray, values: FloatArray) -> Estimate:
        """The visited samples as they are, the others as predicted.

        The error is that of the delta method, stretched by how badly the model fits. What it is off by in common on all
        samples it cannot tell.
        """
        if self._range == 0:
            return Stratified(self.strata, self.references).estimate(visited, values)
        total = len(self.strata.numbers)
        mix, hessian = self._mix(visited, self._scaled(values))
        unseen = np.ones(total, dtype=np.bool_)
        unseen[visited] = False
        chance = _chance(self._logits[unseen] @ mix - self._difficulties[unseen])
        spread = chance * (1.0 - chance)
        slope = spread @ self._logits[unseen]
        variance = self._misfit(visited, values, mix) * (slope @ np.linalg.solve(hessian, slope) + spread.sum())
        whole = values.sum() + (self._low + self._range * chance).sum()
        return Estimate(float(whole / total), float(self._range * np.sqrt(variance) / total))

    def _misfit(self, visited: IntArray, values: FloatArray, mix: FloatArray) -> float:
        """How much more the visited samples vary than the model has it, at least 1 (Pearson's dispersion)."""
        chance = _chance(self._logits[visited] @ mix - self._difficulties[visited])
        excess = (self._scaled(values) - chance) ** 2 / np.maximum(chance * (1.0 - chance), 1e-6)
        return float(max(1.0, excess.mean()))

    def _scaled(self, scores: FloatArray) -> FloatArray:
        return np.asarray(np.clip((scores - self._low) / self._range, 0.0, 1.0))

    def _mix(self, visited: IntArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """λ, `references`, and the Hessian of the penalised negative log-likelihood there."""
        logits, difficulties = self._logits[visited], self._difficulties[visited]
        prior = np.full(logits.shape[1], 1.0 / logits.shape[1])

        def loss(mix: FloatArray) -> tuple[float, FloatArray]:
            terms = logits @ mix - difficulties
            fit = (np.logaddexp(0.0, terms) - values * terms).sum() + self.ridge / 2.0 * ((mix - prior) ** 2).sum()
            return float(fit), logits.T @ (_chance(terms) - values) + self.ridge * (mix - prior)

        def hessian(mix: FloatArray) -> FloatArray:
            chance = _chance(logits @ mix - difficulties)
            return np.asarray((logits.T * (chance * (1.0 - chance))) @ logits + self.ridge * np.eye(len(prior)))

        mix = minimize(loss, prior, jac=True, hess=hessian, method="trust-exact").x
        return mix, hessian(mix)


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
        excess = counts * (_chance(logits) - scores)
        slopes = (
            excess @ steepness + abilities,
            excess.T @ abilities + counts[:, None] * steepness,
            counts * difficulties / _EASE - excess.sum(axis=0),
        )
        return float(fit + prior / 2.0), np.concatenate([slope.ravel() for slope in slopes])

    start = np.concatenate([left.ravel(), ((2.0 * scores.T - 1.0) @ left / references).ravel(), np.zeros(items)])
    abilities, steepness, difficulties = unpacked(minimize(loss, start, jac=True, method="L-BFGS-B").x)
    return steepness @ abilities.T, difficulties


def _chance(logits: FloatArray) -> FloatArray:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -_CLIP, _CLIP))))
