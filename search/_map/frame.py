"""Where MAP looks: the region of a space that it samples, and the coordinates in which surrogates see its tables."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np
from scipy.linalg import qr
from scipy.stats import qmc

from ...spaces.canonical import soup
from ...spaces.row import RowSpace
from ...spaces.space import Space
from ...spaces.table import CoefficientTable
from ..history import FloatArray
from ..searcher import generator

_SOBOL_DIMENSIONS = 21_201  # as many as SciPy has direction numbers for
_TRIED = 64  # shell points that tell whether a space holds the shell
_BLOCK = 1024  # points drawn at once
_SLACK = 1e-9


class Frame:
    """Samples a region of a space, and flattens its tables to as few linear coordinates as tell them apart.

    The region is the shell of rows c = s·d with d ~ Dirichlet(1, …, 1) and s ~ U(scale), each group's row blended
    with one that all share; the whole space where its rows do not hold such a shell, or where that is wanted.
    Coordinates are entries of the table, chosen by a pivoted QR decomposition of sampled tables.

    Args:
        space: what is searched.
        seed: of the scrambled Sobol sequences.
        scale: lowest and highest s of the shell; None for the whole space.

    Attributes:
        space: as given.
        dimension: number of coordinates, the dimension of the affine span of the space's tables.
        shell: whether the region is the shell.
    """

    def __init__(self, space: Space, seed: int, scale: tuple[float, float] | None) -> None:
        self.space, self.seed = space, seed
        self._row, self._parts = _row_space(space)
        self._scale = scale or (0.0, 1.0)
        self.shell = scale is not None and self._row is not None and self._holds_shell()
        low, high = space.bounds.T
        scattered = generator(seed, 0, 0).random((2 * space.groups * space.members + 16, space.dimension))
        self._entries, self._lift = _span(self.tables(low + scattered * (high - low)))
        self.dimension = len(self._entries)

    def sample(self, count: int, *stream: int) -> FloatArray:
        """The first points of the region's Sobol sequence for a stream, x, float64, `count x dimension of x`."""
        return np.array(list(islice(self.points(*stream), count))).reshape(-1, self.space.dimension)

    def points(self, *stream: int) -> Iterator[FloatArray]:
        """The region's points one after another, x, `dimension of x`; a stream has a scrambling of its own."""
        low, high = self.space.bounds.T
        for units in self._cubes(*stream):
            yield from self._shell(units) if self.shell else low + units * (high - low)

    def settled(self, x: FloatArray) -> FloatArray:
        """The x that the space itself gives the table of x, so that equal tables are equal bit for bit."""
        known = self.space.vector(self.space.table(np.clip(x, *self.space.bounds.T)))
        return np.clip(x if known is None else known, *self.space.bounds.T)

    def canonical(self) -> list[FloatArray]:
        """Base, members, uniform soup, and its direction at the shell's far end, as far as the space has them, x each.

        Between one-hot rows and the uniform soup alone, no gradient tells what many members do together.
        """
        space = self.space
        everyone = range(space.members)
        subsets = [(), *((index,) for index in everyone), tuple(everyone)]
        tables = [soup(subset, space.groups, space.members) for subset in subsets]
        if self.shell:
            tables.append(CoefficientTable.tied(np.full(space.members, self._scale[1] / space.members), space.groups))
        vectors = [space.vector(table) for table in tables]
        return [x for x in vectors if x is not None]

    def tables(self, x: FloatArray) -> FloatArray:
        """C of each x, flattened, `points x groups·members`."""
        size = self.space.groups * self.space.members
        return np.array([self.space.table(one).members.ravel() for one in x]).reshape(len(x), size)

    def coordinates(self, x: FloatArray) -> FloatArray:
        """Surrogate coordinates of each x, `points x dimension`."""
        return self.tables(x)[:, self._entries]

    def reduced(self, slopes: FloatArray) -> FloatArray:
        """Slopes in the coordinates, `... x dimension`, from those in the table, `... x groups x members`."""
        return np.asarray(slopes.reshape(*slopes.shape[:-2], -1) @ self._lift.T)

    def inside(self, x: FloatArray) -> np.ndarray:
        """Whether each x lies in the sampled region, `points`."""
        if not self.shell:
            return np.ones(len(x), dtype=np.bool_)
        rows = self.tables(x).reshape(len(x), self.space.groups, self.space.members)
        reach = rows.sum(axis=2).max(axis=1)
        return np.asarray((rows.min(axis=(1, 2)) >= -_SLACK) & (reach <= self._scale[1] + _SLACK))

    def _holds_shell(self) -> bool:
        self.shell = True
        return len(list(self._shell(next(self._cubes(0))[:_TRIED]))) > _TRIED // 8

    def _shell(self, units: FloatArray) -> Iterator[FloatArray]:
        """X of the shell's points at points of the cube, those that the space contains, `dimension of x` each."""
        low, high = self._scale
        each = units[:, 1:].reshape(
            len(units), -1, self.space.members + 1
        )  # of the shared row, then of each part's own
        lengths = -np.log1p(-each[:, :, 1:])
        shells = (low + (high - low) * each[:, :, :1]) * lengths / lengths.sum(axis=2, keepdims=True)
        blend = units[:, :1, None] if self._parts > 1 else 0.0
        for rows in (1.0 - blend) * shells[:, :1] + blend * shells[:, -self._parts :]:
            parts = [] if self._row is None else [self._row.coordinates(row) for row in rows]
            known = [part for part in parts if part is not None]
            if len(known) == self._parts:
                yield np.concatenate(known)

    def _cubes(self, *stream: int) -> Iterator[FloatArray]:
        """Blocks of points of the open unit cube that become x by the shell, or by the bounds."""
        rng = generator(self.seed, 0, 1, *stream)
        own = self._parts if self._parts > 1 else 0
        size = 1 + (1 + own) * (self.space.members + 1) if self.shell else self.space.dimension
        sobol = qmc.Sobol(size, rng=rng) if 0 < size <= _SOBOL_DIMENSIONS else None
        while True:
            block = rng.random((_BLOCK, size)) if sobol is None else sobol.random(_BLOCK)
            yield np.clip(block, 1e-12, 1.0 - 1e-12)


def _row_space(space: Space) -> tuple[RowSpace | None, int]:
    """The space of one row that x consists of, and how many such rows; None where x is built otherwise."""
    row = space if isinstance(space, RowSpace) else getattr(space, "space", None)
    if isinstance(row, RowSpace) and row.dimension and space.dimension % row.dimension == 0:
        return row, space.dimension // row.dimension
    return None, 1


def _span(tables: FloatArray) -> tuple[np.ndarray, FloatArray]:
    """Entries that determine the others, `dimension`, and how a table moves with them, `dimension x entries`."""
    centred = tables - tables.mean(axis=0)
    _, triangle, order = qr(centred, mode="economic", pivoting=True)
    sizes = np.abs(np.diag(triangle))
    entries = np.sort(order[: int((sizes > 1e-8 * max(sizes.max(initial=0.0), 1e-300)).sum())])
    return entries, np.linalg.lstsq(centred[:, entries], centred, rcond=None)[0]
