"""One guard for all evaluators: whatever scoring does to the model's mode or to random states is undone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from inspect import signature
from typing import Any

import numpy as np

# The seeds that lm-eval sets by default, so that a sampled generation here is the one that its own command makes.
_PYTHON_SEED, _NUMPY_SEED, _TORCH_SEED = 0, 1234, 1234


@contextmanager
def undisturbed(model: Any | None = None, gradients: bool = False) -> Iterator[None]:
    """Seed the global random generators, set `model` (torch.nn.Module) to evaluation mode, and undo it all.

    Autograd records nothing unless `gradients` are wanted. Equal weights therefore get equal scores even from code
    that draws random numbers.
    """
    import torch

    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - the global generator is what must be restored
    training = [module for module in model.modules() if module.training] if model is not None else []
    with ExitStack() as stack:
        for device in {torch.default_generator.device, *(tensor.device for tensor in _tensors(model))}:
            stack.enter_context(_seeded(device))
        # Not inference_mode: a buffer that a model fills in such a pass could not take part in a later backward pass.
        stack.enter_context(torch.set_grad_enabled(gradients))
        random.seed(_PYTHON_SEED)
        np.random.seed(_NUMPY_SEED)  # noqa: NPY002
        for module in training:
            module.training = False
        try:
            yield
        finally:
            for module in training:
                module.training = True
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002


def device_of(model: Any) -> Any:
    """The torch.device of the first parameter or buffer of `model`; the CPU for a model without any."""
    import torch

    return next((tensor.device for tensor in _tensors(model)), torch.default_generator.device)


def weights_sums(model: Any) -> list[int]:
    """The bits of every parameter and buffer, added up as integers: as good as unequal where the tensors are.

    One reading of the weights, which is less than any use of them.
    """
    import torch

    kinds = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
    views = [one.detach().contiguous().view(kinds[one.element_size()]) for one in _tensors(model)]
    return [int(view.sum(dtype=torch.int64)) for view in views]


def _tensors(model: Any | None) -> Iterator[Any]:
    """Parameters and buffers."""
    if model is not None:
        yield from model.parameters()
        yield from model.buffers()


@contextmanager
def _seeded(device: Any) -> Iterator[None]:
    """Seed torch's generator of one device and restore it; torch.manual_seed would touch those of all devices."""
    import torch

    module = torch.get_device_module(device)
    module = module if hasattr(module, "get_rng_state") else torch  # where the CPU's is
    where = (device,) if signature(module.get_rng_state).parameters else ()  # some kinds have one generator in all
    before = module.get_rng_state(*where)
    module.set_rng_state(torch.Generator(device).manual_seed(_TORCH_SEED).get_state(), *where)
    try:
        yield
    finally:
        module.set_rng_state(before, *where)
