"""The process that inspects files: no credentials, little memory, little time for each.

It reads through its parent, because only the parent can reach the bucket. It ends with its parent.
If a parser exceeds its limits, the system ends the process and `functions.ingest.confined` starts
another.
"""

from __future__ import annotations

import io
import resource
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, BinaryIO

import msgspec

from functions.ingest.indexing import object_index
from shared.alf.blocks import BlockReader, RangeFile, block_of
from shared.alf.errors import FileInvalid
from shared.alf.foreign import YAML_BYTES, ContentRefused, read_yaml
from shared.alf.path import parse_dataset_path
from shared.alf.validate import Header, header
from shared.model import json
from shared.model.limits import DESCRIPTION_BYTES
from shared.model.object_index import ObjectIndex

FRAME_BYTES = 64 * 2**20
"""Longest message between the two processes."""


LIBRARIES = {
    "ebin": ("shared.recordings.object_index",),
    "mp4": ("shared.alf.indexing",),
    "npy": ("numpy", "numpy.lib.format"),
    "pqt": ("pyarrow.parquet", "shared.alf.indexing"),
    "yaml": ("yaml",),
    "yml": ("yaml",),
}
"""Slow libraries to import, by extension."""


class Inspection(msgspec.Struct, frozen=True, tag="look"):
    """A request to this process: return the header of a file, or the content of a description."""

    path: str
    size: int
    seconds: int
    description: bool = False


class ReadRange(msgspec.Struct, frozen=True, tag="read"):
    """A request to the parent for bytes of the file."""

    at: int
    count: int


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The libraries for the file are loaded; its time starts now."""


class Inspected(msgspec.Struct, frozen=True, tag="found"):
    """The file is good."""

    header: Header
    description: dict[str, Any] | None = None
    index: ObjectIndex | None = None


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The file is refused: the parts of its `FileInvalid`."""

    part: str
    text: str
    rule: str
    fix: str


Answer = Ready | ReadRange | Inspected | Refused
"""Messages of this process."""


class ParentFile(RangeFile):
    """The parent's file as a seekable stream."""

    def __init__(self, line: Connection, size: int) -> None:
        super().__init__(size, FRAME_BYTES)
        self._line = line

    def fetch(self, start: int, count: int) -> bytes:
        """Ask the parent for some bytes."""
        self._line.send_bytes(msgspec.msgpack.encode(ReadRange(start, count)))
        return self._line.recv_bytes(FRAME_BYTES)


def serve(descriptor: int, memory: int) -> None:
    """Inspect one file after the other until the parent ends.

    Parameters
    ----------
    descriptor
        File descriptor of the socket to the parent.
    memory
        Most bytes of memory of this process.
    """
    confine(memory)
    line = Connection(descriptor)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            inspection = msgspec.msgpack.decode(line.recv_bytes(FRAME_BYTES), type=Inspection)
            for library in LIBRARIES.get(inspection.path.rpartition(".")[2], ()):
                import_module(library)
            allow(inspection.seconds)
            line.send_bytes(msgspec.msgpack.encode(Ready()))
            line.send_bytes(answer(inspection, line))


def answer(asked: Inspection, line: Connection) -> bytes:
    """Return the message about a file; any error of a parser means that the file is bad."""
    try:
        return msgspec.msgpack.encode(look(asked, line))
    except FileInvalid as error:
        refused = Refused(error.part, error.text, error.rule, error.fix)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise  # the parent is gone
    except MemoryError:
        rule = "looking into it takes more memory than there is for it"
        refused = Refused("content", "", rule, "split it into several files")
    except Exception as error:  # any parser error: one bad file must not stop the others
        rule = f"the file cannot be read: {str(error)[:200]}"
        fix = "open it on the rig; if it is damaged there too, leave it out"
        refused = Refused("content", type(error).__name__, rule, fix)
    parts = (refused.part, refused.text, refused.rule, refused.fix)
    return msgspec.msgpack.encode(Refused(*map(encodable, parts)))


def look(asked: Inspection, line: Connection) -> Inspected:
    """Return the header of a file.

    Raises
    ------
    FileInvalid
        It is not complete, or not of its kind.
    """
    file = BlockReader(ParentFile(line, asked.size), block_of(asked.path, asked.size))
    if asked.description:
        return Inspected(Header(), description(file))
    extension = parse_dataset_path(asked.path).extension
    parsed = header(file, extension, size=asked.size, name=asked.path)
    return Inspected(parsed, index=index(file, extension, asked))


def index(file: BinaryIO, extension: str, asked: Inspection) -> ObjectIndex | None:
    """Return the index of a good file; None if it has none."""
    try:
        return object_index(file, extension, asked.size, asked.path)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        raise  # the parent is gone
    except Exception:  # any parser error: the file can be read without its index
        return None


def encodable(text: str) -> str:
    """Return a text for JSON; characters that JSON cannot hold are escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def description(file: io.BufferedReader) -> dict[str, Any] | None:
    """Return the content of an experiment description.

    Raises
    ------
    FileInvalid
        It is too large, or not a description.
    """
    try:
        content = read_yaml(file.read(YAML_BYTES + 1))
        if content is not None and not isinstance(content, dict):
            raise ContentRefused("it is no mapping of names to values")
        return content and dict(json.bounded(content, size=DESCRIPTION_BYTES))
    except ValueError as error:
        rule = f"the description cannot be kept: {str(error)[:200]}"
        raise FileInvalid("", "content", "", rule, "correct the description") from None


def confine(memory: int) -> None:
    """Limit this process: memory, written files, core dumps."""
    limit(resource.RLIMIT_DATA, memory)
    limit(resource.RLIMIT_FSIZE, 0)
    limit(resource.RLIMIT_CORE, 0)


def allow(seconds: int) -> None:
    """Allow this process more seconds of computing before the system ends it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    until = int(used.ru_utime + used.ru_stime) + seconds + 2
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (until, most))


def limit(what: int, most: int) -> None:
    """Set a limit if the system supports it and has no lower one."""
    with suppress(ValueError, OSError):
        resource.setrlimit(what, (most, most))
