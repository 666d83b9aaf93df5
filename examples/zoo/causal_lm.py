"""Training and scoring of a causal language model on questions with one right answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from string_skills import Document
from torch.nn.functional import cross_entropy
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

IGNORED = -100  # the label that cross-entropy skips


@dataclass(frozen=True)
class Schedule:
    """Length and step size of one training with AdamW.

    Attributes:
        steps: Number of optimiser steps.
        learning_rate: Peak, reached after `warm_up` steps.
        final_fraction: What is left of the peak after the linear decay.
        warm_up: Number of steps of linear warm-up.
        batch_size: Documents per step.
    """

    steps: int
    learning_rate: float
    final_fraction: float
    warm_up: int = 25
    batch_size: int = 64

    def factor(self, step: int) -> float:
        """Return the learning rate of a step (from 0), as a fraction of the peak."""
        decayed = 1 - (1 - self.final_fraction) * step / self.steps
        return decayed * min(1.0, (step + 1) / self.warm_up)


@dataclass(frozen=True)
class Corpus:
    """Encoded documents.

    Attributes:
        tokens: int64, (documents, length): BOS, question, answer, EOS, then PAD.
        labels: int64, (documents, length): the tokens of answer and EOS; `IGNORED` elsewhere.
    """

    tokens: torch.Tensor
    labels: torch.Tensor

    @classmethod
    def of(cls, documents: Sequence[Document], tokenizer: PreTrainedTokenizerFast) -> Corpus:
        """Encode documents, padded on the right to the longest of them."""
        texts = [f"{document.question}{document.answer}{tokenizer.eos_token}" for document in documents]
        encoded = tokenizer(texts, padding=True, padding_side="right", return_tensors="pt")
        tokens, attended = encoded["input_ids"], encoded["attention_mask"].bool()
        answer_starts = torch.tensor([1 + len(document.question) for document in documents])  # BOS comes first
        answered = torch.arange(tokens.shape[1]) >= answer_starts[:, None]
        return cls(tokens, tokens.masked_fill(~(answered & attended), IGNORED))


def fit(model: LlamaForCausalLM, corpus: Corpus, schedule: Schedule, seed: int) -> None:
    """Train a model in place on the answers of a corpus."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(model.parameters(), schedule.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    decay = torch.optim.lr_scheduler.LambdaLR(optimiser, schedule.factor)
    model.train()
    for _ in range(schedule.steps):
        batch = torch.randint(len(corpus.tokens), (schedule.batch_size,), generator=generator)
        logits = model(input_ids=corpus.tokens[batch]).logits[:, :-1]
        loss = cross_entropy(logits.flatten(0, 1), corpus.labels[batch, 1:].flatten(), ignore_index=IGNORED)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        decay.step()
    model.eval()


@torch.inference_mode()
def exact_match(model: LlamaForCausalLM, corpus: Corpus) -> float:
    """Return the fraction of documents that greedy decoding answers without a fault.

    One pass over the right answers is enough: greedy decoding reproduces an answer exactly when each
    of its tokens is the most likely one after the tokens before it.
    """
    predicted = model(input_ids=corpus.tokens).logits[:, :-1].argmax(dim=-1)
    labels = corpus.labels[:, 1:]
    correct = (predicted == labels) | (labels == IGNORED)
    return float(correct.all(dim=1).float().mean())
