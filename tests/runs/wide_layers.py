"""A network of 50 million weights and a run on it that says how much memory it needed; started by its own test."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import TensorDataset

from mergesearch import Config, run
from mergesearch.runs.driver import Silent
from mergesearch.runs.plan import Plan
from mergesearch.runs.record import TrialRecord

WIDTH, DEPTH, MEMBERS = 2048, 12, 4
WEIGHTS = DEPTH * WIDTH * WIDTH * 4 + 10 * WIDTH * 4  # bytes of one model


class Network(nn.Module):
    """Linear layers, float32 (n, WIDTH), and a head of ten classes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(DEPTH))
        self.head = nn.Linear(WIDTH, 10, bias=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        for layer in self.layers:
            inputs = torch.tanh(layer(inputs))
        logits: torch.Tensor = self.head(inputs)
        return logits


def network() -> Network:
    """The untrained network."""
    return Network()


def dataset() -> TensorDataset:
    """32 random samples."""
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(torch.randn(32, WIDTH, generator=generator), torch.arange(32) % 10)


def memory(field: str) -> int:
    """Bytes of this process: VmRSS now, RssAnon of it no mapped file, VmHWM at its highest."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) * 1024


class Watch(Silent):
    """Memory when all is opened, without and with files that are mapped into it, and its highest since then, bytes."""

    opened = private = highest = 0

    def started(self, plan: Plan, records: Sequence[TrialRecord]) -> None:
        """Forget what loading needed."""
        self.opened, self.private = memory("VmRSS"), memory("RssAnon")
        Path("/proc/self/clear_refs").write_text("5")

    def trial(self, records: Sequence[TrialRecord]) -> None:
        """Look again."""
        self.highest = memory("VmHWM")


def write(folder: Path) -> None:
    """Write base and members, in steps of 2^-12: so their deltas are exact, and nothing is stored beside them."""
    torch.manual_seed(0)
    base = network().state_dict()
    for name in ["base", *map(str, range(MEMBERS))]:
        moved = {key: ((value + 0.01 * torch.randn_like(value)) * 4096).round() / 4096 for key, value in base.items()}
        save_file(moved, folder / f"{name}.safetensors")


def learn(folder: Path) -> None:
    """Learn a soup; print what opening took, what the search took beyond it at most, and the number of losses."""
    watch, before = Watch(), memory("RssAnon")
    keys: dict[str, Any] = {
        "models": {
            "base": str(folder / "base.safetensors"),
            "members": {f"member {one}": str(folder / f"{one}.safetensors") for one in range(MEMBERS)},
            "network": f"{__file__}:network",
            "device": "cpu",
        },
        "space": {"groups": "tensors"},
        "search": {"searcher": "learned_soup", "baselines": ["uniform soup"]},
        "evaluators": {"noise": {"kind": "dataloader", "dataset": f"{__file__}:dataset", "metrics": ["loss"]}},
        "objectives": ["noise/loss"],
        "samples": {"held_out": 0.0},
        "budget": {"trials": 4},
        "out": str(folder / "runs"),
    }
    losses = {record.values for record in run(Config(**keys), watch).records}
    sys.stdout.write(f"{watch.private - before} {watch.highest - watch.opened} {len(losses)}\n")


if __name__ == "__main__":
    {"write": write, "learn": learn}[sys.argv[1]](Path(sys.argv[2]))
