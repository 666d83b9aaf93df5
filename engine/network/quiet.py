"""Keeps a library's advice and progress bars off the screen; what is wrong comes as an exception."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def quiet(shown: Any) -> Iterator[None]:
    """Say nothing but errors inside of the `with`; `shown` is `utils.logging` of transformers or of diffusers."""
    verbosity, bars = shown.get_verbosity(), shown.is_progress_bar_enabled()
    shown.set_verbosity(logging.ERROR)
    shown.disable_progress_bar()
    try:
        yield
    finally:
        shown.set_verbosity(verbosity)
        if bars:
            shown.enable_progress_bar()
