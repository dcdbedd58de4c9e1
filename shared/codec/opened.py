"""A chunk checked against its index, ready to be decoded."""

from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from shared.codec.chunk import ChunkHeader, check_alone, raw_bytes, read_header
from shared.codec.decoder import CodedChunk, StoredChunk, Window, of_mode
from shared.codec.errors import CorruptionError, FormatError
from shared.codec.index import ChunkEntry, RecordingIndex
from shared.model.crc import crc32


class OpenedChunk:
    """A chunk whose bytes have been checked; its samples are restored on demand."""

    def __init__(self, name: str, header: ChunkHeader, data: bytes | memoryview) -> None:
        self.name, self.header, self.data = name, header, data

    @cached_property
    def _content(self) -> CodedChunk | StoredChunk:
        """The decoder; the parameters are read once, at the first use."""
        header = self.header
        return of_mode(header.coded(self.data), header.shape, header.dtype)

    def restore(
        self,
        window: Window | None = None,
        *,
        out: NDArray[Any] | None = None,
        threads: int = 1,
    ) -> NDArray[Any]:
        """Return the samples of a window; those of the whole chunk are checked by checksum.

        Raises
        ------
        CorruptionError
        """
        number, length = self.header.number, self.header.length
        try:
            samples = self._content.restore(window or Window(0, length), out, threads)
        except FormatError as error:
            raise CorruptionError(f"{self.name}: {error}", (number,)) from error
        if window is None and crc32(raw_bytes(samples)) != self.header.raw_crc:
            problem = "the samples decoded fail their checksum"
            raise CorruptionError(f"{self.name}: {problem}", (number,))
        return samples


def open_chunk(
    data: bytes | memoryview, entry: ChunkEntry, index: RecordingIndex, name: str
) -> OpenedChunk:
    """Check a stored chunk against its entry in the index; errors name the recording.

    Raises
    ------
    CorruptionError
        If a checksum fails, or the chunk belongs to another place or recording.
    """
    number = entry.number
    name = f"{name}: chunk {number}"
    header = read_header(data, name)
    if header.size != len(data):
        raise CorruptionError(f"{name} has {len(data)} bytes, not {header.size}", (number,))
    # One pass: bytes that match the index need no check against their header.
    if entry.crc is None:
        check_alone(data, header, name)
    elif crc32(data) != entry.crc:
        problem = "bytes were changed, or the sidecar belongs to another recording"
        raise CorruptionError(f"{name}: {problem}", (number,))
    expected = number, entry.first, entry.length, index.n_channels, index.dtype
    if (*header[:4], header.dtype) != expected:
        raise CorruptionError(
            f"{name}: a chunk of another place or recording stands here "
            f"(it says it is chunk {header.number})",
            (number,),
        )
    return OpenedChunk(name, header, data)


def open_lone(data: bytes | memoryview, name: str) -> OpenedChunk:
    """Open a chunk by its own checksum; bytes after it are ignored.

    Raises
    ------
    TruncationError, CorruptionError
    """
    header = read_header(data, name)
    check_alone(data, header, name)
    return OpenedChunk(name, header, data)
