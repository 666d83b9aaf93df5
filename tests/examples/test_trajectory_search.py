"""The example's search of the zoo's trajectory, on a smaller budget: better than every snapshot, beyond noise."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mergesearch import Config, run

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_search_beats_every_snapshot(zoo: Path, tmp_path: Path) -> None:
    text = (REPOSITORY / "examples" / "trajectory.yaml").read_text(encoding="utf-8")
    text = text.replace("zoo/trajectory", f"{zoo}/trajectory").replace("examples/zoo", f"{REPOSITORY}/examples/zoo")
    result = run(Config(**{**yaml.safe_load(text), "budget": {"trials": 120}, "out": str(tmp_path)}))
    held_out = result.trials.set_index("trial")["mean held-out"]
    snapshots = result.trials[result.trials["origin"].str.startswith("member ")]
    winner = result.records[result.pick()]
    assert winner.proposal.origin == "lcsc"
    assert abs(winner.proposal.table.members.sum() - 1) < 1e-9
    assert len(snapshots) == 10 and held_out[winner.number] < 0.8 * held_out[snapshots["trial"]].min()
    assert "better than" in result.verdict and "best member" in result.verdict.split("within noise")[0]
    assert "best EMA" in result.verdict
