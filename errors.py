"""Every error that mergesearch raises on purpose, under one base.

The command line prints any `MergesearchError` as one line (exit code 2) and keeps tracebacks for programming errors.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class MergesearchError(Exception):
    """Base of all deliberate errors; its text names the offending value and says what to do."""


class InputError(MergesearchError):
    """Something that the user gave (a file, a key, a bound, a name) cannot be used."""


class CheckpointError(InputError):
    """A checkpoint is missing, truncated, not finite, or does not match the base."""


class JournalError(InputError):
    """A run folder cannot be trusted: a torn journal, or another configuration than the one given."""


class TrialError(MergesearchError):
    """One candidate could not be scored; it is recorded as a failed trial and the run goes on."""


_LISTED = 12


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known names there are, the nearest to `name` first: the tail of an error message."""
    names = sorted(set(known))
    beginning = [one for one in names if len(name) > 1 and one.lower().startswith(name.lower())]
    close = beginning or difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    listed = ", ".join(names[:_LISTED]) + more if names else "none"
    return f"did you mean '{close[0]}'? (known: {listed})" if close else f"known: {listed}"
