"""The file: header, chunks, footer, and the sidecar index beside it.

FORMAT.md documents every byte. A recording is complete when its footer is; the sidecar repeats the
footer's index as JSON, so that a client needs one small file and one range request to read one
second. The index can be rebuilt from the chunks alone.
"""

import json
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import zstandard
from numpy.typing import NDArray

from shared.codec import chunk, decoder
from shared.codec.errors import (
    CorruptionError,
    FormatError,
    TruncationError,
    UnsupportedVersionError,
)

try:  # hardware-assisted, and the same polynomial
    from isal.isal_zlib import crc32
except ImportError:  # pragma: no cover - isal has no wheel everywhere
    crc32 = zlib.crc32

SUFFIX, SIDECAR_SUFFIX = ".ebin", ".eh"
ALGORITHM = "fornix-ephys"
VERSION = 1
#: Version of the set of predictors a decoder must know, and those that this one knows.
PREDICTOR_VERSION = 3
PREDICTOR_VERSIONS = (1, 2, 3)

FILE_MAGIC = b"\x89FXE\r\n\x1a\n"
CHUNK_MAGIC = b"FXCK"
TRAILER_MAGIC = b"FXEINDEX"
FILE_HEADER = struct.Struct("<8sHHIB7xdQII12xI")
CHUNK_HEADER = struct.Struct("<4sIQIIIIQIIBB2x12x")
TRAILER = struct.Struct("<8sQIIII")
#: Where a chunk's header holds its own checksum, which counts as zero in it.
CRC_OFFSET = 44
UNKNOWN_SAMPLES = (1 << 64) - 1
UNKNOWN_CHUNKS = (1 << 32) - 1
#: Index of a recording of a hundred million chunks; more is refused.
MAX_INDEX_BYTES = 1 << 30
MAX_CHUNKS = 1 << 26

#: What every sidecar says; anything more is a fact to carry along.
KEYS = (
    "algorithm",
    "version",
    "predictor_version",
    "n_channels",
    "sample_rate",
    "dtype",
    "shape",
    "chunk_bounds",
    "chunk_offsets",
    "chunk_crc32",
    "chunk_raw_crc32",
)

#: Chunks last a second, or as many whole seconds as it takes to hold this many raw bytes.
MIN_CHUNK_BYTES = 1 << 21


def default_chunk_length(
    sample_rate: float, n_channels: int, dtype: np.dtype, n_samples: int | None = None
) -> int:
    """Return samples per chunk: one second's, or more whole seconds' for few channels.

    A short last chunk takes about as long to decode as a whole one; so those of several seconds
    are half again as long or a third shorter, where that makes them about even.

    Parameters
    ----------
    sample_rate : float
        In Hz.
    n_channels : int
    dtype : numpy.dtype
    n_samples : int, optional
        Of the whole recording, where that is known.

    Returns
    -------
    int
        At least 1, and never more than a chunk may hold.
    """
    per_sample = n_channels * dtype.itemsize
    second = max(1, round(sample_rate))
    seconds = max(1, math.ceil(MIN_CHUNK_BYTES / (second * per_sample)))
    if n_samples and seconds > 1:
        total = n_samples / second
        seconds = math.ceil(total / max(1, round(total / seconds)))
    return max(1, min(second * seconds, chunk.MAX_CHUNK_BYTES // per_sample))


@dataclass
class Index:
    """What the sidecar and the footer say of a recording.

    Attributes
    ----------
    n_channels : int
    sample_rate : float
        In Hz.
    dtype : numpy.dtype
        int16, uint16 or int32.
    bounds : list of int
        First sample of each chunk, and the number of samples.
    offsets : list of int
        Where each chunk starts in the file, and where the last one ends, in bytes.
    crcs, raw_crcs : list of int
        CRC-32 of each chunk as stored (header included), and of its samples as little-endian,
        time-major bytes.
    facts : dict
        Key facts carried along: level, creator's notes, SHA-1 of the raw bytes.
    """

    n_channels: int
    sample_rate: float
    dtype: np.dtype
    bounds: list[int] = field(default_factory=lambda: [0])
    offsets: list[int] = field(default_factory=lambda: [FILE_HEADER.size])
    crcs: list[int] = field(default_factory=list)
    raw_crcs: list[int] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Samples × channels."""
        return self.bounds[-1], self.n_channels

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return len(self.bounds) - 1

    def to_json(self) -> str:
        """Return the sidecar's text. Keys shared with mtscomp's `.ch` mean the same."""
        values = (
            ALGORITHM,
            VERSION,
            PREDICTOR_VERSION,
            self.n_channels,
            self.sample_rate,
            self.dtype.name,
            list(self.shape),
            self.bounds,
            self.offsets,
            self.crcs,
            self.raw_crcs,
        )
        named = dict(zip(KEYS, values, strict=True))
        return json.dumps(named | self.facts, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes, name: str) -> "Index":
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
        if not isinstance(data, dict) or data.get("algorithm") != ALGORITHM:
            raise FormatError(f"{name} is not the index of a {ALGORITHM} recording")
        for key, known in (("version", (VERSION,)), ("predictor_version", PREDICTOR_VERSIONS)):
            if data.get(key) not in known:
                raise UnsupportedVersionError(
                    f"{name} has {key} {data.get(key)!r}; this program knows "
                    f"{', '.join(map(str, known))}. Update Fornix to read it"
                )
        try:
            index = cls(
                _whole(data["n_channels"], 1, chunk.MAX_CHANNELS),
                _rate(data["sample_rate"]),
                _dtype(data["dtype"]),
                [_whole(each, 0, 1 << 62) for each in data["chunk_bounds"]],
                [_whole(each, 0, 1 << 62) for each in data["chunk_offsets"]],
                [_whole(each, 0, (1 << 32) - 1) for each in data["chunk_crc32"]],
                [_whole(each, 0, (1 << 32) - 1) for each in data["chunk_raw_crc32"]],
            )
            shape = [_whole(each, 0, 1 << 62) for each in data["shape"]]
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"{name} lacks or garbles a field: {error}") from error
        index.facts = {key: value for key, value in data.items() if key not in KEYS}
        index.check(name)
        if shape != list(index.shape):
            raise FormatError(f"{name} gives the shape {shape}, but its chunks {index.shape}")
        return index

    def check(self, name: str) -> None:
        """Refuse an index whose lists contradict each other."""
        count = self.n_chunks
        per_sample = self.n_channels * self.dtype.itemsize
        sound = (
            0 <= count <= MAX_CHUNKS
            and self.bounds[0] == 0
            and len(self.offsets) == count + 1
            and self.offsets[0] == FILE_HEADER.size
            and len(self.crcs) == len(self.raw_crcs) == count
        )
        if not sound:
            raise FormatError(f"{name}: the lists of chunks do not fit together")
        for i in range(count):
            length = self.bounds[i + 1] - self.bounds[i]
            stored = self.offsets[i + 1] - self.offsets[i]
            if not 0 < length * per_sample <= chunk.MAX_CHUNK_BYTES:
                raise FormatError(f"{name}: chunk {i} has an impossible number of samples")
            if not CHUNK_HEADER.size < stored <= CHUNK_HEADER.size + 2 * chunk.MAX_CHUNK_BYTES:
                raise FormatError(f"{name}: chunk {i} has an impossible size")


def _whole(value: object, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{value!r} is not a whole number from {low} to {high}")
    return value


def _rate(value: object) -> float:
    if not isinstance(value, int | float) or not 0 < value < 1e12:
        raise ValueError(f"{value!r} is not a sample rate")
    return float(value)


def _dtype(value: object) -> np.dtype:
    for dtype in chunk.DTYPE_CODES:
        if value == dtype.name:
            return dtype
    raise ValueError(f"{value!r} is not a sample type")


# ---- header -----------------------------------------------------------------------------------


def pack_header(index: Index, chunk_length: int, complete: bool) -> bytes:
    """Return the 64 bytes at the start of the file."""
    samples = index.shape[0] if complete else UNKNOWN_SAMPLES
    count = index.n_chunks if complete else UNKNOWN_CHUNKS
    fields = (
        FILE_MAGIC,
        VERSION,
        FILE_HEADER.size,
        index.n_channels,
        chunk.DTYPE_CODES[index.dtype],
        index.sample_rate,
        samples,
        chunk_length,
        count,
    )
    packed = FILE_HEADER.pack(*fields, 0)
    return packed[:-4] + struct.pack("<I", crc32(packed[:-4]))


@dataclass(frozen=True)
class Header:
    """What the first 64 bytes say; `samples` and `chunks` are None in an unfinished file."""

    index: Index
    samples: int | None
    chunks: int | None
    chunk_length: int


def unpack_header(data: bytes | memoryview, name: str) -> Header:
    """Read the start of a file.

    Raises
    ------
    FormatError, UnsupportedVersionError, TruncationError, CorruptionError
    """
    if data[: len(FILE_MAGIC)] != FILE_MAGIC[: len(data)] or not data:
        raise FormatError(f"{name} is not a {ALGORITHM} recording")
    if len(data) < FILE_HEADER.size:
        raise TruncationError(f"{name} ends within its header")
    _, version, size, channels, code, rate, samples, length, count, crc = FILE_HEADER.unpack(
        data[: FILE_HEADER.size]
    )
    if version != VERSION:
        raise UnsupportedVersionError(
            f"{name} has format version {version}; this program knows {VERSION}. "
            "Update Fornix to read it"
        )
    if crc != crc32(data[: FILE_HEADER.size - 4]) or size != FILE_HEADER.size:
        raise CorruptionError(f"{name}: the header was changed after it was written")
    if code not in chunk.DTYPES or not 1 <= channels <= chunk.MAX_CHANNELS:
        raise FormatError(f"{name}: the header names an impossible type or number of channels")
    if not 0 < length * channels * chunk.DTYPES[code].itemsize <= chunk.MAX_CHUNK_BYTES:
        raise FormatError(f"{name}: the header gives an impossible chunk length")
    if not (math.isfinite(rate) and rate > 0):
        raise FormatError(f"{name}: the header gives an impossible sample rate")
    return Header(
        Index(channels, rate, chunk.DTYPES[code]),
        None if samples == UNKNOWN_SAMPLES else samples,
        None if count == UNKNOWN_CHUNKS else count,
        length,
    )


# ---- chunks -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """A chunk as it goes to the file.

    Attributes
    ----------
    pieces : tuple of bytes-like
        That follow each other in the file; none when they have been written.
    size : int
        Bytes in all.
    length : int
        Samples.
    crc, raw_crc : int
        As in `Index`.
    """

    pieces: tuple[bytes | memoryview, ...]
    size: int
    length: int
    crc: int
    raw_crc: int


def raw_bytes(samples: NDArray[Any]) -> memoryview:
    """Return samples as little-endian, time-major bytes, without a copy where possible."""
    little = np.ascontiguousarray(samples, samples.dtype.newbyteorder("<"))
    return memoryview(little.reshape(-1).view(np.uint8))  # type: ignore[arg-type]


def seal(coded: chunk.Encoded, number: int, first: int, samples: NDArray[Any]) -> Stored:
    """Put the header before a coded chunk."""
    length, channels = samples.shape
    raw_crc = crc32(raw_bytes(samples))
    fields = [
        CHUNK_MAGIC,
        number,
        first,
        length,
        channels,
        len(coded.meta),
        coded.meta_size,
        len(coded.body),
        raw_crc,
        0,
        coded.mode,
        chunk.DTYPE_CODES[samples.dtype],
    ]
    fields[9] = crc32(coded.body, crc32(coded.meta, crc32(CHUNK_HEADER.pack(*fields))))
    front = CHUNK_HEADER.pack(*fields) + coded.meta
    crc = crc32(coded.body, crc32(front))
    return Stored((front, coded.body), CHUNK_HEADER.size + coded.size, length, crc, raw_crc)


@dataclass(frozen=True)
class ChunkHeader:
    """The 64 bytes before each chunk."""

    number: int
    first: int
    length: int
    channels: int
    meta: int
    meta_size: int
    body: int
    raw_crc: int
    crc: int
    mode: int
    dtype: np.dtype

    @property
    def size(self) -> int:
        """Bytes of the chunk, header included."""
        return CHUNK_HEADER.size + self.meta + self.body


def unpack_chunk_header(data: bytes | memoryview, name: str) -> ChunkHeader:
    """Read a chunk's header, refusing impossible sizes before anything is allocated."""
    if len(data) < CHUNK_HEADER.size:
        raise TruncationError(f"{name} ends within its header")
    magic, *numbers, mode, code = CHUNK_HEADER.unpack(data[: CHUNK_HEADER.size])
    if magic != CHUNK_MAGIC:
        raise CorruptionError(f"{name} does not start where it should")
    if code not in chunk.DTYPES:
        raise CorruptionError(f"{name} has an unknown sample type")
    header = ChunkHeader(*numbers, mode, chunk.DTYPES[code])  # type: ignore[call-arg]
    raw = header.length * header.channels * header.dtype.itemsize
    if not 0 < raw <= chunk.MAX_CHUNK_BYTES or header.meta + header.body > raw + 64:
        raise CorruptionError(f"{name} claims an impossible size")
    # A zstandard frame cannot expand further than this, so neither can a chunk.
    if raw > (header.meta + header.body) * (1 << 18):
        raise CorruptionError(f"{name} claims more samples than its bytes can hold")
    return header


def own_crc(data: memoryview) -> int:
    """Return the checksum of a chunk as its header should have it."""
    blank = bytes(data[:CRC_OFFSET]) + bytes(4) + bytes(data[CRC_OFFSET + 4 : CHUNK_HEADER.size])
    return crc32(data[CHUNK_HEADER.size :], crc32(blank))


@dataclass(frozen=True)
class OpenedChunk:
    """A chunk whose stored bytes are checked, and whose samples are still to be restored."""

    name: str
    header: ChunkHeader
    unpacked: decoder.Unpacked
    whole: bool

    def inflate_by(self, submit: decoder.Submit) -> None:
        """Have other threads inflate it ahead of `restore`."""
        self.unpacked.inflate_by(submit)

    def restore(self, scratch: bool = False, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return the samples; of a whole chunk they are held against their checksum.

        Parameters
        ----------
        scratch : bool
            Whether the array returned may be overwritten by the next call in this thread.
        out : array, optional
            Receives the samples, and is returned.

        Returns
        -------
        array, shape (samples, channels)

        Raises
        ------
        CorruptionError
        """
        try:
            samples = self.unpacked.restore(scratch, out)
        except FormatError as error:
            raise CorruptionError(f"{self.name}: {error}", (self.header.number,)) from error
        self.check(samples)
        return samples

    def check(self, samples: NDArray[Any]) -> None:
        """Hold samples restored against their checksum, if they are all of the chunk's."""
        if self.whole and crc32(raw_bytes(samples)) != self.header.raw_crc:
            problem = "the samples decoded fail their checksum"
            raise CorruptionError(f"{self.name}: {problem}", (self.header.number,))


def restore_together(chunks: Sequence[decoder.Unpacked], outs: Sequence[NDArray[Any]]) -> None:
    """Write the samples of chunks to `outs`, in one pass where they were coded alike.

    Raises
    ------
    CorruptionError
        As by `OpenedChunk.restore`.
    """
    opened = [each for each in chunks if isinstance(each, OpenedChunk)]
    if 1 < len(opened) == len(chunks):
        try:
            decoder.restore_together([each.unpacked for each in opened], outs)
        except FormatError:
            pass  # which of them it was, tells one after the other
        else:
            for each, out in zip(opened, outs, strict=True):
                each.check(out)
            return
    for one, out in zip(chunks, outs, strict=True):
        one.restore(True, out)


def open_chunk(
    data: bytes | memoryview,
    index: Index,
    number: int,
    name: str,
    window: tuple[int, int] | None = None,
) -> OpenedChunk:
    """Check a chunk as stored, and read what its samples are to be restored by.

    Parameters
    ----------
    data : bytes-like
        The chunk as stored, header included.
    index : Index
        Of the recording it should belong to.
    number : int
        Which chunk of it this should be.
    name : str
        What to call the recording in messages.
    window : (int, int), optional
        The first sample wanted, counted within the chunk, and the end. Only what these need is
        decoded; the stored bytes are checked in full, the checksum of all samples cannot be.

    Returns
    -------
    OpenedChunk

    Raises
    ------
    CorruptionError
        If a checksum fails, or the chunk belongs to another place or recording.
    """
    name = f"{name}: chunk {number}"
    data = memoryview(data)
    header = unpack_chunk_header(data, name)
    if header.size != len(data):
        raise CorruptionError(f"{name} has {len(data)} bytes, not {header.size}", (number,))
    # One pass: bytes that are those of the index need not be held against their header, too.
    if index.crcs and crc32(data) != index.crcs[number]:
        problem = "bytes were changed, or the sidecar belongs to another recording"
        raise CorruptionError(f"{name}: {problem}", (number,))
    if not index.crcs and own_crc(data) != header.crc:
        raise CorruptionError(f"{name}: bytes were changed after they were written", (number,))
    first, last = index.bounds[number], index.bounds[number + 1]
    placed = (
        header.number == number
        and header.first == first
        and header.length == last - first
        and header.channels == index.n_channels
        and header.dtype == index.dtype
        and header.raw_crc == index.raw_crcs[number]
    )
    if not placed:
        raise CorruptionError(
            f"{name}: a chunk of another place or recording stands here "
            f"(it says it is chunk {header.number})",
            (number,),
        )
    middle = CHUNK_HEADER.size + header.meta
    try:
        unpacked = decoder.unpack(
            header.mode,
            data[CHUNK_HEADER.size : middle],
            header.meta_size,
            data[middle:],
            header.length,
            header.channels,
            header.dtype,
            window,
        )
    except FormatError as error:
        raise CorruptionError(f"{name}: {error}", (number,)) from error
    return OpenedChunk(name, header, unpacked, whole=window is None)


# ---- footer -----------------------------------------------------------------------------------


def pack_footer(index: Index) -> bytes:
    """Return the compressed index and the trailer that ends the file."""
    text = index.to_json().encode()
    packed = zstandard.ZstdCompressor(level=9).compress(text)
    trailer = TRAILER.pack(
        TRAILER_MAGIC, index.offsets[-1], len(packed), len(text), crc32(packed), 0
    )
    return packed + trailer[:-4] + struct.pack("<I", crc32(trailer[:-4]))


@dataclass(frozen=True)
class Trailer:
    """The last 32 bytes of a complete file."""

    offset: int
    packed: int
    size: int
    crc: int


def unpack_trailer(data: bytes | memoryview, file_size: int, name: str) -> Trailer:
    """Read the end of a file: the proof that it is complete."""
    if len(data) < TRAILER.size or data[-TRAILER.size :][:8] != TRAILER_MAGIC:
        raise TruncationError(f"{name} has no footer: it was cut short, or never finished")
    tail = data[-TRAILER.size :]
    _, offset, packed, size, crc, own = TRAILER.unpack(tail)
    if own != crc32(tail[:-4]):
        raise CorruptionError(f"{name}: the footer was changed after it was written")
    if size > MAX_INDEX_BYTES or offset + packed + TRAILER.size != file_size:
        raise TruncationError(f"{name} has {file_size} bytes, and its footer says otherwise")
    return Trailer(offset, packed, size, crc)


def unpack_index(
    data: bytes | memoryview, trailer: Trailer, name: str, sidecar: bytes | None = None
) -> Index:
    """Read the index in the footer, and hold the sidecar against it where it is given."""
    if len(data) != trailer.packed or crc32(data) != trailer.crc:
        raise CorruptionError(f"{name}: the index in the footer was changed")
    try:
        if zstandard.frame_content_size(data) != trailer.size:
            raise FormatError(f"{name}: the index in the footer has another size")
        text = zstandard.ZstdDecompressor().decompress(data, max_output_size=trailer.size)
    except zstandard.ZstdError as error:
        raise CorruptionError(f"{name}: the index in the footer does not decode") from error
    index = Index.from_json(text, f"{name} (footer)")
    if sidecar is not None and sidecar != text:
        beside = Index.from_json(sidecar, f"the sidecar of {name}")
        if beside != index:
            raise CorruptionError(
                f"the sidecar is not the index of {name}: it is another file's, or one of the two "
                "was changed. Remove the sidecar to use the index in the file's footer"
            )
    if index.offsets[-1] != trailer.offset:
        raise CorruptionError(f"{name}: the index in the footer belongs to another file")
    return index


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


def read_footer(source: Readable, sidecar: bytes | None = None) -> Index:
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
    total = source.size()
    if total < FILE_HEADER.size:
        raise TruncationError(f"{source.name} has {total} bytes: not even a header")
    start = max(0, total - source.ahead)
    tail = source.read(start, total)
    trailer = unpack_trailer(tail, total, source.name)
    if trailer.offset < start:
        packed = source.read(trailer.offset, trailer.offset + trailer.packed)
    else:
        packed = tail[trailer.offset - start : -TRAILER.size]
    return unpack_index(packed, trailer, source.name, sidecar)


def rebuild_index(source: Readable) -> tuple[Index, list[str]]:
    """Rebuild the index from the chunks alone, stepping over what is damaged.

    Every chunk but the last has the length the file's header gives, so a chunk's number tells
    which samples it holds, and a missing chunk which samples are missing.

    Returns
    -------
    Index
        With an entry for every chunk up to the last one found (or announced by the header);
        reading one that is missing raises `CorruptionError`.
    list of str
        What was wrong, in words.

    Raises
    ------
    FormatError, CorruptionError
        If the file's header itself is unreadable.
    """
    name, total = source.name, source.size()
    header = unpack_header(source.read(0, FILE_HEADER.size), name)
    index, problems = header.index, []
    found: dict[int, tuple[int, ChunkHeader, int]] = {}
    position = FILE_HEADER.size
    patience = 4 * total + (1 << 20)  # bytes read in vain before giving up on a hostile file
    while position + CHUNK_HEADER.size <= total:
        data = source.read(position, position + CHUNK_HEADER.size)
        if data[: len(TRAILER_MAGIC)] == TRAILER_MAGIC:
            break
        try:
            here = unpack_chunk_header(data, f"{name}, at byte {position}: a chunk")
            patience -= here.size
            crc = _check_alone(source.read(position, position + here.size), here, index, name)
        except (CorruptionError, FormatError) as error:
            following = _find_magic(source, position + 1, total)
            if following is not None or data[:4] == CHUNK_MAGIC:
                problems.append(str(error))
            if following is None or patience < 0:
                break
            position = following
            continue
        patience += here.size
        if here.first != here.number * header.chunk_length or here.number in found:
            problems.append(f"{name}, at byte {position}: chunk {here.number} is out of place")
        else:
            found[here.number] = (position, here, crc)
        position += here.size
    _fill_index(index, header, found)
    missing = [number for number in range(index.n_chunks) if number not in found]
    problems += [f"{name}: chunk {number} is missing" for number in missing]
    return index, problems


def _check_alone(data: bytes | memoryview, header: ChunkHeader, index: Index, name: str) -> int:
    """Check a chunk without an index, and return its checksum as the index would have it."""
    name = f"{name}: chunk {header.number}"
    if len(data) < header.size:
        raise TruncationError(f"{name} is cut short", (header.number,))
    if own_crc(memoryview(data)) != header.crc:
        raise CorruptionError(f"{name}: bytes were changed after they were written")
    if header.channels != index.n_channels or header.dtype != index.dtype:
        raise CorruptionError(f"{name} is one of another recording")
    return crc32(data)


def _find_magic(source: Readable, start: int, total: int) -> int | None:
    """Return where the next chunk may start."""
    step = 1 << 20
    while start < total:
        block = bytes(source.read(start, min(start + step + len(CHUNK_MAGIC), total)))
        where = block.find(CHUNK_MAGIC)
        if where >= 0:
            return start + where
        start += step
    return None


def _fill_index(
    index: Index,
    header: Header,
    found: dict[int, tuple[int, ChunkHeader, int]],
) -> None:
    """Complete an index from the chunks found; the missing ones get no bytes."""
    last = max(found, default=-1)
    samples = found[last][1].first + found[last][1].length if found else 0
    if header.samples is not None and header.samples <= MAX_CHUNKS * header.chunk_length:
        samples = max(samples, header.samples)
    count = -(-samples // header.chunk_length) if header.chunk_length else 0
    index.bounds = [min(i * header.chunk_length, samples) for i in range(count)] + [samples]
    index.offsets = []
    position = FILE_HEADER.size
    for number in range(count):
        start, chunk_header, crc = found.get(number, (position, None, 0))
        index.offsets.append(start)
        index.crcs.append(crc)
        index.raw_crcs.append(chunk_header.raw_crc if chunk_header else 0)
        position = start + chunk_header.size if chunk_header else start
    index.offsets.append(position if count else FILE_HEADER.size)
