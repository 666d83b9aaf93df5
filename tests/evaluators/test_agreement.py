"""Agreement with a member, and what panels do with references."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mergesearch.errors import InputError
from mergesearch.evaluators.agreement import AgreementEvaluator
from mergesearch.evaluators.build import build_evaluators
from mergesearch.evaluators.dataloader import DataLoaderEvaluator
from mergesearch.evaluators.panel import Panel


def _divergence(logits: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """KL(own ‖ other), the mean over all axes but the first and last."""
    logs, theirs = own.double().log_softmax(-1), logits.double().log_softmax(-1)
    nats = torch.nn.functional.kl_div(theirs, logs, reduction="none", log_target=True).sum(-1)
    return nats.reshape(len(nats), -1).mean(1)


@pytest.mark.parametrize("top", [64, 3, 1])
def test_a_classifier_is_compared_class_by_class(tiny_file: str, make: Any, top: int) -> None:
    on = {"kind": "dataloader", "dataset": f"{tiny_file}:blobs", "arguments": {"classes": 5}, "batch_size": 7}
    evaluator = AgreementEvaluator("same", "north", on, top)
    assert evaluator.references() == ("north",)
    assert evaluator.metrics() == {"same": {"agreement": True, "kl": False}}
    own, other = make("tiny_net", 0, 5).eval(), make("tiny_net", 1, 5).eval()
    evaluator.prepare(own, None)
    evaluator.observe("north", own)
    points = make("blobs", classes=5).tensors[0]
    with torch.no_grad():
        logits, theirs = own(points), other(points)
    rows = np.arange(4, 60)
    found = evaluator.score(other, {"same": rows})["same"]
    same = (logits.argmax(1) == theirs.argmax(1)).double().numpy()
    assert 0.1 < same.mean() < 0.9
    np.testing.assert_array_equal(np.asarray(found["agreement"].samples), same[rows])
    exact = _divergence(theirs, logits).numpy()[rows]
    kl = np.asarray(found["kl"].samples)
    if top >= 5:
        np.testing.assert_allclose(kl, exact, rtol=1e-4, atol=1e-6)
    else:
        assert (kl <= exact + 1e-6).all() and 0 < kl.mean() < 0.999 * exact.mean()
    itself = evaluator.score(own, {"same": rows})["same"]
    assert itself["agreement"].value == 1.0 and itself["kl"].value == 0.0


@pytest.mark.parametrize("top", [260, 20])
def test_a_language_model_is_compared_token_by_token(
    text_file: Path, llama: Any, make: Any, tokenizer: Any, top: int
) -> None:
    on = {"kind": "perplexity", "file": str(text_file), "window": 40, "batch_size": 8}
    evaluator = AgreementEvaluator("same", "taught", on, top)
    evaluator.prepare(llama, tokenizer)
    evaluator.observe("taught", llama)
    other = make("tiny_llama", 3)
    with torch.no_grad():
        for weight, taught in zip(other.parameters(), llama.parameters(), strict=True):
            weight.lerp_(taught, 0.8)
    count = evaluator.tasks()["same"]
    tokens = torch.tensor(tokenizer(text_file.read_text())["input_ids"][: count * 40]).reshape(count, 40)
    with torch.no_grad():
        logits, theirs = llama(tokens).logits, other(tokens).logits
    found = evaluator.score(other, {"same": np.arange(count)})["same"]
    same = (logits.argmax(2) == theirs.argmax(2)).double().mean(1).numpy()
    assert 0.05 < same.mean() < 0.95
    np.testing.assert_allclose(np.asarray(found["agreement"].samples), same, rtol=1e-6)
    exact, kl = _divergence(theirs, logits).numpy(), np.asarray(found["kl"].samples)
    if top == 260:
        np.testing.assert_allclose(kl, exact, rtol=1e-4)
    else:
        assert (kl < exact).all() and kl.mean() > 0.3 * exact.mean()


def test_a_step_along_the_gradient_agrees_more(tiny_file: str, make: Any) -> None:
    on = {"kind": "dataloader", "dataset": f"{tiny_file}:blobs"}
    evaluator, own, other = AgreementEvaluator("same", "north", on, 2), make("tiny_net", 0), make("tiny_net", 1)
    evaluator.prepare(own, None)
    evaluator.observe("north", own)
    rows, values = np.arange(60), []
    optimiser = torch.optim.Adam(other.parameters(), lr=0.02)
    for _ in range(40):
        optimiser.zero_grad()
        values.append(evaluator.backward(other, "same", "kl", rows).value)
        optimiser.step()
    assert values[-1] < 0.3 * values[0]
    assert evaluator.score(other, {"same": rows})["same"]["agreement"].value > 0.8


def test_a_panel_shows_each_reference_to_those_that_want_it(tiny_file: str, make: Any) -> None:
    on = {"kind": "dataloader", "dataset": f"{tiny_file}:blobs"}
    config: dict[str, dict[str, Any]] = {
        "first": {"kind": "agreement", "member": "north", "on": on},
        "second": {"kind": "agreement", "member": "base", "on": on},
        "third": {"kind": "agreement", "member": "north", "on": {**on, "batch_size": 5}},
        "plain": on,
    }
    panel, north, base = build_evaluators(config), make("tiny_net", 0), make("tiny_net", 1)
    assert panel.references() == ("north", "base")
    panel.prepare(base, None)
    rows = {task: np.arange(60) for task in config}
    with pytest.raises(InputError, match="task 'first' compares with 'north', which was not observed"):
        panel.score(north, rows)
    panel.observe("north", north)
    panel.observe("base", base)
    found = panel.score(north, rows)
    assert [found[task]["agreement"].value == 1.0 for task in ("first", "second", "third")] == [True, False, True]


def test_other_evaluators_have_no_references(tiny_file: str) -> None:
    panel = build_evaluators({"plain": {"kind": "dataloader", "dataset": f"{tiny_file}:blobs"}})
    assert panel.references() == ()

    class Forgetful(DataLoaderEvaluator):
        def references(self) -> tuple[str, ...]:
            return ("north",)

    with pytest.raises(NotImplementedError, match="Forgetful compares candidates with no reference 'north'"):
        Panel([Forgetful("own", f"{tiny_file}:blobs")]).observe("north", None)


def test_what_cannot_be_compared_is_refused(tiny_file: str, make: Any) -> None:
    on = {"kind": "dataloader", "dataset": f"{tiny_file}:blobs"}
    with pytest.raises(InputError, match="evaluator 'same': top = 0; give 1 or more"):
        AgreementEvaluator("same", "north", on, 0)
    with pytest.raises(InputError, match="evaluator 'same': kind 'callable' makes no single predictions to agree on"):
        AgreementEvaluator("same", "north", {"kind": "callable", "function": f"{tiny_file}:weight_size"})
    with pytest.raises(InputError, match="evaluator 'same' has no option 'datasett'; did you mean 'dataset'"):
        AgreementEvaluator("same", "north", {**on, "datasett": "x"})
    evaluator, model = AgreementEvaluator("same", "north", on), make("tiny_net")
    with pytest.raises(InputError, match="task 'same': 'north' gives one output, with which nothing agrees"):
        evaluator.observe("north", make("tiny_net", outputs=1))
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan
    with pytest.raises(InputError, match="task 'same': 'north' gives outputs that are not finite"):
        evaluator.observe("north", model)
