"""LoRA members in whole runs: kept beside the base or merged into it, the same trials, scores and exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from mergesearch.errors import InputError
from mergesearch.runs.api import Run, run
from mergesearch.runs.config import Config
from mergesearch.runs.session import open_session

from ..engine.saved import llama, save_adapter, save_tokenizer

WORDS = ("red", "green", "blue", "black", "white")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base Llama with a tokenizer, two adapters of it, and a text."""
    folder = tmp_path_factory.mktemp("adapters")
    model = llama(tied=True)
    model.save_pretrained(folder / "base")
    save_tokenizer(folder / "base", WORDS)
    save_adapter(folder / "one", model, 1, r=2, target_modules="all-linear")
    save_adapter(folder / "two", model, 2, r=3, target_modules=["q_proj", "embed_tokens"], use_rslora=True)
    drawn = np.random.default_rng(0).integers(0, len(WORDS), 400)
    (folder / "text.txt").write_text(" ".join(WORDS[word] for word in drawn))
    return folder


def config(folder: Path, out: Path, adapters: str, searcher: str = "random", **models: Any) -> Config:
    members = {name: str(folder / name) for name in ("one", "two")}
    text = {"kind": "perplexity", "file": str(folder / "text.txt"), "window": 16}
    return Config(
        name=adapters,
        models={"base": str(folder / "base"), "members": members, "device": "cpu", "adapters": adapters, **models},
        space={"groups": "layers", "low": -1.0, "high": 2.0},
        search={"searcher": searcher, "seed": 5},
        evaluators={"text": text},
        objectives=["text/loss"],
        budget={"trials": 14},
        out=str(out),
    )


def tables(result: Run) -> np.ndarray:
    return np.stack([record.proposal.table.members for record in result.records])


def losses(result: Run) -> np.ndarray:
    assert all(record.values for record in result.records)
    return np.array([record.values[0] for record in result.records if record.values])


@pytest.mark.parametrize("searcher", ["random", "learned_soup"])
def test_live_and_merged_runs_agree(folder: Path, tmp_path: Path, searcher: str) -> None:
    """Also where the search follows coefficient gradients; the export of one table is the same bit for bit."""
    live, merged = (run(config(folder, tmp_path, how, searcher)) for how in ("live", "merged"))
    assert [one.proposal.origin for one in live.records] == [one.proposal.origin for one in merged.records]
    if searcher == "random":
        np.testing.assert_array_equal(tables(live), tables(merged))
    np.testing.assert_allclose(tables(live), tables(merged), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(losses(live), losses(merged), rtol=1e-6)
    assert np.ptp(losses(live)) > 1e-3
    assert live.pick() == merged.pick() == losses(merged).argmin()
    for result in (live, merged):
        result.export(tmp_path / f"export {result.config.name}", len(result.records) - 1)
    found, expected = (load_file(tmp_path / f"export {how}" / "model.safetensors") for how in ("live", "merged"))
    assert found.keys() == expected.keys()
    for name, value in found.items():
        if searcher == "random":
            assert value.equal(expected[name])
        np.testing.assert_allclose(value, expected[name], rtol=1e-4, atol=1e-6)
    base = load_file(folder / "base" / "model.safetensors")
    assert any(not value.equal(base[name]) for name, value in found.items())


def test_a_live_run_goes_on_where_it_stopped(folder: Path, tmp_path: Path) -> None:
    """Its configuration comes back from the folder, and its scores from the cache."""
    whole = run(config(folder, tmp_path / "whole", "live"))
    half = config(folder, tmp_path / "parts", "live").model_copy(update={"budget": {"trials": 6}})
    assert len(run(Config(**half.model_dump())).records) == 6
    resumed = run(config(folder, tmp_path / "parts", "live"))
    np.testing.assert_array_equal(tables(resumed), tables(whole))
    np.testing.assert_array_equal(losses(resumed), losses(whole))


def test_no_score_of_one_kind_answers_for_the_other(folder: Path, tmp_path: Path) -> None:
    live, merged = (open_session(config(folder, tmp_path, how)) for how in ("live", "merged"))
    keys = {s.bench.key(p, s.search_samples) for s in (live, merged) if (p := s.proposals.next([]))}
    assert len(keys) == 2 and live.bench.live.bank.bytes < merged.bench.live.bank.bytes / 2


@pytest.mark.parametrize(
    ("key", "value"), [("transform", {"kind": "trim", "density": 0.5}), ("storage", "fp16"), ("tier", "file")]
)
def test_what_only_dense_deltas_have_is_refused(folder: Path, tmp_path: Path, key: str, value: Any) -> None:
    with pytest.raises(
        InputError, match=rf"adapters: live keeps no dense deltas, which is what models\.{key} is about"
    ):
        config(folder, tmp_path, "live", **{key: value})


def test_members_that_are_no_adapters_are_named(folder: Path, tmp_path: Path) -> None:
    members = {"one": str(folder / "one"), "whole": str(folder / "base")}
    with pytest.raises(InputError, match=r"member 'whole' is no LoRA adapter.*set models.adapters: merged"):
        open_session(config(folder, tmp_path, "live", members=members))
