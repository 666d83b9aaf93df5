"""Precision and recall of generated samples: which of them, and which references, lie within the others' manifold.

A manifold is the union of balls around the points, each reaching to the k-th nearest of the other points
(Kynkäänniemi et al. 2019, arXiv:1904.06991, equation 1). Points are torch tensors, float32, on any device.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..statistics.bootstrap import FEW_REPLICATES
from ..statistics.scores import MetricScores

_SEED = 20190415
_ROWS = 1024  # distances are computed for so many points at a time


def nearest_distances(points: Any, count: int) -> tuple[Any, Any]:
    """Distances to the `count` nearest of the other points, ascending, and their indices, both `points x count`.

    All of them where there are fewer.
    """
    import torch

    kept = min(count, len(points) - 1)
    parts = []
    for start in range(0, len(points), _ROWS):
        distances = torch.cdist(points[start : start + _ROWS], points)
        own = torch.arange(len(distances), device=distances.device)
        distances[own, own + start] = torch.inf
        parts.append(distances.topk(kept, largest=False))
    return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])


def radii(points: Any, neighbours: int) -> Any:
    """Distance of every point to the k-th nearest of the others, `points`; to the farthest of fewer, and 0 of none."""
    import torch

    distances, _ = nearest_distances(points, neighbours)
    return distances[:, -1] if distances.shape[1] else torch.zeros(len(points), device=points.device)


def within(queries: Any, points: Any, reach: Any) -> NDArray[np.bool_]:
    """Whether each query lies within the `reach` (radius, `points`) of some point; bool, `queries`."""
    import torch

    parts = [(torch.cdist(queries[i : i + _ROWS], points) <= reach).any(dim=1) for i in range(0, len(queries), _ROWS)]
    return np.asarray(torch.cat(parts).cpu().numpy())


def precision(generated: Any, reference: Any, reach: Any) -> MetricScores:
    """Share of the generated points within the manifold of the reference, whose radii are `reach`: a value for each."""
    return MetricScores.mean(within(generated, reference, reach))


def recall(generated: Any, reference: Any, neighbours: int) -> MetricScores:
    """Share of the reference points within the manifold of the generated ones.

    Replicates are of half the generated points, drawn without replacement and the same for every candidate: their
    spread is that of a mean over all the points (McCarthy 1969, Rev. Int. Stat. Inst. 37). In a bootstrap's
    resamples every repeated point would be its own nearest neighbour.
    """
    count, value = len(generated), float(within(reference, generated, radii(generated, neighbours)).mean())
    if count < 2:
        return MetricScores(value, None, np.full(FEW_REPLICATES, np.nan))
    pairs = _Pairs(generated, reference, neighbours)
    drawn = np.array([pairs.recall(half) for half in _halves(count)])
    return MetricScores(value, None, value + drawn - drawn.mean())


class _Pairs:
    """What is needed of all distances to compute the recall of any half of the generated points.

    Of a point's nearest neighbours a half holds about every other one, so that its k-th nearest in the half is among
    the first 4 k + 40 but in one of 10¹² cases.
    """

    def __init__(self, generated: Any, reference: Any, neighbours: int) -> None:
        distances, indices = nearest_distances(generated, 4 * neighbours + 40)
        self._neighbours, self._reference = neighbours, len(reference)
        self._distances, self._indices = distances.cpu().numpy(), indices.cpu().numpy()
        covering = list(_covering(reference, generated, distances[:, -1]))
        self._covered, self._by, self._apart = (np.concatenate(parts) for parts in zip(*covering, strict=True))

    def recall(self, half: NDArray[np.bool_]) -> float:
        """Share of the reference points within the manifold of the generated ones in `half`, bool, `generated`."""
        counted = np.minimum(half[self._indices].cumsum(axis=1), self._neighbours)
        reach = np.take_along_axis(self._distances, counted.argmax(axis=1)[:, None], axis=1)[:, 0]
        hit = np.zeros(self._reference, dtype=np.bool_)
        hit[self._covered[half[self._by] & (self._apart <= reach[self._by])]] = True
        return float(hit.mean())


def _covering(reference: Any, generated: Any, reach: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Indices of a reference point and of a generated one within whose `reach` it lies, and their distance."""
    import torch

    for start in range(0, len(reference), _ROWS):
        distances = torch.cdist(reference[start : start + _ROWS], generated)
        rows, columns = (distances <= reach).nonzero(as_tuple=True)
        yield (rows + start).cpu().numpy(), columns.cpu().numpy(), distances[rows, columns].cpu().numpy()


def _halves(count: int) -> Iterator[NDArray[np.bool_]]:
    generator = np.random.default_rng([_SEED, count])
    for _ in range(FEW_REPLICATES):
        yield generator.permutation(count) < count // 2
