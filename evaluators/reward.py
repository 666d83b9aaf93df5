"""Mean reward of generated answers, by a reward model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import InputError
from ._answering.generating import Sampling
from ._answering.rated import AnsweringEvaluator
from ._answering.reward_model import RewardModel, content_of
from ._digest import digest
from ._scoring import device_of
from ._texts.answers import Answer
from .statistics.scores import FloatArray


class RewardEvaluator(AnsweringEvaluator):
    """Lets a candidate answer prompts, and a reward model rate the answers; a sample is a prompt.

    The reward model is one of transformers with a single output, trained on preferences; it is loaded once, beside the
    live model. Policies that were tuned for different rewards are what rewarded soups average (Ramé et al. 2023,
    https://arxiv.org/abs/2306.04488).
    """

    def __init__(
        self,
        name: str,
        file: str,
        model: str,
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        answers: int = 1,
        seed: int = 0,
        batch_size: int = 16,
        apply_chat_template: bool = False,
    ) -> None:
        """Read the prompts.

        Args:
            name: the evaluator's name, and its task's.
            file: path of the prompts: JSON lines with `prompt` (ending in .jsonl), or a text with one on each line.
            model: folder or hub name of the reward model.
            max_new_tokens: after which an answer is cut off.
            temperature: 0 takes the likeliest token; 1 samples from the candidate itself.
            answers: per prompt, where they are sampled.
            seed: of the sampling, the same for all candidates.
            batch_size: prompts per call of the candidate, and answers per call of the reward model.
            apply_chat_template: put each prompt into the candidate's chat template.

        Raises:
            InputError: the file is missing, has no prompts or a line without one, or a number is out of range.
        """
        sampling = Sampling(answers, seed, max_new_tokens, temperature, batch_size, apply_chat_template)
        super().__init__(name, file, sampling)
        self.model = model
        self._judge: RewardModel | None = None

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Tokenise the prompts and load the reward model onto the live model's device.

        Raises:
            InputError: the prompts or the reward model cannot be used.
        """
        super().prepare(model, tokenizer)
        self._judge = self._judge or RewardModel(self.model, self.sampling.batch_size, device_of(model))

    def metrics(self) -> dict[str, dict[str, bool]]:
        """`reward`; higher is better."""
        return {self.name: {"reward": True}}

    def rate(self, answers: Sequence[Answer]) -> dict[str, FloatArray]:
        """Rewards of the answers."""
        if self._judge is None:
            raise InputError(f"evaluator '{self.name}' has no reward model yet; call prepare first")
        return {"reward": self._judge.rewards(answers)}

    def fingerprint(self) -> str:
        """Hash (hexadecimal) of the prompts, how they are answered, and the reward model's files."""
        return digest("reward", self.content(), content_of(self.model))
