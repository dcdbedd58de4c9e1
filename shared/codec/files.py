"""Files that appear whole or not at all, and whose pieces several workers write."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(target: Path) -> Iterator[BinaryIO]:
    """Write a file under another name, and give it its own only when it is safely on disk."""
    part = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with part.open("w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
        sync_directory(target.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def sync_directory(path: Path) -> None:
    """Make a renaming durable, where the system knows how."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_at(handle: int, position: int, pieces: Iterable[bytes | memoryview]) -> None:
    """Write pieces one behind the other, from a position on."""
    for piece in pieces:
        data = memoryview(piece)
        while len(data):
            if hasattr(os, "pwrite"):
                written = os.pwrite(handle, data, position)
            else:  # pragma: no cover - Windows
                os.lseek(handle, position, os.SEEK_SET)
                written = os.write(handle, data)
            data, position = data[written:], position + written
