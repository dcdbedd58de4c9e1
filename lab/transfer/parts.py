"""The bytes of a file on their way to S3."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path


class WatchedFile(io.FileIO):
    """A file that tells how much of it has been read; sent again, it takes that back.

    Parameters
    ----------
    path
        The file.
    notice
        Told of the bytes read, and with a minus of those that are read once more.
    """

    def __init__(self, path: Path, notice: Callable[[int], None]) -> None:
        super().__init__(path)
        self._notice = notice

    def read(self, size: int | None = -1, /) -> bytes:
        """Read and tell."""
        data = super().read(-1 if size is None else size) or b""
        self._notice(len(data))
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move, and tell of the bytes that will be read once more."""
        before = self.tell()
        after = super().seek(offset, whence)
        if after < before:
            self._notice(after - before)
        return after
