"""Item response: every sample has a difficulty, every candidate an ability, and what was not visited is predicted."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from ..racing.strata import FloatArray, IntArray, Strata
from .estimator import Estimate, Estimator
from .stratified import Stratified

_CLIP = 30.0  # of logits
_STEPS = 25  # of Newton's method, which needs about six


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

    def __init__(self, strata: Strata, references: FloatArray, ridge: float = 5.0, dimensions: int = 3) -> None:
        super().__init__(strata, references)
        self.ridge = ridge
        self._low, self._range = (float(references.min()), float(np.ptp(references))) if references.size else (0.0, 0.0)
        if self._range > 0:
            patterns, numbers, counts = np.unique(references, axis=1, return_inverse=True, return_counts=True)
            logits, difficulties = _items(self._scaled(patterns), counts.astype(np.float64), dimensions)
            self._logits, self._difficulties = logits[numbers.reshape(-1)], difficulties[numbers.reshape(-1)]

    def estimate(self, visited: IntArray, values: FloatArray) -> Estimate:
        """The visited samples as they are, the others as predicted; the error, by the delta method, is the model's.

        It knows nothing of how far the model is from the truth, which the order of the samples does not even out.
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
        variance = slope @ np.linalg.solve(hessian, slope) + spread.sum()
        whole = values.sum() + (self._low + self._range * chance).sum()
        return Estimate(float(whole / total), float(self._range * np.sqrt(variance) / total))

    def _scaled(self, scores: FloatArray) -> FloatArray:
        return np.asarray(np.clip((scores - self._low) / self._range, 0.0, 1.0))

    def _mix(self, visited: IntArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """λ, `references`, and the Hessian of the penalised negative log-likelihood there; by Newton's method."""
        logits, difficulties = self._logits[visited], self._difficulties[visited]
        prior = np.full(logits.shape[1], 1.0 / logits.shape[1])
        mix = prior
        for _ in range(_STEPS):
            chance = _chance(logits @ mix - difficulties)
            slope = logits.T @ (chance - values) + self.ridge * (mix - prior)
            hessian = (logits.T * (chance * (1.0 - chance))) @ logits + self.ridge * np.eye(len(prior))
            step = np.linalg.solve(hessian, slope)
            # The likelihood is flat far out, where a full step would overshoot.
            mix = mix - step / max(1.0, float(np.abs(step).max()))
        return mix, hessian


def _items(scores: FloatArray, counts: FloatArray, dimensions: int) -> tuple[FloatArray, FloatArray]:
    """a_i·θ_k, `items x references`, and b_i, `items`: maximum a posteriori under standard normal priors.

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
        prior = (abilities**2).sum() + (counts[:, None] * steepness**2).sum() + (counts * difficulties**2).sum()
        excess = counts * (_chance(logits) - scores)
        slopes = (
            excess @ steepness + abilities,
            excess.T @ abilities + counts[:, None] * steepness,
            counts * difficulties - excess.sum(axis=0),
        )
        return float(fit + prior / 2.0), np.concatenate([slope.ravel() for slope in slopes])

    start = np.concatenate([left.ravel(), ((2.0 * scores.T - 1.0) @ left / references).ravel(), np.zeros(items)])
    abilities, steepness, difficulties = unpacked(minimize(loss, start, jac=True, method="L-BFGS-B").x)
    return steepness @ abilities.T, difficulties


def _chance(logits: FloatArray) -> FloatArray:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logits, -_CLIP, _CLIP))))
