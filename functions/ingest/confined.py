"""Inspection into files of unknown origin with a bound on time and memory.

A parser in C can hang without returning to Python, or take all memory; neither an alarm nor a
thread can end it. So a separate process inspects the files (`functions.ingest.inspector`) and is
killed if necessary. It starts at the first file and serves the next ones.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any, BinaryIO

import msgspec

from functions.ingest.inspector import (
    FRAME_BYTES,
    Answer,
    Inspected,
    Inspection,
    ReadRange,
    Ready,
    Refused,
)
from shared.alf.errors import FileInvalid
from shared.alf.validate import Header
from shared.model.object_index import ObjectIndex

FILE_SECONDS = 60.0
"""Most seconds of parsing for one file; a gigabyte of text takes some 15 s."""

START_SECONDS = 60.0
"""Most seconds for loading the libraries that read a kind of file."""

UPLOAD_SECONDS = 150.0
"""Most seconds for all files of one upload; the function is ended after 300 s."""

MEMORY_BYTES = 1280 * 2**20
"""Most memory of a parser; the function around it has 2 GB."""

KEPT = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TZ")
"""Environment variables of the process; no credentials are among them."""

_idle: list[Inspector] = []
_ANSWERS: Any = msgspec.msgpack.Decoder(Answer)


@atexit.register
def _end_idle() -> None:
    while _idle:
        _idle.pop().end()


class Ended(Exception):
    """The process ended before it answered."""


class OutOfTime(Exception):
    """The process did not answer in time."""


class Inspector:
    """A process that inspects files, one after the other.

    Parameters
    ----------
    memory
        Most bytes of memory.
    """

    def __init__(self, memory: int) -> None:
        own, other = socket.socketpair()
        folders = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        with other:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-s", "-c"),
                    "import sys; from functions.ingest.inspector import serve; "
                    "serve(int(sys.argv[1]), int(sys.argv[2]))",
                    str(other.fileno()),
                    str(memory),
                ],
                env={**environment, "PYTHONPATH": folders},
                pass_fds=[other.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._line = Connection(own.detach())

    @property
    def alive(self) -> bool:
        """Whether the process is running."""
        return not self._line.closed

    def ask(self, asked: Inspection, file: BinaryIO) -> tuple[Inspected | Refused, float]:
        """Return the outcome of the process, and the seconds that it took.

        The time to fetch the file is not counted.

        Raises
        ------
        OutOfTime, Ended
            The file takes too long, or ends the process. The process is gone after any error.
        """
        spent = 0.0
        try:
            self._send(msgspec.msgpack.encode(asked))
            if not isinstance(self._receive(START_SECONDS), Ready):
                raise Ended
            while True:
                began = time.monotonic()
                answer = self._receive(asked.seconds - spent)
                spent += time.monotonic() - began
                if isinstance(answer, Inspected | Refused):
                    return answer, spent
                if not isinstance(answer, ReadRange):
                    raise Ended
                file.seek(answer.at)
                self._send(file.read(min(answer.count, FRAME_BYTES)))
        except BaseException:
            self.end()
            raise

    def _send(self, message: bytes) -> None:
        try:
            self._line.send_bytes(message)
        except OSError:
            raise Ended from None

    def _receive(self, seconds: float) -> Answer:
        try:
            if not self._line.poll(max(seconds, 0)):
                raise OutOfTime
            return _ANSWERS.decode(self._line.recv_bytes(FRAME_BYTES))
        except (EOFError, OSError, msgspec.MsgspecError):
            raise Ended from None

    def end(self) -> int:
        """End the process at once; return the code with which it ended."""
        self._line.close()
        self._process.kill()
        return self._process.wait()


class Confined:
    """Inspects the files of one upload within the time limit of an upload.

    Parameters
    ----------
    seconds
        Time limit for all files.

    Attributes
    ----------
    indexes : dict of str to ObjectIndex
        Indexes of the large files inspected so far, by path.
    """

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._inspector: Inspector | None = None
        self.indexes: dict[str, ObjectIndex] = {}

    def header(self, path: str, opened: Callable[[], BinaryIO], size: int) -> Header:
        """Return the header of a file.

        Raises
        ------
        FileInvalid
            The file is not complete or not of its kind, or its inspection takes too long.
        """
        outcome = self._ask(path, opened, size, description=False)
        if outcome.index is not None:
            self.indexes[path] = outcome.index
        return outcome.header

    def description(
        self, path: str, opened: Callable[[], BinaryIO], size: int
    ) -> dict[str, Any] | None:
        """Return the content of an experiment description, None if it is empty.

        Raises
        ------
        FileInvalid
            It is not a description, or its inspection takes too long.
        """
        return self._ask(path, opened, size, description=True).description

    def _ask(
        self, path: str, opened: Callable[[], BinaryIO], size: int, *, description: bool
    ) -> Inspected:
        if self._left <= 0:
            rule = "the other files of this upload took all the time that there is for checking"
            raise FileInvalid(path, "content", "", rule, "upload it by itself")
        seconds = max(1, round(min(FILE_SECONDS, self._left)))
        if self._inspector is None or not self._inspector.alive:
            self._inspector = _idle.pop() if _idle else Inspector(MEMORY_BYTES)
        try:
            with opened() as file:
                inspection = Inspection(path, size, seconds, description)
                outcome, spent = self._inspector.ask(inspection, file)
                self._left -= spent
        except OutOfTime:
            self._left -= seconds
            rule = f"looking into it takes longer than {seconds} s"
            raise FileInvalid(path, "content", "", rule, "split it into several files") from None
        except Ended:
            rule = "the process that looks into it dies of it"
            fix = f"copy it again, or split it if it takes more than {MEMORY_BYTES >> 20} MB"
            raise FileInvalid(path, "content", "", rule, fix) from None
        if isinstance(outcome, Refused):
            raise FileInvalid(path, outcome.part, outcome.text, outcome.rule, outcome.fix)
        return outcome

    def close(self) -> None:
        """Keep the process for the next upload."""
        if self._inspector is not None and self._inspector.alive:
            _idle.append(self._inspector)
        self._inspector = None


@contextmanager
def confined() -> Iterator[Confined]:
    """Inspection into the files of one upload."""
    looking = Confined(UPLOAD_SECONDS)
    try:
        yield looking
    finally:
        looking.close()
