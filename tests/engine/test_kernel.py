"""The kernel: compiled and eager give the same bits, and a machine without a compiler gets the eager one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mergesearch.engine.kernel import KERNELS, CompiledKernel, kernel_for, write_eagerly
from mergesearch.engine.layout import BLOCK


def case(dtype: torch.dtype, storage: torch.dtype, members: int, blocks: int) -> tuple[torch.Tensor, ...]:
    """Base, deltas (stacked) and coefficients over many magnitudes, subnormal numbers and both zeros among them."""
    torch.manual_seed(blocks)
    spread = torch.exp2(torch.randint(-140, 3, (members + 1, blocks, BLOCK)).double())
    values = torch.randn(members + 1, blocks, BLOCK, dtype=torch.float64) * spread
    values[:, 0, :10] = -0.0
    sums = torch.float64 if dtype == torch.float64 else torch.float32
    coefficients = torch.randn(blocks, members + 1, dtype=sums)
    coefficients[:2, 0] = 1
    return values[0].to(dtype), values[1:].to(storage), coefficients


def assert_compiled_is_eager(dtype: torch.dtype, storage: torch.dtype, members: int, blocks: int) -> None:
    base, deltas, coefficients = case(dtype, storage, members, blocks)
    eager, compiled = torch.full_like(base, 7), torch.full_like(base, 7)
    write_eagerly(eager, base, list(deltas), coefficients)
    CompiledKernel()(compiled, base, list(deltas), coefficients)
    assert torch.equal(eager.view(torch.uint8), compiled.view(torch.uint8))


@pytest.mark.filterwarnings("ignore:bf16 and fp16 are mixed")
def test_compiled_kernel_is_eager_bit_for_bit() -> None:
    assert_compiled_is_eager(torch.bfloat16, torch.float16, members=2, blocks=65)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:bf16 and fp16 are mixed")
@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("storage", ["exact", "fp16"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_compiled_kernel_is_eager_in_every_dtype(dtype: torch.dtype, storage: str, members: int) -> None:
    """More kernels than torch.compile allows one function (8) are built in this process along the way."""
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    assert_compiled_is_eager(dtype, torch.float16 if storage == "fp16" else exact, members, blocks=66)


def test_eager_kernel_writes_every_block() -> None:
    """Also the blocks after the last whole chunk; one fp64 sum is the reference."""
    base, deltas, coefficients = case(torch.float64, torch.float64, members=2, blocks=130)
    out = torch.full_like(base, 7)
    write_eagerly(out, base, list(deltas), coefficients)
    exact = coefficients[:, :1] * base + coefficients[:, 1:2] * deltas[0] + coefficients[:, 2:] * deltas[1]
    torch.testing.assert_close(out, exact, rtol=1e-15, atol=1e-15)


def test_small_models_are_not_compiled() -> None:
    """`auto` compiles only what is worth it; the other choices are kept."""
    assert KERNELS == ("auto", "compiled", "eager")
    assert kernel_for("auto", 1000) is write_eagerly
    assert isinstance(kernel_for("auto", 100_000_000), CompiledKernel)
    assert isinstance(kernel_for("compiled", 1000), CompiledKernel)
    assert kernel_for("eager", 100_000_000) is write_eagerly


WITHOUT_COMPILER = """
import torch
from mergesearch.engine.kernel import CompiledKernel
base, out = torch.randn(3, 4096), torch.zeros(3, 4096)
kernel = CompiledKernel()
for _ in range(2):
    kernel(out, base, [base], torch.ones(3, 2))
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
