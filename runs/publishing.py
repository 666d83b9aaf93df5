"""Publishing a trial: its weights as a model folder, and its recipe."""

from __future__ import annotations

import importlib.metadata
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from ..engine.checkpoints.adapter import AdapterCheckpoint
from ..engine.checkpoints.converted import ConvertedCheckpoint
from ..engine.checkpoints.diffusion import is_diffusers
from ..engine.export.export import export_model
from ..engine.export.mergekit_recipe import mergekit_recipe
from ..errors import InputError
from .config import Config
from .folder import write_atomically
from .opening import Opened, open_live
from .plan import Plan
from .record import TrialRecord

log = logging.getLogger(__name__)

RECIPE = "mergesearch.json"
MERGEKIT = "mergekit.yaml"


def publish(config: Config, plan: Plan, record: TrialRecord, destination: Path) -> Path:
    """Write the trial's weights to `destination`, with configuration, tokenizer, its recipe, and mergekit's YAML.

    mergekit's YAML is left out where the candidate is not linear in whole members (a transform, anchors, adapters,
    ignored tensors, files outside of folders), and for diffusion models.

    Raises:
        InputError: the trial failed, the members have changed since the run, or `destination` is not empty.
    """
    if not record.complete:
        raise InputError(f"trial {record.number} failed with {record.reason}; export one that was scored")
    if not record.whole:
        log.warning(
            "trial %d was stopped early; its scores are estimates from %.0f %% of the samples",
            record.number,
            100 * record.visited,
        )
    opened = open_live(config)
    if opened.live.bank.fingerprint != plan.bank:
        raise InputError(
            "base or members have changed since the run, so its trials cannot be reproduced; "
            "restore them, or start a run of another name"
        )
    if record.proposal.member is None:
        opened.live.write(record.proposal.table)
    else:
        opened.live.write_source(opened.models.members[record.proposal.member].source)
    recipe = _recipe(config, plan, record)
    export_model(opened.live, opened.models.base, destination, recipe)
    write_atomically(destination / RECIPE, json.dumps(recipe, indent=1) + "\n")
    if _linear_in_folders(config, opened):
        try:
            write_atomically(destination / MERGEKIT, _mergekit(opened, record))
        except InputError as error:
            log.warning("no %s: %s", MERGEKIT, error)
    return destination


def _recipe(config: Config, plan: Plan, record: TrialRecord) -> dict[str, Any]:
    table = record.proposal.table
    return {
        "mergesearch": importlib.metadata.version("mergesearch"),
        "run": config.name,
        "trial": record.number,
        "origin": record.proposal.origin,
        "models": config.models.model_dump(mode="json", exclude_defaults=True),
        "members": list(plan.members),
        "groups": list(plan.groups),
        "base_coefficients": table.base.tolist(),
        "coefficients": table.members.tolist(),
        "share_of_samples": record.visited,  # below 1 it was stopped early, and the scores are estimates
        "search_scores": dict(zip(plan.objectives.names, record.values or (), strict=False)),
        "bank": plan.bank,
    }


def _linear_in_folders(config: Config, opened: Opened) -> bool:
    checkpoints = [opened.models.base_checkpoint, *[member.source.checkpoint for member in opened.models.members]]
    plain = not (config.models.transform or config.models.anchors or config.models.ignore)
    plain = plain and not is_diffusers(opened.models.base_checkpoint)  # mergekit knows transformers' alone
    unusual = (AdapterCheckpoint, ConvertedCheckpoint)
    return plain and all(one.folder is not None and not isinstance(one, unusual) for one in checkpoints)


def _mergekit(opened: Opened, record: TrialRecord) -> str:
    dtypes = {str(tensor.dtype).removeprefix("torch.") for tensor in opened.live.tensors().values()}
    paths = {member.name: _absolute(member.source.checkpoint.path) for member in opened.models.members}
    recipe = mergekit_recipe(
        record.proposal.table,
        opened.live.groups,
        _absolute(opened.models.base_checkpoint.path),
        paths,
        _one(sorted(dtypes)),
    )
    return yaml.safe_dump(recipe, sort_keys=False)


def _absolute(path: Path) -> str:
    return str(path.resolve())


def _one(dtypes: Sequence[str]) -> str:
    """The dtype of the output: the only one, or fp32 where a model mixes several."""
    return dtypes[0] if len(dtypes) == 1 else "float32"
