"""Keeps the progress bars of transformers off the screen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_bars() -> Iterator[None]:
    """Draw no bars inside of the `with`."""
    from transformers.utils import logging as shown

    bars = shown.is_progress_bar_enabled()
    shown.disable_progress_bar()
    try:
        yield
    finally:
        if bars:
            shown.enable_progress_bar()
