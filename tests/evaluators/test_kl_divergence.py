"""KL to the base: its definition, which tokens count, and that the base itself is at zero."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mergesearch.errors import InputError
from mergesearch.evaluators._scratch import scratch_tensor
from mergesearch.evaluators.kl_divergence import KLDivergenceEvaluator


def divergences(model: Any, base: Any, ids: list[int]) -> np.ndarray:
    """KL(model ‖ base) of the prediction after each token, in float64."""
    with torch.no_grad():
        own, other = (one(torch.tensor([ids])).logits[0].double().log_softmax(-1) for one in (model, base))
    return np.asarray((own.exp() * (own - other)).sum(-1))


@pytest.fixture(scope="module")
def base(make: Any) -> Any:
    return make("tiny_llama", 1)


def test_windows_of_a_text(llama: Any, base: Any, tokenizer: Any, text_file: Path) -> None:
    evaluator = KLDivergenceEvaluator("tax", str(text_file), window=40, batch_size=3)
    assert evaluator.references() == ("base",)
    with pytest.raises(InputError, match="call prepare with a tokenizer first"):
        evaluator.tasks()
    evaluator.prepare(llama, tokenizer)
    evaluator.observe("base", base)
    ids = tokenizer(text_file.read_text())["input_ids"]
    rows = np.arange(evaluator.tasks()["tax"])
    assert len(rows) == len(ids) // 40
    scores = evaluator.score(llama, {"tax": rows})["tax"]["kl"]
    expected = [divergences(llama, base, ids[40 * row : 40 * row + 40])[:-1].mean() for row in rows]
    np.testing.assert_allclose(np.asarray(scores.samples), expected, rtol=1e-4)
    assert scores.value == pytest.approx(np.mean(expected), rel=1e-5) and 0 < scores.stderr < scores.value
    assert evaluator.score(base, {"tax": rows})["tax"]["kl"].value == 0.0


def test_the_direction_is_from_the_candidate(llama: Any, base: Any, tokenizer: Any, text_file: Path) -> None:
    found = []
    for one, other in ((llama, base), (base, llama)):
        evaluator = KLDivergenceEvaluator("tax", str(text_file), window=40)
        evaluator.prepare(one, tokenizer)
        evaluator.observe("base", other)
        found.append(evaluator.score(one, {"tax": np.array([0])})["tax"]["kl"].value)
    ids = tokenizer(text_file.read_text())["input_ids"][:40]
    assert found[0] == pytest.approx(divergences(llama, base, ids)[:-1].mean(), rel=1e-4)
    assert found[0] != pytest.approx(found[1], rel=0.05)


def test_of_answers_the_responses_count(make: Any, llama: Any, base: Any, tokenizer: Any, tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text('{"prompt": "a red", "response": " stone"}\n{"prompt": "b", "response": " in the river"}\n')
    evaluator = KLDivergenceEvaluator("tax", str(path))
    assert evaluator.tasks() == {"tax": 2}
    with pytest.raises(InputError, match="evaluator 'tax' needs a tokenizer"):
        evaluator.prepare(llama, None)
    evaluator.prepare(llama, tokenizer)
    with pytest.raises(InputError, match="does not know the base's predictions; call observe first"):
        evaluator.score(llama, {"tax": np.arange(2)})
    evaluator.observe("base", base)
    scores = evaluator.score(llama, {"tax": np.arange(2)})["tax"]["kl"]
    each = []
    for prompt, response in (("a red", " stone"), ("b", " in the river")):
        start, ids = len(tokenizer(prompt)["input_ids"]), tokenizer(prompt + response)["input_ids"]
        each.append(divergences(llama, base, [*ids, tokenizer.eos_token_id])[start - 1 : -1])
    np.testing.assert_allclose(np.asarray(scores.samples), [one.mean() for one in each], rtol=1e-4)
    assert scores.value == pytest.approx(np.mean([one.mean() for one in each]), rel=1e-4), "answers count alike"


def test_half_precision_is_kept_as_it_is(base: Any, make: Any, tokenizer: Any, text_file: Path) -> None:
    model = make("tiny_llama").bfloat16()
    evaluator = KLDivergenceEvaluator("tax", str(text_file), window=40)
    evaluator.prepare(model, tokenizer)
    evaluator.observe("base", model)
    assert evaluator.score(model, {"tax": np.arange(3)})["tax"]["kl"].value == 0.0


def test_room_is_reserved_or_refused() -> None:
    tensor = scratch_tensor("a few numbers", (3, 5), torch.bfloat16)
    tensor.copy_(torch.arange(15).view(3, 5))
    assert tensor.sum() == 105 and tensor.dtype == torch.bfloat16
    with pytest.raises(InputError, match=r"too many numbers take 4000000\.0 GB, for which there is no room in '.*' \("):
        scratch_tensor("too many numbers", (10**6, 10**9), torch.float32)


def test_refused(tmp_path: Path, text_file: Path) -> None:
    with pytest.raises(InputError, match="window = 1; give 2 or more"):
        KLDivergenceEvaluator("tax", str(text_file), window=1)
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    with pytest.raises(InputError, match=r"empty\.jsonl' has no answers; give a file with some"):
        KLDivergenceEvaluator("tax", str(empty))
    with pytest.raises(InputError, match=r"evaluator 'tax': no file 'nowhere\.txt'"):
        KLDivergenceEvaluator("tax", "nowhere.txt")
