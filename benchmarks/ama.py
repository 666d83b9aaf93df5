"""AMA beside plain averaging at the same mean: how much of an expert's skill is kept, and what of the base's skills.

For each expert of the zoo's Llama and several seeds: the expert answers prompts of its skill that nobody trained on,
right answers are the proxy set, and ratios are searched at three means. "published" minimises the loss on the proxy
set alone, with a ratio per layer; "anchored" has a ratio per tensor, follows several weightings of that loss and the
loss on answers of the base to prompts of its other skills, and takes the table of least loss on the latter that is no
worse than plain averaging on the former. Skills are exact matches on documents of yet other seeds.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _harness import Outcome, Target, main
from scipy.stats import t as student

from mergesearch import Config, Run, run
from mergesearch.evaluators._answering.choosing import choose_answers
from mergesearch.evaluators._answering.generating import Sampling, generate_answers
from mergesearch.evaluators._texts.answers import write_answers
from mergesearch.evaluators.answers import AnswersEvaluator
from mergesearch.runs.record import TrialRecord
from mergesearch.runs.session import open_session

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "examples" / "zoo"))
from causal_lm import Corpus, exact_match  # noqa: E402
from llama_recipe import LlamaRecipe  # noqa: E402
from string_skills import SKILLS, documents  # noqa: E402

LLAMA = ROOT / "zoo" / "llama"
EXPERTS, LENGTH = [skill for skill, _ in LlamaRecipe().experts], LlamaRecipe().evaluation_length
SHARES = (0.2, 0.4, 0.6)
STEPS = 40
PROMPTS, ANSWERS, DOCUMENTS = 200, 160, 300
LOST = 0.01  # of a skill (one in a hundred documents) that still counts as keeping it
TITLES = {"own": "expert's skill", "others": "base's skills", "loss": "loss on base's answers"}
VARIANTS: dict[str, dict[str, Any]] = {
    "published": {"groups": {"ama": {"blocks": "layers"}}, "options": {"steer": [1, 0]}},
    "anchored": {"groups": "tensors", "options": {"map": "projected", "rate": 0.03, "keep": [True, False]}},
}


@dataclass(frozen=True)
class Case:
    """One expert and one seed, with files of answers in `folder`."""

    expert: str
    seed: int
    folder: Path

    def answer(self) -> None:
        """Write the expert's right answers to prompts of its skill, and the base's answers to those of others."""
        own = {one.question: one.answer for one in documents(self.expert, PROMPTS, [LENGTH], 1000 + self.seed)}
        drawn = generate_answers(*_model(self.expert), list(own), Sampling(2, self.seed, 12, batch_size=100))
        right = [float(one.response == own[one.prompt]) for one in drawn]
        write_answers(self.folder / "proxy.jsonl", choose_answers(drawn, right, 1.0, None, ANSWERS, self.seed))
        for name, seed in (("kept", 1000 + self.seed), ("fresh", 2000 + self.seed)):
            asked = [
                one.question
                for skill in SKILLS
                if skill != self.expert
                for one in documents(skill, ANSWERS // (len(SKILLS) - 1), LlamaRecipe().base_lengths, seed)
            ]
            answers = generate_answers(*_model("base"), asked, Sampling(1, seed, 12, batch_size=100))
            write_answers(self.folder / f"{name}.jsonl", answers)

    def config(self, variant: str) -> Config:
        """The search of a variant."""
        space, options = VARIANTS[variant]["groups"], VARIANTS[variant]["options"]
        return Config(
            name=variant,
            models={"base": str(LLAMA / "base"), "members": {"expert": str(LLAMA / self.expert)}, "device": "cpu"},
            space={"groups": space, "kind": "mean"},
            search={
                "searcher": "ama",
                "options": {"pre_shares": SHARES, "steps": STEPS, "patience": STEPS, **options},
                "baselines": ["base", "member*"],
            },
            evaluators={
                name: {"kind": "answers", "file": str(self.folder / f"{name}.jsonl"), "batch_size": 80}
                for name in ("proxy", "kept")
            },
            objectives=["proxy/loss", "kept/loss"],
            samples={"held_out": 0.0},
            budget={"trials": 10_000},
            out=str(self.folder),
        )

    def figures(self, config: Config, record: TrialRecord) -> dict[str, float]:
        """Exact match of the expert's skill and of the mean of all others, and the loss on the base's own answers."""
        session, tokenizer = open_session(config), _model("base")[1]
        session.bench.write(record.proposal)
        model: Any = session.models.model
        found = {}
        for skill in SKILLS:
            lengths = [LENGTH] if skill in EXPERTS else [5, 6]  # the base knows skills without an expert on short words
            found[skill] = exact_match(
                model, Corpus.of(documents(skill, DOCUMENTS, lengths, 2000 + self.seed), tokenizer)
            )
        fresh = AnswersEvaluator("fresh", str(self.folder / "fresh.jsonl"))
        fresh.prepare(model, tokenizer)
        loss = fresh.score(model, {"fresh": np.arange(fresh.tasks()["fresh"])})["fresh"]["loss"].value
        return {"own": found.pop(self.expert), "others": float(np.mean(list(found.values()))), "loss": loss}


def measure(quick: bool) -> Outcome:
    """Search every expert with every variant; the first rows of each mean are plain averaging."""
    from train import build_zoo

    build_zoo(ROOT / "zoo")
    cases = [(expert, seed) for seed in range(1 if quick else 3) for expert in (EXPERTS[:2] if quick else EXPERTS)]
    gains: dict[tuple[str, float], list[dict[str, float]]] = {}
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for found in pool.map(_gains, *zip(*cases, strict=True)):
            for key, figures in found.items():
                gains.setdefault(key, []).append(figures)
    rows = [_row(variant, share, figures) for (variant, share), figures in sorted(gains.items(), reverse=True)]
    targets = []
    for variant in VARIANTS:
        every = [one for (name, _), figures in gains.items() if name == variant for one in figures]
        own, others, loss = (float(np.mean([one[f"{key} gain"] for one in every])) for key in TITLES)
        targets.append(Target(f"{variant}: expert's skill, over plain averaging", own, -LOST, at_most=False))
        if variant == "anchored":  # the published objective promises nothing of the base
            targets.append(Target(f"{variant}: base's skills, over plain averaging", others, 0.0, at_most=False))
            targets.append(Target(f"{variant}: loss on the base's answers, over plain averaging", loss, 0.0))
    count = len(next(iter(gains.values())))
    note = f"± is a 95 % interval of the paired difference over {count} pairs of expert and seed."
    return Outcome("AMA and plain averaging at the same mean", rows, targets, note)


def _gains(expert: str, seed: int) -> dict[tuple[str, float], dict[str, float]]:
    """(variant, pre share) -> figures of plain averaging, and by how much those of the chosen ratios exceed them."""
    torch.set_num_threads(1)
    gains = {}
    with tempfile.TemporaryDirectory() as folder:
        case = Case(expert, seed, Path(folder))
        case.answer()
        for variant in VARIANTS:
            config = case.config(variant)
            result = run(config)
            for share in SHARES:
                plain, chosen = (case.figures(config, one) for one in _chosen(result, share, variant))
                gains[variant, share] = plain | {f"{key} gain": chosen[key] - plain[key] for key in plain}
    return gains


def _chosen(result: Run, share: float, variant: str) -> tuple[TrialRecord, TrialRecord]:
    """Plain averaging at this mean, and the trial that the variant's rule prefers, by the losses of the search."""
    own = [
        (record, record.values)
        for record in result.records
        if record.values and record.proposal.origin == "ama" and _share(record) == share
    ]
    plain = own[0]
    if variant == "published":
        return plain[0], min(own, key=lambda one: one[1][0])[0]
    return plain[0], min((one for one in own if one[1][0] <= plain[1][0]), key=lambda one: one[1][1])[0]


def _share(record: TrialRecord) -> float:
    return round(1.0 - float(record.proposal.table.members.mean()), 9)


def _row(variant: str, share: float, figures: Sequence[Mapping[str, float]]) -> dict[str, str | float]:
    row: dict[str, str | float] = {"ratios": variant, "base's share": share}
    for key, title in TITLES.items():
        plain, gains = (np.array([one[name] for one in figures]) for name in (key, f"{key} gain"))
        half = student.ppf(0.975, max(1, len(gains) - 1)) * gains.std(ddof=1) / np.sqrt(len(gains))
        row |= {f"{title}, plain": f"{plain.mean():.3f}", f"{title}, AMA": f"{gains.mean():+.3f} ± {half:.3f}"}
    return row


def _model(name: str) -> tuple[Any, Any]:
    from transformers import AutoTokenizer, LlamaForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    return LlamaForCausalLM.from_pretrained(LLAMA / name), AutoTokenizer.from_pretrained(LLAMA / name)


if __name__ == "__main__":
    main(measure, __doc__ or "")
