"""Where the chunks are: the sidecar, and the footer of the file that says the same.

FORMAT.md documents every byte. A recording is complete when its footer is; the sidecar repeats the
footer's index as JSON, so that a client needs one small file and one range request to read one
second.
"""

import json
import struct
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple, Protocol

import numpy as np
import zstandard

from shared.codec import chunk, header
from shared.codec.chunk import DTYPE_CODES, MAX_CHANNELS, MAX_CHUNK_BYTES, crc32
from shared.codec.errors import (
    CorruptionError,
    FormatError,
    TruncationError,
    UnsupportedVersionError,
)

ALGORITHM = "fornix-ephys"
TRAILER_MAGIC = b"FXEINDEX"
TRAILER = struct.Struct("<8sQIIII")
#: More chunks, or a longer index, are refused.
MAX_CHUNKS = 1 << 26
MAX_INDEX_BYTES = 1 << 30
#: What a torn file can still be used for.
SALVAGE = (
    "What is whole of it can be restored: `fornix codec decompress --salvage`, "
    "or shared.codec.open_salvaged"
)


class ChunkEntry(NamedTuple):
    """What an index says of a chunk: its place among samples and bytes, and its CRC-32."""

    number: int
    first: int
    length: int
    offset: int
    size: int
    crc: int | None


@dataclass
class RecordingIndex:
    """What the sidecar and the footer say of a recording.

    Attributes
    ----------
    n_channels : int
    sample_rate : float
        In Hz.
    dtype : numpy.dtype
        int16, uint16 or int32.
    chunk_length : int
        Samples of every chunk but the last.
    bounds : list of int
        First sample of each chunk, and the number of samples.
    offsets : list of int
        Where each chunk starts in the file, and where the last one ends, in bytes.
    crcs : list of int
        CRC-32 of each chunk as stored, header included; empty where they are not known.
    facts : dict
        What else is told: level, SHA-1, and by SpikeGLX gain, probe map and clock.
    """

    n_channels: int
    sample_rate: float
    dtype: np.dtype[Any]
    chunk_length: int = 0
    bounds: list[int] = field(default_factory=lambda: [0])
    offsets: list[int] = field(default_factory=lambda: [header.HEADER.size])
    crcs: list[int] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Samples × channels."""
        return self.bounds[-1], self.n_channels

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return len(self.bounds) - 1

    def entry(self, number: int) -> ChunkEntry:
        """Return what is known of a chunk."""
        first, last = self.bounds[number : number + 2]
        start, stop = self.offsets[number : number + 2]
        crc = self.crcs[number] if self.crcs else None
        return ChunkEntry(number, first, last - first, start, stop - start, crc)

    def add(self, sealed: chunk.Sealed) -> None:
        """Note a chunk that has been written behind the others."""
        self.bounds.append(self.bounds[-1] + sealed.length)
        self.offsets.append(self.offsets[-1] + sealed.size)
        self.crcs.append(sealed.crc)

    def to_json(self, file_size: int | None = None) -> str:
        """Return the footer's text, or with the size of the file the sidecar's."""
        named: dict[str, Any] = {
            "algorithm": ALGORITHM,
            "version": header.VERSION,
            "n_channels": self.n_channels,
            "sample_rate": self.sample_rate,
            "dtype": self.dtype.name,
            "shape": list(self.shape),
            "chunk_length": self.chunk_length,
            "chunk_sizes": np.diff(self.offsets).tolist(),
            "chunk_crc32": self.crcs,
        }
        size = {} if file_size is None else {"file_size": file_size}
        return json.dumps(named | size | self.facts, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes, name: str) -> "RecordingIndex":
        """Read a sidecar, refusing whatever contradicts itself.

        Parameters
        ----------
        text : str or bytes
        name : str
            What to call it in messages.

        Raises
        ------
        FormatError, UnsupportedVersionError
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{name} is not a sidecar index: {error}") from error
        if not isinstance(data, dict) or data.pop("algorithm", None) != ALGORITHM:
            raise FormatError(f"{name} is not the index of a {ALGORITHM} recording")
        if (version := data.pop("version", None)) != header.VERSION:
            raise UnsupportedVersionError(
                f"{name} has version {version!r}; this program knows {header.VERSION}. "
                "Update Fornix to read it"
            )
        try:
            return cls._from_fields(data)
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"{name} lacks or garbles a field: {error}") from error

    @classmethod
    def _from_fields(cls, data: dict[str, Any]) -> "RecordingIndex":
        """Take the fields off a sidecar; what is left are facts."""
        channels = _whole(data.pop("n_channels"), 1, MAX_CHANNELS)
        rate, dtype = _rate(data.pop("sample_rate")), _dtype(data.pop("dtype"))
        samples, columns = data.pop("shape")
        _whole(columns, channels, channels)
        length = _whole(
            data.pop("chunk_length"), 1, MAX_CHUNK_BYTES // (channels * dtype.itemsize)
        )
        count = -(-_whole(samples, 0, 1 << 62) // length)
        sizes, crcs = data.pop("chunk_sizes"), data.pop("chunk_crc32")
        if not len(sizes) == len(crcs) == _whole(count, 0, MAX_CHUNKS):
            raise ValueError("the lists of chunks do not fit together")
        least, most = chunk.HEADER.size + 1, chunk.HEADER.size + 2 * MAX_CHUNK_BYTES
        sizes = [_whole(each, least, most) for each in sizes]
        data.pop("file_size", None)
        return cls(
            channels,
            rate,
            dtype,
            length,
            chunk_bounds(samples, length),
            list(accumulate(sizes, initial=header.HEADER.size)),
            [_whole(each, 0, (1 << 32) - 1) for each in crcs],
            data,
        )


def chunk_bounds(samples: int, length: int) -> list[int]:
    """Return the first sample of each chunk, and the number of samples."""
    return [*range(0, samples, length), samples]


def _whole(value: object, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{value!r} is not a whole number from {low} to {high}")
    return value


def _rate(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1e12:
        raise ValueError(f"{value!r} is not a sample rate")
    return float(value)


def _dtype(value: object) -> np.dtype[Any]:
    for dtype in DTYPE_CODES:
        if value == dtype.name:
            return dtype
    raise ValueError(f"{value!r} is not a sample type")


# ---- footer -----------------------------------------------------------------------------------


def pack_footer(index: RecordingIndex) -> bytes:
    """Return the compressed index and the trailer that ends the file."""
    text = index.to_json().encode()
    packed = zstandard.ZstdCompressor(level=9).compress(text)
    facts = index.offsets[-1], len(packed), len(text), crc32(packed)
    trailer = TRAILER.pack(TRAILER_MAGIC, *facts, 0)[:-4]
    return packed + trailer + struct.pack("<I", crc32(trailer))


class Readable(Protocol):
    """Where bytes are read from: a file or an address."""

    name: str
    #: How much to read at the end to find the footer: what one request may well bring.
    ahead: int

    def size(self) -> int:
        """Return the number of bytes."""
        ...

    def read(self, start: int, stop: int) -> bytes | memoryview:
        """Return the bytes from `start` to `stop`, fewer only at the end."""
        ...


class Trailer(NamedTuple):
    """The last 32 bytes of a complete file."""

    offset: int
    packed: int
    size: int
    crc: int


def read_trailer(data: bytes | memoryview, file_size: int, name: str) -> Trailer:
    """Read the end of a file: the proof that it is complete."""
    if len(data) < TRAILER.size or data[-TRAILER.size :][:8] != TRAILER_MAGIC:
        raise TruncationError(
            f"{name} has no footer: it was cut short, or never finished. {SALVAGE}"
        )
    tail = data[-TRAILER.size :]
    _, *facts, own = TRAILER.unpack(tail)
    if own != crc32(tail[:-4]):
        raise CorruptionError(f"{name}: the footer was changed after it was written. {SALVAGE}")
    trailer = Trailer(*facts)
    if trailer.size > MAX_INDEX_BYTES or trailer.offset + trailer.packed + 32 != file_size:
        raise TruncationError(
            f"{name} has {file_size} bytes, and its footer says otherwise. {SALVAGE}"
        )
    return trailer


def read_footer(source: Readable, sidecar: bytes | None = None) -> RecordingIndex:
    """Read the index at the end of a file, in one request where it is short.

    Parameters
    ----------
    source : Readable
    sidecar : bytes, optional
        Text that must say the same.

    Raises
    ------
    TruncationError, CorruptionError, FormatError, UnsupportedVersionError
    """
    total, name = source.size(), source.name
    if total < header.HEADER.size:
        raise TruncationError(f"{name} has {total} bytes: not even a header")
    start = max(0, total - source.ahead)
    tail = source.read(start, total)
    trailer = read_trailer(tail, total, name)
    if trailer.offset < start:
        packed = source.read(trailer.offset, trailer.offset + trailer.packed)
    else:
        packed = tail[trailer.offset - start : -TRAILER.size]
    index = RecordingIndex.from_json(_inflate_index(packed, trailer, name), f"{name} (footer)")
    if index.offsets[-1] != trailer.offset:
        raise CorruptionError(f"{name}: the index in the footer belongs to another file")
    if (
        sidecar is not None
        and RecordingIndex.from_json(sidecar, f"the sidecar of {name}") != index
    ):
        raise CorruptionError(
            f"the sidecar is not the index of {name}: it is another file's, or one of the two "
            "was changed. Remove the sidecar to use the index in the file's footer"
        )
    return index


def _inflate_index(data: bytes | memoryview, trailer: Trailer, name: str) -> bytes:
    if len(data) != trailer.packed or crc32(data) != trailer.crc:
        raise CorruptionError(f"{name}: the index in the footer was changed. {SALVAGE}")
    try:
        if zstandard.frame_content_size(data) != trailer.size:
            raise FormatError(f"{name}: the index in the footer has another size")
        return zstandard.ZstdDecompressor().decompress(data, max_output_size=trailer.size)
    except zstandard.ZstdError as error:
        raise CorruptionError(f"{name}: the index in the footer does not decode") from error
