"""Hyper-parameters of the small Llama, and the documents that they stand for."""

from __future__ import annotations

import random
from dataclasses import dataclass

from causal_lm import Schedule
from string_skills import SKILLS, Document, documents
from zoo_cache import Recipe

HeldOut = dict[str, list[Document]]


@dataclass(frozen=True)
class LlamaRecipe(Recipe):
    """Hyper-parameters of the base and of its experts.

    Attributes:
        experts: Skills that get an expert and an lm-eval task, each with the expert's learning rate. The rates
            differ as those of strangers do, so equal coefficients are not the best ones. The base is
            pre-trained on every skill.
        evaluation_length: Word length of the evaluation documents and of the experts' own documents.
        base_lengths: Word lengths of pre-training: long words are rare, which leaves room to gain.
        replayed_documents: Pre-training documents among those of each expert. They keep it close enough
            to the base for merging to work; many more would leave nothing to forget.
    """

    hidden_size: int = 64
    intermediate_size: int = 160
    layers: int = 4
    heads: int = 4
    context: int = 64
    experts: tuple[tuple[str, float], ...] = (("sort", 2e-3), ("count", 6e-4), ("unique", 1e-3), ("descend", 5e-4))
    evaluation_length: int = 8
    evaluation_documents: int = 400
    base_lengths: tuple[int, ...] = (4, 4, 5, 5, 6, 6, 7, 8)
    base_documents: int = 8000
    expert_documents: int = 9000
    replayed_documents: int = 300
    base_steps: int = 450
    base_learning_rate: float = 3e-3
    base_batch_size: int = 96
    expert_steps: int = 150
    expert_batch_size: int = 64

    def base_schedule(self) -> Schedule:
        """Return the schedule of pre-training."""
        return Schedule(self.base_steps, self.base_learning_rate, final_fraction=0.1, batch_size=self.base_batch_size)

    def expert_schedule(self, learning_rate: float) -> Schedule:
        """Return the schedule of an expert's fine-tuning."""
        return Schedule(self.expert_steps, learning_rate, final_fraction=0.05, batch_size=self.expert_batch_size)


def evaluation_documents(recipe: LlamaRecipe) -> HeldOut:
    """Return the documents of every expert's task, which no model is trained on."""
    count, lengths = recipe.evaluation_documents, [recipe.evaluation_length]
    return {skill: documents(skill, count, lengths, recipe.seed) for skill, _ in recipe.experts}


def pre_training_documents(recipe: LlamaRecipe, held_out: HeldOut) -> list[Document]:
    """Return the base's documents: every skill, mostly on short words."""
    drawn: list[Document] = []
    for skill in SKILLS:
        excluded = set(held_out.get(skill, ()))
        drawn += documents(skill, recipe.base_documents, recipe.base_lengths, recipe.seed + 1, excluded)
    return drawn


def expert_documents(
    recipe: LlamaRecipe, skill: str, held_out: list[Document], pre_training: list[Document]
) -> list[Document]:
    """Return an expert's documents: long words of its own skill, and a few replayed from pre-training."""
    lengths = [recipe.evaluation_length]
    own = documents(skill, recipe.expert_documents, lengths, recipe.seed + 1, set(held_out))
    return own + random.Random(recipe.seed).sample(pre_training, recipe.replayed_documents)
