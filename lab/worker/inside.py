"""Paths from outside, kept inside a folder.

Whatever the server sends, a worker accesses only files below its own folder, and follows no link.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from shared.alf import names


class Outside(ValueError):
    """A path that leads outside its folder, or is invalid on some platform."""


def inside(folder: Path, relative: str, *, whole: bool = False) -> Path:
    """Return a path below a folder.

    Parameters
    ----------
    folder
        A folder of the worker's own.
    relative
        A path with ``/``.
    whole
        Whether the folder itself is allowed (an empty path).

    Raises
    ------
    Outside
        It is absolute, has ``.``, ``..``, a drive, a device or a character that some platform
        forbids in names, or leads through a link.
    """
    if relative == "" and whole:
        return folder
    path = folder
    for part in relative.split("/"):
        if not names.is_name("dataset", part):
            raise Outside(f"the path {relative!r} is refused: {part!r} cannot be a part of it")
        path = path / part
        if path.is_symlink():
            raise Outside(f"the path {relative!r} is refused: {part!r} is a link")
    return path


def create(path: Path) -> int:
    """Open a new file for writing; the path must not exist, and no link is followed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)


def read_own(path: Path, most: int) -> bytes | None:
    """Return a file's content (of a longer one, both ends); None if it is not a plain file.

    Parameters
    ----------
    path
        Path written by a task, so perhaps a link, a device or endless.
    most
        Bytes to read at most.
    """
    try:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        fd = os.open(path, flags | getattr(os, "O_BINARY", 0))
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return None
        if status.st_size <= most:
            return file.read(most)
        start = file.read(most // 2)
        file.seek(-(most // 2), os.SEEK_END)
        return start + b"\n\xe2\x80\xa6\n" + file.read(most // 2)


def plain_file(folder: Path, relative: str) -> Path:
    """Return a file that a task claims to have written.

    Raises
    ------
    Outside
        It is not below the folder, is a link, or is not a file.
    """
    path = inside(folder, relative)
    if not path.is_file() or path.is_symlink() or path.stat().st_nlink > 1:
        raise Outside(f"the output {relative!r} is refused: it is no plain file")
    return path
