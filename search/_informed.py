"""A sampler of Optuna's that is told which parameters all trials share, and need not go through them to find out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class Informed(BaseSampler):
    """Leaves all but this to another sampler.

    Args:
        sampler: the other one.
        shared: what it would find, by name.
    """

    def __init__(self, sampler: BaseSampler, shared: dict[str, BaseDistribution]) -> None:
        self._sampler, self._shared = sampler, shared

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Tell it."""
        return self._shared

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the other one does."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """As the other one does."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """As the other one does."""
        self._sampler.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """As the other one does."""
        self._sampler.after_trial(study, trial, state, values)
