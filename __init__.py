"""mergesearch: finds the coefficients with which to average fine-tuned models.

from mergesearch import Config, run

result = run("search.yaml")  # or run(Config(models=..., evaluators=..., objectives=...))
print(result.front)
result.export("merged", trial=result.pick(weights=[2, 1]))
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engine.transforms.transform import Transform
    from .errors import MergesearchError
    from .evaluators.evaluator import Evaluator
    from .evaluators.statistics.scores import MetricScores
    from .runs.api import Run, run
    from .runs.config import Config, load_config
    from .search.searcher import Searcher

__version__ = "0.1.0"

# Name -> module, imported when the name is first used, so that `mergesearch.engine` needs no Optuna, and so on.
_HOMES = {
    "Config": ".runs.config",
    "Evaluator": ".evaluators.evaluator",
    "MergesearchError": ".errors",
    "MetricScores": ".evaluators.statistics.scores",
    "Run": ".runs.api",
    "Searcher": ".search.searcher",
    "Transform": ".engine.transforms.transform",
    "load_config": ".runs.config",
    "run": ".runs.api",
}

__all__ = [
    "Config",
    "Evaluator",
    "MergesearchError",
    "MetricScores",
    "Run",
    "Searcher",
    "Transform",
    "load_config",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mergesearch' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
