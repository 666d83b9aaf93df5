"""Do the 95 % intervals of a report hold the truth in 95 % of all runs? Also after the choice of the best?

Runs of a known truth are simulated: of single scores, of paired differences of two candidates, of F1 and perplexity, of
whole runs, in which 40 candidates are scored on search samples, these choose the front and the winner, and held-out
samples judge them, and of races. The intervals are those of the package, the choice is the package's own. The truth is
drawn anew in each run; where it can be, coverage is also summed exactly for every single truth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any
from zlib import crc32

import numpy as np
from _exact_coverage import ACCURACIES, ALIKE_PAIRS, HIGH, PAIRS, of_differences, of_scores
from _harness import Outcome, Target, main
from _simulated_metrics import FMeasure, Perplexity
from _simulated_races import Race
from _simulated_runs import Equals, WholeRun
from _simulated_scores import KINDS, Paired, Single
from _tally import Study, Tally
from numpy.typing import NDArray

SEED = 77_009  # of no simulation that a formula was chosen by
RUNS = 2000
SAMPLES = (50, 200, 1000)
ALIKE = 0.97  # correlation of two candidates that answer 95 % of the samples alike
CAUTIOUS = (  # what is promised to hold in 95 % of all runs or more
    "best of the front not called worse",
    "optimism of the winner",
    "difference of near equals",
    "difference of F1",
    "full score of one that was stopped",
    "score of one that was stopped",
    "pairs said to differ",
)
NOTE = (
    f"Coverage is over {RUNS} simulated runs, each with a truth of its own: accuracies from 0.05 to 0.95, or what has "
    "as much skill. Chance alone moves one by ± 0.01 (two standard errors). Exact rows are sums over all that may come "
    "out, for every truth of a grid: their mean, the lowest and the highest. Counts are whole numbers, and so the "
    "coverage of any interval of a fixed truth goes up and down with it: that is why the limits are on runs of many "
    "truths. Bias: mean error of the estimate. Naive: the interval of the search score that chose the trial, which no "
    "report shows. Graded: between 0 and 1. Heavy tails: those of Student's distribution with 4 degrees of freedom. "
    "Skewed: lognormal, as where some answers break. What is cautious by its nature has no upper limit: of two "
    "candidates that differ on 2 of 50 samples no interval can hold the difference in just 95 % of all runs."
)

Rows = list[dict[str, Any]]


def measure(quick: bool) -> Outcome:
    """Simulate everything; less of it where `quick`."""
    with ProcessPoolExecutor(2) as pool:
        found = pool.map(rows_of, list(_few() if quick else _studies()))
        rows = [row for some in found for row in some]
    rows = [*_exact(SAMPLES[:2]), *sorted(rows, key=lambda row: str(row["interval of"]))]
    return Outcome("Coverage of 95 % intervals", rows, _targets(rows), NOTE)


def rows_of(study: Study) -> Rows:
    """Coverage of all intervals in the runs of a study."""
    generator, tally = np.random.default_rng([SEED, study.samples, crc32(repr(study).encode())]), Tally()
    for _ in range(RUNS):
        study.run(generator, tally)
    return [
        _row(name, str(study), study.samples, f"{share:.3f}", bias=_bias(tally, name))
        for name, share in tally.coverage.items()
    ]


def _studies() -> Iterator[Study]:
    yield from (WholeRun("binary", 1000), WholeRun("binary", 200, tasks=4), Race("skewed", 200))
    for count in SAMPLES[:2]:
        yield from (WholeRun(kind, count) for kind in KINDS)
        yield WholeRun("binary", count, ALIKE)
        yield from (Equals("binary", count), Equals("binary", count, ALIKE), Equals("skewed", count))
    for kind in ("binary", "skewed"):
        yield from (WholeRun(kind, 50, tasks=4), Equals(kind, 50, skills=4))
    for count in SAMPLES:
        for kind in KINDS:
            yield from (Single(kind, count), Paired(kind, count), Paired(kind, count, ALIKE))
        yield from (Perplexity(count), Race("binary", count))
    yield from (FMeasure(count, positives) for count in (50, 100, 450) for positives in (5, 10, 25))


def _few() -> Iterator[Study]:
    yield from (WholeRun("binary", 50), FMeasure(50, 5), Race("binary", 50), Equals("binary", 50), Perplexity(50))
    for kind in KINDS:
        yield from (Single(kind, 50), Paired(kind, 50), Paired(kind, 50, ALIKE))


def _exact(samples: Sequence[int]) -> Rows:
    rows: Rows = []
    for accuracies in (ACCURACIES, HIGH):
        what = f"binary, {accuracies[0]} to {accuracies[-1]}"
        rows += [_exact_row("a score", what, count, of_scores(count, accuracies)) for count in samples]
    for pairs, agreed in ((PAIRS, 80), (ALIKE_PAIRS, 95)):
        what = f"binary, {agreed} % answered alike"
        rows += [_exact_row("a difference", what, count, of_differences(count, pairs)) for count in samples]
    return rows


def _exact_row(what: str, runs: str, count: int, each: NDArray[np.float64]) -> dict[str, Any]:
    mean, low, high = (f"{one:.3f}" for one in (each.mean(), each.min(), each.max()))
    return _row(f"exact: {what}", runs, count, mean, low, high)


def _row(
    what: str, runs: str, count: int, coverage: str, low: str = "", high: str = "", bias: str = ""
) -> dict[str, Any]:
    return {
        "interval of": what,
        "in runs of": runs,
        "samples": count,
        "coverage": coverage,
        "lowest": low,
        "highest": high,
        "bias": bias,
    }


def _bias(tally: Tally, name: str) -> str:
    return f"{tally.bias[name] + 0.0:.4f}" if name in tally.bias else ""


def _targets(rows: Rows) -> list[Target]:
    """93 to 97 % of what reports show; of what is cautious by its nature, 93 % at least."""
    kinds: dict[str, list[float]] = {}
    for row in rows:
        if not row["interval of"].startswith(("naive", "exact")):
            kinds.setdefault(row["interval of"], []).append(float(row["coverage"]))
    targets = []
    for kind, shares in kinds.items():
        targets.append(Target(f"{kind}: lowest coverage", min(shares), 0.93, at_most=False))
        if kind not in CAUTIOUS:
            targets.append(Target(f"{kind}: highest coverage", max(shares), 0.97))
    return targets


if __name__ == "__main__":
    main(measure, __doc__ or "")
