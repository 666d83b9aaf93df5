"""The searcher of a run: the one that its configuration names, or with `search: auto` the one that is recommended."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError
from ..plugins import call_user, check_options, load_plugin
from ..search.recommend import Problem, Recommendation, recommend
from ..search.searcher import Searcher
from .config import SearchConfig
from .folder import RunFolder
from .objectives import Objectives
from .plan import Plan

AUTO = "auto"


@dataclass(frozen=True)
class Search:
    """A searcher, and how it came to be chosen.

    Attributes:
        searcher: built with its options.
        name: in the configuration, or the recommendation.
        recommended: what was recommended; None where the configuration names the searcher.
    """

    searcher: Searcher
    name: str
    recommended: Recommendation | None = None

    @classmethod
    def named(cls, config: SearchConfig) -> Search | None:
        """The searcher that the configuration names; None where it leaves the choice.

        Raises:
            InputError: there is no such searcher, or it cannot have such options.
        """
        if config.searcher != AUTO:
            return cls(_build(config.searcher, config.seed, config.options), config.searcher)
        if config.options:
            given = ", ".join(config.options)
            raise InputError(f"search.options ({given}) are a searcher's own; name the searcher in place of auto")
        return None

    @classmethod
    def recommended_for(cls, problem: Problem, config: SearchConfig, folder: RunFolder) -> Search:
        """The searcher that suits the problem; the one that a run was started with, where it was started."""
        frozen = Plan.read(folder).recommended if folder.started else None
        chosen = Recommendation(**frozen) if frozen else recommend(problem)
        return cls(_build(chosen.searcher, config.seed, dict(chosen.options)), chosen.searcher, chosen)

    def check(self, config: SearchConfig, objectives: Objectives) -> None:
        """Refuse several objectives where it searches one.

        Raises:
            InputError: there are more objectives than the searcher takes.
        """
        if self.searcher.multi_objective or config.scalarise or len(objectives.each) == 1:
            return
        raise InputError(
            f"searcher '{self.name}' searches one objective, but {len(objectives.each)} are given; "
            "set search.scalarise: mean, or take tpe, nsga2 or nsga3"
        )


def _build(name: str, seed: int, options: dict[str, object]) -> Searcher:
    kind = load_plugin(name, f"{__name__.rsplit('.', 2)[0]}.search", Searcher)
    check_options(f"searcher '{name}'", kind, options, given=("seed",))
    searcher: Searcher = call_user(f"searcher '{name}' with options {dict(options)}", kind, seed=seed, **options)
    return searcher
