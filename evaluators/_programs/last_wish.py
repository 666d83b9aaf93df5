"""What is to be done should this process be killed, when nothing of it is left to do so."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def last_wish(command: str, *arguments: str) -> Iterator[None]:
    """Have a shell run `command` if this process ends inside of the `with`, however it does.

    The shell waits for a line on a pipe whose other end is this process's alone, and gets none where that dies. It is
    of a session of its own, which neither Ctrl-C nor a signal to our group reaches.

    Args:
        command: for `sh`.
        *arguments: `$1`, `$2`, … of the command.
    """
    shell = ["/bin/sh", "-c", f"read _ || {command}", "sh", *arguments]
    with subprocess.Popen(  # noqa: S603
        shell, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as waiting:
        try:
            yield
        finally:
            waiting.communicate(b"\n")
