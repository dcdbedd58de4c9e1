"""Damaged recordings: the index rebuilt from the chunks alone."""

from typing import NamedTuple

from shared.codec import chunk
from shared.codec.chunk import ChunkHeader
from shared.codec.errors import CodecError, CorruptionError, FormatError
from shared.codec.header import HEADER, RecordingHeader, read_header
from shared.codec.index import (
    MAX_CHUNKS,
    TRAILER_MAGIC,
    Readable,
    RecordingIndex,
    chunk_bounds,
    read_footer,
)
from shared.codec.reader import Reader
from shared.model.crc import crc32


class FoundChunk(NamedTuple):
    """A chunk with a valid checksum: its position, its header, and its CRC-32."""

    offset: int
    header: ChunkHeader
    crc: int


def open_salvaged(source: Readable) -> tuple[Reader, list[str]]:
    """Open a damaged recording; return the reader and the faults of the file as a whole.

    The index is used if there is one; otherwise it is rebuilt from the chunks.
    """
    try:
        return Reader(source, read_footer(source), cache_bytes=0), []
    except CodecError as error:
        index, problems = rebuild_index(source)
        return Reader(source, index, cache_bytes=0), [str(error), *problems]


def rebuild_index(source: Readable) -> tuple[RecordingIndex, list[str]]:
    """Rebuild the index from the chunks alone; damaged bytes are skipped.

    Every chunk but the last has the length in the file's header, so a chunk's number gives its
    samples, even for a missing chunk. The index has an entry for every chunk up to the last one
    found or announced by the header; reading a missing one raises `CorruptionError`. The faults
    are returned in words, too.

    Raises
    ------
    FormatError, CorruptionError
        If the file's header itself is unreadable.
    """
    name, total = source.name, source.size()
    header = read_header(source.read(0, HEADER.size), name)
    found: dict[int, FoundChunk] = {}
    problems: list[str] = []
    position = HEADER.size
    patience = 4 * total + (1 << 20)  # bytes read in vain before giving up on a hostile file
    while position + chunk.HEADER.size <= total:
        data = source.read(position, position + chunk.HEADER.size)
        if data[: len(TRAILER_MAGIC)] == TRAILER_MAGIC:
            break
        try:
            here = chunk.read_header(data, f"{name}, at byte {position}: a chunk")
            patience -= here.size
            crc = _check(source.read(position, position + here.size), here, header, name)
        except (CorruptionError, FormatError) as error:
            following = _find_magic(source, position + 1, total)
            if following is not None or data[:4] == chunk.MAGIC:
                problems.append(str(error))
            if following is None or patience < 0:
                break
            position = following
            continue
        patience += here.size
        if here.first != here.number * header.chunk_length or here.number in found:
            problems.append(f"{name}, at byte {position}: chunk {here.number} is out of place")
        else:
            found[here.number] = FoundChunk(position, here, crc)
        position += here.size
    index = _index_of(header, found)
    missing = [number for number in range(index.n_chunks) if number not in found]
    problems += [f"{name}: chunk {number} is missing" for number in missing]
    return index, problems


def _check(data: bytes | memoryview, here: ChunkHeader, header: RecordingHeader, name: str) -> int:
    """Check a chunk without an index; return its checksum in the index's form."""
    name = f"{name}: chunk {here.number}"
    chunk.check_alone(data, here, name)
    if here.channels != header.n_channels or here.dtype != header.dtype:
        raise CorruptionError(f"{name} is one of another recording")
    return crc32(data)


def _find_magic(source: Readable, start: int, total: int) -> int | None:
    """Return the position at which the next chunk may start."""
    step = 1 << 20
    while start < total:
        block = bytes(source.read(start, min(start + step + len(chunk.MAGIC), total)))
        where = block.find(chunk.MAGIC)
        if where >= 0:
            return start + where
        start += step
    return None


def _index_of(header: RecordingHeader, found: dict[int, FoundChunk]) -> RecordingIndex:
    """Make an index of the found chunks; missing ones have a length of zero bytes."""
    last = max(found, default=-1)
    samples = found[last].header.first + found[last].header.length if found else 0
    if header.samples is not None and header.samples <= MAX_CHUNKS * header.chunk_length:
        samples = max(samples, header.samples)
    index = RecordingIndex(
        header.n_channels, header.sample_rate, header.dtype, header.chunk_length
    )
    index.bounds = chunk_bounds(samples, header.chunk_length)
    position, index.offsets = HEADER.size, []
    for number in range(index.n_chunks):
        entry = found.get(number)
        index.offsets.append(entry.offset if entry else position)
        index.crcs.append(entry.crc if entry else 0)
        position = entry.offset + entry.header.size if entry else position
    index.offsets.append(position)
    return index
