"""Base and members of a configuration, opened as a live model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..engine.bank.member import BankOptions
from ..engine.live.bound import BoundModel
from ..engine.models import ModelPaths, Models
from ..engine.tiers.keeping import Keeping
from ..engine.transforms.transform import Transform
from ..errors import InputError
from ..plugins import check_options, load_plugin
from ..spaces.groups import group_tensors
from .config import Config, ModelsConfig


@dataclass(frozen=True)
class Opened:
    """Base and members as a live model: what exporting needs, too.

    Attributes:
        models: base and members.
        live: bound to the bank.
        transform: what the deltas went through, if anything.
    """

    models: Models
    live: BoundModel[Any]
    transform: Transform | None


def open_live(config: Config, models: Models | None = None) -> Opened:
    """Open base and members, build the bank, and bind the live model.

    Raises:
        InputError: anything under `models` or `space.groups` that cannot be used.
    """
    transform = _transform(config.models)
    models = models or open_models(config.models)
    groups = group_tensors(models.places(), config.space.groups)
    if config.models.adapters == "live":
        return Opened(models, models.live_adapters(groups), transform)
    bank = models.build_bank(
        BankOptions(config.models.storage, transform), Keeping(config.models.tier, config.models.bank)
    )
    return Opened(models, models.live(bank, groups, config.models.kernel), transform)


def open_models(models: ModelsConfig) -> Models:
    """Open base and members as far as their headers.

    Raises:
        InputError: a path or an option under `models` that cannot be used.
    """
    return Models(_paths(models))


def _paths(models: ModelsConfig) -> ModelPaths:
    return ModelPaths(
        base=models.base,
        members=models.members,
        trajectory=models.trajectory,
        anchors=models.anchors,
        network=models.network,
        ignore=tuple(models.ignore),
        dtype=models.dtype,
        device=models.device,
    )


def _transform(models: ModelsConfig) -> Transform | None:
    if models.transform is None:
        return None
    options = dict(models.transform)
    if "kind" not in options:
        raise InputError(f"models.transform is {models.transform}; give it a kind, such as trim, ties or dare")
    kind = load_plugin(options.pop("kind"), f"{__name__.rsplit('.', 2)[0]}.engine.transforms", Transform)
    check_options(f"transform '{kind.__name__}'", kind, options)
    return kind(**options)
