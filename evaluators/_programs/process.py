"""A user's program: started without a shell, its output kept, and stopped with its children when it takes too long."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from ...errors import InputError, TrialError
from .last_wish import last_wish

_SHOWN = 300  # characters of its output in an error


@dataclass(frozen=True)
class Program:
    """A command and its placeholders, such as `{path}`.

    Attributes:
        name: the evaluator's, for errors.
        words: the program and its arguments.
        timeout: seconds.
    """

    name: str
    words: tuple[str, ...]
    timeout: float

    @classmethod
    def parse(cls, name: str, command: str | Sequence[str], timeout: float) -> Program:
        """Take a command apart as a shell would, if it is one string, and check that its program is there.

        Raises:
            InputError: no command, an open quotation mark, no such program, or no time.
        """
        try:
            words = tuple(shlex.split(command) if isinstance(command, str) else command)
        except ValueError as error:
            raise InputError(f"evaluator '{name}': command {command!r} cannot be read ({error})") from error
        if not words:
            raise InputError(f"evaluator '{name}' has an empty command; give a program and its arguments")
        if shutil.which(words[0]) is None:
            raise InputError(
                f"evaluator '{name}': no program '{words[0]}' that can be run; install it, or give the path of an "
                "executable file (the first word is the program: 'python judge.py' rather than 'judge.py')"
            )
        if not timeout > 0:
            raise InputError(f"evaluator '{name}': timeout = {timeout}; give the seconds that one call may take")
        return cls(name, words, timeout)

    def mentions(self, placeholder: str) -> bool:
        """Whether `{placeholder}` stands in the command."""
        return any(f"{{{placeholder}}}" in word for word in self.words)

    def run(self, places: Mapping[str, Path], stdin: str = "", output: Path | None = None) -> str:
        """Run it once and return what it wrote to its standard output.

        It leads a process group of its own, which is killed when time is up, or the run is interrupted or killed.

        Args:
            places: placeholder -> the path to put in its place.
            stdin: what it reads from its standard input.
            output: file that all it printed is appended to.

        Raises:
            TrialError: it cannot be started, takes longer than `timeout`, or ends with another status than 0; with
                the end of its output.
        """
        words = [_filled(word, places) for word in self.words]
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            # Files rather than pipes: a grandchild that outlives the program cannot keep anyone waiting for their end.
            given.write(stdin.encode())
            given.seek(0)
            status = self._status(words, given, out, err)
            texts = [_text(stream) for stream in (out, err)]
        how = f"took longer than {self.timeout:g} s and was stopped" if status is None else _ending(status)
        if output is not None:
            _append(output, f"# {datetime.now():%Y-%m-%d %H:%M:%S} {shlex.join(words)} {how}", *texts)
        if status != 0:
            raise TrialError(f"evaluator '{self.name}': {self} {how}{_shown(places, *texts)}")
        return texts[0]

    def content(self) -> list[str]:
        """What is called: words, and in place of the program and of the first file after it (its script) their content.

        Further files, which it may well write to, count by their names.
        """
        script = next((word for word in self.words[1:] if os.path.isfile(word)), None)
        own = [word for word in (self.words[0], script) if word is not None and os.path.isfile(word)]
        return [_digest(Path(word)) if word in own else word for word in self.words]

    def __str__(self) -> str:
        return f"`{shlex.join(self.words)}`"

    def _status(self, words: Sequence[str], given: IO[bytes], out: IO[bytes], err: IO[bytes]) -> int | None:
        """Exit status; None where time was up."""
        try:
            process = subprocess.Popen(words, stdin=given, stdout=out, stderr=err, start_new_session=True)  # noqa: S603
        except OSError as error:
            raise TrialError(f"evaluator '{self.name}': {self} cannot be started ({error.strerror})") from error
        try:
            with last_wish('kill -s KILL -- "-$1"', str(process.pid)):
                return process.wait(self.timeout)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.returncode is None:  # time is up, or Ctrl-C, which does not reach other groups by itself
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _filled(word: str, places: Mapping[str, Path]) -> str:
    for placeholder, path in places.items():
        word = word.replace(f"{{{placeholder}}}", str(path))
    return word


def _text(stream: IO[bytes]) -> str:
    stream.seek(0)
    return stream.read().decode(errors="replace")


def _ending(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"


def _shown(places: Mapping[str, Path], out: str, err: str) -> str:
    """The end of what it wrote, on one line; paths that are others in every trial go by their placeholder."""
    text = " ".join(f"{out} {err}".split())
    for placeholder, path in places.items():
        text = text.replace(str(path), f"{{{placeholder}}}")
    return f"; its last output: {'…' if len(text) > _SHOWN else ''}{text[-_SHOWN:]}" if text else "; it wrote nothing"


def _append(output: Path, *texts: str) -> None:
    """Keep what was printed; a full disk is no reason to lose a score."""
    with contextlib.suppress(OSError):
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("a", encoding="utf-8") as file:
            file.writelines(f"{text.rstrip()}\n" for text in texts if text)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
