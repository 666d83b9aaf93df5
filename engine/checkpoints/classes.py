"""Refuses classifiers whose heads number the same classes differently: averaged, they would mix one with another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

from ...errors import CheckpointError


def check_same_classes(configs: Mapping[str, Mapping[str, Any]], model: Any, merged: Iterable[str]) -> None:
    """Compare the classes of base and members, where their heads are merged.

    Names count whatever the case of their letters, and only those that both have: `LABEL_0` is no name.

    Args:
        configs: `base`, or a member's name -> its `config.json`.
        model: torch.nn.Module; one of transformers says what its body is, and so what its head.
        merged: names of the tensors to merge.

    Raises:
        CheckpointError: two give one class different numbers; shows both orders.
    """
    body = getattr(model, "base_model_prefix", "")
    heads = [name for name in merged if not name.startswith(f"{body}.")]
    if not body or not hasattr(model, body) or not heads:
        return
    classes = {name: found for name, config in configs.items() if (found := _numbers(config))}
    for (one, ours), (other, theirs) in combinations(classes.items(), 2):
        mixed = [label for label, number in ours.items() if theirs.get(label, number) != number][:4]
        if mixed:
            whose = "the base" if one == "base" else f"member '{one}'"
            raise CheckpointError(
                f"member '{other}' has classes {_shown(theirs, mixed)}, and {whose} {_shown(ours, mixed)}: merged "
                "heads would mix them; number them alike in weights and config.json, or leave heads out of the merge "
                f"(models.ignore: ['{heads[0].partition('.')[0]}.*']) and give each task its own (an evaluator's head)"
            )


def _numbers(config: Mapping[str, Any]) -> dict[str, int]:
    """Name of each class, in small letters -> its number."""
    pairs = [(name, number) for number, name in (config.get("id2label") or {}).items()]
    pairs = pairs or list((config.get("label2id") or {}).items())
    return {str(name).lower(): int(number) for name, number in pairs if name != f"LABEL_{number}"}


def _shown(classes: Mapping[str, int], labels: Iterable[str]) -> str:
    return ", ".join(f"{number} '{label}'" for number, label in sorted((classes[label], label) for label in labels))
