"""Configuration: one-line errors that name the value and the nearest key."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import yaml

from mergesearch.errors import InputError
from mergesearch.plugins import plugin_names
from mergesearch.runs.config import Config, ModelsConfig, differing_keys, load_config, seconds

from .conftest import MakeConfig


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"modles": {}}, "unknown key 'modles'; did you mean 'models'?"),
        ({"search__sedd": 1}, "unknown key 'search.sedd'; did you mean 'seed'?"),
        ({"objectives": [{"metric": "flip/accuracy", "flor": 0.5}]}, "unknown key 'objectives.0.flor'; did you mean"),
        ({"objectives": []}, "objectives is []"),
        ({"objectives": ["flip/accuracy", "flip/accuracy"]}, "'flip/accuracy' is given twice; name each metric once"),
        ({"budget__trials": 0}, "budget.trials is 0"),
        ({"budget__time": -1}, "-1 is no duration"),
        ({"budget__time": "soon"}, "'soon' is no duration; write it like 45s, 30m, 8h or 1h30m"),
        ({"samples__held_out": 1.5}, "samples.held_out is 1.5"),
        ({"search__seed": "x"}, "search.seed is 'x'"),
        ({"name": "a/b"}, "name is 'a/b'"),
        ({"name": ".."}, "name '..' is no folder name"),
        ({"models__storage": "int3"}, "models.storage is 'int3'"),
    ],
)
def test_bad_values_are_named(make_config: MakeConfig, changes: dict[str, object], text: str) -> None:
    with pytest.raises(InputError) as caught:
        Config(**make_config(**changes))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_key_is_named(make_config: MakeConfig) -> None:
    keys = make_config()
    del keys["evaluators"]
    with pytest.raises(InputError, match="key 'evaluators' is missing; add it"):
        Config(**keys)


@pytest.mark.parametrize(
    ("content", "text"),
    [("a: [1", "is no valid YAML"), ("just words", "holds no configuration"), ("", "holds no configuration")],
)
def test_files_that_hold_no_configuration(tmp_path: Path, content: str, text: str) -> None:
    path = tmp_path / "search.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=text):
        load_config(path)


def test_keys_are_text(tmp_path: Path, make_config: MakeConfig) -> None:
    """YAML would read `on` and `no` as booleans and 007 as a number; a merged mapping is no key."""
    path = tmp_path / "search.yaml"
    evaluators = "{no: &a {kind: agreement, on: {kind: perplexity}}, 007: {<<: *a, member: x}}"
    rest = yaml.safe_dump({key: value for key, value in make_config().items() if key != "evaluators"})
    path.write_text(f"{rest}evaluators: {evaluators}\nracing: off\n")
    config = load_config(path)
    own = {"kind": "agreement", "on": {"kind": "perplexity"}}
    assert config.evaluators == {"no": own, "007": {**own, "member": "x"}} and not config.racing.enabled


def test_keys_given_twice_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "search.yaml"
    path.write_text("models:\n  members:\n    a: one\n    a: two\n")
    with pytest.raises(InputError, match=r"key 'a' is given twice \(again in line 4\); give each key once"):
        load_config(path)


@pytest.mark.parametrize("name", ["", " ", "two\nlines"])
def test_members_need_a_name_that_prints(make_config: MakeConfig, name: str) -> None:
    with pytest.raises(InputError, match="is no name for a member; give one printable line"):
        Config(**make_config(models__members={name: "path"}))


def test_a_transform_may_be_named_alone(make_config: MakeConfig) -> None:
    assert Config(**make_config(models__transform="trim")).models.transform == {"kind": "trim"}


def test_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file '.*nowhere.yaml'; write one with: mergesearch init"):
        load_config(tmp_path / "nowhere.yaml")


def test_yaml_and_python_take_the_same_keys(make_config: MakeConfig, tmp_path: Path) -> None:
    path = tmp_path / "search.yaml"
    path.write_text(yaml.safe_dump(make_config()))
    assert load_config(path) == Config(**make_config())


def test_budget_and_folder_are_no_part_of_the_identity(make_config: MakeConfig) -> None:
    ours = Config(**make_config())
    assert differing_keys(ours, Config(**make_config(budget={"trials": 99}, out="elsewhere"))) == []
    assert differing_keys(ours, Config(**make_config(models__tier="file", models__bank="kept.bank"))) == []
    theirs = Config(**make_config(search__seed=4, space__groups="layers"))
    assert differing_keys(ours, theirs) == ["search.seed", "space.groups"]


@pytest.mark.parametrize(
    ("text", "wanted"), [("90", 90), ("45s", 45), ("1h30m", 5400), (12, 12), ("0.5h", 1800), (None, None)]
)
def test_durations(text: str | int | None, wanted: float | None) -> None:
    assert seconds(text) == wanted


def test_storages_are_those_of_the_engine() -> None:
    """The configuration lists them itself, for it imports no torch."""
    from mergesearch.engine.storage.storage import Storage

    listed = get_args(ModelsConfig.model_fields["storage"].annotation)
    assert sorted(listed) == plugin_names("mergesearch.engine.storage", Storage)
