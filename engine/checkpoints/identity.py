"""Refuses members that are of another model than the base: architecture, heads, vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import CheckpointError
from .adapter import AdapterCheckpoint
from .checkpoint import Checkpoint, read_json

# Keys of config.json that change what the weights mean while the shapes may stay the same.
_KEYS = (
    "_class_name",
    "model_type",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "n_layer",
    "n_head",
    "num_heads",
    "encoder_attention_heads",
    "decoder_attention_heads",
    "attention_head_dim",
    "vocab_size",
)


def check_same_model(name: str, member: Checkpoint, base: Checkpoint) -> None:
    """Compare configuration and vocabulary of a member with the base's, as far as both have them.

    Raises:
        CheckpointError: they differ; names the key or the token, and both values.
    """
    if isinstance(member, AdapterCheckpoint):
        return
    our_values, their_values = _values(base.config), _values(member.config)
    for key, ours in our_values.items():
        theirs = their_values.get(key)
        if ours is not None and theirs is not None and ours != theirs:
            raise CheckpointError(
                f"member '{name}' has {key} {theirs}, the base has {ours}: another architecture or vocabulary; "
                "give a checkpoint fine-tuned from this base"
            )
    _check_vocabulary(name, member.folder, base.folder)


def _values(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration's values under `_KEYS`; those of its parts as `text_config.vocab_size`, and so on."""
    values = {key: config[key] for key in _KEYS if key in config}
    for part, content in config.items():
        if isinstance(content, dict) and part.endswith("_config"):
            values |= {f"{part}.{key}": value for key, value in _values(content).items()}
    return values


def _check_vocabulary(name: str, member: Path | None, base: Path | None) -> None:
    ours, theirs = _vocabulary(base), _vocabulary(member)
    if not ours or not theirs or ours == theirs:
        return
    token = next(token for token in [*theirs, *ours] if ours.get(token) != theirs.get(token))
    raise CheckpointError(
        f"member '{name}' has another vocabulary: token {token!r} is {theirs.get(token, 'missing')} there and "
        f"{ours.get(token, 'missing')} in the base; give a checkpoint with the base's tokenizer"
    )


def _vocabulary(folder: Path | None) -> dict[str, int]:
    path = folder / "tokenizer.json" if folder else None
    if path is None or not path.is_file():
        return {}
    content: dict[str, Any] = read_json(path)
    vocabulary = content.get("model", {}).get("vocab", {})
    if isinstance(vocabulary, list):  # unigram models list [token, score] pairs in the order of their numbers
        vocabulary = {entry[0]: number for number, entry in enumerate(vocabulary)}
    return {**vocabulary, **{entry["content"]: entry["id"] for entry in content.get("added_tokens", [])}}
