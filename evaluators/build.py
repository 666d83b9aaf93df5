"""From the configuration of a run to its evaluators."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ..errors import InputError
from ..plugins import call_user, load_plugin, plugin_names
from ._contract import naming
from ._options import check_options
from .evaluator import Evaluator
from .panel import Panel


def build_evaluators(config: Mapping[str, Mapping[str, Any]]) -> Panel:
    """Build a panel from `{name: {kind: lm_eval, tasks: [...], ...}}`; no data is loaded yet.

    Raises:
        InputError: no evaluator, a missing or unknown kind, an unknown option (names the nearest), a missing one,
            or one of another type than it should be.
    """
    if not config:
        raise InputError("no evaluators are configured; give at least one, such as {quality: {kind: lm_eval, ...}}")
    return Panel([_build(name, options) for name, options in config.items()])


def _build(name: str, config: Mapping[str, Any]) -> Evaluator:
    options = dict(config)
    if "kind" not in options:
        known = ", ".join(plugin_names(_room(), Evaluator))
        raise InputError(f"evaluator '{name}' has no kind; give it one of: {known}, or module:Name")
    kind = load_plugin(options.pop("kind"), _room(), Evaluator)
    check_options(name, kind, options)
    built: Evaluator = naming(name, partial(call_user, f"evaluator '{name}'", partial(kind, name, **options)))
    return built


def _room() -> str:
    return __package__ or __name__.rpartition(".")[0]
