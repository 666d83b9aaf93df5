"""Llama-shaped networks with random weights, and members that lie near them: what the engine's benchmarks merge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from mergesearch.engine.bank.bank import build_bank
from mergesearch.engine.bank.member import BankOptions, Member
from mergesearch.engine.checkpoints.checkpoint import Checkpoint, TensorHeader
from mergesearch.engine.checkpoints.source import Source
from mergesearch.engine.live.live import LiveModel
from mergesearch.engine.network.loading import target_without_files
from mergesearch.engine.network.places import tensor_places
from mergesearch.engine.network.tensors import floating_tensors
from mergesearch.spaces.groups import group_tensors

NOISE = 1e-3  # standard deviation of a member's deltas; the weights' own is 0.02
_STRIDE = 4099  # elements by which the members' noise is shifted against one another


def llama(layers: int, width: int, vocabulary: int, dtype: torch.dtype) -> nn.Module:
    """A causal language model of Llama's shape, the same weights every time."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=width,
        intermediate_size=width * 17 // 6,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        num_key_value_heads=width // 256,
        vocab_size=vocabulary,
        dtype=dtype,
    )
    torch.manual_seed(0)
    model: nn.Module = LlamaForCausalLM(config)
    return model.to(dtype).eval()


def weights_of(model: nn.Module) -> int:
    """Number of weights that a merge writes."""
    return sum(tensor.numel() for tensor in floating_tensors(model).values())


def save_models(model: nn.Module, members: int, folder: Path) -> None:
    """Save `model` as `base` and members that differ from it by noise as `member0`, `member1` and so on."""
    model.save_pretrained(folder / "base")  # type: ignore[operator]
    base = {name: tensor.detach().clone() for name, tensor in floating_tensors(model).items()}
    for number in range(members):
        near = _NearBase(number, base)
        for name, tensor in floating_tensors(model).items():
            tensor.data.copy_(near.read(name))
        model.save_pretrained(folder / f"member{number}")  # type: ignore[operator]


def bound(model: nn.Module, members: int, storage: str, groups: str = "layers", kernel: str = "auto") -> LiveModel:
    """Bind a model to a bank of members that are made while they are read, and so take no memory themselves."""
    base = {name: tensor.detach() for name, tensor in floating_tensors(model).items()}
    target = target_without_files(model)
    names = [f"member{number}" for number in range(members)]
    sources = [Source(name, _NearBase(number, base), target) for number, name in enumerate(names)]
    bank = build_bank(base, list(map(Member, names, sources)), BankOptions(storage=storage))
    return LiveModel(model, bank, group_tensors(tensor_places(model), groups), kernel)


class _NearBase(Checkpoint):
    """The base plus noise of its own."""

    def __init__(self, number: int, base: Mapping[str, torch.Tensor]) -> None:
        super().__init__(Path(f"member{number}"))
        self._base = base
        self._first = number * _STRIDE

    @property
    def headers(self) -> Mapping[str, TensorHeader]:
        """The base's."""
        return {name: TensorHeader(tuple(value.shape), value.dtype) for name, value in self._base.items()}

    def read(self, name: str) -> torch.Tensor:
        """The base's tensor plus a stretch of the common noise."""
        base = self._base[name]
        noise = _noise(self._first + base.numel()).to(base.device)[self._first :]
        return (base + noise.view(base.shape)).to(base.dtype)


_pool = torch.empty(0)


def _noise(length: int) -> torch.Tensor:
    """The first `length` numbers of a fixed random sequence, fp32; drawn once, for drawing is slow."""
    global _pool
    if len(_pool) < length:
        _pool = NOISE * torch.randn(length + 64 * _STRIDE, generator=torch.Generator().manual_seed(1))
    return _pool[:length]
