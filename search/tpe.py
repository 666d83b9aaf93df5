"""TPE: samples where good trials are dense and bad ones are not."""

from __future__ import annotations

from optuna.samplers import TPESampler

from ._replay import Replayed


class Tpe(Replayed):
    """Tree-structured Parzen estimator over all coordinates together (Watanabe 2023, https://arxiv.org/abs/2304.11127).

    Handles several objectives and floors.

    Args:
        seed: seed of the run.
        startup: trials, baselines included, before the first that is modelled; the ones missing are uniform.
    """

    def __init__(self, seed: int = 0, startup: int = 10) -> None:
        super().__init__(seed)
        self.startup = startup

    def sampler(self, seed: int) -> TPESampler:
        """Return Optuna's TPE."""
        return TPESampler(seed=seed, n_startup_trials=self.startup, multivariate=True)
