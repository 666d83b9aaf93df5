"""Gaussian process: models the losses and tries where improvement is expected; few trials, few dimensions."""

from __future__ import annotations

from optuna.samplers import GPSampler

from ._replay import Replayed


class Gp(Replayed):
    """Expected improvement, or expected hypervolume improvement, under a Matérn 5/2 process (Optuna's GPSampler).

    Source: Ament et al. 2023, https://arxiv.org/abs/2310.20708, and Daulton et al. 2020,
    https://arxiv.org/abs/2006.05078. Handles several objectives and floors. Optuna fits the process with torch (on the
    CPU) and imports it at the first modelled trial; nothing else in this room does.

    Args:
        seed: seed of the run.
        startup: trials, baselines included, before the first that is modelled; the ones missing are uniform.
    """

    def __init__(self, seed: int = 0, startup: int = 10) -> None:
        super().__init__(seed)
        self.startup = startup

    def sampler(self, seed: int) -> GPSampler:
        """Return Optuna's GP sampler."""
        return GPSampler(seed=seed, n_startup_trials=self.startup)
