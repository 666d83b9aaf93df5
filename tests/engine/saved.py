"""Tiny real models, adapters and tokenizers, saved to disk as the libraries save them; no network, no downloads."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mergesearch.engine.models import ModelPaths, Models
from mergesearch.engine.network.tensors import floating_tensors

torch.set_num_threads(1)


def save_member(folder: Path, model: Any, seed: int, sigma: float = 1e-3) -> Path:
    """Save `model` with every floating tensor moved at random; put its weights back."""
    kept = {name: tensor.detach().clone() for name, tensor in floating_tensors(model).items()}
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in floating_tensors(model).values():
            tensor += (sigma * torch.randn(tensor.shape, generator=generator)).to(tensor.dtype)
        model.save_pretrained(folder)
        for name, tensor in floating_tensors(model).items():
            tensor.copy_(kept[name])
    return folder


def llama(tied: bool = False, dtype: torch.dtype = torch.float32, seed: int = 0, **options: Any) -> Any:
    """A random Llama of two layers of width 16."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    sizes = {"vocab_size": 48, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 32}
    model: nn.Module = LlamaForCausalLM(LlamaConfig(**{**sizes, **heads, "tie_word_embeddings": tied, **options}))
    return model.to(dtype)


def gpt2(seed: int = 0) -> Any:
    """A random GPT-2 of two layers of width 16, whose head is tied and whose linear layers are Conv1D."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    return GPT2LMHeadModel(GPT2Config(vocab_size=48, n_embd=16, n_layer=2, n_head=2, n_positions=32))


def save_tokenizer(folder: Path, words: Sequence[str] = ("red", "green", "blue")) -> None:
    """A word-level tokenizer beside a model."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(["<unk>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(folder)


def save_adapter(folder: Path, model: Any, seed: int, **options: Any) -> Path:
    """A LoRA adapter made by PEFT for a copy of `model`, with both factors (and whole modules) random."""
    import copy

    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    adapted = get_peft_model(copy.deepcopy(model), LoraConfig(**options))
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
    adapted.save_pretrained(str(folder))
    return folder


class Normed(nn.Module):
    """A convolution and a batch norm: floating buffers, and an integer one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)


class Mixed(nn.Module):
    """Two linear layers of different precision."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Linear(4, 6)
        self.wide = nn.Linear(6, 5, dtype=torch.float64)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Map float32 `n x 4` to float64 `n x 5`."""
        outputs: torch.Tensor = self.wide(torch.tanh(self.narrow(inputs)).double())
        return outputs


def mixed() -> nn.Module:
    """A module for `models.network`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Mixed()


def normed() -> nn.Module:
    """A module for `models.network`."""
    return Normed()


def opened(zoo: Path, *members: Path | str, **options: Any) -> Models:
    """The base of `zoo` and some members."""
    return Models(ModelPaths(str(zoo / "base"), [str(member) for member in members], **{"device": "cpu", **options}))


def changed(zoo: Path, folder: Path, function: Any) -> Path:
    """Member `a` of `zoo` once more, with other tensors."""
    shutil.copytree(zoo / "a", folder / "a")
    path = folder / "a" / "model.safetensors"
    save_file({name: value.contiguous().clone() for name, value in function(load_file(path)).items()}, path)
    return folder / "a"
