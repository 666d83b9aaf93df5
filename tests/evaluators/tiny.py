"""Tiny real models, tokenizers, datasets and lm-eval tasks, all made on the spot; no network, no downloads."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"

import numpy as np
import torch
from torch.utils.data import Dataset, TensorDataset

torch.set_num_threads(2)

_CHAT = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}"
)
_WORDS = ("red", "green", "blue", "seven", "apple", "stone", "river", "cloud")


def tiny_llama(seed: int = 0) -> Any:
    """A random Llama with two layers of width 32 over bytes."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=260,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=256,
        eos_token_id=257,
        pad_token_id=258,
    )
    return LlamaForCausalLM(config)


def taught_llama(folder: Path, steps: int = 60, seed: int = 0) -> Any:
    """A tiny Llama half taught to answer the documents of `write_tasks`, so that some answers are right."""
    torch.manual_seed(seed)
    model, tokenizer = tiny_llama(seed), tiny_tokenizer()
    rows = [json.loads(line) for line in (folder / "documents.jsonl").read_text().splitlines()]
    texts = [f"{row['question']} -> {row['answer']}\n" for row in rows]
    batch = tokenizer(texts, return_tensors="pt", padding=True)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        optimiser.zero_grad()
        model(**batch, labels=labels).loss.backward()
        optimiser.step()
    optimiser.zero_grad()
    return model


def tiny_bert(seed: int = 0, classes: int = 3) -> Any:
    """A random BERT over bytes that tells classes of texts, in evaluation mode, with dropout."""
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=260,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
        pad_token_id=258,
        initializer_range=0.3,
        id2label=dict(enumerate(("bad", "fair", "good")[:classes])),
        label2id={name: number for number, name in enumerate(("bad", "fair", "good")[:classes])},
    )
    return BertForSequenceClassification(config).eval()


def tiny_vit(seed: int = 0) -> Any:
    """A random ViT that tells two classes of images of 8 x 8."""
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(seed)
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    names = {0: "stripes", 1: "dots"}
    config = ViTConfig(
        **sizes,
        image_size=8,
        patch_size=4,
        initializer_range=0.2,
        hidden_dropout_prob=0.1,
        id2label=names,
        label2id={name: number for number, name in names.items()},
    )
    return ViTForImageClassification(config).eval()


def tiny_tokenizer() -> Any:
    """One token per byte, and three special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*alphabet, "<s>", "</s>", "<pad>"])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", model_max_length=256
    )
    fast.chat_template = _CHAT
    return fast


def tiny_net(seed: int = 0, outputs: int = 3, width: int = 6) -> torch.nn.Module:
    """A small network with dropout and batch norm, so that its mode matters; left in training mode."""
    torch.manual_seed(seed)
    layers = torch.nn, torch.nn.Linear(width, 16), torch.nn.BatchNorm1d(16)
    return torch.nn.Sequential(layers[1], layers[2], torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Linear(16, outputs))


def blobs(count: int = 60, classes: int = 3, seed: int = 0, regression: bool = False) -> TensorDataset:
    """Random points `count x 6` with random labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    points = torch.randn(count, 6, generator=generator) + labels[:, None]
    return TensorDataset(points, points.sum(1) if regression else labels)


class MappingDataset(Dataset[Any]):
    """Inputs as keyword arguments, as for transformers models."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> Any:
        return {"input_ids": torch.arange(5) + index, "attention_mask": torch.ones(5, dtype=torch.long)}, index % 2


def mappings() -> MappingDataset:
    """A dataset of mappings."""
    return MappingDataset()


def weight_size(model: Any, samples: Any, scale: float = 1.0) -> dict[str, Any]:
    """A callable's scores: the mean size of the weights plus noise, and a constant."""
    size = next(iter(model.parameters())).abs().mean().item()
    return {"size": scale * size + 0.01 * torch.rand(100).numpy()[samples], "rank": np.asarray(samples, dtype=float)}


def write_text(folder: Path, words: int = 400) -> Path:
    """A text file."""
    generator = np.random.default_rng(3)
    path = folder / "text.txt"
    path.write_text(" ".join(generator.choice(_WORDS, words)))
    return path


def write_reviews(folder: Path, count: int = 40) -> Path:
    """A file of texts of many lengths, and pairs of them, each with the name of a class and a grade."""
    generator = np.random.default_rng(11)
    path = folder / "reviews.jsonl"
    rows = [
        {
            "text": " ".join(generator.choice(_WORDS, 1 + number % 9)),
            "reply": " ".join(generator.choice(_WORDS, 1 + number % 2)),
            "label": ("Good", "bad", "fair")[number % 3],
            "grade": float(number % 5),
        }
        for number in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_corpus(folder: Path, documents: int = 30, queries: int = 20) -> Path:
    """Corpus, queries and judgements as BEIR lays them out; the first query has no relevant document."""
    generator = np.random.default_rng(17)
    corpus = [
        {
            "_id": f"d{one}",
            "title": f"no {one}" if one % 2 else "",
            "text": " ".join(generator.choice(_WORDS, 3 + one % 8)),
        }
        for one in range(documents)
    ]
    asked = [{"_id": str(one), "text": " ".join(generator.choice(_WORDS, 2 + one % 3))} for one in range(queries)]
    judged = [(one, int(document)) for one in range(1, queries) for document in generator.choice(documents, 4, False)]
    for name, rows in (("corpus", corpus), ("queries", asked)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [f"{query}\td{document}\t{(query + document) % 3 + 1}\n" for query, document in judged]
    path = folder / "qrels.tsv"
    path.write_text("query-id\tcorpus-id\tscore\n" + "".join(lines) + "0\td1\t0\n")
    return path


def write_images(folder: Path, count: int = 12) -> Path:
    """A folder of images by class, of several sizes, and an image processor for `tiny_vit`."""
    from PIL import Image
    from transformers import ViTImageProcessorPil

    generator = np.random.default_rng(13)
    for kind in ("dots", "stripes"):
        (folder / "images" / kind).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = generator.integers(0, 60, (12, 8 + number % 3, 3), dtype=np.uint8)
            pixels[::2, :: (1 if kind == "stripes" else 2)] += 180
            Image.fromarray(pixels).save(folder / "images" / kind / f"{number:02}.png")
    ViTImageProcessorPil(size={"height": 8, "width": 8}).save_pretrained(folder / "processor")
    return folder / "images"


def write_raters(folder: Path) -> Path:
    """Prompts, and what rates the answers to them: a reward model, a judge, and a program that reads weights."""
    generator = np.random.default_rng(19)
    lines = [f"{number}: {' '.join(generator.choice(_WORDS, 1 + number % 6))} ->" for number in range(20)]
    (folder / "prompts.txt").write_text("\n".join(lines))
    tiny_reward_model().save_pretrained(folder / "rewards")
    tiny_tokenizer().save_pretrained(folder / "rewards")
    (folder / "judge.py").write_text(
        "import json, sys, zlib\n"
        "for line in sys.stdin:\n"
        "    answer = json.loads(line)\n"
        "    print(json.dumps({'length': len(answer['response']), 'luck': zlib.crc32(line.encode()) % 97}))\n"
    )
    (folder / "measure.py").write_text(
        "import json, sys\n"
        "from safetensors.numpy import load_file\n"
        "weights = load_file(sys.argv[1])\n"
        "size = float(abs(weights[min(weights)]).mean())\n"
        "numbers = [int(line) for line in open(sys.argv[2])]\n"
        "print('measured')\n"
        "print(json.dumps({'size': [size + number for number in numbers], 'all': size}))\n"
    )
    return folder


def tiny_reward_model(seed: int = 0) -> Any:
    """A random Llama over bytes with one output."""
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=260,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        pad_token_id=258,
        initializer_range=0.3,
    )
    config.num_labels = 1
    return LlamaForSequenceClassification(config)


def write_answers(folder: Path, count: int = 20) -> Path:
    """A file of prompts and responses of many lengths, some of them cut off."""
    generator = np.random.default_rng(7)
    path = folder / "answers.jsonl"
    rows = [
        {
            "prompt": f"{number}: {' '.join(generator.choice(_WORDS, 1 + number % 7))} ->",
            "response": " " + " ".join(generator.choice(_WORDS, 1 + number % 3)),
            "ended": number % 4 > 0,
        }
        for number in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_tasks(folder: Path) -> Path:
    """A folder with lm-eval tasks of each kind, over one file of documents."""
    generator = np.random.default_rng(5)
    rows = []
    for number in range(24):
        choices = [str(word) for word in generator.choice(_WORDS, 4, replace=False)]
        gold = int(generator.integers(4))
        rows.append(
            {
                "question": f"{number}: {' '.join(generator.choice(_WORDS, 3 + number % 5))}",
                "choices": choices,
                "gold": gold,
                "yes": gold % 2,
                "answer": choices[gold],
            }
        )
    data = folder / "documents.jsonl"
    data.write_text("\n".join(json.dumps(row) for row in rows))
    for name, own in _task_files().items():
        common = {
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(data)}, "cache_dir": str(folder / "cache")},
            "test_split": "test",
            "doc_to_text": "{{question}} ->",
        }
        content = own if "group" in own else {"task": name, **common, **own}
        ending = "json" if name == "tiny_json" else "yaml"
        (folder / f"{name}.{ending}").write_text(json.dumps(content))  # JSON is YAML
    return folder


def _metric(name: str, aggregation: str = "mean", higher: bool = True) -> dict[str, Any]:
    return {"metric": name, "aggregation": aggregation, "higher_is_better": higher}


def _task_files() -> dict[str, dict[str, Any]]:
    choice = {"output_type": "multiple_choice", "doc_to_choice": "{{choices}}", "doc_to_target": "gold"}
    binary = {"output_type": "multiple_choice", "doc_to_choice": "{{choices[:2]}}", "doc_to_target": "yes"}
    generate = {
        "output_type": "generate_until",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": ["\n"], "max_gen_toks": 6},
    }
    first: dict[str, Any] = {"name": "first-word", "filter": [{"function": "regex", "regex_pattern": "([a-z]+)"}]}
    strict = {"name": "strict", "filter": [{"function": "remove_whitespace"}, {"function": "take_first"}]}
    first["filter"].append({"function": "take_first"})
    return {
        "tiny_choice": choice | {"metric_list": [_metric("acc"), _metric("acc_norm")]},
        "tiny_shots": choice | {"metric_list": [_metric("acc")], "num_fewshot": 2, "fewshot_split": "test"},
        "tiny_binary": binary
        | {
            "metric_list": [
                _metric("f1", "f1"),
                _metric("mcc", "matthews_corrcoef"),
                _metric("brier_score", "brier_score", False),
            ]
        },
        "tiny_generate": generate | {"metric_list": [_metric("exact_match")], "filter_list": [first, strict]},
        "tiny_sampled": generate
        | {
            "metric_list": [_metric("chrf", "chrf")],
            "generation_kwargs": {"until": ["\n"], "max_gen_toks": 6, "do_sample": True, "temperature": 1.0},
        },
        "tiny_rolling": {
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "{{question}}",
            "metric_list": [
                _metric("word_perplexity", "weighted_perplexity", False),
                _metric("bits_per_byte", "bits_per_byte", False),
            ],
        },
        "tiny_next": {
            "output_type": "loglikelihood",
            "doc_to_target": " {{answer}}",
            "metric_list": [_metric("perplexity", "perplexity", False), _metric("acc")],
        },
        "tiny_json": choice | {"metric_list": [_metric("acc")]},
        "tiny_group": {"group": "tiny_group", "task": ["tiny_choice", "tiny_binary"]},
    }
