"""The kernel: compiled and eager give the same bits, and a machine without a compiler gets the eager one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from mergesearch.engine.bank.layout import BLOCK
from mergesearch.engine.bank.segment import Segment
from mergesearch.engine.kernels.compiled import Compiled
from mergesearch.engine.kernels.kernel import KERNELS, Kernel, kernel_for, write_eagerly


@pytest.fixture
def case(device: torch.device) -> Any:
    """Base, deltas (stacked) and coefficients, on the device."""
    return lambda *arguments: tuple(tensor.to(device) for tensor in _case(*arguments))


def _case(dtype: torch.dtype, storage: torch.dtype, members: int, blocks: int) -> tuple[torch.Tensor, ...]:
    """Many magnitudes, subnormal numbers and both zeros among them."""
    torch.manual_seed(blocks)
    spread = torch.exp2(torch.randint(-140, 3, (members + 1, blocks, BLOCK)).double())
    values = torch.randn(members + 1, blocks, BLOCK, dtype=torch.float64) * spread
    values[:, 0, :10] = -0.0
    sums = torch.float64 if dtype == torch.float64 else torch.float32
    coefficients = torch.randn(blocks, members + 1, dtype=sums)
    coefficients[:2, 0] = 1
    return values[0].to(dtype), values[1:].to(storage), coefficients


def segment_of(base: torch.Tensor, deltas: torch.Tensor, sums: torch.dtype = torch.float32) -> Segment:
    """A segment without tensors: the kernel asks for dtypes only."""
    scales = torch.ones(len(base), len(deltas), dtype=sums, device=base.device)
    return Segment((), base, len(base), tuple(range(len(deltas))), tuple(deltas), scales, {}, {})


def compiled(base: torch.Tensor, deltas: torch.Tensor, coefficients: torch.Tensor, copies: int = 1) -> Kernel:
    return kernel_for(segment_of(base, deltas, coefficients.dtype), "compiled", copies)


def assert_compiled_is_eager(base: torch.Tensor, deltas: torch.Tensor, coefficients: torch.Tensor) -> None:
    eager, fused = torch.full_like(base, 7), torch.full_like(base, 7)
    write_eagerly([eager], base, list(deltas), [coefficients])
    compiled(base, deltas, coefficients)([fused], base, list(deltas), [coefficients])
    assert torch.equal(eager.view(torch.uint8), fused.view(torch.uint8))


@pytest.mark.filterwarnings("ignore:bf16 and fp16 are mixed")
def test_compiled_kernel_is_eager_bit_for_bit(case: Any) -> None:
    assert_compiled_is_eager(*case(torch.bfloat16, torch.float16, 2, 65))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:bf16 and fp16 are mixed")
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("storage", ["exact", "fp16"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_compiled_kernel_is_eager_in_every_dtype(case: Any, dtype: torch.dtype, storage: str, members: int) -> None:
    """More kernels than torch.compile allows one function (8) are built in this process along the way."""
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    assert_compiled_is_eager(*case(dtype, torch.float16 if storage == "fp16" else exact, members, 66))


@pytest.mark.fp64
def test_eager_kernel_writes_every_block(case: Any) -> None:
    """Also the blocks after the last whole chunk; one fp64 sum is the reference."""
    base, deltas, coefficients = case(torch.float64, torch.float64, 2, 130)
    out = torch.full_like(base, 7)
    write_eagerly([out], base, list(deltas), [coefficients])
    exact = coefficients[:, :1] * base + coefficients[:, 1:2] * deltas[0] + coefficients[:, 2:] * deltas[1]
    torch.testing.assert_close(out, exact, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize("kernel", ["eager", pytest.param("compiled", marks=pytest.mark.slow)])
def test_a_batch_is_its_candidates_one_by_one(case: Any, kernel: str) -> None:
    """Bit for bit, for candidates whose coefficients differ."""
    base, deltas, coefficients = case(torch.bfloat16, torch.float16, 3, 70)
    many = [coefficients, coefficients.flip(0).contiguous(), -coefficients]
    segment = segment_of(base, deltas)
    batch = [torch.full_like(base, 7) for _ in many]
    kernel_for(segment, kernel, copies=3)(batch, base, list(deltas), many)
    for out, rows in zip(batch, many, strict=True):
        alone = torch.full_like(base, 7)
        kernel_for(segment, kernel)([alone], base, list(deltas), [rows])
        assert torch.equal(out.view(torch.uint8), alone.view(torch.uint8))


def test_small_models_are_not_compiled() -> None:
    """`auto` compiles only what is worth it; the other choices are kept."""
    assert KERNELS == ("auto", "compiled", "eager")
    small = torch.zeros(3, BLOCK)
    large = torch.zeros(1, 1).expand(100_000_000 // BLOCK, BLOCK)
    assert kernel_for(segment_of(small, small[None]), "auto") is write_eagerly
    assert isinstance(kernel_for(segment_of(large, large[None, :1]), "auto"), Compiled)
    assert isinstance(kernel_for(segment_of(small, small[None]), "compiled"), Compiled)
    assert kernel_for(segment_of(large, large[None, :1]), "eager") is write_eagerly


@pytest.mark.usefixtures("compiler")
def test_one_kernel_serves_any_number_of_blocks(case: Any) -> None:
    """It is compiled before the first write; from then on nothing is, a single block included."""
    base, deltas, coefficients = case(torch.float32, torch.float32, 2, 80)
    torch._dynamo.utils.counters.clear()
    kernel = compiled(base, deltas, coefficients)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    torch._dynamo.utils.counters.clear()
    for blocks in (80, 2, 1, 79):
        out, wanted = torch.full_like(base[:blocks], 7), torch.full_like(base[:blocks], 7)
        arguments = (base[:blocks], tuple(delta[:blocks] for delta in deltas), [coefficients[:blocks]])
        kernel([out], *arguments)
        write_eagerly([wanted], *arguments)
        assert torch.equal(out, wanted)
    assert not torch._dynamo.utils.counters["stats"]


@pytest.mark.usefixtures("compiler")
def test_a_kernel_that_no_longer_fits_becomes_the_eager_one(case: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Compiling anew would hold the run up; what changed is said, once."""
    base, deltas, coefficients = case(torch.float32, torch.float32, 1, 4)
    kernel = compiled(base, deltas, coefficients)
    out = torch.full_like(base, 7)
    with torch.autocast(base.device.type, dtype=torch.bfloat16):
        for _ in range(2):
            kernel([out], base, list(deltas), [coefficients])
    assert torch.equal(out, coefficients[:, 1:] * deltas[0] + coefficients[:, :1] * base)
    assert caplog.text.count("no compiled kernel") == 1
    assert "autocast" in caplog.text


BUILDING = """
import torch, torch._dynamo.utils as utils
from mergesearch.engine.kernels.kernel import kernel_for
from mergesearch.engine.bank.segment import Segment
zeros = torch.zeros(2, 4096)
kernel_for(Segment((), zeros, 2, (0,), (zeros,), torch.ones(2, 1), {}, {}), "compiled")
print(utils.counters["inductor"]["fxgraph_cache_hit"], utils.counters["inductor"]["fxgraph_cache_miss"])
"""


@pytest.mark.slow
def test_compiled_code_outlives_the_process(tmp_path: Path) -> None:
    """The second process finds what the first one built."""
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    ran = [
        subprocess.run([sys.executable, "-c", BUILDING], env=environment, capture_output=True, text=True, check=True)
        for _ in range(2)
    ]
    assert [process.stdout.split() for process in ran] == [["0", "1"], ["1", "0"]]


WITHOUT_COMPILER = """
import torch
from mergesearch.engine.kernels.kernel import kernel_for
from mergesearch.engine.bank.segment import Segment
base, out = torch.randn(3, 4096), torch.zeros(3, 4096)
kernel = kernel_for(Segment((), base, 3, (0,), (base,), torch.ones(3, 1), {}, {}), "compiled")
for _ in range(2):
    kernel([out], base, [base], [torch.ones(3, 2)])
    assert torch.equal(out, 2 * base)
    out.zero_()
"""


@pytest.mark.parametrize(
    "compiler",
    ["missing", pytest.param("failing", marks=pytest.mark.slow), pytest.param("silent", marks=pytest.mark.slow)],
)
def test_without_a_compiler_the_eager_kernel_serves(tmp_path: Path, compiler: str) -> None:
    """With a warning, once: without one, with one that fails, and with one that writes nothing."""
    path = tmp_path / "c++"
    if compiler != "missing":
        failure = {"failing": "exit 1", "silent": "exit 0"}[compiler]
        path.write_text(f'#!/bin/sh\ncase "$*" in *version*) echo "g++ 13.2.0";; *) {failure};; esac\n')
        path.chmod(0o755)
    broken = {"CXX": str(path), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    environment = {**os.environ, **broken, "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", WITHOUT_COMPILER], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("no compiled kernel") == 1
