"""PEFT LoRA adapters, kept as factors: ΔW = s·B·A (Hu et al. 2021; rank-stabilised s, Kalajdzievski 2023)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ...errors import CheckpointError
from .checkpoint import Checkpoint, TensorHeader, read_json
from .safetensors_checkpoint import SafetensorsCheckpoint
from .torch_checkpoint import TorchCheckpoint

CONFIG = "adapter_config.json"
_PREFIX = "base_model.model."
_MOVES_BASE = ("pissa", "corda", "olora", "loftq", "lora_ga")  # starts of `init_lora_weights` that change the base too
_FACTOR = re.compile(r"^(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(\.weight)?$")


@dataclass(frozen=True)
class LowRank:
    """A factored delta: ΔW = scale · up @ down.

    Attributes:
        up: `rows x rank`.
        down: `rank x columns`.
        scale: the adapter's own factor, alpha/r or alpha/√r.
    """

    up: torch.Tensor
    down: torch.Tensor
    scale: float

    def dense(self) -> torch.Tensor:
        """The delta itself, fp32, `rows x columns`."""
        return self.scale * (self.up.float() @ self.down.float())


class AdapterCheckpoint(Checkpoint):
    """A LoRA adapter: factored deltas for some weights of the base, and whole tensors for `modules_to_save`.

    Raises:
        CheckpointError: another kind of adapter than LoRA, DoRA magnitudes, or a factor without its partner.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.options: dict[str, Any] = read_json(path / CONFIG)
        kind = self.options.get("peft_type")
        if kind != "LORA":
            raise CheckpointError(f"'{path}' is a {kind} adapter; only LoRA is linear, so merge it into its base first")
        if self.options.get("use_dora"):
            raise CheckpointError(f"'{path}' uses DoRA, not linear in its factors; merge it into its base first")
        start = self.options.get("init_lora_weights")
        if isinstance(start, str) and start.lower().startswith(_MOVES_BASE):
            raise CheckpointError(
                f"'{path}' started from '{start}', which changes the base as well; convert it to plain LoRA with PEFT "
                "(path_initial_model_for_weight_conversion), or merge it into its base first"
            )

    @cached_property
    def _stored(self) -> Checkpoint:
        single, pickled = self.path / "adapter_model.safetensors", self.path / "adapter_model.bin"
        return TorchCheckpoint(pickled) if pickled.is_file() and not single.is_file() else SafetensorsCheckpoint(single)

    @cached_property
    def _factors(self) -> dict[str, dict[str, str]]:
        """Weight name of the base -> side (A or B) -> stored name."""
        factors: dict[str, dict[str, str]] = {}
        for stored in self._stored.headers:
            match = _FACTOR.match(stored.removeprefix(_PREFIX))
            if match:
                factors.setdefault(f"{match['module']}.weight", {})[match["side"]] = stored
        for weight, sides in factors.items():
            if set(sides) != {"A", "B"}:
                raise CheckpointError(f"'{self.path}': '{weight}' has only factor {', '.join(sides)}; save it again")
        return factors

    @cached_property
    def headers(self) -> Mapping[str, TensorHeader]:
        """Header of every whole tensor that the adapter replaces (`modules_to_save`, trained biases)."""
        return {_plain(name): header for name, header in self._stored.headers.items() if not _is_factor(name)}

    @property
    def factored(self) -> list[str]:
        """Names of the base's weights that have a factored delta."""
        return list(self._factors)

    def read(self, name: str) -> torch.Tensor:
        """Return one whole tensor (`modules_to_save`) on the CPU."""
        stored = next(key for key in self._stored.headers if _plain(key) == name and not _is_factor(key))
        return self._stored.read(stored)

    def shape(self, name: str, transposed: bool = False) -> tuple[int, int]:
        """Shape of the delta that `low_rank` gives; reads headers only."""
        sides = self._factors[name]
        down, up = (self._stored.headers[sides[side]].shape for side in "AB")
        if len(down) != 2 or len(up) != 2:
            raise CheckpointError(f"'{self.path}': '{name}' has factors of {len(down)} dimensions; only matrices merge")
        return (down[1], up[0]) if transposed or _is_embedding(sides["A"]) else (up[0], down[1])

    def low_rank(self, name: str, transposed: bool = False) -> LowRank:
        """Return the factored delta of the base's weight `name`, oriented like the weight.

        Args:
            name: the weight.
            transposed: whether its module stores it as `inputs x outputs`, so that ΔWᵀ = s·Aᵀ·Bᵀ, as embeddings do.
                Only the module can tell: PEFT's `fan_in_fan_out` is that of the last module it adapted.
        """
        sides = self._factors[name]
        down, up = self._stored.read(sides["A"]), self._stored.read(sides["B"])
        scale = self._scale(name, rank=down.shape[0])
        turned = transposed or _is_embedding(sides["A"])
        return LowRank(down.T, up.T, scale) if turned else LowRank(up, down, scale)

    def _scale(self, name: str, rank: int) -> float:
        module = name.removesuffix(".weight")
        alpha = float(_matching(self.options.get("alpha_pattern") or {}, module, self.options["lora_alpha"]))
        return alpha / math.sqrt(rank) if self.options.get("use_rslora") else alpha / rank


def _is_embedding(stored: str) -> bool:
    return ".lora_embedding_" in stored


def _is_factor(stored: str) -> bool:
    return _FACTOR.match(stored.removeprefix(_PREFIX)) is not None


def _plain(stored: str) -> str:
    return stored.removeprefix(_PREFIX).replace(".modules_to_save", "").replace(".base_layer", "")


def _matching(patterns: Mapping[str, float], module: str, default: float) -> float:
    """The value of the first pattern (a suffix, or a regular expression, as in PEFT) that fits the module."""
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default
