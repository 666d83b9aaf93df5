"""From the configuration's keys to a space."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError, nearest
from .affine import Affine
from .box import Box
from .fixed import Fixed
from .groups import Groups
from .knots import DepthKnots
from .mean import MeanConstrained
from .names import named
from .per import Per, Tied
from .quantised import Quantised
from .row import RowSpace
from .scaled import Scaled
from .simplex import Simplex
from .space import Space
from .subset import Subset
from .swap import Swap
from .table import CoefficientTable

_ROWS: dict[str, type[RowSpace]] = {"box": Box, "simplex": Simplex, "affine": Affine, "subset": Subset}
_COMBINATORS = ("scale", "knots", "tied", "step")
_MEANS_BY = ("blocks", "parameters")


def build_space(options: Mapping[str, Any], groups: Groups, members: int | Sequence[str]) -> Space:
    """Build the space that a configuration describes.

    Args:
        options: `kind` (box, simplex, affine, subset, mean, swap or fixed; default box) and
            `low`, `high`: bounds of the coefficients (box, affine);
            `mean`: the members' mean share over the groups, or its lowest and highest value (mean);
            `mean_by`: "blocks", each group counts alike, or "parameters", by its number of elements (mean);
            `outer`, `middle`: names of the two between which layers are swapped (swap);
            `coefficients`: the one row, or one row per group (fixed);
            `scale`: [low, high], multiplies each row by a scale (simplex, affine, subset);
            `knots`: number of anchors interpolated over depth, in place of a row per group;
            `tied`: true for one row that all groups share;
            `step`: rounds every coordinate to multiples of it.
        groups: the groups of tensors, one row of the table each.
        members: their number, or one name for each.

    Raises:
        InputError: an unknown key or kind (names the nearest), a key that the kind does not take, or a bad value.
    """
    kind = options.get("kind", "box")
    if kind == "fixed":
        _refuse_unknown(options, kind, ["coefficients"])
        return Fixed(_fixed_table(options, len(groups), len(named(members, "member"))))
    if kind == "swap":
        _refuse_unknown(options, kind, ["outer", "middle"])
        return Swap(members, groups.depths, options.get("outer"), options.get("middle"))
    if kind == "mean":
        _refuse_unknown(options, kind, ["mean", "mean_by"])
        return _mean_constrained(options, groups, members)
    if kind not in _ROWS:
        raise InputError(f"no space is called '{kind}'; {nearest(str(kind), [*_ROWS, 'mean', 'swap', 'fixed'])}")
    if groups.held:
        raise InputError(
            f"groups such as '{groups.names[min(groups.held)]}' are not searched; take kind mean with them"
        )
    own = [key for key in inspect.signature(_ROWS[kind]).parameters if key != "members"]
    _refuse_unknown(options, kind, [*own, *_COMBINATORS])
    row = _ROWS[kind](members, **{key: options[key] for key in own if key in options})
    if "scale" in options:
        row = Scaled(row, *_pair("scale", options["scale"]))
    space = _over_groups(row, groups, options)
    if "step" not in options:
        return space
    if kind == "simplex":
        raise InputError("a simplex takes no 'step': its coordinates are no coefficients; take kind box or affine")
    return Quantised(space, options["step"])


def _mean_constrained(options: Mapping[str, Any], groups: Groups, members: int | Sequence[str]) -> MeanConstrained:
    mean, by = options.get("mean", (0.0, 1.0)), options.get("mean_by", "blocks")
    if by not in _MEANS_BY:
        raise InputError(f"no mean is taken by '{by}'; {nearest(str(by), _MEANS_BY)}")
    weights = groups.sizes if by == "parameters" else None
    return MeanConstrained(members, groups.names, mean, weights, groups.held)


def _over_groups(row: RowSpace, groups: Groups, options: Mapping[str, Any]) -> Space:
    if "knots" in options and options.get("tied"):
        raise InputError("'knots' and 'tied' exclude each other; tied is the same as one knot, so remove one of them")
    if "knots" in options:
        return DepthKnots(row, groups.depths, options["knots"])
    if len(groups) == 1:
        return row  # without the group's name before every coordinate
    return Tied(row, len(groups)) if options.get("tied") else Per(row, groups.names)


def _fixed_table(options: Mapping[str, Any], groups: int, members: int) -> CoefficientTable:
    if "coefficients" not in options:
        raise InputError("kind fixed needs 'coefficients'; give one row of numbers, or one row per group")
    rows = np.atleast_2d(np.asarray(options["coefficients"], dtype=np.float64))
    if len(rows) not in (1, groups):
        raise InputError(f"'coefficients' has {len(rows)} rows for {groups} groups; give one row, or one per group")
    if rows.shape[1] != members:
        raise InputError(f"'coefficients' has {rows.shape[1]} numbers a row for {members} members; give one for each")
    return CoefficientTable.of(rows if len(rows) == groups else np.repeat(rows, groups, axis=0))


def _pair(key: str, value: Any) -> tuple[float, float]:
    if not (isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2):
        raise InputError(f"'{key}' is {value!r}; give its lowest and highest value as [low, high]")
    return float(value[0]), float(value[1])


def _refuse_unknown(options: Mapping[str, Any], kind: str, keys: Sequence[str]) -> None:
    for key in options:
        if key not in ("kind", *keys):
            # The grouping is no option of the space, but stands beside its options in a configuration.
            raise InputError(f"space of kind {kind} takes no '{key}'; {nearest(key, ['groups', 'kind', *keys])}")
