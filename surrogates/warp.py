"""Warps: increasing maps between the scale of a metric and a latent scale, on which a surrogate is fitted.

A strictly increasing warp leaves the Pareto set unchanged, and an accuracy or a loss is nearer to a quadratic in the
coefficients before the sigmoid, or the softplus, than after it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ..errors import InputError, nearest

FloatArray = NDArray[np.float64]
Curve = Callable[[FloatArray], FloatArray]

_DENSITY = 1.0 / np.sqrt(2.0 * np.pi)


@dataclass(frozen=True)
class Warp:
    """An increasing map y = metric(z) from all real z onto the open interval (low, high).

    All three maps work elementwise on float64 arrays of any shape.

    Attributes:
        name: the warp's name.
        low: the metric's lower limit, itself excluded.
        high: the metric's upper limit, itself excluded.
        latent: z of y, for low < y < high.
        metric: y of z.
        slope: dy/dz at z, positive.
    """

    name: str
    low: float
    high: float
    latent: Curve
    metric: Curve
    slope: Curve

    def __reduce__(self) -> tuple[Callable[[str, float], Warp], tuple[str, float]]:
        return warp_of, (self.name, self.low if self.bounded else 0.0)

    def __repr__(self) -> str:
        return f"Warp({self.name!r}, {self.low:g} < y < {self.high:g})"

    @property
    def bounded(self) -> bool:
        """Whether the metric has both limits, as an accuracy has."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))


def _cloglog(y: FloatArray) -> FloatArray:
    return np.asarray(np.log(-np.log1p(-y)), dtype=np.float64)


def _softplus_inverse(y: FloatArray) -> FloatArray:
    return np.asarray(y + np.log(-np.expm1(-y)), dtype=np.float64)  # log(exp(y) - 1), without overflow


def _normal(z: FloatArray) -> FloatArray:
    return np.asarray(_DENSITY * np.exp(-0.5 * z * z), dtype=np.float64)


def _logistic(z: FloatArray) -> FloatArray:
    return np.asarray(special.expit(z) * special.expit(-z), dtype=np.float64)


def _gumbel(z: FloatArray) -> FloatArray:
    return np.asarray(np.exp(np.minimum(z, 30.0) - np.exp(np.minimum(z, 30.0))), dtype=np.float64)


_WARPS = {
    "identity": Warp("identity", -np.inf, np.inf, np.asarray, np.asarray, np.ones_like),
    "logit": Warp("logit", 0.0, 1.0, special.logit, special.expit, _logistic),
    "probit": Warp("probit", 0.0, 1.0, special.ndtri, special.ndtr, _normal),
    "cloglog": Warp("cloglog", 0.0, 1.0, _cloglog, lambda z: -np.expm1(-np.exp(np.minimum(z, 30.0))), _gumbel),
    "log": Warp("log", 0.0, np.inf, np.log, np.exp, np.exp),
    "softplus": Warp("softplus", 0.0, np.inf, _softplus_inverse, lambda z: np.logaddexp(0.0, z), special.expit),
}


def warp_of(name: str, chance: float = 0.0) -> Warp:
    """The warp with this name.

    Args:
        name: `identity`; `logit`, `probit`, `cloglog` for accuracies; `log`, `softplus` for losses.
        chance: what guessing scores, 0 ≤ chance < 1: the lower limit of an accuracy, y = l + (1 - l)·sigmoid(z).

    Raises:
        InputError: there is no such warp, or the chance level is not that of an accuracy.
    """
    if name not in _WARPS:
        raise InputError(f"unknown warp '{name}'; {nearest(name, _WARPS)}")
    warp = _WARPS[name]
    if not 0.0 <= chance < 1.0:
        raise InputError(f"chance is {chance:g}; give the accuracy of guessing, at least 0 and below 1")
    return _above(warp, chance) if chance and warp.bounded else warp


def warps_for(y: FloatArray, chance: float = 0.0, accuracy: bool | None = None) -> list[Warp]:
    """The warps that a metric with these values may have, identity first.

    Accuracies may be 0, 1 or below chance: whoever fits them adds pseudo-counts.

    Args:
        y: measured values.
        chance: what guessing scores.
        accuracy: whether y is an accuracy; None where that is unknown.
    """
    warps = [warp_of("identity")]
    if accuracy is not False and ((y >= 0.0) & (y <= 1.0)).all():
        warps += [warp_of(name, chance) for name in ("logit", "probit", "cloglog")]
    if accuracy is not True and (y > 0.0).all():
        warps += [warp_of(name) for name in ("log", "softplus")]
    return warps


def _above(warp: Warp, chance: float) -> Warp:
    span = 1.0 - chance
    return Warp(
        warp.name,
        chance,
        1.0,
        lambda y: warp.latent((y - chance) / span),
        lambda z: chance + span * warp.metric(z),
        lambda z: span * warp.slope(z),
    )
