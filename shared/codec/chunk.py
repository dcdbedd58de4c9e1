"""A chunk as it is stored: what `encode` writes and `decode` reads. FORMAT.md has every byte.

A chunk is decodable by itself: it holds its models beside its samples.
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("int16"),
    2: np.dtype("uint16"),
    3: np.dtype("int32"),
}
DTYPE_CODES = {dtype: code for code, dtype in DTYPES.items()}

#: A chunk never holds more raw bytes than this; a header that claims more is refused.
MAX_CHUNK_BYTES = 1 << 28
MAX_CHANNELS = 1 << 16

#: Samples as they are; predicted and coded; steps from sample to sample, compressed as they are.
RAW, CODED, REPEATS = 0, 1, 2

#: Symbols per zstandard frame aimed at: shorter rows share a frame, and so a Huffman table.
FRAME_SYMBOLS = 16_384
MAX_TAPS = 32
#: Samples of a part of a row that has a class of its own: as written, and as read.
PART = 256
PARTS = (0, PART, 1024)
#: The most classes of a row.
MAX_CLASSES = 16

META = struct.Struct("<BBBBBBHIIIIIq")


def rows_per_frame(length: int) -> int:
    """Return how many rows of a length share a frame."""
    return max(1, FRAME_SYMBOLS // length)


@dataclass(frozen=True)
class Encoded:
    """A coded chunk without its header."""

    mode: int
    meta: bytes
    meta_size: int
    body: bytes

    @property
    def size(self) -> int:
        """Number of bytes."""
        return len(self.meta) + len(self.body)
