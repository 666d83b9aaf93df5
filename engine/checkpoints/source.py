"""A checkpoint seen through the names of the live model: what of it is whole, factored, tied or missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch

import torch

from ...errors import CheckpointError
from .adapter import AdapterCheckpoint, LowRank
from .checkpoint import Checkpoint, TensorHeader
from .finite import all_finite


@dataclass(frozen=True)
class Target:
    """What the members must match.

    Attributes:
        headers: shape and dtype of every tensor to merge, by its name in the live model.
        tied: further name of a tied tensor -> its first name.
        spare: names that the base's files hold beside these (integer buffers, unused heads); members may, too.
        ignore: globs of tensors that stay at the base's values, whatever the members hold.
        transposed: names of matrices that their modules store as `inputs x outputs` (GPT-2's Conv1D).
    """

    headers: Mapping[str, TensorHeader]
    tied: Mapping[str, str]
    spare: frozenset[str] = frozenset()
    ignore: tuple[str, ...] = ()
    transposed: frozenset[str] = frozenset()

    def merged(self) -> list[str]:
        """Names of the tensors to merge, in the model's order, without the ignored ones."""
        return [name for name in self.headers if not any(fnmatch(name, pattern) for pattern in self.ignore)]


class Source:
    """A member (or an anchor) whose tensors are read by the live model's names.

    Raises:
        CheckpointError: tensors are missing, left over, of another shape, or tied in one place and not in the other.
    """

    def __init__(self, name: str, checkpoint: Checkpoint, target: Target) -> None:
        self.name = name
        self.checkpoint = checkpoint
        self._target = target
        self._checked: set[str] = set()
        self._stored = stored_names(checkpoint, target)
        if isinstance(checkpoint, AdapterCheckpoint):
            self._check_adapter(checkpoint)
        else:
            self._check_missing()
        self._check_left_over()
        self._check_shapes()

    def holds(self, name: str) -> bool:
        """Whether the checkpoint has the whole tensor."""
        return name in self._stored

    def stored_as(self) -> dict[str, str]:
        """Name in the file -> name in the live model, tied copies included."""
        names = {stored: name for name, stored in self._stored.items()}
        tied = {alias: first for alias, first in self._target.tied.items() if alias in self.checkpoint.headers}
        return {**tied, **names}

    def read(self, name: str) -> torch.Tensor:
        """Return a whole tensor.

        Raises:
            CheckpointError: it is not finite, or its tied copies differ.
        """
        value = self._read(self._stored[name], name)
        for alias, first in self._target.tied.items():
            copied = first == name and alias in self.checkpoint.headers and alias != self._stored[name]
            if copied and not torch.equal(value, self.checkpoint.read(alias)):
                raise CheckpointError(
                    f"member '{self.name}': '{alias}' differs from '{name}', which the base ties to it; "
                    "untie the base, or tie the member"
                )
        return value

    def low_rank(self, name: str) -> LowRank | None:
        """Return the factored delta of a tensor, or None where the checkpoint has none."""
        if not isinstance(self.checkpoint, AdapterCheckpoint) or name not in self.checkpoint.factored:
            return None
        factors = self.checkpoint.low_rank(name, name in self._target.transposed)
        for side in (factors.up, factors.down):
            _check_finite(self.name, name, side)
        return factors

    def _read(self, stored: str, name: str) -> torch.Tensor:
        value = self.checkpoint.read(stored)
        if stored not in self._checked:
            _check_finite(self.name, name, value)
            self._checked.add(stored)
        return value

    def _check_missing(self) -> None:
        missing = [name for name in self._target.merged() if name not in self._stored]
        if missing:
            raise CheckpointError(
                f"member '{self.name}' lacks {len(missing)} tensors of the base, such as '{missing[0]}': another "
                "architecture? Give a checkpoint fine-tuned from this base, or list them under models.ignore"
            )

    def _check_adapter(self, adapter: AdapterCheckpoint) -> None:
        for name in adapter.factored:
            header = self._target.headers.get(name)
            if header is None:
                tied = self._target.tied.get(name)
                why = f"the base ties to '{tied}'; untie the base" if tied else "the base lacks; give its own base"
                raise CheckpointError(f"adapter '{self.name}' changes '{name}', which {why}")
            shape = adapter.shape(name, name in self._target.transposed)
            if shape != header.shape:
                raise CheckpointError(
                    f"adapter '{self.name}': '{name}' is {shape[0]} x {shape[1]}, the base has {header}; "
                    "give an adapter trained on this base"
                )

    def _check_left_over(self) -> None:
        known = {*self._target.headers, *self._target.tied, *self._target.spare, *self._stored.values()}
        left = [
            name
            for name, header in self.checkpoint.headers.items()
            if name not in known and header.dtype.is_floating_point and not self._ignored(name)
        ]
        if left:
            raise CheckpointError(
                f"member '{self.name}' has {len(left)} tensors that the base lacks, such as '{left[0]}': another "
                "architecture? Give a checkpoint fine-tuned from this base, or list them under models.ignore"
            )

    def _check_shapes(self) -> None:
        for name, stored in self._stored.items():
            header, wanted = self.checkpoint.headers[stored], self._target.headers[name]
            if self._ignored(name):
                continue
            if not header.dtype.is_floating_point:
                raise CheckpointError(f"member '{self.name}': '{name}' is {header.dtype}; dequantise the checkpoint")
            if header.shape != wanted.shape:
                rows = header.shape[1:] == wanted.shape[1:] and len(header.shape) == 2
                why = "another vocabulary? " if rows else ""
                raise CheckpointError(
                    f"member '{self.name}': '{name}' is {header}, the base has {wanted}: {why}"
                    "Give a checkpoint fine-tuned from this base, or list the tensor under models.ignore"
                )

    def _ignored(self, name: str) -> bool:
        return any(fnmatch(name, pattern) for pattern in self._target.ignore)


def stored_names(checkpoint: Checkpoint, target: Target) -> dict[str, str]:
    """Name in the live model -> name in the file: the same, a tied one's, or with the model's prefix on or off."""
    aliases: dict[str, list[str]] = {}
    for alias, first in target.tied.items():
        aliases.setdefault(first, []).append(alias)
    prefixes = sorted({name.split(".")[0] + "." for name in [*checkpoint.headers, *target.headers] if "." in name})
    found = {}
    for name in target.headers:
        plain = [name, *aliases.get(name, [])]
        shifted = [other for prefix in prefixes for other in (prefix + name, name.removeprefix(prefix))]
        others = [*plain, *(other for other in shifted if other not in target.headers)]
        stored = next((other for other in others if other in checkpoint.headers), None)
        if stored is not None:
            found[name] = stored
    return found


def _check_finite(member: str, name: str, value: torch.Tensor) -> None:
    if not all_finite(value):
        kind = "NaN" if bool(torch.isnan(value).any()) else "infinite values"
        raise CheckpointError(f"member '{member}': tensor '{name}' holds {kind}; train or download it again")
