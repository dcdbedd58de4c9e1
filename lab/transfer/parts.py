"""The bytes of a file on their way to S3."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path


class WatchedFile(io.FileIO):
    """A file that reports how many bytes have been read; repeated reads are subtracted first.

    Parameters
    ----------
    path
        The file.
    notice
        Called with the bytes read, and with a negative number before bytes are read again.
    """

    def __init__(self, path: Path, notice: Callable[[int], None]) -> None:
        super().__init__(path)
        self._notice = notice

    def read(self, size: int | None = -1, /) -> bytes:
        """Read and report."""
        data = super().read(-1 if size is None else size) or b""
        self._notice(len(data))
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move, and subtract the bytes that will be read again."""
        before = self.tell()
        after = super().seek(offset, whence)
        if after < before:
            self._notice(after - before)
        return after
