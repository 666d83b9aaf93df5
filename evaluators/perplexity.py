"""Perplexity of a language model on a text file, window by window; and how sure it is of its predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ._digest import digest
from ._labelled.batched import Batched
from ._labelled.dataset import Table
from ._options import at_least, chosen
from ._outputs import logits_of
from ._scoring import device_of, undisturbed
from ._texts.windows import read_text, windows_of
from .evaluator import IntArray, Scores
from .statistics.scores import MetricScores

# Metric -> what is added up over a window's tokens, and what is made of the mean of that.
_METRICS: Mapping[str, tuple[str, Literal["identity", "exp"]]] = {
    "perplexity": ("loss", "exp"),
    "loss": ("loss", "identity"),
    "entropy": ("entropy", "identity"),
}


class PerplexityEvaluator(Batched):
    """Cuts the file's tokens into windows that do not overlap; a sample is a window, the task has this one's name.

    Each token of a window but the first is predicted from those before it. Tokens that do not fill a last window
    are left out. How many windows there are depends on the tokenizer, so `tasks` is known once `prepare` has been
    given one (its model may be None).
    """

    def __init__(
        self,
        name: str,
        file: str,
        window: int = 512,
        batch_size: int = 8,
        metrics: Sequence[str] = ("perplexity", "loss"),
    ) -> None:
        """Check the options and that there is text.

        Args:
            name: the evaluator's name, and its task's.
            file: path of a UTF-8 text file.
            window: tokens per window, 2 or more, within what the model can attend to.
            batch_size: windows per forward pass.
            metrics: `perplexity`, `loss` (nats per token), and `entropy` of the predicted tokens (nats), which needs
                no text that is right, but costs a further pass over the logits.

        Raises:
            InputError: the file is missing, empty or not UTF-8, a number is out of range, or a metric is unknown.
        """
        super().__init__(name)
        at_least(2, name, window=window)
        at_least(1, name, batch_size=batch_size)
        self._metrics = chosen(name, metrics, _METRICS)
        self._text = read_text(name, file)
        self.window, self.batch_size = window, batch_size
        self._windows: Table | None = None

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Tokenise the text, once.

        Raises:
            InputError: no tokenizer, a window longer than the model can attend to, or a text shorter than a window.
        """
        self._windows = _table(windows_of(self.name, self._text, model, tokenizer, self.window))

    def tasks(self) -> dict[str, int]:
        """The evaluator's name -> number of windows.

        Raises:
            InputError: `prepare` has not been given a tokenizer.
        """
        return {self.name: len(self._prepared().labels)}

    def metrics(self) -> dict[str, dict[str, bool]]:
        """The chosen ones; lower is better."""
        return {self.name: dict.fromkeys(self._metrics, False)}

    def batches(self, task: str, rows: IntArray, device: Any) -> Iterator[tuple[IntArray, Any]]:
        """Cut windows into batches of one shape: (places in `rows` that come first in it, tokens)."""
        return self._prepared().batches(np.asarray(rows), self.batch_size, device)

    def score(self, model: Any, samples: Mapping[str, IntArray]) -> Scores:
        """Score `model` on windows: perplexity = exp(Σ nll / Σ tokens), loss = Σ nll / Σ tokens."""
        import torch

        rows = np.asarray(samples[self.name])
        kinds = list(dict.fromkeys(kind for kind, _ in self._metrics.values()))
        with undisturbed(model):
            found = torch.cat(list(self._sums(model, kinds, rows)), dim=1).cpu().double().numpy()
        # All windows are of one length, so that means per token are plain means of theirs.
        means = dict(zip(kinds, found / (self.window - 1), strict=True))
        ones = np.ones(len(rows))
        return {
            self.name: {
                name: MetricScores.mean(means[kind])
                if link == "identity"
                else MetricScores.weighted(means[kind], ones, link)
                for name, (kind, link) in self._metrics.items()
            }
        }

    def differentiable(self) -> dict[str, Sequence[str]]:
        """`loss`, and `entropy` where it is among the metrics."""
        return {self.name: ("loss", *(("entropy",) if "entropy" in self._metrics else ()))}

    def backward(self, model: Any, task: str, metric: str, samples: IntArray) -> MetricScores:
        """Score `loss` or `entropy` and differentiate it, batch by batch."""
        tokens, sums = np.full(len(samples), self.window - 1), []
        with undisturbed(model, gradients=True):
            for each in self._sums(model, [metric], np.asarray(samples)):
                (each.sum() / float(tokens.sum())).backward()
                sums.append(each[0].detach().cpu().double().numpy())
        return MetricScores.weighted(np.concatenate(sums), tokens)

    def fingerprint(self) -> str:
        """Hash (hexadecimal) of the options and the file's text, and of its tokens once they are known."""
        windows = None if self._windows is None else self._windows.inputs
        return digest("perplexity", self._text, self.window, self.batch_size, list(self._metrics), windows)

    def _prepared(self) -> Table:
        if self._windows is None:
            raise InputError(f"evaluator '{self.name}' counts tokens; call prepare with a tokenizer first")
        return self._windows

    def _sums(self, model: Any, kinds: Sequence[str], rows: IntArray) -> Iterator[Any]:
        """Nats of each kind, added up over the tokens of each window: tensors, `kinds x windows`, batch by batch."""
        import torch

        for places, tokens in self.batches(self.name, rows, device_of(model)):
            logits = logits_of(model, tokens)
            each = [_window_sums(kinds, logits[row, :-1], tokens[row, 1:]) for row in range(len(places))]
            yield torch.stack(each, dim=1)


def _window_sums(kinds: Sequence[str], logits: Any, targets: Any) -> Any:
    """Of one window at a time, so that one float32 copy of logits lives: tensor, `kinds`."""
    import torch

    logits, sums = logits.float(), []
    for kind in kinds:
        if kind == "loss":
            sums.append(torch.nn.functional.cross_entropy(logits, targets, reduction="sum"))
        else:
            sums.append(torch.distributions.Categorical(logits=logits, validate_args=False).entropy().sum())
    return torch.stack(sums)


def _table(windows: NDArray[np.int64]) -> Table:
    import torch

    return Table(torch.from_numpy(windows), np.arange(len(windows)))
