"""The bytes of a file on their way to S3."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from lab.transfer.hashes import BLOCK


class WatchedFile:
    """A file that tells how much of it has been read."""

    def __init__(self, path: Path, notice: Callable[[int], None]) -> None:
        self._file = path.open("rb")
        self._notice = notice
        self._told = 0
        self.len = os.fstat(self._file.fileno()).st_size

    def __len__(self) -> int:
        return self.len

    def read(self, size: int = -1) -> bytes:
        """Read and tell."""
        data = self._file.read(size)
        self._notice(len(data))
        return data

    def __iter__(self) -> Iterator[bytes]:
        while block := self.read(BLOCK):
            yield block

    def close(self) -> None:
        """Close the file."""
        self._file.close()
