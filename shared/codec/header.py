"""The first 64 bytes of a recording: FORMAT.md, section 1.1."""

import math
import struct
from typing import Any, NamedTuple

import numpy as np

from shared.codec.chunk import DTYPE_CODES, DTYPES, MAX_CHANNELS, MAX_CHUNK_BYTES
from shared.codec.errors import (
    CorruptionError,
    FormatError,
    TruncationError,
    UnsupportedVersionError,
)
from shared.model.crc import crc32

VERSION = 1
MAGIC = b"\x89FXE\r\n\x1a\n"
HEADER = struct.Struct("<8sHHIB7xdQII12xI")
UNKNOWN_SAMPLES, UNKNOWN_CHUNKS = (1 << 64) - 1, (1 << 32) - 1
#: Chunks last one second, or as many whole seconds as hold this many raw bytes.
MIN_CHUNK_BYTES = 1 << 21
#: Samples of a chunk of a recording for the web, or as many as hold this many bytes if there are
#: few channels. A picture of an AP band then needs a tenth of the bytes; the file is 1 % larger.
PUBLISHED_SAMPLES, PUBLISHED_BYTES = 3000, 1 << 18


class RecordingHeader(NamedTuple):
    """The header of a file, before the first chunk."""

    n_channels: int
    sample_rate: float  # in Hz
    dtype: np.dtype[Any]
    chunk_length: int  # samples of every chunk but the last
    #: Number of samples; None while the file is being written.
    samples: int | None = None
    chunks: int | None = None

    def pack(self) -> bytes:
        """Return the 64 bytes."""
        packed = HEADER.pack(
            MAGIC,
            VERSION,
            HEADER.size,
            self.n_channels,
            DTYPE_CODES[self.dtype],
            self.sample_rate,
            UNKNOWN_SAMPLES if self.samples is None else self.samples,
            self.chunk_length,
            UNKNOWN_CHUNKS if self.chunks is None else self.chunks,
            0,
        )
        return packed[:-4] + struct.pack("<I", crc32(packed[:-4]))


def read_header(data: bytes | memoryview, name: str) -> RecordingHeader:
    """Read the header of a file; errors name the file.

    Raises
    ------
    FormatError, UnsupportedVersionError, TruncationError, CorruptionError
    """
    if data[: len(MAGIC)] != MAGIC[: len(data)] or not data:
        raise FormatError(f"{name} is not a fornix-ephys recording")
    if len(data) < HEADER.size:
        raise TruncationError(f"{name} ends within its header: nothing of it can be restored")
    fields = HEADER.unpack(data[: HEADER.size])
    _, version, size, channels, code, rate, samples, length, count, crc = fields
    if version != VERSION:
        raise UnsupportedVersionError(
            f"{name} has format version {version}; this program knows {VERSION}. "
            "Update Fornix to read it"
        )
    if crc != crc32(data[: HEADER.size - 4]) or size != HEADER.size:
        raise CorruptionError(f"{name}: the header was changed after it was written")
    if code not in DTYPES or not 1 <= channels <= MAX_CHANNELS:
        raise FormatError(f"{name}: the header names an impossible type or number of channels")
    if not 0 < length * channels * DTYPES[code].itemsize <= MAX_CHUNK_BYTES:
        raise FormatError(f"{name}: the header gives an impossible chunk length")
    if not (math.isfinite(rate) and rate > 0):
        raise FormatError(f"{name}: the header gives an impossible sample rate")
    return RecordingHeader(
        channels,
        rate,
        DTYPES[code],
        length,
        None if samples == UNKNOWN_SAMPLES else samples,
        None if count == UNKNOWN_CHUNKS else count,
    )


def published_chunk_length(n_channels: int, dtype: np.dtype[Any]) -> int:
    """Return samples per chunk of a recording for the web."""
    per_sample = n_channels * dtype.itemsize
    least = max(PUBLISHED_SAMPLES, PUBLISHED_BYTES // per_sample)
    return min(least, MAX_CHUNK_BYTES // per_sample)


def default_chunk_length(
    sample_rate: float, n_channels: int, dtype: np.dtype[Any], n_samples: int | None = None
) -> int:
    """Return samples per chunk: one second's, or more whole seconds' for few channels.

    A short last chunk takes about as long to decode as a whole one. So if the number of samples is
    known, chunks of several seconds are up to half longer, for about equal lengths.
    """
    per_sample = n_channels * dtype.itemsize
    second = max(1, round(sample_rate))
    seconds = max(1, math.ceil(MIN_CHUNK_BYTES / (second * per_sample)))
    if n_samples and seconds > 1:
        total = n_samples / second
        seconds = math.ceil(total / max(1, round(total / seconds)))
    return max(1, min(second * seconds, MAX_CHUNK_BYTES // per_sample))
