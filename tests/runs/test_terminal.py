"""What a terminal shows: every score with its error, whatever its width, and no number broken."""

from __future__ import annotations

import io
import re

import pandas as pd
import pytest
from rich.console import Console

from mergesearch.runs.report.terminal import fitted

SKILLS = ("zoo_sort", "zoo_count", "zoo_unique", "zoo_descend")


def rows(columns: tuple[str, ...] = SKILLS) -> pd.DataFrame:
    start = {
        "trial": [94, 102, 5],
        "origin": ["gp", "member descend = greedy soup", "task arithmetic 0.3"],
        "against winner": ["winner", "tie", "worse"],
        "tied with": ["13 of 27", "none", "all 27"],
    }
    scores = ["0.780 ± 0.029", "-0.100 ± 0.021", "(0.512 ± 0.061 (25 %))"]
    return pd.DataFrame(start | dict.fromkeys([*columns, "mean", "searched"], scores))


def lines(shown: pd.DataFrame, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(fitted(shown, console, "Front"))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text.splitlines()


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_four_objectives_fit(width: int) -> None:
    found = lines(rows(), width)
    assert max(map(len, found)) <= width
    words = " ".join(found).split()
    for number in ("0.780", "-0.100", "0.029", "0.021", "0.061", "94", "102"):
        count = sum(re.sub(r"[()±]", "", word) == number for word in words)
        assert count == (1 if len(number) < 4 else 6), (number, found)
    assert "arithmetic" in words and "winner" in words


def test_one_line_per_row_where_there_is_room() -> None:
    found = [line.strip() for line in lines(rows(), 240) if line.strip()]
    assert len(found) == 6 and "against winner" in found[1]
    assert found[3].split()[:6] == ["94", "gp", "winner", "13", "of", "27"] and found[3].endswith("0.780 ± 0.029")
    one = lines(rows(("digits",)).drop(columns=["mean", "tied with"]).head(1), 80)
    assert one[4].split() == ["94", "gp", "winner", *["0.780", "±", "0.029"] * 2]


def test_errors_stand_below_scores_where_there_is_not() -> None:
    found = lines(rows(), 80)
    top = next(place for place, line in enumerate(found) if line.strip().startswith("94"))
    assert found[top].split().count("0.780") == 6 and found[top + 1].split() == ["±0.029"] * 6
    assert "zoo_" in " ".join(found[:5]) and "descend" in " ".join(found[:5])


def test_of_one_trial_alone() -> None:
    assert "none" not in " ".join(lines(rows().head(1), 80))
    assert lines(rows().head(0), 80)
