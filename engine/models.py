"""Base and members of one run, opened and checked against each other: from paths to a live model."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from ..errors import CheckpointError, InputError
from ..spaces.groups import Groups
from ..spaces.place import TensorPlace
from .adapters.adapter_bank import AdapterBank, build_adapter_bank
from .adapters.live_adapters import LiveAdapters
from .bank.bank import KINDS, DeltaBank, build_bank
from .bank.member import BankOptions, Member
from .checkpoints.adapter import AdapterCheckpoint
from .checkpoints.checkpoint import Checkpoint
from .checkpoints.classes import check_same_classes
from .checkpoints.converted import under_live_names
from .checkpoints.identity import check_same_model
from .checkpoints.naming import Named, open_members, open_snapshots, step_of
from .checkpoints.opening import open_checkpoint
from .checkpoints.source import Source
from .devices.placement import Placement
from .kernels.compiled import load_compiler
from .kernels.kernel import worth_compiling
from .live.live import LiveModel
from .network.loading import load_model, load_tokenizer, target_of
from .network.places import tensor_places
from .network.tensors import BaseTensors, floating_tensors
from .tiers.keeping import Content, Keeping, keep

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelPaths:
    """Where base and members lie.

    Attributes:
        base: path of the base; None for a trajectory, whose oldest snapshot then is the base.
        members: name -> path, or paths and globs.
        trajectory: glob of one run's snapshots, instead of members.
        anchors: member -> path of the checkpoint it was trained from, where that is not the base.
        network: function that builds the untrained module, for a base that is no folder of transformers or diffusers.
        ignore: globs of tensors that stay at the base's values.
        dtype: floating dtype to run in; None for the base's own.
        device: where the live model and the bank lie; `auto` for the accelerator, if there is one; `sharded` for all
            accelerators; or module -> device.
    """

    base: str | None = None
    members: Mapping[str, str] | Sequence[str] = ()
    trajectory: str | None = None
    anchors: Mapping[str, str] = field(default_factory=dict)
    network: str | None = None
    ignore: tuple[str, ...] = ()
    dtype: str | None = None
    device: str | Mapping[str, str] = "auto"


class Models:
    """Opened checkpoints and the live module. Opening compares headers, configurations and vocabularies.

    Attributes:
        paths: where base and members lie.
        base_checkpoint: the base on disk.
        model: the live module.
        base: the base, by the live module's names.
        members: what is merged.
        place: where the bank lies and why, in one line; empty before it is built.

    Raises:
        InputError: neither members nor a trajectory, or both; an anchor for an unknown member; a device that is not
            there, or a module that is not.
        CheckpointError: something cannot be opened, or does not match the base.
    """

    def __init__(self, paths: ModelPaths) -> None:
        self.paths = paths
        placement = Placement.of(paths.device)
        checkpoints = _open(paths)
        self.base_checkpoint = open_checkpoint(paths.base) if paths.base else next(iter(checkpoints.values()))
        anchors = {name: open_checkpoint(path) for name, path in paths.anchors.items()}
        _check_anchors(anchors, checkpoints)
        for name, checkpoint in [*checkpoints.items(), *((f"{name}'s anchor", one) for name, one in anchors.items())]:
            check_same_model(name, checkpoint, self.base_checkpoint)
        self.model = placement.place(load_model(self.base_checkpoint, paths.network, paths.dtype, placement.loading))
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
        configs = {name: one.config for name, one in [("base", self.base_checkpoint), *checkpoints.items()]}
        check_same_classes(configs, self.model, self._merged)
        self.place = ""
        self._adapters: LiveAdapters | None = None  # what the module carries now

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

    def build_bank(self, options: BankOptions, keeping: Keeping | None = None) -> DeltaBank:
        """Read all members into a bank; warns of members that do not differ from the base, or from one another.

        Args:
            options: how deltas are stored.
            keeping: where; in the fastest tier that has room where left out.

        Raises:
            InputError: no room for it, or a file that cannot be used; see `tiers.keeping.keep`.
            CheckpointError: a tensor is not finite; names member and tensor.
        """
        tensors, live = BaseTensors(self.base, self.model, self._merged), floating_tensors(self.model)
        if worth_compiling(sum(live[name].numel() for name in self._merged)):
            load_compiler()
        content = Content(self.base_checkpoint, {name: live[name] for name in self._merged}, self.members, options)
        build = partial(build_bank, tensors, self.members, options)
        kept = keep(content, keeping or Keeping(), build, KINDS)
        self.place = "\n".join(filter(None, (kept.place, kept.bank.loss)))
        self._warn(kept.bank)
        return kept.bank

    def live(self, bank: DeltaBank, groups: Groups, kernel: str = "auto") -> LiveModel:
        """Bind the module to a bank."""
        self._take_adapters_off()
        return LiveModel(self.model, bank, groups, kernel)

    def live_adapters(self, groups: Groups) -> LiveAdapters:
        """Keep the members, adapters all of them, beside the base's weights; warns as `build_bank` does.

        Raises:
            InputError: a member is more than an adapter, or adapts a module beside which none can be kept; names it.
        """
        self._take_adapters_off()
        tensors = BaseTensors(self.base, self.model, self._merged)
        bank = build_adapter_bank(tensors, self.members, floating_tensors(self.model))
        self._warn(bank)
        self._adapters = LiveAdapters(self.model, bank, groups)
        return self._adapters

    def _take_adapters_off(self) -> None:
        if self._adapters:
            self._adapters.unbind()

    def _warn(self, bank: DeltaBank | AdapterBank) -> None:
        expected = set() if self.paths.base else {self.names[0]}  # a trajectory's oldest snapshot is its base
        for name in set(bank.identical) - expected:
            log.warning("member '%s' is identical to the base: its coefficients change nothing; leave it out", name)
        for first, later in bank.twins:
            log.warning("members '%s' and '%s' are identical; leave one of them out", first, later)


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
