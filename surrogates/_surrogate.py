"""What all surrogates share: predictions on both scales, calibrated intervals, and the choice of a warp."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from ..errors import InputError
from ._features import parameters
from .warp import FloatArray, Warp, warp_of, warps_for


@dataclass(frozen=True)
class Fit(ABC):
    """One fit under one warp.

    Attributes:
        warp: the warp.
        left_out: latent prediction for each point from the other points, `points`.
        studentised: what the others miss each point by, in units of the standard deviation they predict, `points`.
    """

    warp: Warp
    left_out: FloatArray
    studentised: FloatArray

    @abstractmethod
    def moments(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of the latent value, `points` each."""

    @abstractmethod
    def noise(self, z: FloatArray) -> FloatArray:
        """Variance of one more measurement about the latent value z, `points`."""

    @abstractmethod
    def leverage(self, x: FloatArray) -> FloatArray:
        """How far x lies out of the fitted points, `points`."""


_Fit = TypeVar("_Fit", bound=Fit)


class Surrogate(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """A regressor from coefficients, `points x N`, to one metric.

    Attributes:
        warp_: the warp in use, a `Warp`.
        leverage_limit_: leverage beyond which x lies outside the region of the fitted points.
        n_features_in_: N.
    """

    warp: str
    trials: float | None
    _fit: Fit

    def predict(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Predict the metric, float64, `points`; with `return_std` also its standard deviation (first order).

        The standard deviation is that of the surrogate itself, without the noise of one more measurement.
        """
        mean, variance = self._moments(X)
        metric = self.warp_.metric(mean)
        return (metric, np.sqrt(variance) * self.warp_.slope(mean)) if return_std else metric

    def latent(self, X: ArrayLike, return_std: bool = False) -> Any:
        """Predict before the warp, float64, `points`; with `return_std` also the standard deviation there.

        It orders points as `predict` does, but has no ties where a metric saturates.
        """
        mean, variance = self._moments(X)
        return (mean, np.sqrt(variance)) if return_std else mean

    def interval(self, X: ArrayLike, level: float = 0.9) -> FloatArray:
        """Interval of the metric that an evaluation at X would measure, float64, `points x 2`.

        Its width is calibrated on the residuals of the left-out points, studentised: a surrogate of the wrong form
        gets wider intervals than its own standard deviation says (jackknife; Barber et al. 2021).

        Raises:
            InputError: the level is not between 0 and 1.
        """
        if not 0.0 < level < 1.0:
            raise InputError(f"level is {level:g}; give the wanted coverage, between 0 and 1")
        mean, variance = self._moments(X)
        sizes = np.sort(np.abs(self._fit.studentised))
        rank = min(int(np.ceil((len(sizes) + 1) * level)), len(sizes))
        half = sizes[rank - 1] * np.sqrt(variance + self._fit.noise(mean))
        return np.stack([self.warp_.metric(mean - half), self.warp_.metric(mean + half)], axis=1)

    def leverage(self, X: ArrayLike) -> FloatArray:
        """How far X lies out of the fitted points, float64, `points`; compare with `leverage_limit_`."""
        checked = self._checked(X)
        return self._fit.leverage(checked)

    @staticmethod
    def parameters(dimension: int) -> int:
        """Number of coefficients of a full quadratic in `dimension` variables, (N + 1)(N + 2)/2."""
        return parameters(dimension)

    def _moments(self, x: ArrayLike) -> tuple[FloatArray, FloatArray]:
        checked = self._checked(x)
        return self._fit.moments(checked)

    def _checked(self, x: ArrayLike) -> FloatArray:
        check_is_fitted(self)
        return np.asarray(validate_data(self, x, reset=False, dtype=np.float64))

    def _measured(self, x: ArrayLike, y: ArrayLike) -> tuple[FloatArray, FloatArray]:
        points, values = validate_data(self, x, y, dtype=np.float64, y_numeric=True)
        return np.asarray(points, dtype=np.float64), np.asarray(values, dtype=np.float64)

    def _counts(self, trials: ArrayLike | None, y: FloatArray) -> FloatArray | None:
        given = self.trials if trials is None else trials
        return None if given is None else np.broadcast_to(np.asarray(given, dtype=np.float64), y.shape)

    def _slopes(self, slopes: ArrayLike | None, x: FloatArray) -> FloatArray:
        given = np.full(x.shape, np.nan) if slopes is None else np.asarray(slopes, dtype=np.float64)
        if given.shape != x.shape:
            raise InputError(f"slopes have the shape {given.shape}, X has {x.shape}; give one slope per coefficient")
        return given

    def _candidates(self, y: FloatArray, chance: float = 0.0, accuracy: bool | None = None) -> list[Warp]:
        """The warps to try; `accuracy` says whether y is one, and gets pseudo-counts, or has slopes, or is unknown."""
        if self.warp == "auto":
            return warps_for(y, chance, accuracy)
        warp = warp_of(self.warp, chance)
        inside = (y >= 0.0) & (y <= 1.0) if warp.bounded and accuracy is not False else (y > warp.low) & (y < warp.high)
        if not inside.all():
            raise InputError(f"warp '{warp.name}' has no value for {y[~inside][0]:g}; take 'identity', or 'auto'")
        return [warp]

    def _choose(self, fits: Sequence[_Fit], x: FloatArray, y: FloatArray, weights: FloatArray) -> _Fit:
        """Keep the fit with the least left-out error on the metric scale."""
        return self._keep(min(fits, key=lambda one: float(weights @ (one.warp.metric(one.left_out) - y) ** 2)), x)

    def _keep(self, fit: _Fit, x: FloatArray) -> _Fit:
        self._fit, self.warp_, self.leverage_limit_ = fit, fit.warp, float(fit.leverage(x).max())
        return fit
