"""Layers, depths and kinds are found in any architecture, from its tree of modules."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from torch import nn

from mergesearch.engine.network.places import tensor_places
from mergesearch.engine.network.tensors import floating_tensors
from mergesearch.spaces.groups import group_tensors
from mergesearch.spaces.place import TensorPlace

SMALL: dict[str, Any] = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "pad_token_id": 0,
}
TOWER = {key: SMALL[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")}
SEQ2SEQ = {"vocab_size": 32, "d_model": 16, "pad_token_id": 0, "num_layers": 2, "num_decoder_layers": 3}
SPEECH = {"num_mel_bins": 4, "max_source_positions": 8, "max_target_positions": 8, "encoder_layers": 2}
HALVES = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
HEADS = {"d_ff": 16, "d_kv": 8, "num_heads": 2}
WAVE = {"conv_dim": (8, 8), "conv_stride": (2, 2), "conv_kernel": (3, 3), "num_conv_pos_embeddings": 4}
TOKENS = {"decoder_start_token_id": 1, "bos_token_id": 1, "eos_token_id": 2}

# Model, its configuration, number of layers, some of its kinds, a tensor of the input and one of the output.
ARCHITECTURES: dict[str, tuple[str, dict[str, Any], int, set[str], str, str | None]] = {
    "llama": ("LlamaForCausalLM", SMALL, 3, {"self_attn", "mlp", "norm"}, "embed_tokens", "lm_head"),
    "qwen2": ("Qwen2ForCausalLM", SMALL, 3, {"self_attn", "mlp", "norm"}, "embed_tokens", "lm_head"),
    "qwen3": ("Qwen3ForCausalLM", SMALL, 3, {"self_attn", "mlp", "norm"}, "embed_tokens", "lm_head"),
    "gemma": ("GemmaForCausalLM", SMALL, 3, {"self_attn", "mlp", "norm"}, "embed_tokens", "model.norm"),
    "phi": ("PhiForCausalLM", SMALL, 3, {"self_attn", "mlp"}, "embed_tokens", "lm_head"),
    "mamba": ("MambaForCausalLM", {**SMALL, "state_size": 4}, 3, {"mixer", "norm"}, "embeddings", "norm_f"),
    "gpt2": (
        "GPT2LMHeadModel",
        {"vocab_size": 32, "n_embd": 16, "n_layer": 3, "n_head": 2},
        3,
        {"attn"},
        "wte",
        "ln_f",
    ),
    "bert": ("BertForMaskedLM", SMALL, 3, {"attention", "output"}, "word_embeddings", "cls.predictions.transform"),
    "distilbert": (
        "DistilBertForMaskedLM",
        {"vocab_size": 32, "dim": 16, "hidden_dim": 16, "n_layers": 3, "n_heads": 2},
        3,
        {"attention", "ffn", "norm"},
        "word_embeddings",
        "vocab_transform",
    ),
    "vit": (
        "ViTForImageClassification",
        {**TOWER, "image_size": 8, "patch_size": 4},
        3,
        set(),
        "patch_emb",
        "classifier",
    ),
    "t5": ("T5ForConditionalGeneration", {**SEQ2SEQ, **HEADS}, 5, {"layer"}, "shared", "decoder.final_layer_norm"),
    "whisper": (
        "WhisperForConditionalGeneration",
        {**SEQ2SEQ, **SPEECH, **HALVES, **TOKENS, "decoder_layers": 3},
        5,
        {"self_attn", "encoder_attn"},
        "decoder.embed_tokens",
        "encoder.layer_norm",
    ),
    "clip": (
        "CLIPModel",
        {"text_config": {**TOWER, "vocab_size": 32}, "vision_config": {**TOWER, "image_size": 8, "patch_size": 4}},
        6,
        {"self_attn", "mlp", "norm"},
        "vision_model.embeddings",
        "text_projection",
    ),
    "wav2vec2": (
        "Wav2Vec2ForCTC",
        {**TOWER, **WAVE, "vocab_size": 32},
        5,
        {"attention"},
        "feature_projection",
        "lm_head",
    ),
}


def random_model(name: str) -> nn.Module:
    model, options = ARCHITECTURES[name][:2]
    family: Any = getattr(transformers, model)
    torch.manual_seed(0)
    built: nn.Module = family(family.config_class(**options))
    return built


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architecture(name: str) -> None:
    _, _, layers, kinds, first, last = ARCHITECTURES[name]
    model = random_model(name)
    places = tensor_places(model)
    check_places(model, places, layers)
    assert kinds <= {place.kind for place in places if place.layer is not None}
    assert {place.layer_name for place in places if first in place.name} == {"input"}
    assert {place.layer_name for place in places if last and last in place.name} == {"output"}


def check_places(model: nn.Module, places: list[TensorPlace], layers: int) -> None:
    """Every floating tensor is placed once, layers are counted through, and depth grows with them."""
    assert [place.name for place in places] == list(floating_tensors(model))
    assert [place.size for place in places] == [tensor.numel() for tensor in floating_tensors(model).values()]
    inside = {place.layer: place.depth for place in places if place.layer is not None}
    assert sorted(inside) == list(range(layers))
    assert [inside[layer] for layer in range(layers)] == sorted(inside.values())
    assert (inside[0], inside[layers - 1]) == (0.0, 1.0)
    assert {place.depth for place in places if place.layer is None} <= {0.0, 1.0}
    for by in ("model", "layers", "kinds", "layers x kinds", "tensors", {"blocks": layers}):
        assert set(group_tensors(places, by).of) == set(floating_tensors(model))


def test_a_module_without_lists_has_input_only(tiny: Any) -> None:
    """Its tensors are in the order of its modules, running statistics beside the weights that they belong to."""
    places = tensor_places(tiny.normed())
    assert {place.layer_name for place in places} == {"input"}
    assert [place.kind for place in places] == ["stem"] * 2 + ["norm"] * 4 + ["head"] * 2
    assert [place.depth for place in tensor_places(nn.Linear(2, 2))] == [0.0, 0.0]


def test_buffers_stand_beside_their_weights() -> None:
    """The statistics of a norm before the layers are input, as its weights are."""
    model = nn.Module()
    model.stem = nn.BatchNorm1d(3)
    model.blocks = nn.ModuleList([nn.Linear(3, 3)])
    model.tail = nn.BatchNorm1d(3)
    places = {place.name: place for place in tensor_places(model)}
    assert places["stem.running_mean"].layer_name == places["stem.weight"].layer_name == "input"
    assert places["tail.running_var"].layer_name == "output"
    assert places["blocks.0.weight"].depth == 0.5
    assert "stem.num_batches_tracked" not in places
