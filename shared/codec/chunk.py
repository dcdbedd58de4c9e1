"""A chunk as it is stored: its header, and the parameters of a coded one. See FORMAT.md.

A chunk is decodable by itself: it holds its model beside its samples.
"""

import struct
import zlib
from dataclasses import astuple, dataclass
from enum import IntEnum, IntFlag
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shared.codec.errors import CorruptionError, FormatError, TruncationError

try:  # hardware-assisted, and the same polynomial
    from isal.isal_zlib import crc32
except ImportError:  # pragma: no cover - isal has no wheel everywhere
    crc32 = zlib.crc32

DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("int16"),
    2: np.dtype("uint16"),
    3: np.dtype("int32"),
}
DTYPE_CODES = {dtype: code for code, dtype in DTYPES.items()}

#: A chunk never holds more raw bytes than this; a header that claims more is refused.
MAX_CHUNK_BYTES = 1 << 28
MAX_CHANNELS = 1 << 16
#: Neighbours lie within banks of so many channels: two rows of a Neuropixels 1.0's converters.
#: So one channel needs half a bank decoded, and the fit takes time in proportion to channels.
BANK = 48
#: Symbols per zstandard frame aimed at: shorter rows share a frame, and so a Huffman table.
FRAME_SYMBOLS = 16_384
MAX_TAPS = 16
#: Samples of a part of a row that has a class of its own.
PART = 256
MAX_CLASSES = 16
#: A zstandard frame cannot expand further than this.
MAX_EXPANSION = 1 << 18


def rows_per_frame(length: int) -> int:
    """Return how many rows of a length share a frame."""
    return max(1, FRAME_SYMBOLS // length)


class Mode(IntEnum):
    """How a chunk's samples are stored."""

    STORED = 0
    CODED = 1


class ValueKind(IntEnum):
    """How samples became the integers that are coded."""

    DIRECT = 0
    SHIFTED = 1
    RANKED = 2


class Flags(IntFlag):
    """What holds of a coded chunk."""

    #: Taps weigh differences of samples, not samples.
    DIFFERENCES = 1
    #: Products of taps are summed in twice the samples' width.
    WIDE = 2
    #: Each row is cut in parts, and parts of like size share a frame.
    CLASSES = 4


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
    """The numbers that the parameters of a coded chunk begin with.

    Attributes
    ----------
    kind : ValueKind
    flags : Flags
    tap_shift, weight_shift : int
        Fraction bits of the taps, and of the weights of neighbours.
    taps : int
        Taps of each channel.
    width : int
        Bytes of the integers coded: 2 or 4.
    segment : int
        Samples of a segment.
    group : int
        Channels that share a frame.
    terms : int
        Neighbours of all channels together.
    values : int
        Values in the table.
    base : int
        What shifted samples count from.
    """

    kind: ValueKind
    flags: Flags
    tap_shift: int
    taps: int
    weight_shift: int
    width: int
    segment: int
    group: int
    terms: int
    values: int
    base: int

    STRUCT = struct.Struct("<BBBBBBHIIIIq")

    def pack(self) -> bytes:
        """Return its 32 bytes."""
        numbers = astuple(self)
        return self.STRUCT.pack(*numbers[:6], 0, *numbers[6:])

    @classmethod
    def unpack(cls, data: bytes, shape: tuple[int, int], dtype: np.dtype[Any]) -> "Parameters":
        """Read them, and hold them against the chunk's shape and type.

        Raises
        ------
        FormatError
        """
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
            and tap_shift < 8 * width
            and weight_shift < 8 * width
            and taps <= MAX_TAPS
            and 1 <= segment <= length
            and 1 <= group <= FRAME_SYMBOLS
            and (group == 1 or not flags & Flags.CLASSES)
            and terms <= BANK * channels
        )
        if not sound:
            raise FormatError("the chunk's parameters contradict its header")
        lengths = segment, group, terms, values, base
        return cls(ValueKind(kind), Flags(flags), tap_shift, taps, weight_shift, width, *lengths)


#: Values a table can hold: their ranks must fit in 16 bits, with half a mind to compress.
MAX_TABLE = 1 << 15


class ChunkHeader(NamedTuple):
    """What a chunk's 64 bytes of header say; FORMAT.md, section 1.2, draws them."""

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


MAGIC = b"FXCK"
HEADER = struct.Struct("<4sIQIIIIQIIBB2x12x")
#: Where a chunk's header holds its own checksum, which counts as zero in it.
CRC_OFFSET = 44


def read_header(data: bytes | memoryview, name: str) -> ChunkHeader:
    """Read a chunk's header, refusing impossible sizes before anything is allocated.

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


def own_crc(data: memoryview) -> int:
    """Return the checksum of a chunk as its header should have it."""
    blank = bytes(data[:CRC_OFFSET]) + bytes(4) + bytes(data[CRC_OFFSET + 4 : HEADER.size])
    return crc32(data[HEADER.size :], crc32(blank))


def open_alone(
    data: bytes | memoryview, name: str, header: ChunkHeader | None = None
) -> tuple[ChunkHeader, Encoded]:
    """Read a chunk that proves itself by its own checksum; what follows it is left alone.

    Parameters
    ----------
    data : bytes-like
        Starts with the chunk.
    name : str
        What to call it in messages.
    header : ChunkHeader, optional
        Of a chunk whose bytes were held against an index: no checksum is computed again.

    Raises
    ------
    TruncationError, CorruptionError
    """
    data = memoryview(data)
    known, header = header, header or read_header(data, name)
    if len(data) < header.size:
        raise TruncationError(f"{name} is cut short", (header.number,))
    if known is None and own_crc(data[: header.size]) != header.crc:
        raise CorruptionError(
            f"{name}: bytes were changed after they were written", (header.number,)
        )
    middle = HEADER.size + header.meta
    meta, body = data[HEADER.size : middle], data[middle : header.size]
    return header, Encoded(header.mode, meta, header.meta_size, body)


class Sealed(NamedTuple):
    """A chunk as it goes to the file.

    Attributes
    ----------
    pieces : tuple of bytes-like
        That follow each other in the file; none when they have been written.
    size : int
        Bytes in all.
    length : int
        Samples.
    crc : int
        CRC-32 of all its bytes.
    extra : object
        What else its maker tells of it.
    """

    pieces: tuple[bytes | memoryview, ...]
    size: int
    length: int
    crc: int
    extra: Any = None


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
