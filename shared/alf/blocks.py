"""Buffered reading in whole blocks, for sources where each read is a request."""

from __future__ import annotations

import io
from typing import Any

SMALL_BLOCK, LARGE_BLOCK = 2**16, 2**23
"""Bytes fetched at a time: for files whose header is read, and for text read to the end."""

HEADER_ONLY = frozenset(
    {"npy", "npz", "pqt", "ebin", "nwb", "mp4", "avi", "cbin", "bin", "flac", "wav", "tif"}
)


def block_of(path: str, size: int) -> int:
    """Return the number of bytes of a file to fetch at a time."""
    whole_text = path.rpartition(".")[2] not in HEADER_ONLY
    return min(max(size, 1), LARGE_BLOCK if whole_text else SMALL_BLOCK)


class RangeFile(io.RawIOBase):
    """A seekable file over a source that returns ranges of bytes.

    Parameters
    ----------
    size : int
        Size in bytes.
    most : int, optional
        Most bytes per fetch.
    """

    def __init__(self, size: int, most: int | None = None) -> None:
        self._size, self._most, self._at = size, most or size, 0

    def fetch(self, start: int, count: int) -> bytes:
        """Return up to `count` bytes from a position on, at least one."""
        raise NotImplementedError

    def readable(self) -> bool:
        """Return that the file is readable."""
        return True

    def seekable(self) -> bool:
        """Return that the file is seekable."""
        return True

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position on."""
        count = min(len(buffer), self._size - self._at, self._most)
        if count <= 0:
            return 0
        data = self.fetch(self._at, count)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class BlockReader(io.BufferedReader):
    """A reader that always fetches a whole block.

    Text is read by ``read1``, which by itself would fetch only the requested 8 kB.
    """

    def read1(self, size: int = -1, /) -> bytes:
        """Return buffered bytes up to a size; fetch a block if the buffer is empty."""
        self.peek(1)
        return super().read1(size)
