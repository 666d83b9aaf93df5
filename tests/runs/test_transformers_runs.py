"""Classifiers and encoders of transformers through whole runs: trained here, searched, published, and loaded again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mergesearch.errors import InputError
from mergesearch.runs.api import Run, run
from mergesearch.runs.config import Config

WORDS = ("red", "apple", "stone", "river", "cloud", "seven", "green", "lamp")


def texts(word: str, count: int, seed: int) -> list[dict[str, str]]:
    """Sentences that are labelled by whether they have a word."""
    generator, others = np.random.default_rng([seed, WORDS.index(word)]), [one for one in WORDS if one != word]
    rows = []
    for number in range(count):
        words = [str(one) for one in generator.choice(others, 3 + number % 5)]
        if number % 2:
            words[int(generator.integers(len(words)))] = word
        rows.append({"text": " ".join(words), "label": "yes" if number % 2 else "no"})
    return rows


def tokenizer() -> Any:
    """One token per word."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({word: number for number, word in enumerate(("<pad>", *WORDS))}, "<pad>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", model_max_length=16)


def trained(model: Any, batch: dict[str, Any], steps: int) -> Any:
    """The model after some steps on one batch."""
    optimiser = torch.optim.Adam(model.train().parameters(), lr=5e-3)
    for _ in range(steps):
        optimiser.zero_grad()
        model(**batch).loss.backward()
        optimiser.step()
    return model.eval()


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT `base` that tells nothing, members `red` and `apple` that look for their word, and data of both."""
    from transformers import BertConfig, BertForSequenceClassification

    folder = tmp_path_factory.mktemp("readers")
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    names = {0: "no", 1: "yes"}
    config = BertConfig(**sizes, vocab_size=9, max_position_embeddings=16, id2label=names, hidden_dropout_prob=0.0)
    BertForSequenceClassification(config).save_pretrained(folder / "base")
    tokenizer().save_pretrained(folder / "base")
    for word in ("red", "apple"):
        rows = texts(word, 200, 0)
        batch = dict(tokenizer()([row["text"] for row in rows], return_tensors="pt", padding=True))
        batch["labels"] = torch.tensor([row["label"] == "yes" for row in rows]).long()
        model = BertForSequenceClassification.from_pretrained(folder / "base")
        trained(model, batch, 60).save_pretrained(folder / word)
        (folder / f"{word}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts(word, 80, 1)))
    return folder


def _config(folder: Path, members: list[str], out: Path, **keys: Any) -> Config:
    base = {
        "models": {
            "base": str(folder / "base"),
            "members": {name: str(folder / name) for name in members},
            "device": "cpu",
        },
        "space": {"groups": "layers", "kind": "box"},
        "search": {"searcher": "sobol"},
        "budget": {"trials": 12},
        "out": str(out),
    }
    return Config(**{**base, **keys})


def _values(result: Run, origin: str) -> dict[str, float]:
    found = next(record for record in result.records if record.proposal.origin == origin)
    assert found.values, found.reason
    names = [objective.name for objective in result.plan.objectives.each]
    return dict(zip(names, found.values, strict=True))


def test_text_classifiers_are_searched_and_published(readers: Path, tmp_path: Path) -> None:
    from transformers import pipeline

    evaluators: dict[str, dict[str, Any]] = {
        word: {
            "kind": "text_classification",
            "dataset": str(readers / f"{word}.jsonl"),
            "metrics": ["accuracy", "loss", "entropy"],
        }
        for word in ("red", "apple")
    }
    screen = {"kind": "text_classification", "dataset": str(readers / "red.jsonl"), "label": None}
    evaluators["as red"] = {"kind": "agreement", "member": "red", "on": screen}
    objectives = ["red/accuracy", "apple/accuracy", "as red/agreement"]
    result = run(_config(readers, ["red", "apple"], tmp_path, evaluators=evaluators, objectives=objectives))
    red, apple = _values(result, "member red"), _values(result, "member apple")
    assert red["red/accuracy"] > 0.9 > apple["red/accuracy"] and apple["apple/accuracy"] > 0.9 > red["apple/accuracy"]
    assert red["as red/agreement"] == 1.0 > _values(result, "base")["as red/agreement"]
    numbers = {record.proposal.origin: record.number for record in result.records}
    published = result.export(tmp_path / "merged", numbers["member apple"])
    classify = pipeline("text-classification", model=str(published), device="cpu")
    rows = texts("apple", 80, 1)
    found = classify([row["text"] for row in rows])
    assert np.mean([one["label"] == row["label"] for one, row in zip(found, rows, strict=True)]) > 0.9


def test_members_of_other_classes_bring_their_own_heads(readers: Path, tmp_path: Path) -> None:
    from transformers import BertForSequenceClassification

    rows = [{"text": row["text"], "label": len(row["text"].split()) % 3} for row in texts("apple", 160, 3)]
    batch = dict(tokenizer()([row["text"] for row in rows], return_tensors="pt", padding=True))
    batch["labels"] = torch.tensor([row["label"] for row in rows])
    torch.manual_seed(1)
    model = BertForSequenceClassification.from_pretrained(readers / "base", num_labels=3, ignore_mismatched_sizes=True)
    trained(model, batch, 80).save_pretrained(tmp_path / "length")
    (tmp_path / "length.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    members = {"red": str(readers / "red"), "length": str(tmp_path / "length")}
    data = {"red": str(readers / "red.jsonl"), "length": str(tmp_path / "length.jsonl")}
    evaluators = {
        task: {"kind": "text_classification", "dataset": data[task], "head": members[task]} for task in members
    }
    models = {"base": str(readers / "base"), "members": members, "ignore": ["classifier.*"], "device": "cpu"}
    objectives = ["red/accuracy", "length/accuracy"]
    result = run(_config(readers, [], tmp_path, models=models, evaluators=evaluators, objectives=objectives))
    red, length = _values(result, "member red"), _values(result, "member length")
    assert red["red/accuracy"] > 0.9 > length["red/accuracy"]
    assert length["length/accuracy"] > red["length/accuracy"] + 0.2


def test_gradients_of_their_losses_steer_the_search(readers: Path, tmp_path: Path) -> None:
    evaluators = {
        word: {"kind": "text_classification", "dataset": str(readers / f"{word}.jsonl"), "metrics": ["loss", "entropy"]}
        for word in ("red", "apple")
    }
    config = _config(
        readers,
        ["red", "apple"],
        tmp_path,
        evaluators=evaluators,
        objectives=["red/entropy", "apple/entropy"],
        search={"searcher": "adamerging", "options": {"steps": 12, "rate": 0.05}},
        space={"groups": "model", "kind": "box", "high": 1.0},
        budget={"trials": 20},
    )
    result = run(config)
    means = [
        sum(record.values) for record in result.records if record.values and "adamerging" in record.proposal.origin
    ]
    assert len(means) >= 8 and min(means) < means[0]


def test_encoders_are_searched_by_retrieval_and_similarity(readers: Path, tmp_path: Path) -> None:
    rows = texts("red", 30, 2)
    (tmp_path / "corpus.jsonl").write_text(
        "".join(json.dumps({"_id": f"d{number}", "text": row["text"]}) + "\n" for number, row in enumerate(rows))
    )
    queries = {"q0": "red stone", "q1": "lamp cloud", "q2": "river red seven", "q3": "green lamp"}
    (tmp_path / "queries.jsonl").write_text(
        "".join(json.dumps({"_id": key, "text": text}) + "\n" for key, text in queries.items())
    )
    judged = [
        (query, f"d{number}", int((row["label"] == "yes") == ("red" in queries[query].split())))
        for query in queries
        for number, row in enumerate(rows)
    ]
    (tmp_path / "qrels.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"{query}\t{one}\t{gain}\n" for query, one, gain in judged)
    )
    pairs = [
        {"sentence1": first["text"], "sentence2": second["text"], "score": float(first["label"] == second["label"])}
        for first, second in zip(rows, sorted(rows, key=lambda row: row["text"]), strict=True)
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    evaluators = {
        "search": {
            "kind": "retrieval",
            "corpus": str(tmp_path / "corpus.jsonl"),
            "queries": str(tmp_path / "queries.jsonl"),
            "qrels": str(tmp_path / "qrels.tsv"),
            "k": 5,
        },
        "pairs": {"kind": "similarity", "dataset": str(tmp_path / "pairs.jsonl")},
    }
    objectives = ["search/ndcg@5", "pairs/spearman"]
    result = run(_config(readers, ["red", "apple"], tmp_path, evaluators=evaluators, objectives=objectives))
    base, red = _values(result, "base"), _values(result, "member red")
    assert red["search/ndcg@5"] == 1.0 and red["pairs/spearman"] > max(0.5, base["pairs/spearman"] + 0.2)
    assert all(record.complete for record in result.records)


def test_image_classifiers_are_searched_with_the_processor_beside_the_base(tmp_path: Path) -> None:
    from PIL import Image
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    generator = np.random.default_rng(0)
    folder, tasks = tmp_path / "viewers", {"bright": (0, 2), "lying": (1, 3)}
    names = {0: "dark", 1: "upright", 2: "bright", 3: "lying"}

    def image(kind: int) -> np.ndarray:
        pixels = generator.integers(0, 50, (8, 8, 3)) + (120 if kind == 2 else 40)
        stripes = np.arange(8) % 2 * 100
        return (pixels + {1: stripes[None, :, None], 3: stripes[:, None, None]}.get(kind, 0)).astype(np.uint8)

    sizes: dict[str, Any] = {
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    torch.manual_seed(0)
    config = ViTConfig(**sizes, image_size=8, patch_size=4, id2label=names, label2id={v: k for k, v in names.items()})
    ViTForImageClassification(config).save_pretrained(folder / "base")
    processor = ViTImageProcessorPil(size={"height": 8, "width": 8})
    processor.save_pretrained(folder / "base")
    for task, kinds in tasks.items():
        labels = [kinds[number % 2] for number in range(80)]
        images = [Image.fromarray(image(label)) for label in labels]
        batch = {**processor(images=images, return_tensors="pt"), "labels": torch.tensor(labels)}
        model = ViTForImageClassification.from_pretrained(folder / "base")
        trained(model, batch, 40).save_pretrained(folder / task)
        for number in range(20):
            place = tmp_path / task / names[kinds[number % 2]]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image(kinds[number % 2])).save(place / f"{number}.png")
    evaluators = {task: {"kind": "image_classification", "dataset": str(tmp_path / task)} for task in tasks}
    objectives = [f"{task}/accuracy" for task in tasks]
    result = run(_config(folder, list(tasks), tmp_path, evaluators=evaluators, objectives=objectives))
    bright, lying = _values(result, "member bright"), _values(result, "member lying")
    assert bright["bright/accuracy"] == 1.0 > lying["bright/accuracy"]
    assert lying["lying/accuracy"] == 1.0 > bright["lying/accuracy"]
    published = result.export(tmp_path / "merged", result.pick())
    assert (published / "preprocessor_config.json").is_file()


def test_a_label_that_the_base_does_not_know_stops_before_the_first_trial(readers: Path, tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text('{"text": "red", "label": "perhaps"}\n{"text": "stone", "label": "no"}\n')
    evaluators = {"odd": {"kind": "text_classification", "dataset": str(path)}}
    config = _config(readers, ["red", "apple"], tmp_path / "runs", evaluators=evaluators, objectives=["odd/accuracy"])
    with pytest.raises(InputError, match=r"evaluator 'odd': label 'perhaps' is no class of the model; .*no, yes"):
        run(config)
    assert not (tmp_path / "runs").exists()
