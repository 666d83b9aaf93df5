"""Live adapters made by PEFT: candidates beside the base's weights equal those that are written into them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from mergesearch.engine.adapters.live_adapters import LiveAdapters
from mergesearch.engine.bank.member import BankOptions
from mergesearch.engine.live.bound import BoundModel
from mergesearch.engine.models import ModelPaths, Models
from mergesearch.engine.network.tensors import floating_tensors
from mergesearch.errors import CheckpointError, InputError
from mergesearch.spaces.groups import group_tensors
from mergesearch.spaces.table import CoefficientTable

TOKENS = torch.arange(24).reshape(2, 12) % 48

# Two adapters of each family: other ranks, alphas and modules.
LLAMA: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "same modules": ({"r": 2, "target_modules": ["q_proj"]}, {"r": 4, "target_modules": ["q_proj"]}),
    "other modules": ({"r": 3, "target_modules": ["q_proj", "up_proj"]}, {"r": 2, "target_modules": "all-linear"}),
    "rank-stabilised": (
        {"r": 4, "lora_alpha": 3, "use_rslora": True, "target_modules": "all-linear"},
        {"r": 1, "lora_alpha": 2, "target_modules": ["down_proj", "lm_head"]},
    ),
    "patterns": (
        {
            "r": 4,
            "target_modules": ["q_proj", "v_proj", "up_proj"],
            "rank_pattern": {"v_proj": 2, "layers.1.mlp.up_proj": 3},
            "alpha_pattern": {"proj": 99, "model.layers.0.self_attn.v_proj": 1},
        },
        {"r": 2, "target_modules": ["v_proj", "o_proj"]},
    ),
    "embedding": ({"r": 2, "target_modules": ["embed_tokens", "o_proj"]}, {"r": 3, "target_modules": ["embed_tokens"]}),
}
GPT2: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "transposed": ({"r": 2, "target_modules": ["c_attn"]}, {"r": 3, "target_modules": ["c_attn", "c_fc", "c_proj"]}),
    "embedding": ({"r": 2, "target_modules": ["wpe", "attn.c_proj"]}, {"r": 2, "target_modules": ["wte"]}),
}
CASES = [("llama", case) for case in LLAMA] + [("gpt2", case) for case in GPT2]


@pytest.fixture
def make(tiny: Any, tmp_path: Path, device: torch.device) -> Any:
    """Save a model and two adapters of it, and open them anew each time it is called."""

    def save(model: Any, first: dict[str, Any], second: dict[str, Any]) -> Any:
        model.save_pretrained(tmp_path / "base")
        for seed, options in enumerate((first, second), start=1):
            tiny.save_adapter(tmp_path / f"lora{seed}", copy.deepcopy(model).float(), seed, **options)

        def opened(**options: Any) -> Models:
            members = {name: str(tmp_path / name) for name in ("lora1", "lora2")}
            return Models(ModelPaths(str(tmp_path / "base"), members, device=str(device), **options))

        return opened

    return save


def both(opened: Any, by: str = "layers", **options: Any) -> tuple[LiveAdapters, BoundModel[Any]]:
    """The same members as live adapters, and merged into the weights."""
    models = opened(**options)
    groups = group_tensors(models.places(), by)
    other = opened(**options)
    return models.live_adapters(groups), other.live(other.build_bank(BankOptions()), groups)


def some_table(live: BoundModel[Any], seed: int = 0) -> CoefficientTable:
    rows = np.random.default_rng(seed).uniform(-0.7, 1.5, (len(live.groups), len(live.bank.members)))
    return CoefficientTable.of(rows)


def logits(live: BoundModel[Any], tokens: torch.Tensor = TOKENS) -> torch.Tensor:
    model: Any = live.model
    found: torch.Tensor = model(input_ids=tokens.to(model.device), use_cache=False).logits
    return found


@torch.no_grad()
def logits_of(live: BoundModel[Any]) -> torch.Tensor:
    return logits(live)


def loss_of(live: BoundModel[Any], tokens: torch.Tensor = TOKENS) -> torch.Tensor:
    """Next-token cross entropy, taken on the CPU in double precision."""
    found = logits(live, tokens)[:, :-1].flatten(0, 1).cpu().double()
    return torch.nn.functional.cross_entropy(found, tokens[:, 1:].flatten())


def built(tiny: Any, family: str, case: str) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    return getattr(tiny, family)(), *(LLAMA if family == "llama" else GPT2)[case]


@pytest.mark.parametrize(("family", "case"), CASES)
def test_they_compute_what_the_merged_model_computes(tiny: Any, make: Any, family: str, case: str) -> None:
    """Also where the head is tied to adapted embeddings, as GPT-2's is; materialised they are it bit for bit."""
    live, merged = both(make(*built(tiny, family, case)))
    base = logits_of(live)
    for seed in range(3):
        for one in (live, merged):
            one.write(some_table(live, seed))
        expected = logits_of(merged)
        assert (expected - base).abs().max() > 1e-4
        torch.testing.assert_close(logits_of(live), expected, rtol=2e-5, atol=2e-6)
        found = live.tensors()
        assert list(found) == list(merged.tensors()) and len(found) == len(merged.tensors())
        assert all(tiny.same_bits(found[name], value) for name, value in merged.tensors().items())


@pytest.mark.parametrize(("family", "case"), CASES)
@pytest.mark.parametrize(("dtype", "limit"), [("float64", 1e-12), ("float32", 2e-5)])
def test_their_gradient_is_the_merged_models(
    tiny: Any, make: Any, family: str, case: str, dtype: str, limit: float
) -> None:
    """Over two backward passes; also at zero, where no adapter adds anything, and none for the model's tensors."""
    live, merged = both(make(*built(tiny, family, case)), dtype=dtype)
    for table in (some_table(live), CoefficientTable.tied(np.zeros(2), len(live.groups))):
        gradients = []
        for one in (live, merged):
            one.write(table)
            with one.pullback() as gradient:
                for half in TOKENS.split(1):
                    loss_of(one, half).backward()
            gradients.append(gradient.members)
        assert np.abs(gradients[1]).max() > 1e-6
        assert np.linalg.norm(gradients[0] - gradients[1]) <= limit * np.linalg.norm(gradients[1])
    assert all(tensor.grad is None and tensor.requires_grad for tensor in live.model.parameters())


@pytest.mark.fp64
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_in_half_precision_they_are_as_near_to_the_truth(tiny: Any, make: Any, dtype: str) -> None:
    """The merge rounds every weight, live adapters what they add to each output: errors of the same size."""
    opened = make(tiny.llama(dtype=getattr(torch, dtype)), *LLAMA["rank-stabilised"])
    exact, _ = both(opened, dtype="float64")
    live, merged = both(opened)
    errors = []
    for seed in range(5):
        for one in (exact, live, merged):
            one.write(some_table(live, seed))
        truth = logits_of(exact)
        errors.append([float((logits_of(one).double() - truth).norm() / truth.norm()) for one in (live, merged)])
        losses = [float(loss_of(one).detach()) for one in (exact, live, merged)]
        assert abs(losses[1] - losses[0]) < 2e-3 and abs(losses[2] - losses[0]) < 2e-3
    near, far = np.mean(errors, axis=0)
    assert near < 1.3 * far < 0.01


def test_they_equal_pefts_own_layers(tiny: Any, make: Any, tmp_path: Path) -> None:
    """Both adapters active in PEFT, each with a scale of its own in every layer."""
    from peft import PeftModel

    model, *adapters = built(tiny, "llama", "rank-stabilised")
    live, _ = both(make(model, *adapters), by="tensors")
    table = some_table(live)
    live.write(table)
    active: Any = PeftModel.from_pretrained(copy.deepcopy(model), tmp_path / "lora1", adapter_name="0")
    active.load_adapter(tmp_path / "lora2", adapter_name="1")
    active.base_model.set_adapter(["0", "1"])
    for path, module in active.base_model.model.named_modules():
        for name in getattr(module, "lora_A", {}):
            module.scaling[name] *= table.members[live.groups.of[f"{path}.weight"], int(name)]
    with torch.no_grad():
        expected = active(input_ids=TOKENS).logits
    torch.testing.assert_close(logits_of(live).cpu(), expected, rtol=1e-5, atol=1e-6)


def test_a_tied_head_follows_its_embeddings(tiny: Any, make: Any) -> None:
    """As it does in the merge, where they are one tensor. Base and members come back bit for bit."""
    live, merged = both(make(tiny.llama(tied=True), *LLAMA["embedding"]), by="tensors")
    whole = logits_of(live)
    embedding = live.groups.of["model.embed_tokens.weight"]
    rows = np.zeros((len(live.groups), 2))
    rows[embedding] = 1.0, -0.5
    for one in (live, merged):
        one.write(CoefficientTable.of(rows))
    torch.testing.assert_close(logits_of(live), logits_of(merged), rtol=2e-5, atol=2e-6)
    live.write(CoefficientTable.of(np.zeros_like(rows)))
    assert tiny.same_bits(logits_of(live), whole)


class Sizes(TorchDispatchMode):
    """Remembers the largest floating tensor that any operation made outside of these storages."""

    def __init__(self, known: set[int]) -> None:
        super().__init__()
        self.known, self.largest = known, 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for value in result if isinstance(result, (tuple, list)) else [result]:
            if not isinstance(value, torch.Tensor) or not value.is_floating_point():
                continue
            if value.untyped_storage().data_ptr() not in self.known:
                self.largest = max(self.largest, value.numel())
        return result


def test_no_dense_weight_is_ever_made(tiny: Any, make: Any) -> None:
    """Neither by a write nor in a forward or backward pass; the base's tensors stay where and what they are."""
    wide = tiny.llama(hidden_size=64, intermediate_size=96, vocab_size=48, num_attention_heads=2)
    opened = make(wide, {"r": 2, "target_modules": "all-linear"}, {"r": 3, "target_modules": ["q_proj", "up_proj"]})
    models = opened()
    before = {name: (tensor.data_ptr(), tensor.clone()) for name, tensor in floating_tensors(models.model).items()}
    live = models.live_adapters(group_tensors(models.places(), "layers"))
    smallest = min(live.model.get_parameter(name).numel() for name in live.bank.stacks)
    with Sizes({tensor.untyped_storage().data_ptr() for tensor in live.model.state_dict().values()}) as sizes:
        for seed in range(3):
            live.write(some_table(live, seed))
            with live.pullback() as gradient:
                loss_of(live, TOKENS[:1, :8]).backward()
    assert np.count_nonzero(gradient.members) == 4  # two layers, two members
    assert 0 < sizes.largest < smallest == 64 * 32
    ranks = {name: sum(live.model.get_parameter(name).shape) for name in live.bank.stacks}
    both_ranks = [name for name in ranks if "q_proj" in name or "up_proj" in name]
    assert live.bank.bytes == 4 * (2 * sum(ranks.values()) + 3 * sum(ranks[name] for name in both_ranks))
    for name, tensor in floating_tensors(live.model).items():
        assert tensor.data_ptr() == before[name][0] and tiny.same_bits(tensor, before[name][1])


def test_several_candidates_at_once(tiny: Any, make: Any) -> None:
    live, _ = both(make(*built(tiny, "llama", "patterns")))
    tables = [some_table(live, seed) for seed in range(3)]
    alone = []
    for table in tables:
        live.write(table)
        alone.append(logits_of(live))
    copies = live.copies(3)
    live.write_batch(tables, copies)
    for copy_, expected in zip(copies, alone, strict=True):
        with live.showing(copy_) as model:
            assert model is live.model and tiny.same_bits(logits_of(live), expected)
    assert tiny.same_bits(logits_of(live), alone[-1])


def test_a_member_as_it_stands_on_disk(tiny: Any, make: Any) -> None:
    opened = make(*built(tiny, "llama", "same modules"))
    models = opened()
    live = models.live_adapters(group_tensors(models.places(), "layers"))
    live.write(CoefficientTable.tied(np.array([0.0, 1.0]), len(live.groups)))
    expected = logits_of(live)
    live.write(some_table(live))
    live.write_source(models.members[1].source)
    assert tiny.same_bits(logits_of(live), expected)
    with pytest.raises(InputError, match="'base' is no member of these adapters"):
        live.write_source(models.base)


def test_binding_again_takes_the_adapters_off(tiny: Any, make: Any) -> None:
    """Live or merged, one after the other; the module's weights are the base's again."""
    models = make(*built(tiny, "llama", "other modules"))()
    groups = group_tensors(models.places(), "layers")
    merged = models.live(models.build_bank(BankOptions()), groups)
    table = some_table(merged)
    merged.write(table)
    expected = logits_of(merged)
    for _ in range(2):
        live = models.live_adapters(groups)
        live.write(table)
        torch.testing.assert_close(logits_of(live), expected, rtol=2e-5, atol=2e-6)
    again = models.live(models.build_bank(BankOptions()), groups)
    again.write(table)
    assert tiny.same_bits(logits_of(again), expected)


@pytest.mark.fp64
def test_tensors_of_several_dtypes(tiny: Any, tmp_path: Path, device: torch.device) -> None:
    """A plain module whose second half computes in another precision."""
    first, second = ({"r": 2, "target_modules": ["narrow", "wide"]}, {"r": 1, "target_modules": ["wide"]})
    model = tiny.mixed()
    torch.save(model.state_dict(), tmp_path / "base.pt")
    for seed, options in enumerate((first, second), start=1):
        tiny.save_adapter(tmp_path / f"lora{seed}", model, seed, **options)
    members = {name: str(tmp_path / name) for name in ("lora1", "lora2")}

    def opened() -> Models:
        network = f"{Path(__file__).parents[1] / 'saved.py'}:mixed"
        return Models(ModelPaths(str(tmp_path / "base.pt"), members, network=network, device=str(device)))

    live, merged = both(opened, by="tensors")
    assert {strip.zeros.dtype for strip in live._strips} == {torch.float32, torch.float64}
    inputs = torch.linspace(-1, 1, 12, device=device).reshape(3, 4)
    gradients = []
    for one in (live, merged):
        one.write(some_table(live))
        with one.pullback() as gradient:
            one.model(inputs).square().sum().backward()
        gradients.append(gradient.members)
    torch.testing.assert_close(live.model(inputs), merged.model(inputs), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-5)
    assert np.count_nonzero(gradients[0]) == 3


def test_the_fingerprint_is_one_of_its_own(tiny: Any, make: Any, tmp_path: Path, caplog: Any) -> None:
    """Scores of the merge differ by rounding, so neither may answer for the other. Twins and idle members are told."""
    opened = make(*built(tiny, "llama", "same modules"))
    live, merged = both(opened)
    again, _ = both(opened)
    assert live.bank.fingerprint == again.bank.fingerprint != merged.bank.fingerprint
    paths = {"lora1": str(tmp_path / "lora1"), "twin": str(tmp_path / "lora1")}
    models = Models(ModelPaths(str(tmp_path / "base"), paths))
    other = models.live_adapters(live.groups)
    assert other.bank.twins == (("lora1", "twin"),) and "'lora1' and 'twin' are identical" in caplog.text
    assert other.bank.fingerprint != live.bank.fingerprint


def test_a_module_that_is_never_called_is_told(
    tiny: Any, make: Any, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head whose weight is read past its module would silently stay the base's."""
    live, _ = both(make(*built(tiny, "llama", "rank-stabilised")))
    head: Any = live.model.lm_head
    monkeypatch.setattr(live.model, "_modules", {**live.model._modules, "lm_head": lambda x: x @ head.weight.T})
    live.write(some_table(live))
    assert "were not called" not in caplog.text
    logits_of(live)
    live.write(some_table(live))
    logits_of(live)
    live.write(some_table(live))
    assert caplog.text.count("1 modules with adapters, such as 'lm_head', were not called") == 1


def test_members_that_are_more_than_adapters_are_named(tiny: Any, make: Any, tmp_path: Path) -> None:
    plain = {"r": 2, "target_modules": ["q_proj"]}
    opened = make(tiny.llama(), plain, {**plain, "modules_to_save": ["lm_head"]})
    with pytest.raises(InputError, match=r"member 'lora2' holds the whole tensor 'lm_head.weight'.*adapters: merged"):
        both(opened)
    full = tiny.save_member(tmp_path / "full", tiny.llama(), 3)
    paths = {"lora1": str(tmp_path / "lora1"), "full": str(full)}
    models = Models(ModelPaths(str(tmp_path / "base"), paths))
    with pytest.raises(InputError, match=r"member 'full' is no LoRA adapter.*set models.adapters: merged"):
        models.live_adapters(group_tensors(models.places(), "layers"))


def test_a_scaled_base_is_refused(tiny: Any, make: Any) -> None:
    live, _ = both(make(*built(tiny, "llama", "same modules")))
    live.write(some_table(live))
    before = logits_of(live)
    rows = np.ones((len(live.groups), 2))
    base = np.ones(len(rows))
    base[1] = 0.5
    with pytest.raises(InputError, match=r"c₀ = 0.5\), which live adapters leave as it is; set models.adapters"):
        live.write(CoefficientTable(rows, base))
    with pytest.raises(InputError, match=r"the coefficient table is 1 x 2 with 1 numbers"):
        live.write(CoefficientTable.of(np.ones((1, 2))))
    assert tiny.same_bits(logits_of(live), before)


class Louder(torch.nn.Linear):
    """A linear layer with an idea of its own."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(inputs)


def test_modules_that_compute_something_else_are_refused(tiny: Any, make: Any) -> None:
    """An adapter beside them would not be doubled, while the merged weight is."""
    models = make(*built(tiny, "llama", "same modules"))()
    models.model.model.layers[1].self_attn.q_proj.__class__ = Louder
    with pytest.raises(InputError, match=r"'model.layers.1.self_attn.q_proj' is a Louder, beside which no adapter"):
        models.live_adapters(group_tensors(models.places(), "layers"))


def test_factors_beyond_the_weights_range_are_refused(tiny: Any, make: Any, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    opened = make(*built(tiny, "llama", "same modules"))
    path = tmp_path / "lora1" / "adapter_model.safetensors"
    save_file({name: 1e6 * value for name, value in load_file(path).items()}, path)
    with pytest.raises(CheckpointError, match=r"factors of '.*q_proj.weight' exceed the range of torch.float16"):
        both(opened, dtype="float16")
