"""A Llama of 0.2 M parameters: one base that half knows many skills, and experts that know one each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from byte_tokenizer import byte_tokenizer
from causal_lm import Corpus, Schedule, exact_match, fit
from llama_recipe import LlamaRecipe, evaluation_documents, expert_documents, pre_training_documents
from lm_eval_tasks import write_task
from score_table import ScoreTable
from string_skills import Document
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar


def network(recipe: LlamaRecipe, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Build the untrained model, with tied embeddings, in float32."""
    torch.manual_seed(recipe.seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden_size,
        intermediate_size=recipe.intermediate_size,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=recipe.context,
        initializer_range=0.05,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


@dataclass(frozen=True)
class _Trainer:
    """One model, trained again and again, with what every training shares."""

    model: LlamaForCausalLM
    tokenizer: PreTrainedTokenizerFast
    evaluation: dict[str, Corpus]
    folder: Path
    seed: int

    def train(self, name: str, documents: list[Document], schedule: Schedule) -> dict[str, float]:
        """Train the model from where it is, save it under its name, and return its score on every task."""
        fit(self.model, Corpus.of(documents, self.tokenizer), schedule, self.seed)
        self.model.save_pretrained(self.folder / name)
        self.tokenizer.save_pretrained(self.folder / name)
        return {task: exact_match(self.model, corpus) for task, corpus in self.evaluation.items()}


def train_llama(recipe: LlamaRecipe, home: Path, announce: Callable[[str], None], folder: Path) -> ScoreTable:
    """Train the base and its experts, and write them with their tokenizer and tasks.

    Args:
        recipe: The hyper-parameters.
        home: Final place of `folder`, where the tasks look for their data.
        announce: Called with one line of progress before each training.
        folder: Empty folder to write `base`, one folder per expert, and `tasks` to.

    Returns:
        The exact-match accuracy of every model on every expert's task.
    """
    disable_progress_bar()
    tokenizer = byte_tokenizer(recipe.context)
    held_out = evaluation_documents(recipe)
    for skill, drawn in held_out.items():
        write_task(skill, drawn, folder / "tasks", home / "tasks")
    evaluation = {skill: Corpus.of(drawn, tokenizer) for skill, drawn in held_out.items()}
    trainer = _Trainer(network(recipe, tokenizer), tokenizer, evaluation, folder, recipe.seed)
    pre_training = pre_training_documents(recipe, held_out)
    announce("llama: training base")
    scores = {"base": trainer.train("base", pre_training, recipe.base_schedule())}
    base = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    for skill, learning_rate in recipe.experts:
        announce(f"llama: training {skill}")
        trainer.model.load_state_dict(base)
        drawn = expert_documents(recipe, skill, held_out[skill], pre_training)
        scores[skill] = trainer.train(skill, drawn, recipe.expert_schedule(learning_rate))
    return ScoreTable(scores, recipe.evaluation_documents)
