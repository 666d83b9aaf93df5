"""Published soups that are asked for by name: which trials they are, where they come, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mergesearch.errors import InputError
from mergesearch.evaluators.dataloader import DataLoaderEvaluator
from mergesearch.runs.api import Run, run
from mergesearch.runs.config import Config
from mergesearch.runs.session import open_session
from mergesearch.runs.weighting import Weighting, weightings
from mergesearch.spaces.weighted import cocktail, metric_weighted

from .conftest import MakeConfig
from .test_resume import essence

LOSSES = ["flip/loss", "invert/loss"]
SOUPS = ["lm-cocktail", "lm-cocktail 0.2", "metric-weighted 2"]


def origins(result: Run) -> list[str]:
    return [record.proposal.origin for record in result.records]


def test_settings_are_opt_in(make_config: MakeConfig) -> None:
    names = open_session(Config(**make_config())).plan().baselines
    line = [f"task arithmetic {scale}" for scale in (0.2, 0.3, 0.5, 0.7, 1.0)]
    assert names == ["base", "member upright", "member flip", "member invert", "uniform soup", *line]


def test_a_glob_stands_for_the_usual_settings() -> None:
    assert [one.setting for one in weightings("lm-cocktail *").values()] == [5.0, 1.0, 0.2]
    assert [one.setting for one in weightings("metric-weighted *").values()] == [1.0, 4.0, 16.0]
    assert weightings("lm-cocktail") == {"lm-cocktail": Weighting("lm-cocktail", 5.0)}, "the published temperature"
    assert weightings("metric-weighted 2.5") == {"metric-weighted 2.5": Weighting("metric-weighted", 2.5)}
    assert not weightings("metric-weighted x")


def test_they_follow_the_standing_points(make_config: MakeConfig) -> None:
    asked = ["metric-weighted", "wise-ft flip 0.75", "base", "member *", "layer swap flip around invert 1+1"]
    keys = make_config(space={"groups": "layers"}, search__baselines=asked, budget__trials=9)
    result = run(Config(**keys))
    named = ["base", "member upright", "member flip", "member invert", "wise-ft flip 0.75"]
    assert origins(result)[:7] == [*named, "layer swap flip around invert 1+1", "metric-weighted"]
    assert list(result.plan.baselines) == origins(result)[:7]
    held_out = result.trials.set_index("origin")["flip/accuracy held-out"]
    assert held_out[list(result.plan.baselines)].notna().all(), "they stay in the table of baselines"
    report = result.folder.report.read_text()
    assert "metric-weighted" in report and "wise-ft flip 0.75" in report


def test_weights_follow_from_the_members_scores(make_config: MakeConfig) -> None:
    result = run(Config(**make_config(search__baselines=["member *", *SOUPS], objectives=LOSSES, budget__trials=6)))
    losses = np.array([record.values for record in result.records[:3]]).mean(axis=1)
    rows = [record.proposal.table.members[0] for record in result.records[3:6]]
    np.testing.assert_allclose(rows[0], cocktail(losses, 5.0))
    np.testing.assert_allclose(rows[1], cocktail(losses, 0.2))
    likelihoods = np.exp(-np.array([record.values for record in result.records[:3]])).mean(axis=1)
    np.testing.assert_allclose(rows[2], metric_weighted(likelihoods, 2.0))
    assert result.records[3].proposal.x is not None, "the searcher learns of those that lie in its space"


def test_accuracies_weigh_by_their_mean(make_config: MakeConfig) -> None:
    objectives: list[Any] = [{"metric": "flip/accuracy", "weight": 3.0}, "invert/accuracy"]
    keys = make_config(search__baselines=["member *", "metric-weighted 4"], objectives=objectives, budget__trials=4)
    records = run(Config(**keys)).records
    means = np.array([record.values for record in records[:3]]) @ [0.75, 0.25]
    np.testing.assert_allclose(records[3].proposal.table.members[0], metric_weighted(means, 4.0))


def test_accuracies_and_a_searcher_of_gradients_give_losses(make_config: MakeConfig, tmp_path: Path) -> None:
    """The losses that a run differentiates anyway are good enough for LM-Cocktail."""
    searcher = tmp_path / "steep.py"
    searcher.write_text(
        "from mergesearch.search.random import Random\n\n\nclass Steep(Random):\n    gradients = 'used'\n"
    )
    keys = make_config(search={"searcher": f"{searcher}:Steep", "baselines": ["member *", "lm-cocktail 0.5"]})
    records = run(Config(**{**keys, "budget": {"trials": 4}})).records
    losses = np.array([record.guidance.losses for record in records[:3] if record.guidance]).mean(axis=1)
    assert len(losses) == 3
    np.testing.assert_allclose(records[3].proposal.table.members[0], cocktail(losses, 0.5))


@pytest.mark.parametrize("searcher", ["random", "tpe", "cmaes"])
def test_a_run_in_pieces_equals_one_in_one(searcher: str, make_config: MakeConfig) -> None:
    search = {"searcher": searcher, "scalarise": "mean", "baselines": ["*", "wise-ft * 0.75", *SOUPS]}
    keys = {"search": search, "objectives": LOSSES}
    whole = run(Config(**make_config(name="whole", budget__trials=25, **keys)))
    for trials in (4, 10, 13, 14, 15, 17, 20, 25):
        pieces = run(Config(**make_config(name="pieces", budget__trials=trials, **keys)))
    assert essence(pieces.records) == essence(whole.records)
    assert pieces.results == whole.results
    assert origins(whole)[13:16] == SOUPS


def test_no_weighted_soup_without_every_members_score(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The search goes on without; resuming does not bring them back."""
    score, calls = DataLoaderEvaluator.score, []

    def second_fails(self: DataLoaderEvaluator, *given: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise MemoryError("no memory")
        return score(self, *given)

    monkeypatch.setattr(DataLoaderEvaluator, "score", second_fails)
    keys = make_config(search__baselines=["member *", *SOUPS], objectives=LOSSES)
    result = run(Config(**{**keys, "budget": {"trials": 6}}))
    assert not set(SOUPS) & set(origins(result))
    assert f"{', '.join(SOUPS)} is left out" in caplog.text
    assert set(origins(result)[-2:]) <= {"random", "greedy pass, 2 members"}
    assert not set(SOUPS) & set(origins(run(Config(**{**keys, "budget": {"trials": 8}}))))


def test_one_member_has_a_curve(make_config: MakeConfig) -> None:
    keys = make_config(search__baselines=["base", "member *", "wise-ft *"], budget__trials=12)
    keys["models"]["members"] = {"flip": keys["models"]["members"]["flip"]}
    result = run(Config(**keys))
    curve = [record.proposal.table.members[0, 0] for record in result.records[2:]]
    assert curve == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9]


def test_boundaries_are_searched(make_config: MakeConfig) -> None:
    space = {"groups": "layers", "kind": "swap", "outer": "flip", "middle": "invert"}
    result = run(Config(**make_config(space=space, search__searcher="tpe", budget__trials=20)))
    searched = [record for record in result.records if record.proposal.origin == "tpe"]
    assert len(searched) >= 4
    for record in searched:
        assert set(np.unique(record.proposal.table.members)) <= {0.0, 0.5, 1.0}
        assert (record.proposal.table.members[:, 0] == 0).all(), "the third member takes no part"


@pytest.mark.parametrize(
    ("baselines", "text"),
    [
        (["wiseft flip 0.5"], "no canonical point matches 'wiseft flip 0.5'; did you mean 'wise-ft flip 0."),
        (["wise-ft 0.5"], "no canonical point matches 'wise-ft 0.5'; did you mean 'wise-ft "),
        (["cocktail"], "no canonical point matches 'cocktail'; did you mean 'lm-cocktail 5'?"),
        (["window 2"], "no canonical point matches 'window 2'"),
        (["metric-weighted"], "'metric-weighted' weighs the members by their scores; add 'member *'"),
        (["*", "lm-cocktail"], "no objective is one; add flip/loss, or take metric-weighted, which goes by any"),
        (["*", "lm-cocktail 0"], "a temperature of 0 weighs nothing"),
        (["*", "metric-weighted -2"], "a power of -2 favours the worst member"),
        (["layer swap flip around invert 1+1"], "all groups lie at one depth; set space.groups to layers"),
    ],
)
def test_refused_before_anything_is_evaluated(make_config: MakeConfig, baselines: list[str], text: str) -> None:
    with pytest.raises(InputError) as error:
        open_session(Config(**make_config(search__baselines=baselines)))
    assert text in str(error.value)


@pytest.mark.parametrize(
    ("space", "text"),
    [
        ({"groups": "layers"}, "layers are swapped between two of 3 members; name them as 'outer' and 'middle'"),
        ({"groups": "model", "outer": "flip", "middle": "invert"}, "all groups lie at one depth"),
        ({"groups": "layers", "low": 0.0}, "space of kind swap takes no 'low'"),
    ],
)
def test_swaps_that_cannot_be_are_refused(make_config: MakeConfig, space: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as error:
        open_session(Config(**make_config(space={"kind": "swap", **space})))
    assert text in str(error.value)


def test_metrics_that_allow_no_weights_leave_the_soup_out(
    make_config: MakeConfig, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    function = tmp_path / "score.py"
    function.write_text("def score(model, samples):\n    return {'gain': [-0.5 for _ in samples]}\n")
    evaluator = {"kind": "callable", "function": f"{function}:score", "samples": 8, "metrics": {"gain": "maximize"}}
    keys = make_config(search__baselines=["member *", "metric-weighted"], objectives=["mine/gain"], budget__trials=5)
    result = run(Config(**{**keys, "evaluators": {"mine": evaluator}}))
    assert "metric-weighted" not in origins(result)
    assert "no weights follow from the members' scores: metric-weighted is left out" in caplog.text
