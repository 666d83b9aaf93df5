"""Each sample must score as lm-eval itself scores it, whatever the kind of model, task and batch."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mergesearch.evaluators._lm_eval import abilities
from mergesearch.evaluators._lm_eval.passes import logits_at
from mergesearch.evaluators._lm_eval.stages import staged
from mergesearch.evaluators.lm_eval import LMEvalEvaluator

_ACC = [{"metric": name, "aggregation": "mean", "higher_is_better": True} for name in ("acc", "acc_norm")]
_CHOICE = {
    "output_type": "multiple_choice",
    "doc_to_choice": "{{choices}}",
    "doc_to_target": "gold",
    "metric_list": _ACC,
}
_ANSWER = {
    "output_type": "generate_until",
    "doc_to_target": "{{answer}}",
    "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
}
# Beside those of `tiny.py`: one-token choices, prompts with a beginning in common, prompts that differ before one
# continuation, choices with and without a prompt, texts of no or several windows, prompts that are cut, and stop texts.
FURTHER: dict[str, dict[str, Any]] = {
    "letters": _CHOICE | {"doc_to_choice": "{{['A', 'B', 'C', 'D']}}", "target_delimiter": ""},
    "same_shots": _CHOICE
    | {"num_fewshot": 2, "fewshot_split": "test", "fewshot_config": {"sampler": "first_n"}, "test_split": "test"},
    "blanks": _CHOICE
    | {
        "doc_to_text": "gold",
        "doc_to_choice": "{{[question + ' a', question + ' b', question + ' c', 'd']}}",
        "doc_to_target": "{{answer}}",
    },
    "informed": _CHOICE
    | {"metric_list": [{"metric": "acc_mutual_info", "aggregation": "mean", "higher_is_better": True}]},
    "pages": {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{(question + ' ') * (gold * 5)}}",
        "metric_list": [{"metric": "bits_per_byte", "aggregation": "bits_per_byte", "higher_is_better": False}],
    },
    "cut": _CHOICE | {"doc_to_text": "{{(question + ' ') * 12}} ->"},
    "stops": _ANSWER | {"generation_kwargs": {"until": ["e", "lo", "ll", "\n\n"], "max_gen_toks": 12}},
    "several": _ANSWER | {"generation_kwargs": {"until": ["\n"], "max_gen_toks": 5}, "repeats": 2},
}
TASKS = ["tiny_choice", "tiny_shots", "tiny_binary", "tiny_generate", "tiny_rolling", "tiny_next", *FURTHER]


@pytest.fixture(scope="module")
def folder(tasks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("further")
    common = json.loads((tasks_folder / "tiny_choice.yaml").read_text())
    kept = ("dataset_path", "dataset_kwargs", "test_split", "doc_to_text")
    for name, own in FURTHER.items():
        content = {"task": name, **{key: common[key] for key in kept}, **own}
        (home / f"{name}.yaml").write_text(json.dumps(content))
    for path in tasks_folder.glob("tiny_*.yaml"):
        (home / path.name).write_text(path.read_text())
    return home


def _gpt2() -> Any:
    from transformers import GPT2Config, GPT2LMHeadModel

    return GPT2LMHeadModel(
        GPT2Config(vocab_size=260, n_positions=256, n_embd=32, n_layer=2, n_head=4, eos_token_id=257)
    )


def _gemma2() -> Any:
    """Capped logits, and attention of every other layer over the last 24 tokens."""
    from transformers import Gemma2Config, Gemma2ForCausalLM

    return Gemma2ForCausalLM(
        Gemma2Config(
            vocab_size=260, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, head_dim=8, max_position_embeddings=256, sliding_window=24,
            final_logit_softcapping=2.0, eos_token_id=257, pad_token_id=258, bos_token_id=256,
        )
    )  # fmt: skip


def _tied_llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=260, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            max_position_embeddings=256, tie_word_embeddings=True, eos_token_id=257, pad_token_id=258,
        )
    )  # fmt: skip


def _mamba() -> Any:
    """Its state cannot be shared between rows."""
    from transformers import MambaConfig, MambaForCausalLM

    return MambaForCausalLM(
        MambaConfig(
            vocab_size=260, hidden_size=32, num_hidden_layers=2, state_size=4, eos_token_id=257, pad_token_id=258
        )
    )


MODELS = {"gpt2": _gpt2, "gemma2": _gemma2, "tied llama": _tied_llama, "mamba": _mamba}


def _logged(model: Any, tokenizer: Any, folder: Path) -> dict[str, dict[int, Any]]:
    """What lm-eval logs of each document of each task, with its first filter; in batches of another size than ours."""
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    results = lm_eval.simple_evaluate(
        HFLM(pretrained=model, tokenizer=tokenizer, batch_size=7),
        tasks=TASKS,
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        bootstrap_iters=0,
        log_samples=True,
    )
    return {
        task: {one["doc_id"]: one for one in samples if one["filter"] == samples[0]["filter"]}
        for task, samples in results["samples"].items()
    }


def _flat(value: Any) -> list[Any]:
    """Numbers, truths and texts of nested responses, in order."""
    return [one for part in value for one in _flat(part)] if isinstance(value, list | tuple) else [value]


def _assert_alike(ours: list[Any], theirs: list[Any], where: str) -> None:
    """Texts and truths exactly, numbers but for float32 rounding."""
    assert list(map(type, ours)) == list(map(type, theirs)), where
    for one, other in zip(ours, theirs, strict=True):
        assert one == (pytest.approx(other, rel=2e-5) if isinstance(other, float) else other), where


def _assert_scored_as(logged: dict[str, dict[int, Any]], evaluator: LMEvalEvaluator, model: Any, rows: Any) -> None:
    """Compare the responses to every request, and what is made of them, on the chosen documents."""
    scores = evaluator.score(model, dict.fromkeys(TASKS, rows))
    for task in TASKS:
        for row in rows:
            ours = _flat([request.resps for request in evaluator._requests[task][row]])
            _assert_alike(ours, _flat(logged[task][row]["resps"]), f"{task}, document {row}")
        for metric in {"acc", "acc_norm", "acc_mutual_info", "exact_match"} & set(scores[task]):
            theirs = [logged[task][row][metric] for row in rows]
            assert np.asarray(scores[task][metric].samples).tolist() == theirs, task


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["untied llama", *MODELS])
def test_every_response_is_that_of_simple_evaluate(
    kind: str, llama: Any, tokenizer: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(3)
    model = MODELS[kind]() if kind in MODELS else llama
    logged = _logged(model, tokenizer, folder)
    for batch_size, passes_are_free in ((3, False), (32, True)):
        if passes_are_free:  # then whatever begins alike is read once, though these models are too small to gain by it
            monkeypatch.setattr(abilities, "_pass_in_tokens", lambda model: 0.0)
        evaluator = LMEvalEvaluator("language", TASKS, include_path=str(folder), batch_size=batch_size)
        evaluator.prepare(model, tokenizer)
        _assert_scored_as(logged, evaluator, model, np.arange(24))
        _assert_scored_as(logged, evaluator, model, np.array([2, 3, 11, 19]))


def test_what_models_allow_is_found_out() -> None:
    torch.manual_seed(3)
    found = {kind: abilities.abilities_of(make().eval()) for kind, make in MODELS.items()}
    assert all(one.select for one in found.values())
    assert {kind for kind, one in found.items() if one.share} == {"gpt2", "gemma2", "tied llama"}


@pytest.mark.parametrize(("share", "alike"), [(0.01, True), (0.2, False)])
def test_logits_of_wrong_positions_are_no_rounding(share: float, alike: bool) -> None:
    """Rounding is off by a hundredth of the largest logit, and other positions by a good part of it."""
    truth = torch.tensor([[2.0, -8.0, 1.0], [0.5, 3.0, float("nan")]])
    found = truth + torch.tensor([[8.0 * share, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert abilities._alike(found, truth) is alike
    assert not abilities._alike(found[:1], truth) and not abilities._alike(None, truth)


def test_positions_that_depend_on_the_length_are_not_shared(llama: Any) -> None:
    other = copy.deepcopy(llama)
    assert abilities.abilities_of(other).share
    other.config.rope_parameters = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
    assert not abilities.abilities_of(other).share


class _Plain(torch.nn.Module):
    """A model that takes tokens, and nothing else."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def forward(self, input_ids: Any) -> Any:
        return self.model(input_ids)


class _Whole(torch.nn.Module):
    """A model that does not know which logits are wanted."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.config = model, model.config

    def forward(self, input_ids: Any, past_key_values: Any = None, use_cache: bool = False) -> Any:
        return self.model(input_ids, past_key_values=past_key_values, use_cache=use_cache)


def test_a_model_that_computes_all_logits_scores_the_same(llama: Any) -> None:
    whole = _Whole(llama)
    found = abilities.abilities_of(whole)
    assert (found.select, found.share) == (False, True)
    stages = staged(np.array([[5, 6, 7, 8], [5, 6, 9, 9]]), 2, 0.0)
    assert len(stages) == 2
    scored = np.array([[False, True], [True, True]])
    with torch.no_grad():
        torch.testing.assert_close(
            logits_at(whole, stages, scored, False), logits_at(llama, stages, scored, True), rtol=0, atol=1e-5
        )


def test_a_model_that_takes_tokens_alone_scores_the_same(llama: Any) -> None:
    plain = _Plain(llama)
    found = abilities.abilities_of(plain)
    assert (found.select, found.share) == (False, False)
    stages = staged(np.array([[5, 6, 7, 8], [5, 6, 9, 9]]), 2, float("inf"))
    scored = np.array([[False, True, False, True], [True, True, False, False]])
    with torch.no_grad():
        torch.testing.assert_close(
            logits_at(plain, stages, scored, False), logits_at(llama, stages, scored, True), rtol=0, atol=1e-5
        )


@pytest.mark.slow
def test_models_that_encode_and_decode_are_asked_by_the_library(tokenizer: Any, folder: Path) -> None:
    from transformers import T5Config, T5ForConditionalGeneration

    torch.manual_seed(3)
    shape: dict[str, Any] = {"vocab_size": 260, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4}
    ends: dict[str, Any] = {"eos_token_id": 257, "pad_token_id": 258, "decoder_start_token_id": 258}
    model = T5ForConditionalGeneration(T5Config(**shape, **ends))
    logged = _logged(model, tokenizer, folder)
    evaluator = LMEvalEvaluator("language", TASKS, include_path=str(folder), batch_size=7)
    evaluator.prepare(model, tokenizer)
    _assert_scored_as(logged, evaluator, model, np.arange(24))
