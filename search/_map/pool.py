"""The sample of a region from which fronts are taken; it hangs on the space and the seed alone, so it is kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...spaces.space import Space
from ..history import FloatArray
from .frame import Frame

FILTERED = 6  # objectives up to which a sample and a filter find as good a front as a genetic search, in less time
SAMPLES = 32_768
_SEEDS = 4_096


@dataclass(frozen=True)
class Pool:
    """Points of the region whose predictions cost little, because their coordinates are known: x and z."""

    x: FloatArray
    z: FloatArray

    @classmethod
    def of(cls, frame: Frame, objectives: int) -> Pool:
        """A Sobol sample, smaller where many groups make it dear or a genetic search follows."""
        count = SAMPLES if objectives <= FILTERED else _SEEDS
        x = frame.sample(max(_SEEDS // 2, count // max(1, frame.space.groups)), 2)
        return cls(x, frame.coordinates(x))

    def joined(self, frame: Frame, x: FloatArray) -> Pool:
        """With further points, x, `points x dimension of x`."""
        return Pool(np.vstack([self.x, x]), np.vstack([self.z, frame.coordinates(x)])) if len(x) else self


_FRAMES: dict[str, tuple[Frame, dict[int, Pool]]] = {}


def framed(space: Space, seed: int, scale: tuple[float, float] | None) -> tuple[Frame, dict[int, Pool]]:
    """The frame of a space, and its pools by number of objectives; the last few are kept, as they take a second."""
    middle = space.table(space.bounds.mean(axis=1))
    key = f"{type(space)} {space.names} {space.bounds.tolist()} {middle.digest()} {seed} {scale}"
    if key not in _FRAMES:
        _FRAMES[key] = Frame(space, seed, scale), {}
        while len(_FRAMES) > 8:
            del _FRAMES[next(iter(_FRAMES))]
    return _FRAMES[key]
