"""A chunk held against its index, ready to be decoded."""

from typing import Any

from numpy.typing import NDArray

from shared.codec.chunk import (
    ChunkHeader,
    Encoded,
    Mode,
    crc32,
    open_alone,
    raw_bytes,
    read_header,
)
from shared.codec.decoder import CodedChunk, Window, restore_stored
from shared.codec.errors import CorruptionError, FormatError
from shared.codec.index import ChunkEntry, RecordingIndex


class OpenedChunk:
    """A chunk whose bytes were checked; its samples are still to be restored.

    Its parameters are read once, when first they are needed.
    """

    def __init__(self, name: str, header: ChunkHeader, coded: Encoded) -> None:
        self.name, self.header, self.coded = name, header, coded
        self._parameters: CodedChunk | None = None

    def restore(
        self,
        window: Window | None = None,
        *,
        out: NDArray[Any] | None = None,
        scratch: bool = False,
        threads: int = 1,
    ) -> NDArray[Any]:
        """Return the samples of a window; those of the whole are held against their checksum.

        CodedChunk
        ----------
        window, out, scratch, threads
            As for `decoder.decode`.

        Returns
        -------
        array, shape (samples wanted, channels wanted)

        Raises
        ------
        CorruptionError
        """
        header = self.header
        wanted = window or Window(0, header.length)
        try:
            if header.mode == Mode.STORED:
                samples = restore_stored(self.coded, header.shape, header.dtype, wanted, out)
            else:
                if self._parameters is None:
                    self._parameters = CodedChunk(self.coded, header.shape, header.dtype)
                samples = self._parameters.restore(wanted, out, scratch, threads)
        except FormatError as error:
            raise CorruptionError(f"{self.name}: {error}", (header.number,)) from error
        if window is None and crc32(raw_bytes(samples)) != header.raw_crc:
            problem = "the samples decoded fail their checksum"
            raise CorruptionError(f"{self.name}: {problem}", (header.number,))
        return samples


def open_chunk(
    data: bytes | memoryview, entry: ChunkEntry, index: RecordingIndex, name: str
) -> OpenedChunk:
    """Check a chunk as stored.

    CodedChunk
    ----------
    data : bytes-like
        The chunk, header included.
    entry : ChunkEntry
        What it should be.
    index : RecordingIndex
        Of the recording it should belong to.
    name : str
        What to call the recording in messages.

    Returns
    -------
    OpenedChunk

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
    # One pass: bytes that are those of the index need not be held against their header, too.
    if entry.crc is not None and crc32(data) != entry.crc:
        problem = "bytes were changed, or the sidecar belongs to another recording"
        raise CorruptionError(f"{name}: {problem}", (number,))
    _, coded = open_alone(data, name, header if entry.crc is not None else None)
    expected = number, entry.first, entry.length, index.n_channels, index.dtype
    if (*header[:4], header.dtype) != expected:
        raise CorruptionError(
            f"{name}: a chunk of another place or recording stands here "
            f"(it says it is chunk {header.number})",
            (number,),
        )
    return OpenedChunk(name, header, coded)


def open_lone(data: bytes | memoryview, name: str) -> OpenedChunk:
    """Check a chunk by its own checksum; bytes that follow it are left alone.

    Raises
    ------
    TruncationError, CorruptionError
    """
    return OpenedChunk(name, *open_alone(data, name))
