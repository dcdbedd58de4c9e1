"""Inspection into files of unknown origin with a bound on time and memory.

A parser in C can hang without ever giving Python its turn, or take all memory: neither an alarm
nor a thread ends it. So one process beside this one looks into files
(`functions.ingest.inspector`) and is killed with what it is at. It is started at the first file
and kept for the next ones.
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
"""Time that a parser may take for one file; a gigabyte of text takes some 15 s."""

START_SECONDS = 60.0
"""Time for loading the libraries that read a kind of file."""

UPLOAD_SECONDS = 150.0
"""Time for all files of one upload together; the function is ended after 300 s."""

MEMORY_BYTES = 1280 * 2**20
"""Memory that a parser may have; the function around it has 2 GB."""

KEPT = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "TZ")
"""Variables of the environment that the process gets; no credentials are among them."""

_idle: list[Inspector] = []
_ANSWERS: Any = msgspec.msgpack.Decoder(Answer)


@atexit.register
def _end_idle() -> None:
    while _idle:
        _idle.pop().end()


class Ended(Exception):
    """The process has ended before it answered."""


class OutOfTime(Exception):
    """The process has not answered in time."""


class Inspector:
    """A process that looks into files, one after the other.

    Parameters
    ----------
    memory
        Bytes of memory that it may have.
    """

    def __init__(self, memory: int) -> None:
        mine, its = socket.socketpair()
        folders = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        with its:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-s", "-c"),
                    "import sys; from functions.ingest.inspector import serve; "
                    "serve(int(sys.argv[1]), int(sys.argv[2]))",
                    str(its.fileno()),
                    str(memory),
                ],
                env={**environment, "PYTHONPATH": folders},
                pass_fds=[its.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._line = Connection(mine.detach())

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return not self._line.closed

    def ask(self, asked: Inspection, file: BinaryIO) -> tuple[Inspected | Refused, float]:
        """Return what the process finds, and the seconds that it took.

        What this process needs to fetch the file is not counted.

        Raises
        ------
        OutOfTime, Ended
            It takes longer than it may; it has died of the file. The process is gone then, as
            after any other error.
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
    """Looks into the files of one upload, within the time that an upload has.

    Parameters
    ----------
    seconds
        Time for all of them.

    Attributes
    ----------
    indexes : dict of str to ObjectIndex
        Of the large files looked into so far, by their paths.
    """

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._inspector: Inspector | None = None
        self.indexes: dict[str, ObjectIndex] = {}

    def header(self, path: str, opened: Callable[[], BinaryIO], size: int) -> Header:
        """Return what a file says of itself.

        Raises
        ------
        FileInvalid
            It is no whole file of its kind, or looking into it takes too much.
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
            It is no description, or looking into it takes too much.
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
        """Give the process back, for the next upload."""
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
