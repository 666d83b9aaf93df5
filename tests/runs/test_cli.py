"""The command line as a user meets it: good runs, and bad input in one line with exit code 2."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from .conftest import BED, MakeConfig

Edit = Callable[[dict[str, Any], Path, Path], None]


def mergesearch(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200"}
    command = [sys.executable, "-m", "mergesearch", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)


def write(path: Path, keys: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(keys, sort_keys=False))
    return path


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.slow
def test_a_whole_run_by_commands(make_config: MakeConfig, tmp_path: Path) -> None:
    config = write(tmp_path / "search.yaml", make_config())
    checked = mergesearch("validate", config)
    assert checked.returncode == 0 and "is valid" in checked.stdout
    assert re.search(
        r"^deltas: .* MB with the base, in memory \(memory has .* GB free\)$", checked.stdout, re.MULTILINE
    )
    assert not (tmp_path / "runs").exists(), "validate writes nothing"

    done = mergesearch("run", config)
    assert done.returncode == 0, done.stderr
    assert "MB with the base, in memory (memory has" in done.stdout
    assert "Front, best searched mean first" in done.stdout and "uniform soup" in done.stdout
    assert "winner's curse" in done.stdout and "against winner" in done.stdout
    assert "Signal to noise between candidates" in done.stdout
    folder = tmp_path / "runs" / "bed"
    written = {path.name for path in folder.iterdir()}
    assert {"trials.csv", "front.csv", "report.html", "config.yaml", "environment.json"} <= written

    assert "16 of 16 trials, 0 failed" in mergesearch("status", folder).stdout
    picked = mergesearch("pick", folder, "--weight", "flip/accuracy=1")
    number = picked.stdout.strip().splitlines()[-1]
    exported = mergesearch("export", folder, tmp_path / "merged", "--trial", number)
    assert exported.returncode == 0, exported.stderr
    assert load_file(tmp_path / "merged" / "model.safetensors").keys() == load_file(_base(make_config())).keys()

    (folder / "report.html").unlink()
    assert mergesearch("report", folder).returncode == 0
    assert "<html" in (folder / "report.html").read_text()


@pytest.mark.slow
def test_init_writes_a_configuration_that_says_what_to_fill_in(bed: Path, tmp_path: Path) -> None:
    done = mergesearch("init", bed / "base.safetensors", bed / "[fi]*.safetensors", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    keys = yaml.safe_load((tmp_path / "search.yaml").read_text())
    assert list(keys["models"]["members"]) == ["flip", "invert"]
    again = mergesearch("init", bed / "base.safetensors", bed / "flip.safetensors", cwd=tmp_path)
    assert again.returncode == 2 and "'search.yaml' exists; give another name with --out" in again.stderr
    # Filled in with this test bed's names, it runs.
    keys["models"]["network"] = f"{BED}:network"
    keys["evaluators"] = {"quality": {"kind": "dataloader", "dataset": f"{BED}:dataset", "arguments": {"task": "flip"}}}
    assert mergesearch("validate", write(tmp_path / "filled.yaml", keys), cwd=tmp_path).returncode == 0


@pytest.mark.slow
def test_the_terminal_shows_names_as_they_are(make_config: MakeConfig, tmp_path: Path) -> None:
    keys = make_config(budget__trials=6)
    keys["models"]["members"] = {f"[/{name}]": path for name, path in keys["models"]["members"].items()}
    done = mergesearch("run", write(tmp_path / "search.yaml", keys))
    assert done.returncode == 0, done.stderr
    assert "member [/flip]" in done.stdout
    folder = tmp_path / "runs" / "bed"
    refused = mergesearch("export", folder, tmp_path / "merged", "--trial", "0", "--weight", "flip/accuracy=1")
    assert refused.returncode == 2 and "--trial names the trial already" in refused.stderr
    refused = mergesearch("pick", folder, "--floor", "flip/accuracy=nan")
    assert refused.returncode == 2 and "write it as task/metric=number" in refused.stderr
    assert mergesearch("--version").stdout.strip() == "0.1.0"
    unwritable = write(tmp_path / "nowhere.yaml", {**keys, "out": "/proc/nowhere"})
    refused = mergesearch("run", unwritable)
    assert refused.returncode == 2 and "set `out` to another folder" in refused.stderr.replace("\n", " ")


def _base(keys: dict[str, Any]) -> Path:
    return Path(keys["models"]["base"])


def _truncate(keys: dict[str, Any], bed: Path, folder: Path) -> None:
    path = folder / "short.safetensors"
    path.write_bytes((bed / "flip.safetensors").read_bytes()[:5000])
    keys["models"]["members"]["flip"] = str(path)


def _poison(keys: dict[str, Any], bed: Path, folder: Path) -> None:
    tensors = load_file(bed / "flip.safetensors")
    tensors["head.bias"][3] = torch.nan
    save_file(tensors, folder / "nan.safetensors")
    keys["models"]["members"]["flip"] = str(folder / "nan.safetensors")


def _widen(keys: dict[str, Any], bed: Path, folder: Path) -> None:
    tensors = load_file(bed / "flip.safetensors")
    save_file({**tensors, "embed.weight": torch.zeros(25, 64)}, folder / "wide.safetensors")
    keys["models"]["members"]["flip"] = str(folder / "wide.safetensors")


def _set(section: str, key: str, value: Any) -> Edit:
    def edit(keys: dict[str, Any], bed: Path, folder: Path) -> None:
        keys.setdefault(section, {})[key] = value

    return edit


def _objective(metric: str) -> Edit:
    def edit(keys: dict[str, Any], bed: Path, folder: Path) -> None:
        keys["objectives"] = [metric]

    return edit


BAD: dict[str, tuple[Edit, list[str]]] = {
    "missing file": (_set("models", "base", "nowhere.safetensors"), ["no file or folder 'nowhere.safetensors'"]),
    "empty glob": (_set("models", "members", ["nothing-*.safetensors"]), ["no file or folder matches 'nothing-*"]),
    "no members": (_set("models", "members", []), ["neither of models.members and models.trajectory given"]),
    "truncated": (_truncate, ["short.safetensors' is truncated", "copy it again"]),
    "NaN": (_poison, ["member 'flip': tensor 'head.bias' holds NaN"]),
    "other shape": (_widen, ["'embed.weight' is 25 x 64, the base has 24 x 64"]),
    "wrong network": (_set("models", "network", f"{BED}:other_network"), ["base.safetensors", "embed.weight"]),
    "network misspelt": (_set("models", "network", f"{BED}:netwrok"), ["has no 'netwrok'; did you mean 'network'?"]),
    "unknown task": (_objective("flop/accuracy"), ["no task 'flop'", "did you mean 'flip'?"]),
    "unknown metric": (_objective("flip/acuracy"), ["'flip' has no metric 'acuracy'", "accuracy, loss"]),
    "unknown key": (_set("search", "sed", 1), ["unknown key 'search.sed'; did you mean 'seed'?"]),
    "unknown searcher": (_set("search", "searcher", "nsga4"), ["nothing called 'nsga4' in search", "nsga3"]),
    "unknown searcher option": (_set("search", "options", {"margn": 1}), ["has no option 'margn'"]),
    "bounds turned round": (lambda keys, *_: keys["space"].update(low=1.0, high=0.0), ["low 1.0 and high 0.0"]),
    "unknown space key": (_set("space", "hihg", 2.0), ["'hihg'", "did you mean 'high'?"]),
    "unknown grouping": (_set("space", "groups", "layer"), ["'layer'", "layers"]),
    "one objective only": (_set("search", "searcher", "cmaes"), ["searcher 'cmaes' searches one objective, but 2"]),
    "unknown baseline": (_set("search", "baselines", ["unform*"]), ["no canonical point matches 'unform*'"]),
    "unknown device": (_set("models", "device", "gpu"), ["device 'gpu' is unknown", "'auto'"]),
    "absent device": (_set("models", "device", "cuda:99"), ["device 'cuda:99' is not there: this machine has cpu"]),
    "unknown module": (_set("models", "device", {"hed": "cpu"}), ["names the module 'hed'", "did you mean 'head'?"]),
    "unknown transform": (_set("models", "transform", {"kind": "tie"}), ["nothing called 'tie'", "'ties'"]),
    "failing data": (
        lambda keys, *_: keys["evaluators"]["digits"].update(dataset=f"{BED}:failing_dataset", tasks=None),
        ["no data here"],
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case: str, make_config: MakeConfig, bed: Path, tmp_path: Path) -> None:
    from mergesearch.errors import InputError
    from mergesearch.runs.api import run
    from mergesearch.runs.config import load_config

    edit, texts = BAD[case]
    keys = make_config()
    edit(keys, bed, tmp_path)
    with pytest.raises(InputError) as caught:
        run(load_config(write(tmp_path / "search.yaml", keys)))
    assert all(text in str(caught.value) for text in texts), str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists(), "the run folder is untouched"


@pytest.mark.slow
def test_errors_exit_with_2_and_debug_shows_the_traceback(make_config: MakeConfig, tmp_path: Path) -> None:
    path = write(tmp_path / "search.yaml", make_config(search__searcher="nsga4"))
    plain = mergesearch("run", path)
    assert plain.returncode == 2
    assert plain.stderr.strip().startswith("error: nothing called 'nsga4'") and "Traceback" not in plain.stderr
    assert len(plain.stderr.strip().splitlines()) == 1
    assert "Traceback" in mergesearch("--debug", "run", path).stderr
    assert mergesearch("status", tmp_path / "nothing").returncode == 2
    assert "no run folder" in mergesearch("pick", tmp_path / "nothing").stderr


def test_another_configuration_is_refused_and_nothing_changes(make_config: MakeConfig, tmp_path: Path) -> None:
    from mergesearch.errors import JournalError
    from mergesearch.runs.api import run
    from mergesearch.runs.config import Config

    run(Config(**make_config(budget__trials=9)))
    before = snapshot(tmp_path / "runs")
    with pytest.raises(JournalError, match=r"another configuration \(differing: search.seed, space.groups\)"):
        run(Config(**make_config(search__seed=9, space__groups="layers")))
    assert snapshot(tmp_path / "runs") == before
    assert len(run(Config(**make_config(budget__trials=11))).records) == 11, "the budget may be raised"


def test_members_in_another_order_or_with_other_weights_are_refused(make_config: MakeConfig, tmp_path: Path) -> None:
    from mergesearch.errors import JournalError
    from mergesearch.runs.api import run
    from mergesearch.runs.config import Config

    keys = make_config(budget__trials=5)
    member = tmp_path / "flip.safetensors"
    shutil.copy(keys["models"]["members"]["flip"], member)
    keys["models"]["members"]["flip"] = str(member)
    run(Config(**keys))
    before = snapshot(tmp_path / "runs")
    turned = {**keys, "models": {**keys["models"], "members": dict(reversed(keys["models"]["members"].items()))}}
    with pytest.raises(JournalError, match=r"differing: models.members \(order\)"):
        run(Config(**turned))
    save_file({name: value * 1.5 for name, value in load_file(member).items()}, member)
    with pytest.raises(JournalError, match=r"the weights of base or members changed since '.*bed' was started"):
        run(Config(**keys))
    assert snapshot(tmp_path / "runs") == before


def test_an_identical_member_is_a_warning(
    make_config: MakeConfig, bed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from mergesearch.runs.api import run
    from mergesearch.runs.config import Config

    shutil.copy(bed / "base.safetensors", tmp_path / "same.safetensors")
    keys = make_config(budget__trials=8)
    keys["models"]["members"]["same"] = str(tmp_path / "same.safetensors")
    run(Config(**keys))
    assert "member 'same' is identical to the base" in caplog.text


def test_two_processes_cannot_run_one_folder(make_config: MakeConfig) -> None:
    from mergesearch.errors import InputError
    from mergesearch.runs.api import run
    from mergesearch.runs.config import Config
    from mergesearch.runs.folder import RunFolder

    config = Config(**make_config(budget__trials=3))
    with RunFolder(config.folder).locked(), pytest.raises(InputError, match="is being run by another process"):
        run(config)
