"""MeanConstrained: coefficients that vary over the groups around a fixed mean, as the ratios of AMA do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import InputError
from .names import named
from .ratios import mean_directions, onto_mean, reach
from .space import Space
from .table import TOLERANCE, CoefficientTable, FloatArray


class MeanConstrained(Space):
    """C[g, i] = r[g, i] / members, with ratios r in [0, 1] whose mean over the groups is given.

    That is the space of AMA (Lin et al. 2024, https://arxiv.org/abs/2309.06256, equation 3). With one member, r is the
    member's share of a group and 1 - r the base's (their "post" and "pre" model are our member and base), so `mean` is
    one minus the pre share that AMA fixes. Several members have ratios of their own around the same mean, and the base
    keeps what they leave of each group, never less than nothing.

    x holds, for every member, `searched groups - 1` coordinates of an orthonormal basis of the directions that leave
    the mean as it is; zeros are plain averaging, with all ratios at the mean. What leads out of [0, 1] is projected
    onto the nearest ratios within, so every x is feasible; those beyond share tables at the boundary. Where `mean`
    is an interval, the mean itself is the first coordinate.

    Args:
        members: their number, or one name for each.
        groups: their number, or one name for each.
        mean: the mean ratio, between 0 and 1, or its lowest and highest value.
        weights: what each group counts for in the mean, positive, float64, `groups`; all alike where left out.
        held: groups that are not searched and stay outside the mean: at the "base", the "member" or the "mean".

    Raises:
        InputError: a mean or weight out of range, or all groups are held.
    """

    def __init__(
        self,
        members: int | Sequence[str],
        groups: int | Sequence[str],
        mean: float | Sequence[float] = (0.0, 1.0),
        weights: FloatArray | None = None,
        held: Mapping[int, str] | None = None,
    ) -> None:
        self.member_names, self.group_names = named(members, "member"), named(groups, "group")
        super().__init__(len(self.group_names), len(self.member_names))
        self.held = dict(held or {})
        self.mean = _checked_mean(mean)
        self.searched = np.array([group for group in range(self.groups) if group not in self.held], dtype=np.intp)
        if not len(self.searched):
            raise InputError("every group is held where it is, which leaves nothing to search; group otherwise")
        self.weights = self._checked_weights(np.ones(self.groups) if weights is None else np.asarray(weights))
        self._basis = mean_directions(self.weights)

    @property
    def names(self) -> list[str]:
        """The mean where it is searched, then `<group>: <member>` of all searched groups but the first."""
        free = [f"{self.group_names[g]}: {name}" for name in self.member_names for g in self.searched[1:]]
        return free if self._fixed else ["mean", *free]

    @property
    def bounds(self) -> FloatArray:
        """Range of the mean where it is searched, and what each direction can reach, float64, `dimension x 2`."""
        ends = [[-reach(-u, self.weights, self.mean), reach(u, self.weights, self.mean)] for u in self._basis.T]
        free = np.tile(np.reshape(ends, (-1, 2)), (self.members, 1))
        return free if self._fixed else np.vstack([self.mean, free])

    def table(self, x: FloatArray) -> CoefficientTable:
        """Decode x, float64, `dimension`, into mean and directions, and project."""
        mean, free = (self.mean[0], x) if self._fixed else (float(x[0]), x[1:])
        wanted = mean + self._basis @ np.reshape(free, (self.members, -1)).T
        return self.spread(np.stack([onto_mean(column, mean, self.weights) for column in wanted.T], axis=1), mean)

    def vector(self, table: CoefficientTable) -> FloatArray | None:
        """Encode a table, `groups x members`; None where ratios, mean or held groups are not of this space."""
        rows = self._rows(table)
        if rows is None or not np.isfinite(rows).all():
            return None
        ratios = rows[self.searched] * self.members
        first, others = ratios[0, 0], ratios[:, 0] - ratios[0, 0]  # the mean of equal ratios is that ratio, to the bit
        mean = float(np.clip(first + self.weights @ others / self.weights.sum(), *self.mean))
        same = np.allclose(self.weights @ ratios / self.weights.sum(), mean, rtol=0.0, atol=TOLERANCE)
        inside = ratios.min() >= -TOLERANCE and ratios.max() <= 1.0 + TOLERANCE
        if not (same and inside and np.allclose(self.spread(ratios, mean).members, rows, rtol=0.0, atol=TOLERANCE)):
            return None
        free = (self._basis.T @ (ratios - mean)).T.ravel()
        return np.clip(free if self._fixed else np.append(mean, free), *self.bounds.T)

    def spread(self, ratios: FloatArray, mean: float) -> CoefficientTable:
        """The table of ratios, float64, `searched groups x members`, with the held groups at their places."""
        rows = np.empty((self.groups, self.members))
        rows[self.searched] = ratios
        for group, place in self.held.items():
            rows[group] = {"base": 0.0, "member": 1.0, "mean": mean}[place]
        return CoefficientTable.of(rows / self.members)

    @property
    def _fixed(self) -> bool:
        return self.mean[0] == self.mean[1]

    def _checked_weights(self, weights: FloatArray) -> FloatArray:
        if weights.shape != (self.groups,) or not np.all(weights[self.searched] > 0):
            shown = np.array2string(weights, threshold=8)
            raise InputError(f"weights of the mean are {shown}; give one positive number for each of {self.groups}")
        return np.asarray(weights[self.searched] / weights[self.searched].max(), dtype=np.float64)


def _checked_mean(mean: float | Sequence[float]) -> tuple[float, float]:
    ends = np.asarray(mean, dtype=np.float64)
    low, high = (float(ends), float(ends)) if ends.ndim == 0 else (float(ends[0]), float(ends[-1]))
    if ends.shape not in ((), (2,)) or not (0.0 <= low <= high <= 1.0):
        raise InputError(
            f"the mean is {mean!r}; give the members' mean share as a number between 0 and 1, or [low, high]"
        )
    if low == high and low in (0.0, 1.0):
        model = "the base" if low == 0.0 else "the member"
        raise InputError(f"a mean of {low:g} is {model} itself, with nothing to search; give a number between 0 and 1")
    return low, high
