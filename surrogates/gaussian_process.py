"""Gaussian process: an ARD process before a warp, through scikit-learn, with binomial noise where trials are known."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from ._glm import Sample, information
from ._surrogate import Fit, Surrogate
from .warp import FloatArray, Warp

JITTER = 1e-8


@dataclass(frozen=True)
class ProcessFit(Fit):
    """A process under one warp, on targets that were centred and scaled.

    Attributes:
        process: scikit-learn's process.
        centre, spread: mean and standard deviation of the latent targets.
        nugget: variance of a measurement beyond its binomial noise, in units of spread².
        trials: number of samples of a typical accuracy; None where y is no accuracy.
    """

    process: Any
    centre: float
    spread: float
    nugget: float
    trials: float | None

    def moments(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of the latent value, `points` each."""
        mean, deviation = self.process.predict(x, return_std=True)
        variance = np.maximum(deviation**2 - self.nugget, 1e-12)  # scikit-learn's includes the kernel's white noise
        return self.centre + self.spread * mean, self.spread**2 * variance

    def noise(self, z: FloatArray) -> FloatArray:
        """Variance of one more measurement, latent, `points`."""
        binomial = 0.0 if self.trials is None else 1.0 / (self.trials * information(self.warp, z, self.trials))
        return np.asarray(np.broadcast_to(self.spread**2 * self.nugget + binomial, z.shape))

    def leverage(self, x: FloatArray) -> FloatArray:
        """Share of the prior variance that the points leave, `points`."""
        prior = self.spread**2 * float(self.process.kernel_.k1.k1.constant_value)
        return self.moments(x)[1] / prior


class GaussianProcessSurrogate(Surrogate):
    """An RBF process with one length scale per coefficient on the latent scale (Rasmussen and Williams 2006, ch. 5).

    Args:
        warp: name of a warp, or `auto`: the one with the least leave-one-out error on the metric scale.
        trials: number of samples that each y is the mean of; None where it is unknown or y is no accuracy.
        chance: accuracy of guessing, the lower limit of the bounded warps.

    Attributes:
        lengths_: length scales, float64, `N`.
        warp_, leverage_limit_, n_features_in_: as in every surrogate.
    """

    def __init__(self, warp: str = "auto", trials: float | None = None, chance: float = 0.0) -> None:
        self.warp, self.trials, self.chance = warp, trials, chance

    def fit(self, X: ArrayLike, y: ArrayLike, trials: ArrayLike | None = None) -> Self:
        """Fit to measured points.

        Args:
            X: coefficients, `points x N`.
            y: the metric, `points`.
            trials: number of samples of each point, `points`; takes the place of the constructor's.

        Raises:
            InputError: the warp has no value for y.
        """
        x, measured = self._measured(X, y)
        sample = Sample(measured, self._counts(trials, measured), np.ones(len(measured)))
        fits = [_fitted(x, sample, warp) for warp in self._candidates(measured, self.chance, sample.is_accuracy)]
        chosen = self._choose(fits, x, measured, sample.weights)
        self.lengths_ = np.array(chosen.process.kernel_.k1.k2.length_scale) * np.ones(x.shape[1])
        return self


def _fitted(x: FloatArray, sample: Sample, warp: Warp) -> ProcessFit:
    target, precision = sample.equations(warp)
    centre, spread = float(target.mean()), float(target.std()) or 1.0
    binomial = np.zeros(len(x)) if sample.trials is None else 1.0 / (precision * spread**2)
    process = GaussianProcessRegressor(_kernel(x), alpha=binomial + JITTER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length scale at its bound: the coefficient is idle
        process.fit(x, (target - centre) / spread)
    half = np.linalg.inv(process.L_)
    own = (half**2).sum(axis=0)  # diagonal of the inverse covariance
    missed = process.alpha_.ravel() / own
    return ProcessFit(
        warp=warp,
        left_out=target - spread * missed,
        studentised=np.abs(missed) * np.sqrt(own),
        process=process,
        centre=centre,
        spread=spread,
        nugget=float(process.kernel_.k2.noise_level),
        trials=None if sample.trials is None else float(np.median(sample.trials)),
    )


def _kernel(x: FloatArray) -> Any:
    widths = np.where(x.std(axis=0) > 0, 2.0 * x.std(axis=0), 1.0)
    radial = RBF(widths, (1e-2 * float(widths.min()), 1e3 * float(widths.max())))
    return ConstantKernel(1.0, (1e-2, 1e4)) * radial + WhiteKernel(1e-3, (1e-9, 1.0))
