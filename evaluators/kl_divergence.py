"""How far a candidate's predictions have moved from the base's: the Kullback-Leibler divergence, token by token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ._digest import digest
from ._options import at_least
from ._outputs import logits_of
from ._scoring import device_of, undisturbed
from ._scratch import scratch_tensor
from ._texts.answers import Tokens, read_answers
from ._texts.sequences import Sequences
from ._texts.windows import read_text, windows_of
from .evaluator import Evaluator, IntArray, Scores
from .statistics.scores import MetricScores


class KLDivergenceEvaluator(Evaluator):
    """KL(candidate ‖ base) = Σ p·(log p − log q) over the vocabulary, the mean of a sample's tokens. Differentiable.

    The direction is that of the penalty which keeps a tuned policy near the model it came from (Ziegler et al. 2019,
    https://arxiv.org/abs/1909.08593): it grows where a candidate says what the base would not. Tokens are those of a
    file rather than the candidate's own, so that all candidates are compared in the same places and without the noise
    of sampling. A sample is a window of a text, or an answer, of which the response counts; all samples count alike.
    """

    def __init__(
        self, name: str, file: str, window: int = 512, batch_size: int = 8, apply_chat_template: bool = False
    ) -> None:
        """Read the file.

        Args:
            name: the evaluator's name, and its task's.
            file: path of a UTF-8 text; or of JSON lines with `prompt` and `response` (ending in .jsonl).
            window: tokens per window of a text, 2 or more, within what the model can attend to.
            batch_size: windows or answers per forward pass.
            apply_chat_template: put each prompt into the tokenizer's chat template.

        Raises:
            InputError: the file is missing, empty, not UTF-8 or has a bad line, or a number is out of range.
        """
        super().__init__(name)
        at_least(2, name, window=window)
        at_least(1, name, batch_size=batch_size)
        self.window, self.batch_size, self.chat = window, batch_size, apply_chat_template
        path = Path(file).expanduser()
        self._answers = read_answers(path) if path.suffix == ".jsonl" else []
        self._text = "" if self._answers else read_text(name, file)
        self._sequences = Sequences([], batch_size)
        self._base: Any = None  # the base's logits of all tokens that count, one sequence after another
        self._starts = np.zeros(1, dtype=np.int64)  # of each sequence among them, and the end of the last one

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Tokenise the file, once.

        Raises:
            InputError: no tokenizer, a text shorter than a window, or an answer or window that the model cannot attend
                to.
        """
        if tokenizer is None:
            raise InputError(f"evaluator '{self.name}' needs a tokenizer; put one beside the base model's weights")
        if self._answers:
            self._sequences = Sequences.of_answers(self._answers, model, tokenizer, self.chat, self.batch_size)
        else:
            windows = windows_of(self.name, self._text, model, tokenizer, self.window)
            self._sequences = Sequences([Tokens(ids, 1) for ids in windows.tolist()], self.batch_size)
        counted = self._sequences.counted(np.arange(len(self._sequences)))
        self._starts = np.concatenate([np.zeros(1, dtype=np.int64), counted.cumsum()])

    def tasks(self) -> dict[str, int]:
        """The evaluator's name -> number of windows or answers.

        Raises:
            InputError: it has a text, and `prepare` has not been given a tokenizer.
        """
        if not self._answers and not len(self._sequences):
            raise InputError(f"evaluator '{self.name}' counts tokens; call prepare with a tokenizer first")
        return {self.name: len(self._answers) or len(self._sequences)}

    def metrics(self) -> dict[str, dict[str, bool]]:
        """`kl` (nats per token); lower is better."""
        return {self.name: {"kl": False}}

    def references(self) -> Sequence[str]:
        """The base."""
        return ("base",)

    def observe(self, reference: str, model: Any) -> None:
        """Keep the base's logits, as they come out of `model`, in a temporary file.

        Raises:
            InputError: there is no room for them.
        """
        rows, device = np.arange(len(self._sequences)), device_of(model)
        with undisturbed(model):
            for places, ids in self._sequences.batches(rows, device):
                logits = logits_of(model, ids)
                if self._base is None:
                    shape = (int(self._starts[-1]), logits.shape[-1])
                    self._base = scratch_tensor(f"the base's logits of {shape[0]} tokens", shape, logits.dtype)
                for place, row in enumerate(places):
                    self._known(row).copy_(logits[place, self._sequences.predicting(row)])

    def score(self, model: Any, samples: Mapping[str, IntArray]) -> Scores:
        """Compare `model` with the base.

        Raises:
            InputError: `observe` has not been called.
        """
        rows = np.asarray(samples[self.name])
        each = np.empty(len(rows))
        with undisturbed(model):
            for places, found in self._divergences(model, rows):
                each[places] = [float(one) for one in found]
        return {self.name: {"kl": MetricScores.mean(each)}}

    def differentiable(self) -> dict[str, Sequence[str]]:
        """`kl`."""
        return {self.name: ("kl",)}

    def backward(self, model: Any, task: str, metric: str, samples: IntArray) -> MetricScores:
        """Score `kl` and differentiate it, batch by batch."""
        rows = np.asarray(samples)
        each = np.empty(len(rows))
        with undisturbed(model, gradients=True):
            for places, found in self._divergences(model, rows):
                (sum(found) / len(rows)).backward()
                each[places] = [float(one.detach()) for one in found]
        return MetricScores.mean(each)

    def fingerprint(self) -> str:
        """Hash (hexadecimal) of the options and the file's content, and of its tokens once they are known."""
        answers = [[one.prompt, one.response, one.ended] for one in self._answers]
        tokens = [[list(one.ids), one.start] for one in self._sequences.tokens]
        options = self.window, self.batch_size, self.chat
        return digest("kl_divergence", self._text, answers, options, tokens)

    def _known(self, row: int) -> Any:
        return self._base[self._starts[row] : self._starts[row + 1]]

    def _divergences(self, model: Any, rows: IntArray) -> Iterator[tuple[IntArray, list[Any]]]:
        """Batch after batch, places in `rows` and the mean divergence of each sequence as a tensor."""
        if self._base is None:
            raise InputError(f"evaluator '{self.name}' does not know the base's predictions; call observe first")
        for places, ids in self._sequences.batches(rows, device_of(model)):
            logits = logits_of(model, ids)
            yield places, [self._divergence(row, logits[place]) for place, row in enumerate(rows[places])]

    def _divergence(self, row: int, logits: Any) -> Any:
        from torch.nn.functional import kl_div

        own = logits[self._sequences.predicting(row)].float().log_softmax(dim=-1)
        base = self._known(row).to(own.device).float().log_softmax(dim=-1)
        return kl_div(base, own, reduction="batchmean", log_target=True)  # a batch of tokens
