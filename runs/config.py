"""The configuration of a run: the same keys in YAML and in Python."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from ..errors import InputError, nearest
from .yaml_file import read_yaml

_PLACES = {"tier", "bank"}  # keys of `models`
_ASIDE: dict[str, Any] = {"budget": True, "out": True, "cache": True, "name": True, "models": _PLACES}
_DENSE = ("transform", "storage", "tier", "bank")  # keys of `models` that only dense deltas have a use for
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(text: str | float | None) -> float | None:
    """Seconds in a duration such as `90`, `45s`, `30m`, `8h` or `1h30m`.

    Raises:
        ValueError: it is no duration, or a negative one.
    """
    if text is None:
        return None
    if isinstance(text, int | float):
        if not text >= 0:
            raise ValueError(f"{text} is no duration; give a number of seconds that is not negative")
        return float(text)
    compact = text.replace(" ", "")
    if re.fullmatch(r"\d+(\.\d+)?", compact):
        return float(compact)
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise ValueError(f"'{text}' is no duration; write it like 45s, 30m, 8h or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


PAIRED = "paired"  # what a score is estimated by: its differences to trials of similar coefficients


def _kind(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


class ModelsConfig(_Section):
    """What is merged, and how it is kept in memory."""

    base: str | None = Field(None, description="the common ancestor; a trajectory's oldest snapshot where left out")
    members: dict[str, str] | list[str] = Field(default=[], description="name: path, or a list of paths and globs")
    trajectory: str | None = Field(None, description="glob of one run's snapshots, instead of members")
    anchors: dict[str, str] = Field(default={}, description="member: what it was trained from, if not the base")
    network: str | None = Field(None, description="module:function that builds the module, if not transformers")
    ignore: list[str] = Field(default=[], description="globs of tensors that stay at the base's values")
    dtype: str | None = Field(None, description="float32, bfloat16 or float16; the base's own where left out")
    device: str | dict[str, str] = Field(
        "auto", description="torch's name, auto for the accelerator, sharded for all of them, or module: name"
    )
    storage: Literal["exact", "fp16", "int8", "sparse", "sparse_exact"] = Field(
        "exact", description="how deltas are kept: in full, in fewer bits with a stated error, or the nonzero ones"
    )
    tier: Literal["auto", "device", "host", "file"] = Field("auto", description="where deltas lie: what has room")
    bank: str | None = Field(None, description="file to keep base and deltas in, for later runs of the same models")
    adapters: Literal["merged", "live"] = Field(
        "merged", description="live: LoRA adapters stay beside the base's weights, which no candidate overwrites"
    )
    kernel: Literal["auto", "compiled", "eager"] = Field("auto", description="how candidates are written")
    transform: Annotated[dict[str, Any] | None, BeforeValidator(_kind)] = Field(
        None, description="kind: trim, ties or dare, and its options"
    )

    @model_validator(mode="after")
    def _fitting(self) -> ModelsConfig:
        given = [key for key in _DENSE if getattr(self, key) != ModelsConfig.model_fields[key].default]
        if self.adapters == "live" and given:
            raise ValueError(
                f"models.adapters: live keeps no dense deltas, which is what models.{given[0]} is about; "
                "leave one of them out"
            )
        return self

    @field_validator("members")
    @classmethod
    def _printable(cls, members: dict[str, str] | list[str]) -> dict[str, str] | list[str]:
        for name in members if isinstance(members, dict) else ():
            if not (name.strip() and name.isprintable()):
                raise ValueError(f"{name!r} is no name for a member; give one printable line")
        return members


class SpaceConfig(_Section):
    """Which tensors share coefficients, and what values those may take; further keys go to `build_space`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    groups: str | dict[str, Any] = Field("layers", description="model, layers, kinds, tensors, blocks: K, ...")

    def options(self) -> dict[str, Any]:
        """The keys of the space itself."""
        return dict(self.model_extra or {})


class SearchConfig(_Section):
    """How candidates are proposed."""

    searcher: str = Field("tpe", description="a file of search/, module:Name, or auto")
    seed: int = Field(0, ge=0, description="all random numbers follow from it")
    scalarise: Literal["mean"] | None = Field(None, description="mean: search one weighted mean, not the front")
    options: dict[str, Any] = Field(default={}, description="the searcher's own options")
    baselines: list[str] | None = Field(
        None,
        description="globs of the canonical points to evaluate first; all, or a trajectory's averages and last ten",
    )


class ObjectiveConfig(_Section):
    """A metric to improve."""

    metric: str = Field(description="task/metric")
    direction: Literal["maximize", "minimize"] | None = Field(None, description="the metric's own where left out")
    floor: float | None = Field(None, description="a chosen model must keep at least (minimize: at most) this")
    weight: float | None = Field(None, gt=0, description="in weighted means")


class SamplesConfig(_Section):
    """Which samples the search sees."""

    held_out: float = Field(0.5, ge=0, lt=1, description="fraction kept from the search, to re-score its front")
    limit: int | None = Field(None, ge=1, description="at most this many samples per task")
    fresh: float = Field(0.0, ge=0, lt=1, description="fraction kept to choose the winner among the elite")
    elite: int = Field(5, ge=1, description="how many of the best trials are scored on fresh samples")
    seed: int = Field(0, ge=0, description="of the split")


class RacingConfig(_Section):
    """When a candidate stops before it has seen all samples of the search."""

    enabled: bool = Field(True, description="racing: off stands for {enabled: false}")
    false_stops: float = Field(
        0.2, gt=0, lt=0.5, description="probability of stopping a candidate that is beyond the front by the margin"
    )
    margin: float = Field(
        5.0, ge=0, description="gain that is left to the finalists at the end, in standard errors of a full score"
    )
    confirm: float = Field(
        0.0002, ge=0, description="share of the front's volume that a stopped trial must promise, to be scored on"
    )
    keep: float = Field(1 / 3, gt=0, lt=1, description="one objective: share of candidates that go on at each look")
    first: int = Field(
        16, ge=2, description="samples before the first look; each next has half as many again (one objective: twice)"
    )
    agreement: float = Field(0.2, ge=0, le=1, description="share of samples on which the members agree, as a guard")
    estimator: Annotated[dict[str, Any], BeforeValidator(_kind)] = Field(
        {"kind": PAIRED}, description="of a score, from some samples: paired, stratified, item_response or mean"
    )
    screens: dict[str, Annotated[float, Field(gt=0, lt=1)]] = Field(
        {}, description="task/metric: share of candidates that go on, judged before anything else is scored"
    )


class BudgetConfig(_Section):
    """When the search ends; baselines count."""

    trials: int = Field(60, ge=1, description="number of trials, baselines and failed ones included")
    time: Annotated[float | None, BeforeValidator(seconds)] = Field(None, description="such as 30m or 8h")


def _objective(value: Any) -> Any:
    return {"metric": value} if isinstance(value, str) else value


def _racing(value: Any) -> Any:
    if value is None:
        return {}
    if isinstance(value, str) and value in ("on", "off"):
        value = value == "on"
    if not isinstance(value, bool | Mapping | RacingConfig):
        raise ValueError("give on, off, or keys such as false_stops")
    return {"enabled": value} if isinstance(value, bool) else value


def _searcher(value: Any) -> Any:
    return {"searcher": value} if isinstance(value, str) else value


class Config(_Section):
    """Everything a run is determined by.

    Raises:
        InputError: an unknown key (names the nearest), a missing one, or a value of the wrong kind.
    """

    name: str = Field("search", pattern=r"^[\w.-]+$", description="the run's folder")
    models: ModelsConfig
    space: SpaceConfig = SpaceConfig()
    search: Annotated[SearchConfig, BeforeValidator(_searcher)] = SearchConfig()
    evaluators: dict[str, dict[str, Any]]
    objectives: list[Annotated[ObjectiveConfig, BeforeValidator(_objective)]] = Field(min_length=1)
    samples: SamplesConfig = SamplesConfig()
    racing: Annotated[RacingConfig, BeforeValidator(_racing)] = RacingConfig()
    budget: BudgetConfig = BudgetConfig()
    out: str = Field("mergesearch-runs", description="folder of run folders")
    cache: str | None = Field(None, description="folder of evaluations that runs share; OUT/.cache where left out")
    store: str | None = Field(None, description="URL of a database, instead of the journal file")

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InputError(_explain(error)) from error

    @field_validator("objectives")
    @classmethod
    def _distinct(cls, objectives: list[ObjectiveConfig]) -> list[ObjectiveConfig]:
        names = [objective.metric for objective in objectives]
        twice = [name for index, name in enumerate(names) if name in names[:index]]
        if twice:
            raise ValueError(f"'{twice[0]}' is given twice; name each metric once")
        return objectives

    @model_validator(mode="after")
    def _resolved_name(self) -> Config:
        if self.name in (".", ".."):
            raise ValueError(f"name '{self.name}' is no folder name; give letters, digits, '.', '_' and '-'")
        return self

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return Path(self.out) / self.name

    def identity(self) -> dict[str, Any]:
        """What a run's trials hang on, flat: `section.key` -> value. The budget may be raised, the folder moved."""
        # Where the deltas lie changes no bit of a candidate.
        content = self.model_dump(mode="json", exclude=_ASIDE)
        # The order of members is the order of the table's columns, which a comparison of mappings would not see.
        return {**dict(_flatten(content)), "models.members (order)": list(self.models.members)}


def load_config(path: str | Path) -> Config:
    """Read a configuration from a YAML file.

    Raises:
        InputError: no such file, no valid YAML, or no valid configuration.
    """
    content = read_yaml(Path(path))
    if not isinstance(content, dict):
        raise InputError(f"'{path}' holds no configuration; write one with: mergesearch init MODELS...")
    return Config(**{str(key): value for key, value in content.items()})


def differing_keys(ours: Config, theirs: Config) -> list[str]:
    """Keys (`section.key`) in which two configurations determine different trials."""
    left, right = ours.identity(), theirs.identity()
    return sorted(key for key in {*left, *right} if left.get(key) != right.get(key))


def _flatten(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in content.items():
        pairs += _flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)]
    return pairs


def _explain(error: ValidationError) -> str:
    """One line for the first problem: where it is, what was given, and what to do."""
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"] if not _is_branch(part))
    if problem["type"] == "extra_forbidden":
        parent, key = problem["loc"][:-1], str(problem["loc"][-1])
        return f"unknown key '{where}'; {nearest(key, _keys(parent))}"
    if problem["type"] == "missing":
        return f"key '{where}' is missing; add it"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{where or 'configuration'} is {problem['input']!r}: {message}" if where else message


def _is_branch(part: Any) -> bool:
    """Pydantic names the branch of a union it tried, such as `dict[str,str]`; the user knows no such key."""
    return isinstance(part, str) and ("[" in part or part in ("str", "float", "int"))


def _keys(location: tuple[Any, ...]) -> list[str]:
    section: type[BaseModel] = Config
    for part in location:
        if part == "objectives":
            return list(ObjectiveConfig.model_fields)
        field = section.model_fields.get(str(part))
        if field is not None and isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            section = field.annotation
    return list(section.model_fields)
