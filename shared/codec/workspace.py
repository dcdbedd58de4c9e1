"""Buffers and coders that are kept from chunk to chunk: page faults cost more than arithmetic."""

import math
import threading
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from shared.codec import entropy


class Workspace(threading.local):
    """Buffers and coders kept from chunk to chunk, one set per thread."""

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[np.uint8]] = {}
        self.coder = entropy.compressor()
        self.meta_coder = zstandard.ZstdCompressor(level=9, write_content_size=True)
        self.decoder = zstandard.ZstdDecompressor()

    def array(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> NDArray[Any]:
        """Return an uninitialised array, of memory that is used again."""
        size = math.prod(shape) * dtype.itemsize
        held = self.arrays.get(name)
        if held is None or len(held) < size:
            held = self.arrays[name] = np.empty(size, np.uint8)
        return held[:size].view(dtype).reshape(shape)


WORKSPACE = Workspace()
