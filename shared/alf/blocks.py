"""Buffered reading in whole blocks, of sources of which each read is a request."""

from __future__ import annotations

import io

SMALL_BLOCK, LARGE_BLOCK = 2**16, 2**23
"""Bytes fetched at a time: of files of which the header is read, and of text read through."""

HEADER_ONLY = frozenset({"npy", "npz", "pqt", "mp4", "avi", "cbin", "bin", "flac", "wav", "tif"})


def block_of(path: str, size: int) -> int:
    """Return how many bytes of a file of some size are to be fetched at a time."""
    whole_text = path.rpartition(".")[2] not in HEADER_ONLY
    return min(max(size, 1), LARGE_BLOCK if whole_text else SMALL_BLOCK)


class BlockReader(io.BufferedReader):
    """A reader that always fetches a whole block.

    Text is read through by ``read1``, which alone would fetch no more than it is asked for: 8 kB.
    """

    def read1(self, size: int = -1, /) -> bytes:
        """Return what is at hand, up to a size in bytes; fetch a block if that is nothing."""
        self.peek(1)
        return super().read1(size)
