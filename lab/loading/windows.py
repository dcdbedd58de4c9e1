"""Windows of large tables and videos: an index lets one request fetch the wanted rows."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from lab.loading.sources import DataSource, NoData
from shared.alf.indexing import MP4, PARQUET, unpacked
from shared.model.object_index import ObjectIndex
from shared.model.release import ReleasedFile

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray


class _Parts:
    """The parts of a file, by rows."""

    def __init__(self, index: ObjectIndex, file: ReleasedFile) -> None:
        rows = index.facts.get("rows")
        if not isinstance(rows, list) or len(rows) != len(index.lengths):
            raise NoData(f"The index of {file.path} contradicts itself.")
        self.rows = np.concatenate([[0], np.cumsum(rows, dtype=np.int64)])
        self.begins = index.offset + np.concatenate(
            [[0], np.cumsum(index.lengths, dtype=np.int64)]
        )
        if self.rows[-1] != index.shape[0] or self.begins[-1] > index.size:
            raise NoData(f"The index of {file.path} contradicts itself.")

    def of_rows(self, start: int, stop: int) -> tuple[int, int]:
        """Return the first part with some of the rows, and the part after the last one."""
        first = int(np.searchsorted(self.rows, start, "right")) - 1
        return first, int(np.searchsorted(self.rows, stop, "left"))


class _Sparse(io.BytesIO):
    """A file with only some stretches in memory, each at its own offset."""

    def __init__(self, size: int, parts: Sequence[tuple[int, bytes]]) -> None:
        super().__init__()
        self._size, self._parts, self._at = size, parts, 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[
            whence
        ] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        count = self._size - self._at if size is None or size < 0 else size
        for begin, data in self._parts:
            if begin <= self._at and self._at + count <= begin + len(data):
                piece = data[self._at - begin : self._at - begin + count]
                self._at += count
                return piece
        raise OSError("bytes that were not fetched")


class RemoteTable:
    """A Parquet table that fetches rows on demand.

    Attributes
    ----------
    columns : list of str
    shape : tuple of int
        Rows, columns.
    """

    def __init__(self, source: DataSource, file: ReleasedFile, index: ObjectIndex) -> None:
        import pyarrow.parquet as pq

        self._source, self._file, self._index = source, file, index
        self._parts = _Parts(index, file)
        self._footer = base64.b64decode(index.facts["footer"])
        self._meta = pq.read_metadata(io.BytesIO(b"PAR1" + self._footer))
        self.columns = list(self._meta.schema.to_arrow_schema().names)
        self.shape = (self._meta.num_rows, len(self.columns))

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"RemoteTable({self._file.path}, shape={self.shape})"

    def __getitem__(self, rows: slice) -> pd.DataFrame:
        """Return a range of rows as a data frame, by one request."""
        start, stop, step = rows.indices(len(self))
        first, last = self._parts.of_rows(start, max(start, stop)) if stop > start else (0, 0)
        begin, end = int(self._parts.begins[first]), int(self._parts.begins[last])
        data = self._source.read(self._file, begin, end - begin) if end > begin else b""
        table = self._read([(begin, data)], range(first, last))
        offset = start - int(self._parts.rows[first])
        frame: pd.DataFrame = table.slice(offset, max(0, stop - start)).to_pandas()
        return frame.iloc[::step].reset_index(drop=True) if step > 1 else frame

    def to_pandas(self) -> pd.DataFrame:
        """Return the whole table, fetched at once."""
        return self[:]

    def _read(self, parts: list[tuple[int, bytes]], groups: range) -> Any:
        import pyarrow.parquet as pq

        size = self._index.size
        footer = (size - len(self._footer), self._footer)
        with pq.ParquetFile(_Sparse(size, [*parts, footer]), metadata=self._meta) as file:
            return file.read_row_groups(list(groups))


class Frames(msgspec.Struct, frozen=True):
    """Frames of a video as they are stored.

    Attributes
    ----------
    first : int
        Number of the first: the keyframe at or before the frame asked for.
    data : list of bytes
        One item a frame.
    description : bytes
        Configuration of a decoder: the codec's box in the video's sample description.
    """

    first: int
    data: list[bytes]
    description: bytes


class RemoteVideo:
    """A video that fetches frames on demand.

    Attributes
    ----------
    shape : tuple of int
        Frames, rows, columns.
    times : array of float64, shape (frames,)
        Seconds from the first frame, by the video's own clock.
    """

    def __init__(self, source: DataSource, file: ReleasedFile, index: ObjectIndex) -> None:
        self._source, self._file, self._index = source, file, index
        self._parts = _Parts(index, file)
        self.shape = index.shape
        facts = index.facts
        sizes, steps = unpacked(facts["sizes"]), unpacked(facts["times"])
        gaps = unpacked(facts["gaps"]) if facts["gaps"] else np.zeros(max(0, len(sizes) - 1))
        if not len(sizes) == self.shape[0] == len(steps) + 1 == len(gaps) + 1:
            raise NoData(f"The index of {file.path} contradicts itself.")
        self._sizes = sizes
        self._offsets = index.offset + np.concatenate(
            [[0], np.cumsum(sizes[:-1] + gaps.astype(np.int64))]
        )
        self.times: NDArray[np.float64] = np.concatenate([[0], np.cumsum(steps)]) / float(
            facts["timescale"]
        )
        self._description = base64.b64decode(facts["description"])

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"RemoteVideo({self._file.path}, shape={self.shape})"

    def frames(self, start: int, stop: int) -> Frames:
        """Return frames by one request, starting at the keyframe at or before the first.

        Raises
        ------
        IndexError
            There are no such frames.
        """
        if not 0 <= start < stop <= len(self):
            raise IndexError(f"frames {start} to {stop} of {len(self)}")
        part, _ = self._parts.of_rows(start, stop)
        first = int(self._parts.rows[part])
        begin, end = (
            int(self._offsets[first]),
            int(self._offsets[stop - 1] + self._sizes[stop - 1]),
        )
        data = self._source.read(self._file, begin, end - begin)
        places = self._offsets[first:stop] - begin
        cut = [
            data[at : at + size]
            for at, size in zip(places.tolist(), self._sizes[first:stop].tolist(), strict=True)
        ]
        return Frames(first, cut, self._description)

    def second(self, at: float) -> Frames:
        """Return the frames of one second from a time on, by one request."""
        start = int(np.searchsorted(self.times, at, "left"))
        return self.frames(start, max(start + 1, int(np.searchsorted(self.times, at + 1, "left"))))


def remote_table(source: DataSource, file: ReleasedFile) -> RemoteTable | None:
    """Return a table by its index; None if it has no index."""
    index = source.index(file)
    return RemoteTable(source, file, index) if index and index.codec == PARQUET else None


def open_video(source: DataSource, file: ReleasedFile) -> RemoteVideo:
    """Return a video by its index, which is built here if no server has it.

    Raises
    ------
    NoData
        The frames cannot be located.
    """
    index = source.index(file) or _made(source, file)
    if index is None or index.codec != MP4:
        raise NoData(f"The frames of {file.path} cannot be told apart: fetch it as a whole.")
    return RemoteVideo(source, file, index)


def _made(source: DataSource, file: ReleasedFile) -> ObjectIndex | None:
    from shared.alf.blocks import BlockReader, RangeFile, block_of
    from shared.alf.errors import FileInvalid
    from shared.alf.indexing import video_index

    class Ranges(RangeFile):
        def fetch(self, start: int, count: int) -> bytes:
            return source.read(file, start, count)

    try:
        stream = BlockReader(Ranges(file.size), block_of(file.path, file.size))
        return video_index(stream, file.size, file.path)
    except FileInvalid as error:
        raise NoData(str(error)) from None
