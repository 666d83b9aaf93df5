"""Smoothing: what estimates of many candidates say of one another, where similar coefficients make similar scores."""

from __future__ import annotations

import numpy as np

from .strata import FloatArray

_SCALES = 2.0 ** np.arange(-1, 5)  # length scales that are tried, in typical distances
_SPREADS = 4.0 ** np.arange(-1, 3)  # variances that are tried, in variances of the values
_SURE = 1e-3  # least error of a value, in standard deviations of the values: it keeps matrices invertible


class Smoothing:
    """A Gaussian process over the coefficients, of measurements with known errors.

    The process has a Matérn kernel (ν = 5/2) of one length scale. Scale and variance are the likeliest of a grid, so
    that they do not hang on last bits.

    Source: Rasmussen and Williams 2006, Gaussian processes for machine learning, sections 2.2, 4.2 and 5.4.

    Args:
        places: coefficients, float64, `trials x coefficients`.
        values: of one objective, float64, `trials`.
        errors: their standard errors, `trials`.
    """

    def __init__(self, places: FloatArray, values: FloatArray, errors: FloatArray) -> None:
        from scipy.spatial.distance import cdist

        distances = cdist(places, places)
        typical = float(np.median(distances)) or 1.0
        self._least = _SURE * float(values.std())
        if not self._least:
            return
        kernels = [
            spread * float(values.var()) * _matern(distances / (scale * typical))
            for scale in _SCALES
            for spread in _SPREADS
        ]
        self._kernel = max(kernels, key=lambda kernel: self._likelihood(kernel, values, errors))

    def estimates(self, values: FloatArray, errors: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values and errors once all have been heard, `trials` each; no value leaves the range, and no error grows."""
        if not self._least:
            return values, errors
        noise = np.maximum(errors, self._least) ** 2
        gain = np.linalg.solve(self._kernel + np.diag(noise), self._kernel)
        mean = float(values.mean())
        variances = np.diag(self._kernel) - (self._kernel * gain).sum(axis=0)
        means = np.clip(mean + gain.T @ (values - mean), values.min(), values.max())
        return means, np.sqrt(np.clip(variances, 0.0, noise))

    def _likelihood(self, kernel: FloatArray, values: FloatArray, errors: FloatArray) -> float:
        covariance = kernel + np.diag(np.maximum(errors, self._least) ** 2)
        half = np.linalg.cholesky(covariance)
        white = np.linalg.solve(half, values - values.mean())
        return float(-white @ white / 2.0 - np.log(np.diag(half)).sum())


def _matern(ratios: FloatArray) -> FloatArray:
    scaled = np.sqrt(5.0) * ratios
    return np.asarray((1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled))
