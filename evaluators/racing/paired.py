"""The paired estimate of a candidate's mean: what is left to estimate is how it differs from the incumbents."""

from __future__ import annotations

from ..estimators.estimator import Estimate
from ..estimators.stratified import stratified_mean
from .strata import FloatArray, IntArray, Strata


def paired_estimate(strata: Strata, visited: IntArray, values: FloatArray, incumbents: FloatArray) -> Estimate:
    """Estimate of the mean over all samples, with the incumbents' mean score per sample as a control variate.

    Args:
        strata: of the task.
        visited: positions of samples, int64, `visited`, a prefix of `order.visiting_order`.
        values: the candidate's scores on them, float64, `visited`.
        incumbents: full scores of others, float64, `incumbents x samples`; there may be none.
    """
    if not len(incumbents):
        return stratified_mean(strata, visited, values, 0.25)
    control = incumbents.mean(axis=0)
    rest = stratified_mean(strata, visited, values - control[visited], float(control.var()))
    return Estimate(float(control.mean()) + rest.value, rest.error)
