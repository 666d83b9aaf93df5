"""The live model as lm-eval sees it. Importing this file imports lm-eval and transformers."""

from __future__ import annotations

import copy
import json
from typing import Any

from lm_eval.models.huggingface import HFLM


class HarnessModel(HFLM):  # type: ignore[misc, unused-ignore]  # the library is not typed
    """lm-eval's wrapper around a model in memory; it tokenises each text once, and shows no progress bars."""

    def __init__(self, model: Any, tokenizer: Any, batch_size: int) -> None:
        """Wrap `model` (a transformers model) and a copy of `tokenizer`, whose padding token lm-eval sets."""
        self._encoded: dict[Any, list[int]] = {}
        self._asked: list[Any] | None = None
        super().__init__(pretrained=model, tokenizer=copy.deepcopy(tokenizer), batch_size=batch_size)

    def around(self, model: Any) -> HarnessModel:
        """The same for another model, such as one that was exported; what was tokenised stays."""
        other = HarnessModel(model, self.tokenizer, self.batch_size)
        other._encoded = self._encoded
        return other

    @property
    def tokenizer_settings(self) -> str:
        """All that decides which tokens a text becomes, as JSON; not the padding and truncation of the call before."""
        fast = getattr(self.tokenizer, "backend_tokenizer", None)
        rules = {"vocab": self.tokenizer.get_vocab()} if fast is None else json.loads(fast.to_str())
        kept = {name: rule for name, rule in rules.items() if name not in ("padding", "truncation")}
        special = self.tokenizer.special_tokens_map, self.prefix_token_id
        return json.dumps([kept, special], sort_keys=True, default=str)

    @property
    def device(self) -> Any:
        """Where the model is now; it may have moved since it was wrapped."""
        return self.model.device

    def tok_encode(self, string: str, *args: Any, **kwargs: Any) -> list[int]:
        """Token numbers of `string`, remembered: every candidate is asked the same questions."""
        key = (string, args, tuple(sorted(kwargs.items())))
        if key not in self._encoded:
            self._encoded[key] = super().tok_encode(string, *args, **kwargs)
        return list(self._encoded[key])

    def token_pairs(self, request: Any) -> list[tuple[list[int], list[int]]]:
        """The tokens, (context, continuation), of a log-likelihood request (an Instance); several for a rolling one.

        The library is asked as always, and the model below it is not: so these are the tokens that scores are of.
        """
        self._asked = []
        getattr(self, request.request_type)([request], disable_tqdm=True)
        pairs, self._asked = [(context, continuation) for _, context, continuation in self._asked], None
        return pairs

    def _loglikelihood_tokens(self, requests: Any, disable_tqdm: bool = True, override_bs: int | None = None) -> Any:
        """The hook below all log-likelihoods; the rolling one asks for a progress bar without a way to refuse."""
        if self._asked is not None:
            self._asked += requests
            return [(0.0, False)] * len(requests)
        return super()._loglikelihood_tokens(requests, disable_tqdm=True, override_bs=override_bs)
