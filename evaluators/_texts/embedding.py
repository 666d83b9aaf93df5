"""Embeddings of texts: the hidden states of an encoder, pooled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ...errors import InputError, TrialError
from ...plugins import call_user
from .._labelled.dataset import IntArray
from .._scoring import device_of, undisturbed
from .tokenised import Texts

Pooling = Literal["mean", "cls", "last"]


@dataclass(frozen=True)
class Embedding:
    """How a text becomes a vector.

    Attributes:
        pooling: the `mean` of the hidden states of all tokens, or that of the first (`cls`) or `last` one.
        normalise: whether vectors get length 1, so that their products are cosines.
        batch_size: texts per forward pass.
    """

    pooling: Pooling
    normalise: bool
    batch_size: int

    def embed(self, model: Any, texts: Texts, rows: IntArray) -> Any:
        """Vectors of some texts: a tensor, float32, `rows x dimension`, where the model lies.

        Raises:
            InputError: the model has no hidden states.
            TrialError: vectors that are not finite.
        """
        import torch

        found: Any = None
        for places, inputs in texts.batches(rows, self.batch_size, device_of(model)):
            vectors = self._pooled(_hidden(model, inputs), inputs["attention_mask"])[: len(places)]
            if found is None:
                found = torch.empty((len(rows), vectors.shape[1]), device=vectors.device)
            found[torch.from_numpy(places).to(found.device)] = vectors
        bad = int((~found.isfinite()).any(dim=1).sum())
        if bad:
            raise TrialError(f"the model's embeddings are not finite for {bad} of {len(rows)} texts")
        return torch.nn.functional.normalize(found, dim=1) if self.normalise else found

    def check(self, what: str, model: Any, texts: Texts) -> None:
        """Try one batch, before the first candidate fails at it.

        Raises:
            InputError: the model cannot read the texts, or has no hidden states.
        """
        rows = texts.groups[0][0][:1]
        with undisturbed(model):
            try:
                call_user(f"{what}: the model", self.embed, model=model, texts=texts, rows=rows)
            except TrialError as error:
                raise InputError(f"{what}: {error}, as it stands on disk; copy or download it again") from error

    def _pooled(self, hidden: Any, mask: Any) -> Any:
        """One float32 vector per text, from `texts x tokens x dimension` and `texts x tokens`."""
        import torch

        if self.pooling == "mean":
            weights = mask.unsqueeze(2).float()
            return (hidden.float() * weights).sum(dim=1) / weights.sum(dim=1)
        order = torch.arange(mask.shape[1], device=mask.device)
        places = (mask * (1 + order)).argmax(dim=1) if self.pooling == "last" else mask.argmax(dim=1)
        return hidden[torch.arange(len(hidden), device=hidden.device), places].float()


def _hidden(model: Any, inputs: Any) -> Any:
    """Hidden states of the last layer, `texts x tokens x dimension`, of the model without its head."""
    result = getattr(model, "base_model", model)(**inputs)
    states = getattr(result, "last_hidden_state", None)
    if states is None:
        raise InputError(f"the model returned {type(result).__name__}, without last_hidden_state; give an encoder")
    return states
