"""Perplexity of a language model on a text file, window by window."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ._digest import digest
from ._outputs import logits_of
from ._scoring import device_of, undisturbed
from .evaluator import Evaluator, IntArray, Scores
from .scores import MetricScores


class PerplexityEvaluator(Evaluator):
    """Cuts the file's tokens into windows that do not overlap; a sample is a window, the task has this one's name.

    Each token of a window but the first is predicted from those before it. Tokens that do not fill a last window
    are left out. How many windows there are depends on the tokenizer, so `tasks` is known once `prepare` has been
    given one (its model may be None).
    """

    def __init__(self, name: str, file: str, window: int = 512, batch_size: int = 8) -> None:
        """Check the options and that there is text.

        Args:
            name: the evaluator's name, and its task's.
            file: path of a UTF-8 text file.
            window: tokens per window, 2 or more, within what the model can attend to.
            batch_size: windows per forward pass.

        Raises:
            InputError: the file is missing, empty or not UTF-8, or a number is out of range.
        """
        super().__init__(name)
        if window < 2 or batch_size < 1:
            raise InputError(f"evaluator '{name}': window = {window}, batch_size = {batch_size}; give 2 and 1 or more")
        path = Path(file).expanduser()
        if not path.is_file():
            raise InputError(f"evaluator '{name}': no file '{file}'; give the path of a text file")
        self._content = path.read_bytes()
        try:
            self._text = self._content.decode()
        except UnicodeDecodeError as error:
            raise InputError(f"evaluator '{name}': '{file}' is not UTF-8 text ({error}); convert it") from error
        if not self._text.strip():
            raise InputError(f"evaluator '{name}': '{file}' has no text; give a file with some")
        self.window, self.batch_size = window, batch_size
        self._windows: NDArray[np.int64] | None = None

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Tokenise the text, once.

        Raises:
            InputError: no tokenizer, a window longer than the model can attend to, or a text shorter than a window.
        """
        reach = getattr(getattr(model, "config", None), "max_position_embeddings", None)
        if reach is not None and reach < self.window:
            raise InputError(
                f"evaluator '{self.name}': window = {self.window}, but the model attends to {reach} tokens"
            )
        if tokenizer is None:
            raise InputError(f"evaluator '{self.name}' needs a tokenizer; put one beside the base model's weights")
        with undisturbed():
            tokens = tokenizer(self._text, add_special_tokens=False, verbose=False)["input_ids"]
        count = len(tokens) // self.window
        if count == 0:
            raise InputError(
                f"evaluator '{self.name}': the text has {len(tokens)} tokens, less than one window of {self.window}; "
                "give a longer text or a smaller window"
            )
        self._windows = np.asarray(tokens[: count * self.window], dtype=np.int64).reshape(count, self.window)

    def tasks(self) -> dict[str, int]:
        """The evaluator's name -> number of windows.

        Raises:
            InputError: `prepare` has not been given a tokenizer.
        """
        return {self.name: len(self._prepared())}

    def metrics(self) -> dict[str, dict[str, bool]]:
        """`perplexity` and `loss` (nats per token); lower is better."""
        return {self.name: {"perplexity": False, "loss": False}}

    def score(self, model: Any, samples: Mapping[str, IntArray]) -> Scores:
        """Score `model` on windows: perplexity = exp(Σ nll / Σ tokens), loss = Σ nll / Σ tokens."""
        rows = np.asarray(samples[self.name])
        with undisturbed(model):
            nats = self._nats(model, self._prepared()[rows])
        tokens = np.full(len(rows), self.window - 1)
        scores = {
            "perplexity": MetricScores.weighted(nats, tokens, link="exp"),
            "loss": MetricScores.weighted(nats, tokens),
        }
        return {self.name: scores}

    def differentiable(self) -> dict[str, Sequence[str]]:
        """`loss`."""
        return {self.name: ("loss",)}

    def backward(self, model: Any, task: str, metric: str, samples: IntArray) -> MetricScores:
        """Score `loss` and differentiate it, batch by batch."""
        windows = self._prepared()[np.asarray(samples)]
        tokens, nats = np.full(len(windows), self.window - 1), []
        with undisturbed(model, gradients=True):
            for start in range(0, len(windows), self.batch_size):
                losses = list(self._losses(model, windows[start : start + self.batch_size]))
                (sum(losses) / tokens.sum()).backward()
                nats += [float(loss.detach()) for loss in losses]
        return MetricScores.weighted(nats, tokens)

    def fingerprint(self) -> str:
        """Hash (hexadecimal) of the options and the file's bytes, and of its tokens once they are known."""
        return digest("perplexity", self._content, self.window, self.batch_size, self._windows)

    def _prepared(self) -> NDArray[np.int64]:
        if self._windows is None:
            raise InputError(f"evaluator '{self.name}' counts tokens; call prepare with a tokenizer first")
        return self._windows

    def _nats(self, model: Any, windows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Negative log-likelihood of each window, float64, `windows`, from `windows x tokens`."""
        import torch

        return np.asarray(torch.stack(list(self._losses(model, windows))).cpu().double().numpy())

    def _losses(self, model: Any, windows: NDArray[np.int64]) -> Iterator[Any]:
        """Negative log-likelihood of each window as a tensor, one after another."""
        import torch

        size = min(self.batch_size, len(self._prepared()))
        for start in range(0, len(windows), size):
            some = windows[start : start + size]
            # A batch of one fixed shape: kernels choose their summation order by shape.
            full = np.pad(some, ((0, size - len(some)), (0, 0)), mode="edge")
            tokens = torch.from_numpy(full).to(device_of(model))
            logits = logits_of(model, tokens)
            for row in range(len(some)):  # one window at a time, so that one float32 copy of logits lives
                yield torch.nn.functional.cross_entropy(logits[row, :-1].float(), tokens[row, 1:], reduction="sum")
