"""Base and members of one run, opened and checked against each other: from paths to a live model."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import nn

from ..errors import CheckpointError, InputError
from ..spaces.groups import Groups
from ..spaces.place import TensorPlace
from .adapter import AdapterCheckpoint
from .bank import DeltaBank, build_bank
from .checkpoint import Checkpoint
from .converted import under_live_names
from .identity import check_same_model
from .live import LiveModel
from .loading import load_model, load_tokenizer, target_of
from .member import BankOptions, Member
from .naming import Named, open_members, open_snapshots, step_of
from .opening import open_checkpoint
from .places import tensor_places
from .source import Source
from .tensors import BaseTensors

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelPaths:
    """Where base and members lie.

    Attributes:
        base: path of the base; None for a trajectory, whose oldest snapshot then is the base.
        members: name -> path, or paths and globs.
        trajectory: glob of one run's snapshots, instead of members.
        anchors: member -> path of the checkpoint it was trained from, where that is not the base.
        network: function that builds the untrained module, for a base that is no transformers folder.
        ignore: globs of tensors that stay at the base's values.
        dtype: floating dtype to run in; None for the base's own.
        device: where the live model and the bank lie; `auto` for the accelerator, if there is one.
    """

    base: str | None = None
    members: Mapping[str, str] | Sequence[str] = ()
    trajectory: str | None = None
    anchors: Mapping[str, str] = field(default_factory=dict)
    network: str | None = None
    ignore: tuple[str, ...] = ()
    dtype: str | None = None
    device: str = "auto"


class Models:
    """Opened checkpoints and the live module. Opening compares headers, configurations and vocabularies.

    Raises:
        InputError: neither members nor a trajectory, or both; an anchor for an unknown member; unknown device.
        CheckpointError: something cannot be opened, or does not match the base.
    """

    def __init__(self, paths: ModelPaths) -> None:
        self.paths = paths
        checkpoints = _open(paths)
        self.base_checkpoint = open_checkpoint(paths.base) if paths.base else next(iter(checkpoints.values()))
        anchors = {name: open_checkpoint(path) for name, path in paths.anchors.items()}
        _check_anchors(anchors, checkpoints)
        for name, checkpoint in [*checkpoints.items(), *((f"{name}'s anchor", one) for name, one in anchors.items())]:
            check_same_model(name, checkpoint, self.base_checkpoint)
        self.model: nn.Module = load_model(self.base_checkpoint, paths.network, paths.dtype).to(_device(paths.device))
        self.base_checkpoint = under_live_names(self.base_checkpoint, self.model)
        checkpoints = {name: under_live_names(one, self.model) for name, one in checkpoints.items()}
        anchors = {name: under_live_names(one, self.model) for name, one in anchors.items()}
        target = target_of(self.model, self.base_checkpoint, paths.ignore)
        self.base = Source("base", self.base_checkpoint, target)
        self.members = [
            Member(
                name,
                Source(name, checkpoint, target),
                Source(f"{name}'s anchor", anchors[name], target) if name in anchors else None,
            )
            for name, checkpoint in checkpoints.items()
        ]
        self._merged = target.merged()

    @property
    def names(self) -> list[str]:
        """Names of the members, in the order of the table's columns."""
        return [member.name for member in self.members]

    @property
    def steps(self) -> list[int] | None:
        """Training step of each snapshot of a trajectory, ascending; None for members of their own."""
        return [step_of(name) for name in self.names] if self.paths.trajectory else None

    @cached_property
    def tokenizer(self) -> Any | None:
        """The base's tokenizer, or None."""
        return load_tokenizer(self.base_checkpoint)

    def places(self) -> list[TensorPlace]:
        """Where each tensor to merge stands in the model."""
        merged = set(self._merged)
        return [place for place in tensor_places(self.model) if place.name in merged]

    def build_bank(self, options: BankOptions) -> DeltaBank:
        """Read all members into a bank; warns of members that do not differ from the base, or from one another."""
        bank = build_bank(BaseTensors(self.base, self.model, self._merged), self.members, options)
        expected = set() if self.paths.base else {self.names[0]}  # a trajectory's oldest snapshot is its base
        for name in set(bank.identical) - expected:
            log.warning("member '%s' is identical to the base: its coefficients change nothing; leave it out", name)
        for first, later in bank.twins:
            log.warning("members '%s' and '%s' are identical; leave one of them out", first, later)
        return bank

    def live(self, bank: DeltaBank, groups: Groups, kernel: str = "auto") -> LiveModel:
        """Bind the module to a bank."""
        return LiveModel(self.model, bank, groups, kernel)


def _open(paths: ModelPaths) -> Named:
    if bool(paths.members) == bool(paths.trajectory):
        given = "both" if paths.members else "neither"
        raise InputError(f"{given} of models.members and models.trajectory given; give one of them")
    if not paths.base and paths.members:
        raise InputError("models.base is missing; give the checkpoint that the members were fine-tuned from")
    return open_snapshots(paths.trajectory) if paths.trajectory else open_members(paths.members)


def _check_anchors(anchors: Mapping[str, Checkpoint], members: Named) -> None:
    unknown = sorted(set(anchors) - set(members))
    if unknown:
        raise InputError(f"models.anchors names '{unknown[0]}', which is no member; members: {', '.join(members)}")
    for name, anchor in anchors.items():
        if isinstance(anchor, AdapterCheckpoint):
            raise CheckpointError(f"the anchor of '{name}', '{anchor.path}', is an adapter; merge it into its base")


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.accelerator.current_accelerator() or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        first_line = str(error).splitlines()[0]
        raise InputError(f"device '{name}' cannot be used ({first_line}); give cpu, or auto") from error
    return device
