"""Tasks of lm-eval (EleutherAI's language model evaluation harness), in process, on the live model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ._digest import digest
from ._scoring import undisturbed
from .evaluator import Evaluator, IntArray, Scores

if TYPE_CHECKING:
    from ._lm_eval.answering import Answering
    from ._lm_eval.pieces import Piece
    from ._lm_eval.tasks import LoadedTask
    from .statistics.scores import MetricScores


class LMEvalEvaluator(Evaluator):
    """Scores lm-eval tasks document by document, as the harness itself does.

    Tasks, prompts (with their few-shot examples), tokens and batches are made once; `score` only asks the model. A
    document's prompt does not depend on which others are asked for. Its score does not either, but for the rounding
    of batches that are composed differently, and for answers drawn at random. Models and tokenizers are those of
    transformers.
    """

    def __init__(
        self,
        name: str,
        tasks: Sequence[str],
        include_path: str | None = None,
        num_fewshot: int | None = None,
        batch_size: int = 32,
        apply_chat_template: bool = False,
        limit: int | None = None,
    ) -> None:
        """Check the options; tasks are loaded when first needed.

        Args:
            name: the evaluator's name.
            tasks: names of tasks or groups (expanded to their tasks), or paths of `.yaml` or `.json` task files.
            include_path: folder with task files of your own.
            num_fewshot: examples in each prompt; by default the task's own number.
            batch_size: requests per forward pass at the greatest length; of shorter ones, as many as take that room.
                While answers are generated, more stand together where their keys and values take up to 64 MiB.
            apply_chat_template: ask through the tokenizer's chat template, few-shot examples as turns.
            limit: use only the first so many documents of each task.

        Raises:
            InputError: no tasks, or a number out of range.
        """
        super().__init__(name)
        if isinstance(tasks, str) or not tasks:
            raise InputError(f"evaluator '{name}': tasks = {tasks!r}; give a list of one or more names")
        for option, value, least in (
            ("num_fewshot", num_fewshot, 0),
            ("batch_size", batch_size, 1),
            ("limit", limit, 1),
        ):
            if value is not None and value < least:
                raise InputError(f"evaluator '{name}': {option} = {value}; give {least} or more")
        self._names, self._include_path, self._num_fewshot = list(tasks), include_path, num_fewshot
        self._batch_size, self._chat, self._limit = batch_size, apply_chat_template, limit
        self._loaded: dict[str, LoadedTask] = {}
        self._requests: dict[str, list[list[Any]]] = {}
        self._targets: dict[str, list[list[Piece]]] | None = None
        self._model: Any = None
        self._answering: Answering | None = None

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Wrap the live `model` and build all requests.

        Raises:
            InputError: no tokenizer, no chat template where one is asked for, or not a transformers model.
        """
        if tokenizer is None or not hasattr(model, "config"):
            raise InputError(
                f"evaluator '{self.name}' needs a transformers model with a tokenizer, and got "
                f"{type(model).__name__} with {type(tokenizer).__name__}; put both in the base model's folder"
            )
        if self._chat and getattr(tokenizer, "chat_template", None) is None:
            raise InputError(f"evaluator '{self.name}': the tokenizer has no chat template; unset apply_chat_template")
        from ._lm_eval.answering import Answering
        from ._lm_eval.model import HarnessModel
        from ._lm_eval.requests import build_requests
        from ._lm_eval.tasks import quiet

        loaded = self._load()
        with undisturbed(model), quiet():
            self._model = HarnessModel(model, tokenizer, self._batch_size)
            self._requests = {name: build_requests(one, self._model, self._chat) for name, one in loaded.items()}
            self._answering = Answering(self._model, self._requests)
        self._targets = None

    def tasks(self) -> dict[str, int]:
        """Task name -> number of documents; loads the tasks."""
        return {name: one.documents for name, one in self._load().items()}

    def metrics(self) -> dict[str, dict[str, bool]]:
        """Task name -> metric name -> whether higher is better; loads the tasks."""
        return {name: one.directions() for name, one in self._load().items()}

    def score(self, model: Any, samples: Mapping[str, IntArray]) -> Scores:
        """Score the live model on documents (ascending int64 indices per task).

        Raises:
            InputError: `prepare` has not been called.
            TrialError: log-likelihoods that are not numbers, or a metric that cannot be computed.
        """
        from ._lm_eval.metrics import task_scores
        from ._lm_eval.tasks import quiet

        answering = self._require_prepared()
        with undisturbed(model), quiet():
            if self._model.model is not model:
                self._model = self._model.around(model)
            answered = answering.answer(self._model, samples)
            return {task: task_scores(task, self._loaded[task], documents) for task, documents in answered.items()}

    def differentiable(self) -> dict[str, tuple[str, ...]]:
        """`loss` for every task whose documents have gold targets: their negative log-likelihood, nats per token."""
        return dict.fromkeys(self._gold(), ("loss",))

    def backward(self, model: Any, task: str, metric: str, samples: IntArray) -> MetricScores:
        """Score `loss` on documents, teacher-forced, and differentiate it batch by batch.

        Raises:
            InputError: `prepare` has not been called.
        """
        from ._lm_eval.loss import backward_loss

        targets = self._gold()[task]
        with undisturbed(model, gradients=True):
            return backward_loss(model, [targets[row] for row in samples], self._batch_size, self._model.max_length)

    def fingerprint(self) -> str:
        """Hash (hexadecimal) of the options, the tasks' configurations and documents, and lm-eval's version.

        From `prepare` on also of the prompts, which a chat template shapes, and of the tokenizer.
        """
        from importlib.metadata import version

        options = self._num_fewshot, self._batch_size, self._chat
        tasks = {name: (one.documents, one.fingerprint()) for name, one in self._load().items()}
        prompts = [repr(request.args) for task in self._requests.values() for some in task for request in some]
        tokenizer = None if self._model is None else self._model.tokenizer_settings
        return digest("lm_eval", version("lm_eval"), options, tasks, prompts, tokenizer)

    def _load(self) -> dict[str, LoadedTask]:
        if not self._loaded:
            from ._lm_eval.tasks import load_tasks, quiet

            with undisturbed(), quiet():
                self._loaded = load_tasks(self._names, self._include_path, self._num_fewshot, self._limit)
        return self._loaded

    def _require_prepared(self) -> Answering:
        if self._answering is None:
            raise InputError(f"evaluator '{self.name}' has no requests yet; call prepare first")
        return self._answering

    def _gold(self) -> dict[str, list[list[Piece]]]:
        """Gold targets by task, of the tasks that have them; tokenised when they are first asked for."""
        from ._lm_eval.targets import gold_targets
        from ._lm_eval.tasks import quiet

        self._require_prepared()
        if self._targets is None:
            with undisturbed(), quiet():
                found = {
                    name: gold_targets(self._model, self._loaded[name].task, documents, self._chat)
                    for name, documents in self._requests.items()
                }
            self._targets = {name: one for name, one in found.items() if one is not None}
        return self._targets
