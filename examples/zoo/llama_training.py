"""A Llama of 0.2 M parameters: one base that knows many skills half, and experts that know one each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from byte_tokenizer import byte_tokenizer
from causal_lm import Corpus, Schedule, exact_match, fit
from lm_eval_tasks import write_task
from score_table import ScoreTable
from string_skills import SKILLS, Document, documents
from zoo_cache import Recipe


@dataclass(frozen=True)
class LlamaRecipe(Recipe):
    """Hyper-parameters of the base and of its experts.

    Attributes:
        experts: Skills that get an expert and an lm-eval task; the base is pre-trained on every skill.
        evaluation_length: Word length of the evaluation documents and of the experts' training.
        base_lengths: Word lengths of pre-training: the long words are rare, which leaves room to gain.
    """

    hidden_size: int = 64
    intermediate_size: int = 160
    layers: int = 4
    heads: int = 4
    context: int = 64
    experts: tuple[str, ...] = ("sort", "count", "unique", "caesar")
    evaluation_length: int = 8
    evaluation_documents: int = 400
    base_lengths: tuple[int, ...] = (4, 4, 4, 5, 5, 5, 6, 6, 6, 7, 8)
    base_documents: int = 8000
    expert_documents: int = 12000
    base_schedule: Schedule = Schedule(steps=450, learning_rate=3e-3, final_fraction=0.2)
    expert_schedule: Schedule = Schedule(steps=200, learning_rate=4e-4, final_fraction=0.05)


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


def train_llama(recipe: LlamaRecipe, home: Path, announce: Callable[[str], None], folder: Path) -> ScoreTable:
    """Train the base and its experts, and write them with their tokenizer and tasks.

    Args:
        recipe: The hyper-parameters.
        home: Final place of `folder`, which the tasks name their data by.
        announce: Called with one line of progress before each training.
        folder: Empty folder to write `base`, one folder per expert, and `tasks` to.

    Returns:
        The exact-match accuracy of every model on every expert's task.
    """
    tokenizer = byte_tokenizer(recipe.context)
    questions = _evaluation_documents(recipe)
    _write_tasks(questions, folder / "tasks", home / "tasks")
    evaluate = partial(_scores, corpora={name: Corpus.of(drawn, tokenizer) for name, drawn in questions.items()})
    model = network(recipe, tokenizer)
    scores = {}
    base: dict[str, torch.Tensor] = {}
    for name in ("base", *recipe.experts):
        announce(f"llama: training {name}")
        if base:
            model.load_state_dict(base)
        schedule = recipe.expert_schedule if base else recipe.base_schedule
        fit(model, _training_corpus(recipe, name, questions, tokenizer), schedule, recipe.seed)
        base = base or {key: tensor.clone() for key, tensor in model.state_dict().items()}
        scores[name] = evaluate(model)
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return ScoreTable(scores, recipe.evaluation_documents)


def _evaluation_documents(recipe: LlamaRecipe) -> dict[str, list[Document]]:
    count, lengths = recipe.evaluation_documents, [recipe.evaluation_length]
    return {name: documents(name, count, lengths, seed=recipe.seed) for name in recipe.experts}


def _training_corpus(recipe: LlamaRecipe, model: str, held_out: dict[str, list[Document]],
                     tokenizer: PreTrainedTokenizerFast) -> Corpus:
    """Encode what a model is trained on: every skill for the base, long words of one skill for an expert."""
    is_base = model == "base"
    count = recipe.base_documents if is_base else recipe.expert_documents
    lengths = recipe.base_lengths if is_base else (recipe.evaluation_length,)
    drawn: list[Document] = []
    for name in SKILLS if is_base else (model,):
        drawn += documents(name, count, lengths, recipe.seed + 1, excluded=set(held_out.get(name, ())))
    return Corpus.of(drawn, tokenizer)


def _write_tasks(questions: dict[str, list[Document]], folder: Path, home: Path) -> None:
    folder.mkdir(parents=True)
    for name, drawn in questions.items():
        write_task(name, drawn, folder, home)


def _scores(model: LlamaForCausalLM, corpora: dict[str, Corpus]) -> dict[str, float]:
    return {name: exact_match(model, corpus) for name, corpus in corpora.items()}
