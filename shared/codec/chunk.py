"""A stored chunk: its header, and the parameters of a coded one. See FORMAT.md.

A chunk is decodable by itself: it holds its model beside its samples.
"""

import struct
from dataclasses import astuple, dataclass
from enum import IntEnum, IntFlag
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.codec.errors import CodecError, CorruptionError, FormatError, TruncationError
from shared.model.crc import crc32

Samples = NDArray[Any]

DTYPES: dict[int, np.dtype[Any]] = {
    code: np.dtype(name) for code, name in enumerate(("int16", "uint16", "int32"), 1)
}
DTYPE_CODES = {dtype: code for code, dtype in DTYPES.items()}

#: Most raw bytes of a chunk; a header that claims more is refused.
MAX_CHUNK_BYTES = 1 << 28
MAX_CHANNELS = 1 << 16
#: Channels of a bank: two rows of a Neuropixels 1.0's converters. Neighbours lie within a bank, so
#: one channel needs half a bank decoded, and the time of the fit is proportional to the channels.
BANK = 48
#: Target number of symbols per zstandard frame: short rows share a frame and its Huffman table.
FRAME_SYMBOLS = 16_384
MAX_TAPS = 16
#: Samples of a part of a row, which has its own class.
PART = 256
MAX_CLASSES = 16
#: Most values of a table: their ranks must fit in 16 bits, with some room.
MAX_TABLE = 1 << 15
#: A zstandard frame cannot expand further than this.
MAX_EXPANSION = 1 << 18

MAGIC = b"FXCK"
HEADER = struct.Struct("<4sIQIIIIQIIBB2x12x")
#: Position of the checksum in a chunk's header; it counts as zero in the checksum.
CRC_OFFSET = 44


def rows_per_frame(length: int) -> int:
    """Return how many rows of a length share a frame."""
    return max(1, FRAME_SYMBOLS // length)


class Mode(IntEnum):
    """Form in which a chunk's samples are stored."""

    STORED = 0
    CODED = 1


class ValueKind(IntEnum):
    """Conversion of the samples to the coded integers."""

    DIRECT = 0
    SHIFTED = 1
    RANKED = 2


class Flags(IntFlag):
    """Properties of a coded chunk."""

    DIFFERENCES = 1  # taps weigh differences of samples, not samples
    WIDE = 2  # products of taps are summed in twice the samples' width
    CLASSES = 4  # each row is cut in parts, and parts of like size share a frame


class Encoded(NamedTuple):
    """A chunk without its header."""

    mode: Mode
    meta: bytes | memoryview
    meta_size: int
    body: bytes | memoryview

    @property
    def size(self) -> int:
        """Number of bytes."""
        return len(self.meta) + len(self.body)


@dataclass(frozen=True)
class Parameters:
    """The numbers at the beginning of a coded chunk's parameters."""

    kind: ValueKind
    flags: Flags
    tap_shift: int  # fraction bits of the taps
    taps: int  # of each channel
    weight_shift: int  # fraction bits of the weights of neighbours
    width: int  # bytes of the integers coded: 2 or 4
    segment: int  # samples of a segment
    group: int  # channels that share a frame
    terms: int  # neighbours of all channels together
    values: int  # in the table
    base: int  # origin of shifted samples

    STRUCT = struct.Struct("<BBBBBBHIIIIq")

    def pack(self) -> bytes:
        """Return its 32 bytes."""
        numbers = astuple(self)
        return self.STRUCT.pack(*numbers[:6], 0, *numbers[6:])

    @classmethod
    def unpack(cls, data: bytes, shape: tuple[int, int], dtype: np.dtype[Any]) -> "Parameters":
        """Read the numbers; raise `FormatError` if they contradict the chunk's shape and type."""
        kind, flags, *few, spare, segment, group, terms, values, base = cls.STRUCT.unpack(data)
        length, channels = shape
        tap_shift, taps, weight_shift, width = few
        sound = (
            kind in set(ValueKind)
            and flags < 8
            and spare == 0
            and width in (2, 4)
            and (width == dtype.itemsize if kind == ValueKind.DIRECT else width == 2)
            and (kind != ValueKind.SHIFTED or dtype == np.int32)
            and (1 <= values <= MAX_TABLE if kind == ValueKind.RANKED else values == 0)
            and max(tap_shift, weight_shift) < 8 * width
            and taps <= MAX_TAPS
            and 1 <= segment <= length
            and 1 <= group <= FRAME_SYMBOLS
            and (group == 1 or not flags & Flags.CLASSES)
            and terms <= BANK * channels
        )
        if not sound:
            raise FormatError("the chunk's parameters contradict its header")
        numbers = *few, segment, group, terms, values, base
        return cls(ValueKind(kind), Flags(flags), *numbers)


class ChunkHeader(NamedTuple):
    """The 64 bytes of a chunk's header; see FORMAT.md, section 1.2."""

    number: int
    first: int
    length: int
    channels: int
    meta: int
    meta_size: int
    body: int
    raw_crc: int
    crc: int
    mode: Mode
    dtype: np.dtype[Any]

    @property
    def size(self) -> int:
        """Bytes of the chunk, header included."""
        return HEADER.size + self.meta + self.body

    @property
    def shape(self) -> tuple[int, int]:
        """Samples × channels."""
        return self.length, self.channels

    def coded(self, data: bytes | memoryview) -> Encoded:
        """Return the part of the chunk's bytes after the header."""
        data, middle = memoryview(data), HEADER.size + self.meta
        meta, body = data[HEADER.size : middle], data[middle : self.size]
        return Encoded(self.mode, meta, self.meta_size, body)


def read_header(data: bytes | memoryview, name: str) -> ChunkHeader:
    """Read a chunk's header; refuse impossible sizes before any allocation.

    Raises
    ------
    TruncationError, CorruptionError
    """
    if len(data) < HEADER.size:
        raise TruncationError(f"{name} ends within its header")
    magic, *numbers, mode, code = HEADER.unpack(data[: HEADER.size])
    if magic != MAGIC:
        raise CorruptionError(f"{name} does not start where it should")
    if code not in DTYPES or mode not in set(Mode):
        raise CorruptionError(f"{name} has an unknown mode or sample type")
    header = ChunkHeader(*numbers, Mode(mode), DTYPES[code])  # type: ignore[call-arg]
    raw = header.length * header.channels * header.dtype.itemsize
    stored = header.meta + header.body
    if not 0 < raw <= MAX_CHUNK_BYTES or not raw <= MAX_EXPANSION * stored or stored > raw + 64:
        raise CorruptionError(f"{name} claims an impossible size")
    return header


def check_alone(data: bytes | memoryview, header: ChunkHeader, name: str) -> None:
    """Check a chunk by its own checksum; bytes after it are ignored.

    Raises
    ------
    TruncationError, CorruptionError
    """
    if len(data) < header.size:
        raise TruncationError(f"{name} is cut short", (header.number,))
    blank = bytes(data[:CRC_OFFSET]) + bytes(4) + bytes(data[CRC_OFFSET + 4 : HEADER.size])
    if crc32(memoryview(data)[HEADER.size : header.size], crc32(blank)) != header.crc:
        raise CorruptionError(
            f"{name}: bytes were changed after they were written", (header.number,)
        )


class Sealed(NamedTuple):
    """A chunk ready for the file."""

    pieces: tuple[bytes | memoryview, ...]  # none when they have been written
    size: int
    length: int  # samples
    crc: int  # of all its bytes
    extra: Any = None  # further information of its maker


def as_samples(samples: object, name: str = "the array") -> Samples:
    """Return samples × channels; raise an error that explains a wrong array.

    A one-dimensional array is one channel.
    """
    array = np.asarray(samples)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise CodecError(f"{name} has {array.ndim} dimensions; recordings have samples × channels")
    if array.dtype.newbyteorder("=") not in DTYPE_CODES:
        kinds = ", ".join(dtype.name for dtype in DTYPE_CODES)
        raise CodecError(f"{name} holds {array.dtype}; the codec takes {kinds}")
    if not 1 <= array.shape[1] <= MAX_CHANNELS:
        raise CodecError(f"{name} has {array.shape[1]} channels; 1 to {MAX_CHANNELS} are possible")
    return array


def raw_bytes(samples: NDArray[Any]) -> memoryview:
    """Return samples as little-endian, time-major bytes, without a copy where possible."""
    little = np.ascontiguousarray(samples, samples.dtype.newbyteorder("<"))
    return memoryview(little.reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def seal(coded: Encoded, number: int, first: int, samples: NDArray[Any]) -> Sealed:
    """Put the header before a coded chunk."""
    sizes = len(coded.meta), coded.meta_size, len(coded.body)
    place = number, first, *samples.shape
    kind = coded.mode, DTYPE_CODES[samples.dtype.newbyteorder("=")]
    header = HEADER.pack(MAGIC, *place, *sizes, crc32(raw_bytes(samples)), 0, *kind)
    crc = crc32(coded.body, crc32(coded.meta, crc32(header)))
    header = header[:CRC_OFFSET] + struct.pack("<I", crc) + header[CRC_OFFSET + 4 :]
    whole = crc32(coded.body, crc32(coded.meta, crc32(header)))
    return Sealed((header, coded.meta, coded.body), len(header) + coded.size, len(samples), whole)
