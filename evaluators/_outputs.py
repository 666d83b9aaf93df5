"""From the outputs of any model, batch by batch, to values per sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, TrialError

Array = NDArray[Any]
IntArray = NDArray[np.int64]


def logits_of(model: Any, inputs: Any) -> Any:
    """Call `model` and take the tensor from what it returns: itself, or its logits (as transformers' models do).

    Args:
        model: torch.nn.Module.
        inputs: of one batch; a mapping is passed by keyword, a list by position.

    Raises:
        InputError: the model returns neither.
    """
    if isinstance(inputs, Mapping):
        result = model(**inputs)
    else:
        result = model(*inputs) if isinstance(inputs, list) else model(inputs)
    if isinstance(result, Mapping):
        result = result.get("logits", result)
    result = getattr(result, "logits", result)
    if not hasattr(result, "detach"):
        raise InputError(f"the model returned {type(result).__name__}; return a tensor or an object with .logits")
    return result


def outputs_of(model: Any, batches: Iterable[tuple[IntArray, Any]]) -> Array:
    """Run `model` (torch.nn.Module) on all batches, (places of the samples that come first in it, inputs).

    Returns:
        Logits, float64, `samples x classes`; or float64 `samples` where the model returns one number per sample.

    Raises:
        InputError: the model returns something else.
    """
    import torch

    found = [(places, logits_of(model, inputs)[: len(places)]) for places, inputs in batches]
    values = torch.cat([logits for _, logits in found]).cpu().double().numpy()
    if values.ndim > 2:
        raise InputError(f"the model's outputs have shape {values.shape}; give samples x classes, or samples")
    return np.asarray(values[np.argsort(np.concatenate([places for places, _ in found]))])


def require_fitting(task: str, outputs: Array, labels: Array) -> Array:
    """Return the outputs in the shape that the labels call for: `samples` for floating labels, else with classes.

    Raises:
        InputError: the numbers of outputs and classes differ.
        TrialError: outputs that are not finite, from which an accuracy could still be computed, and would be wrong.
    """
    bad = int(np.count_nonzero(~np.isfinite(outputs.reshape(len(labels), -1)).all(axis=1)))
    if bad:
        raise TrialError(f"task '{task}': the model's outputs are not finite for {bad} of {len(labels)} samples")
    width = 1 if outputs.ndim == 1 else outputs.shape[1]
    if labels.dtype.kind == "f":
        if width != 1:
            raise InputError(f"task '{task}' has floating labels, but the model gives {width} outputs; it needs 1")
        return outputs.reshape(-1)
    if labels.max() >= width or width < 2:
        raise InputError(f"task '{task}' has labels up to {labels.max()}, but the model gives {width} outputs")
    return outputs


def per_sample(outputs: Array, labels: Array) -> dict[str, Array]:
    """`accuracy`, `loss` (cross entropy or squared error) and, of classes, `entropy` of each sample, float64, nats."""
    if outputs.ndim == 1:
        return {"accuracy": (outputs == labels).astype(np.float64), "loss": (outputs - labels) ** 2}
    hits, logs = outputs.argmax(axis=1) == labels, _log_softmax(outputs)
    return {
        "accuracy": hits.astype(np.float64),
        "loss": -logs[np.arange(len(labels)), labels],
        "entropy": -(np.exp(logs) * logs).sum(axis=1),
    }


def differentiable_per_sample(metric: str, outputs: Any, labels: Array) -> Any:
    """`loss` or `entropy` of each sample as `per_sample` gives it, a float64 tensor with its autograd graph.

    Args:
        metric: which one.
        outputs: tensor, `samples x classes`, or `samples` (`samples x 1`) for floating labels.
        labels: class numbers or targets, `samples`.
    """
    import torch

    targets = torch.from_numpy(labels).to(outputs.device)
    if labels.dtype.kind == "f":
        return (outputs.double().flatten() - targets) ** 2
    logs = outputs.double().log_softmax(dim=1)
    if metric == "loss":
        return -logs.gather(1, targets[:, None])[:, 0]
    return -(logs.exp() * logs).sum(dim=1)


def probabilities(outputs: Array) -> Array:
    """Softmax over the classes, `samples x classes`; a regression's outputs as they are."""
    return outputs if outputs.ndim == 1 else np.asarray(np.exp(_log_softmax(outputs)))


def _log_softmax(outputs: Array) -> Array:
    shifted = outputs - outputs.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
