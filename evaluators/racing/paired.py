"""The paired estimate of a candidate's mean: what is left to estimate is how it differs from the incumbents."""

from __future__ import annotations

import numpy as np

from ..estimators.estimator import Estimate
from ..estimators.stratified import expected_variance, stratified_mean
from .strata import FloatArray, IntArray, Strata

_NOISE = 0.5  # part of the incumbents' variance that is taken to be a sample's own; it sets the ridge


def paired_estimate(strata: Strata, visited: IntArray, values: FloatArray, incumbents: FloatArray) -> Estimate:
    """Estimate of the mean over all samples, with the incumbents' scores per sample as control variates.

    The candidate is predicted on all samples as the incumbents' mean plus a mix of how each of them departs from it,
    which is fitted to the visited samples with a ridge. The stratified mean of what the prediction misses there is
    added, so that the estimate hangs on the prediction for its precision only. The error comes from residuals
    divided by 1 - leverage, as if each sample had been left out of the fit.

    Source: Särndal, Swensson and Wretman 1992, Model assisted survey sampling, chapter 6 (generalised regression
    estimator), with the residuals of Allen 1974 (PRESS).

    Args:
        strata: of the task.
        visited: distinct positions, int64, `visited`, in any order; a prefix of `order.visiting_order`.
        values: the candidate's scores on them, float64, `visited`.
        incumbents: full scores of others, float64, `incumbents x samples`; the more alike they are to the candidate,
            the smaller the error. There may be none.
    """
    if not len(incumbents):
        return stratified_mean(strata, visited, values, expected_variance(incumbents, values))
    spread = expected_variance(incumbents, values)
    predicted, leverage = _predicted(visited, values, incumbents, _NOISE * spread)
    misses = values - predicted[visited]
    mean = stratified_mean(strata, visited, misses, spread).value
    error = stratified_mean(strata, visited, misses / (1.0 - leverage), spread).error
    return Estimate(_possible(float(predicted.mean()) + mean, values, incumbents), error)


def _possible(value: float, values: FloatArray, incumbents: FloatArray) -> float:
    """The estimate, within what the mean can be if samples yet to come are no more extreme than those known."""
    known = np.concatenate([values, incumbents.ravel()])
    count, rest = incumbents.shape[1], incumbents.shape[1] - len(values)
    least, most = ((values.sum() + rest * extreme) / count for extreme in (known.min(), known.max()))
    return float(np.clip(value, least, most))


def _predicted(
    visited: IntArray, values: FloatArray, incumbents: FloatArray, noise: float
) -> tuple[FloatArray, FloatArray]:
    """The candidate's scores as the incumbents predict them, `samples`, and the leverage of each visited one.

    The best linear prediction where the candidate's scores are drawn as the incumbents' were, up to a shift common to
    all samples and an error of each sample, both of variance `noise`.
    """
    mean = incumbents.mean(axis=0)
    shift = np.full((1, len(mean)), np.sqrt(noise))
    features = np.vstack([(incumbents - mean) / np.sqrt(len(incumbents)), shift])
    left, scales, right = np.linalg.svd(features[:, visited], full_matrices=False)
    gains = np.divide(scales**2, scales**2 + noise, out=np.zeros_like(scales), where=scales > 0)
    mixed = right @ (values - mean[visited])
    weights = left @ np.divide(gains * mixed, scales, out=np.zeros_like(scales), where=scales > 0)
    return mean + weights @ features, np.minimum(gains @ right**2, 1.0 - 1e-9)
