"""What a model predicted, kept in little memory, and how another model's predictions differ from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Predictions:
    """Predictions of one model; a sample has one (a classifier's) or one per token (a language model's).

    Attributes:
        choices: the most likely class, int64, `samples x predictions`.
        classes: the likeliest classes, int32, `samples x predictions x top`.
        logs: the logarithms of their probabilities, float32, of the same shape.
        rest: the logarithm of the probability of all other classes together, float32, `samples x predictions`; None
            where there are no others.
    """

    choices: Any
    classes: Any
    logs: Any
    rest: Any | None

    @classmethod
    def of(cls, what: str, batches: Iterable[tuple[IntArray, Any]], top: int) -> Predictions:
        """Keep what these logits predict.

        Args:
            what: whose they are, for messages.
            batches: places of samples and their logits, `places x classes` or `places x tokens x classes`.
            top: number of classes to keep the probabilities of.

        Raises:
            InputError: the logits are of one class, are not finite, or differ in shape between batches.
        """
        import torch

        parts, places, count = [], [], 0
        for some, logits in batches:
            count = 1 if logits.ndim == 1 else logits.shape[-1]
            if count < 2 or not logits.isfinite().all():
                state = "one output" if count < 2 else "outputs that are not finite"
                raise InputError(f"{what} gives {state}, with which nothing agrees; compare with another model")
            parts += [_kept(each, min(top, count)) for each in _each(logits)]
            places.append(some)
        order = torch.from_numpy(np.argsort(np.concatenate(places)))
        choices, classes, logs, rest = (torch.stack([part[number] for part in parts])[order] for number in range(4))
        return cls(choices, classes, logs, rest if top < count else None)

    def agreement(self, rows: IntArray, logits: Any) -> Any:
        """Share of each sample's predictions that are the same class, float32, `rows`."""
        import torch

        choices = self.choices[torch.from_numpy(rows)].to(logits.device)
        same = [(each.argmax(dim=-1) == own).float().mean() for each, own in zip(_each(logits), choices, strict=True)]
        return torch.stack(same)

    def divergence(self, rows: IntArray, logits: Any) -> Any:
        """KL(these ‖ the logits') of each sample, the mean over its predictions, nats, float32, `rows`.

        Classes that were not kept count as one, which can only lower it (the data-processing inequality).
        """
        import torch

        index, found = torch.from_numpy(rows), []
        classes, logs = (kept[index].to(logits.device) for kept in (self.classes, self.logs))
        rest = None if self.rest is None else self.rest[index].to(logits.device)
        for row, each in enumerate(_each(logits)):
            own = logs[row]
            theirs, remaining = _shares(each, classes[row].long(), rest is not None)
            nats = (own.exp() * (own - theirs)).sum(dim=-1)
            if rest is not None:
                nats = nats + rest[row].exp() * (rest[row] - remaining)
            found.append(nats.mean())
        return torch.stack(found)


def _each(logits: Any) -> Any:
    """One sample's logits at a time, `predictions x classes`."""
    return logits.unsqueeze(1) if logits.ndim == 2 else logits


def _kept(logits: Any, top: int) -> tuple[Any, Any, Any, Any]:
    """Choices, classes, logarithms and rest of one sample, in host memory."""
    import torch

    classes = logits.topk(top, dim=-1).indices
    logs, rest = _shares(logits, classes, top < logits.shape[-1])
    return logits.argmax(dim=-1).cpu(), classes.to(torch.int32).cpu(), logs.cpu(), rest.cpu()


def _shares(logits: Any, classes: Any, others: bool) -> tuple[Any, Any]:
    """Logarithms of the probabilities of some classes, and of all others together (those of none: zero)."""
    import torch

    values = logits.float()
    total = values.logsumexp(dim=-1, keepdim=True)
    logs = values.gather(-1, classes) - total
    if not others:
        return logs, torch.zeros_like(total[..., 0])
    hidden = values.scatter(-1, classes, -torch.inf)
    return logs, hidden.logsumexp(dim=-1) - total[..., 0]
