"""The index of the chunks: the sidecar, and the file's footer with the same content.

FORMAT.md documents every byte. A recording is complete if its footer is. The sidecar repeats the
footer's index as JSON, so that a client reads one second by one small file and one range request.
"""

import json
import struct
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Annotated, Any, Literal, NamedTuple, Protocol

import msgspec
import numpy as np
import zstandard
from msgspec import Meta

from shared.codec import chunk, header
from shared.codec.chunk import MAX_CHANNELS, MAX_CHUNK_BYTES
from shared.codec.entropy import inflate
from shared.codec.errors import (
    CorruptionError,
    FormatError,
    TruncationError,
    UnsupportedVersionError,
)
from shared.model.crc import crc32

ALGORITHM = "fornix-ephys"
TRAILER_MAGIC = b"FXEINDEX"
TRAILER = struct.Struct("<8sQIIII")
#: Most chunks, and most bytes of an index.
MAX_CHUNKS = 1 << 26
MAX_INDEX_BYTES = 1 << 30
#: Advice about a torn file.
SALVAGE = (
    "What is whole of it can be restored: `fornix codec decompress --salvage`, "
    "or shared.recordings.open_salvaged"
)


class ChunkEntry(NamedTuple):
    """An index's entry of a chunk: its samples, its bytes, and its CRC-32."""

    number: int
    first: int
    length: int
    offset: int
    size: int
    crc: int | None


class IndexFields(msgspec.Struct):
    """Required fields of a sidecar and their bounds: FORMAT.md, section 3."""

    n_channels: Annotated[int, Meta(ge=1, le=MAX_CHANNELS)]
    sample_rate: Annotated[float, Meta(gt=0, lt=1e12)]
    dtype: Literal["int16", "uint16", "int32"]
    shape: tuple[Annotated[int, Meta(ge=0, lt=1 << 62)], int]
    chunk_length: Annotated[int, Meta(ge=1)]
    chunk_sizes: list[
        Annotated[int, Meta(gt=chunk.HEADER.size, le=chunk.HEADER.size + 2 * MAX_CHUNK_BYTES)]
    ]
    chunk_crc32: list[Annotated[int, Meta(ge=0, lt=1 << 32)]]


@dataclass
class RecordingIndex:
    """The content of the sidecar and the footer."""

    n_channels: int
    sample_rate: float  # in Hz
    dtype: np.dtype[Any]  # int16, uint16 or int32
    chunk_length: int = 0  # samples of every chunk but the last
    #: First sample of each chunk, and the number of samples.
    bounds: list[int] = field(default_factory=lambda: [0])
    #: Position of each chunk in the file, and the end of the last one, in bytes.
    offsets: list[int] = field(default_factory=lambda: [header.HEADER.size])
    #: CRC-32 of each stored chunk with its header; empty if unknown.
    crcs: list[int] = field(default_factory=list)
    #: Further facts: level, SHA-1 and, from SpikeGLX, gain, probe map and clock.
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
        """Return the entry of a chunk."""
        first, last = self.bounds[number : number + 2]
        start, stop = self.offsets[number : number + 2]
        crc = self.crcs[number] if self.crcs else None
        return ChunkEntry(number, first, last - first, start, stop - start, crc)

    def add(self, sealed: chunk.Sealed) -> None:
        """Add a chunk that has been written after the others."""
        self.bounds.append(self.bounds[-1] + sealed.length)
        self.offsets.append(self.offsets[-1] + sealed.size)
        self.crcs.append(sealed.crc)

    def to_json(self, file_size: int | None = None) -> str:
        """Return the footer's text or, with the size of the file, the sidecar's."""
        fields = IndexFields(
            self.n_channels,
            self.sample_rate,
            self.dtype.name,  # type: ignore[arg-type]
            self.shape,
            self.chunk_length,
            np.diff(self.offsets).tolist(),
            self.crcs,
        )
        named = {"algorithm": ALGORITHM, "version": header.VERSION} | msgspec.structs.asdict(
            fields
        )
        size = {} if file_size is None else {"file_size": file_size}
        return json.dumps(named | size | self.facts, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes, name: str) -> "RecordingIndex":
        """Read a sidecar; refuse contradictions. Errors name the file.

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
        return cls.from_fields(data, name)

    @classmethod
    def from_fields(cls, data: dict[str, Any], name: str) -> "RecordingIndex":
        """Read the fields of a sidecar; unknown fields are facts, except the size of the file."""
        try:
            said = msgspec.convert(data, IndexFields)
        except msgspec.ValidationError as error:
            raise FormatError(f"{name} lacks or garbles a field: {error}") from error
        channels, dtype, length = said.n_channels, np.dtype(said.dtype), said.chunk_length
        samples, columns = said.shape
        count = -(-samples // length)
        fits = columns == channels and length * channels * dtype.itemsize <= MAX_CHUNK_BYTES
        if not (fits and len(said.chunk_sizes) == len(said.chunk_crc32) == count <= MAX_CHUNKS):
            raise FormatError(f"{name}: its shape, types and lists of chunks do not fit together")
        own_fields = {*IndexFields.__struct_fields__, "file_size"}
        return cls(
            channels,
            said.sample_rate,
            dtype,
            length,
            chunk_bounds(samples, length),
            list(accumulate(said.chunk_sizes, initial=header.HEADER.size)),
            said.chunk_crc32,
            {key: value for key, value in data.items() if key not in own_fields},
        )


def chunk_bounds(samples: int, length: int) -> list[int]:
    """Return the first sample of each chunk, and the number of samples."""
    return [*range(0, samples, length), samples]


# ---- footer -----------------------------------------------------------------------------------


def pack_footer(index: RecordingIndex) -> bytes:
    """Return the compressed index and the trailer that ends the file."""
    text = index.to_json().encode()
    packed = zstandard.ZstdCompressor(level=9).compress(text)
    facts = index.offsets[-1], len(packed), len(text), crc32(packed)
    trailer = TRAILER.pack(TRAILER_MAGIC, *facts, 0)[:-4]
    return packed + trailer + struct.pack("<I", crc32(trailer))


class Readable(Protocol):
    """A source of bytes: a file or an address."""

    name: str
    #: Bytes to read at the end to find the footer; one request can fetch them.
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
    """Read the end of a file, which proves that it is complete."""
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
    """Read the index at the end of a file, by one request if it is short.

    A given sidecar must have the same content.

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
        return inflate(data, trailer.size, zstandard.ZstdDecompressor())
    except FormatError as error:
        raise CorruptionError(f"{name}: the index in the footer: {error}") from error
