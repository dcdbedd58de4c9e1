"""Buffers and coders that chunks reuse: page faults cost more than arithmetic."""

import math
import threading
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from shared.codec import entropy

#: Bytes of a cache line.
LINE = 64


class Workspace(threading.local):
    """Buffers and coders that chunks reuse, one set per thread."""

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[np.uint8]] = {}
        self.coder = entropy.compressor()
        self.meta_coder = zstandard.ZstdCompressor(level=9, write_content_size=True)
        self.decoder = zstandard.ZstdDecompressor()

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> NDArray[Any]:
        """Return an uninitialised array in reused memory."""
        size = math.prod(shape) * dtype.itemsize
        held = self.arrays.get(name)
        if held is None or len(held) < size:
            held = self.arrays[name] = np.empty(size, np.uint8)
        return held[:size].view(dtype).reshape(shape)

    def rows(self, name: str, count: int, length: int, dtype: np.dtype) -> NDArray[Any]:
        """Return uninitialised rows in reused memory, laid out for the cache.

        Each row starts with a cache line, an odd number of lines after the row before. If all rows
        started in the same few sets of the cache, reading down a column would take three times as
        long.
        """
        width = LINE * (-(-length * dtype.itemsize // LINE) | 1)
        flat = self.array(name, (count * width + LINE,), np.dtype(np.uint8))
        start = -flat.ctypes.data % LINE
        return flat[start : start + count * width].view(dtype).reshape(count, -1)[:, :length]


WORKSPACE = Workspace()
