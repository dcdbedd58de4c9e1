"""Paths that are told from outside, kept inside a folder.

Whatever the server says, a worker writes and reads only below its own folder, and follows no link.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from shared.alf import names


class Outside(ValueError):
    """A path that does not stay inside its folder, or is none on some platform."""


def inside(folder: Path, relative: str, *, whole: bool = False) -> Path:
    """Return a path below a folder.

    Parameters
    ----------
    folder
        A folder that is the worker's own.
    relative
        A path with ``/``.
    whole
        Whether the folder itself will do (an empty path).

    Raises
    ------
    Outside
        It is absolute, has ``.``, ``..``, a drive, a device or a character that some platform
        does not have in names, or leads through a link.
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
    """Open a new file for writing, at a place where nothing is, and not through a link."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)


def read_own(path: Path, most: int) -> bytes | None:
    """Return what a file holds (of a longer one, both ends); None if there is no plain file.

    Parameters
    ----------
    path
        Written by a task, so perhaps a link, a device or endless.
    most
        Bytes to read at most.
    """
    try:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        fd = os.open(path, flags | getattr(os, "O_BINARY", 0))
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            return None
        if about.st_size <= most:
            return file.read(most)
        start = file.read(most // 2)
        file.seek(-(most // 2), os.SEEK_END)
        return start + b"\n\xe2\x80\xa6\n" + file.read(most // 2)


def plain_file(folder: Path, relative: str) -> Path:
    """Return a file that a task says it has written.

    Raises
    ------
    Outside
        It is not below the folder, a link, or no file.
    """
    path = inside(folder, relative)
    if not path.is_file() or path.is_symlink() or path.stat().st_nlink > 1:
        raise Outside(f"the output {relative!r} is refused: it is no plain file")
    return path
