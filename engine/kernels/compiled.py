"""Functions compiled by torch.compile, before a run and never during it; without a compiler, their eager versions."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from threading import Thread
from types import FunctionType
from typing import Any

import torch
from torch.fx.experimental import _config
from torch.utils import _pytree

from ..devices.devices import HOST

log = logging.getLogger(__name__)
_numbers = count()

# By default the compiler cuts long sums into loops of their own. Where these hold 16-bit numbers of two kinds it takes
# half vectors: eight fp16 deltas on bf16 weights then move at half the bandwidth. One loop it is, however long.
_OPTIONS: dict[str, Any] = {
    "realize_reads_threshold": 1 << 20,
    "realize_opcount_threshold": 1 << 20,
    "realize_acc_reads_threshold": 1 << 20,
    "assert_indirect_indexing": False,  # the index of a kept value is in range by construction
}
# Triton contracts products and sums otherwise, which gives other bits than the eager version. C++ never does.
_ACCELERATED: dict[str, Any] = {"emulate_precision_casts": True}


class Compiled:
    """A function of blocks, compiled once for any number of blocks from two.

    The code that torch.compile builds stays on disk, so that later processes only load it.

    Args:
        function: of tensors and sequences of tensors, whose first dimension are blocks, all of the same number.
        eager: what gives the same result where there is no compiler, or where the code does not fit.
        example: arguments of the kinds that will be given, of two or more blocks; the function is called with them.
    """

    def __init__(self, function: Callable[..., Any], eager: Callable[..., Any], example: Sequence[Any]) -> None:
        self._eager = eager
        # Code and name of its own, for torch.compile counts the variants of one code object and gives up at the ninth,
        # and takes what changed since the last one of that name to change always.
        code = function.__code__.replace(co_name=f"{function.__name__}_{next(_numbers)}")
        own = FunctionType(code, function.__globals__, function.__name__)
        options = _OPTIONS if _leaves(example)[0].device == HOST else _OPTIONS | _ACCELERATED
        self._compiled: Callable[..., Any] | None = torch.compile(own, fullgraph=True, options=options)
        for tensor in _leaves(example):
            torch._dynamo.mark_dynamic(tensor, 0)
        try:
            # Buffers that are of one length by chance (a sparse delta's values and the blocks) need not be of one.
            with torch.no_grad(), warnings.catch_warnings(), _config.patch(use_duck_shape=False):  # type: ignore[attr-defined]
                # bf16 weights with fp16 deltas are what we mean; the compiler warns of any mixture.
                warnings.filterwarnings("ignore", message="bf16 and fp16 are mixed", category=UserWarning)
                self._compiled(*_as_lists(example))
        except _compiler_errors() as error:
            self._give_up(str(error))

    def __call__(self, *arguments: Any) -> Any:
        """Call the compiled function; from the first time that its code does not fit the process, the eager one."""
        if self._compiled is None or len(_leaves(arguments)[0]) < 2:
            return self._eager(*arguments)
        try:
            with torch.no_grad(), torch.compiler.set_stance("fail_on_recompile"):
                return self._compiled(*_as_lists(arguments))
        except RuntimeError as error:
            if "fail_on_recompile" not in str(error):
                raise
            # Number of threads, autocast or determinism have changed; compiling anew would hold the run up.
            self._give_up(str(error).partition("guard failure(s):")[2])
            return self._eager(*arguments)

    def _give_up(self, reason: str) -> None:
        log.warning("no compiled kernel (%s); using the eager one", reason.strip().splitlines()[0])
        self._compiled = None


def load_compiler() -> None:
    """Load the compiler in a thread, while this one has other things to wait for; it takes about two seconds."""
    Thread(target=_load, name="load the compiler").start()


def _load() -> None:
    import torch._inductor.compile_fx  # noqa: F401  (the import is all that is wanted)
    from torch._inductor.cpu_vec_isa import pick_vec_isa

    with suppress(*_compiler_errors()):  # said where it is used, if it is
        pick_vec_isa()


def _leaves(arguments: Sequence[Any]) -> list[torch.Tensor]:
    leaves: list[torch.Tensor] = _pytree.tree_leaves(arguments)
    return leaves


def _as_lists(arguments: Sequence[Any]) -> list[Any]:
    """The code is built for lists; plain tuples become some."""
    return [list(argument) if type(argument) is tuple else argument for argument in arguments]


def _compiler_errors() -> tuple[type[BaseException], ...]:
    import torch._dynamo.exc as dynamo
    import torch._inductor.exc as inductor

    # The first is the base of all that the backend raises: no Triton, a device too old for it, a failed compilation.
    kinds: list[Any] = [dynamo.ShortenTraceback, inductor.InvalidCxxCompiler, inductor.CppCompileError]
    return tuple(kinds)
