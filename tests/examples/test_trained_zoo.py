"""The trained zoo holds what its recipes promise: experts that gain on their own task and lose on others."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from classifier_fit import accuracies
from digits import network
from llama_recipe import LlamaRecipe
from lm_eval_tasks import task_name
from safetensors.torch import load_file
from score_table import ScoreTable
from train import build_zoo
from transformers import AutoModelForCausalLM, AutoTokenizer
from zoo_cache import SCORES_FILE

LEAST_GAIN = 0.10
STANDARD_ERRORS = 3
SKILLED = [skill for skill, _ in LlamaRecipe().experts]


@pytest.mark.slow
def test_second_call_trains_nothing(zoo: Path) -> None:
    announced: list[str] = []
    parts = build_zoo(zoo, announce=announced.append)
    assert announced == []
    assert not any(part.trained for part in parts.values())


@pytest.mark.slow
@pytest.mark.parametrize("part", ["llama", "digits"])
def test_experts_gain_on_their_own_task_beyond_noise(zoo: Path, part: str) -> None:
    table = ScoreTable.load(zoo / part / SCORES_FILE)
    base = table.scores["base"]
    experts = table.scores.keys() - {"base"}
    assert len(experts) >= (3 if part == "llama" else 4)
    for expert in experts:
        before, after = base[expert], table.scores[expert][expert]
        error = math.sqrt((before * (1 - before) + after * (1 - after)) / table.samples)
        assert after - before > max(LEAST_GAIN, STANDARD_ERRORS * error)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["llama", "digits"])
def test_experts_lose_on_the_other_tasks_and_none_is_good_at_all(zoo: Path, part: str) -> None:
    scores = ScoreTable.load(zoo / part / SCORES_FILE).scores
    experts = sorted(scores.keys() - {"base"})
    for expert in experts:
        others = [task for task in scores["base"] if task != expert]
        change = [scores[expert][task] - scores["base"][task] for task in others]
        assert min(change) < -LEAST_GAIN
        assert min(scores[expert][task] for task in others) < 0.5


@pytest.mark.slow
def test_llama_is_small_and_loads(zoo: Path) -> None:
    for name in ("base", *SKILLED):
        model = AutoModelForCausalLM.from_pretrained(zoo / "llama" / name)
        assert model.num_parameters() < 1_000_000
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.mark.slow
def test_saved_tokenizer_round_trips(zoo: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(zoo / "llama" / "base")
    text = "s:dacb= is abcd, isn't it? \n"
    assert tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True) == text
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (0, 1, 2)


@pytest.mark.slow
def test_lm_eval_agrees_with_the_recorded_scores(zoo: Path) -> None:
    lm_eval = pytest.importorskip("lm_eval")
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(zoo / "llama" / "tasks"), include_defaults=False)
    assert {task_name(skill) for skill in SKILLED} <= set(manager.all_tasks)
    skill = SKILLED[0]
    result = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(zoo / "llama" / skill), "dtype": "float32"},
        device="cpu",
        batch_size=256,
        tasks=[task_name(skill)],
        task_manager=manager,
        bootstrap_iters=0,
    )
    measured = result["results"][task_name(skill)]["exact_match,none"]
    recorded = ScoreTable.load(zoo / "llama" / SCORES_FILE)
    # Greedy decoding and one pass over the right answer add up in another order: a near-tie may turn over.
    assert measured == pytest.approx(recorded.scores[skill][skill], abs=2 / recorded.samples)


@pytest.mark.slow
def test_trajectory_is_twenty_ascending_snapshots(zoo: Path) -> None:
    snapshots = sorted((zoo / "trajectory").glob("step_*.safetensors"))
    steps = [int(path.stem.removeprefix("step_")) for path in snapshots]
    assert len(steps) == 20
    assert steps == sorted(set(steps)) and steps[0] > 0
    assert all(load_file(path).keys() == network().state_dict().keys() for path in snapshots)


@pytest.mark.slow
def test_averaging_the_last_snapshots_helps(zoo: Path) -> None:
    weights = [load_file(path) for path in sorted((zoo / "trajectory").glob("step_*.safetensors"))[-8:]]
    model = network()
    model.load_state_dict({name: torch.stack([w[name] for w in weights]).mean(dim=0) for name in weights[0]})
    averaged = accuracies(model)
    last = list(ScoreTable.load(zoo / "trajectory" / SCORES_FILE).scores.values())[-1]
    assert sum(averaged.values()) / len(averaged) > sum(last.values()) / len(last) + 0.01


@pytest.mark.slow
def test_further_digit_experts_are_good_at_their_own_task_alone(zoo: Path) -> None:
    scores = ScoreTable.load(zoo / "digits8" / SCORES_FILE).scores
    assert len(scores) == 4
    for expert, row in scores.items():
        others = [value for task, value in row.items() if task not in (expert, "upright")]
        assert row[expert] > 0.9
        assert max(others) < 0.6
