"""Arrays that are read on demand; of large ones only the wanted rows."""

from __future__ import annotations

import io
import math
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy

from lab.loading.sources import DataSource, NoData
from lab.loading.windows import remote_table
from shared.alf import io as alf
from shared.model.release import ReleasedFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALL = 4 * 2**20
"""Files up to this many bytes are read whole."""

HEADER = 4096
"""Bytes read to find an array's layout; headers of ALF files have 128."""


class RemoteArray:
    """An array of an npy file that fetches rows on demand.

    Attributes
    ----------
    shape, dtype, ndim
        As those of the array.
    """

    def __init__(self, source: DataSource, file: ReleasedFile) -> None:
        self._source, self._file = source, file
        self.shape, fortran, self.dtype, self._begin = _layout(source, file)
        self._whole: NDArray[Any] | None = None
        if fortran and len(self.shape) > 1:
            self._whole = self._load()
        if self.shape and len(self.shape) == 2 and self.shape[1] == 1:
            self.shape = self.shape[:1]  # one column is a vector, as for ONE
        self.ndim = len(self.shape)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"RemoteArray({self._file.path}, shape={self.shape}, dtype={self.dtype})"

    def __getitem__(self, index: Any) -> Any:
        """Return elements; a range of rows is fetched by one request, anything else as a whole."""
        rows, *rest = index if isinstance(index, tuple) else (index,)
        if self._whole is None and isinstance(rows, int | np.integer):
            position = range(len(self))[int(rows)]
            return self._rows(position, position + 1)[0][tuple(rest) or ...]
        if self._whole is None and isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step > 0:
                return self._rows(start, max(start, stop))[(slice(None, None, step), *rest)]
        return self.__array__()[index]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the whole array, fetched once."""
        if self._whole is None:
            self._whole = self._load()
        return self._whole if dtype is None else self._whole.astype(dtype)

    def _rows(self, start: int, stop: int) -> NDArray[Any]:
        data = self._source.read(
            self._file, self._begin + start * self.row_bytes, (stop - start) * self.row_bytes
        )
        return np.frombuffer(data, self.dtype).reshape(stop - start, *self.shape[1:])

    def _load(self) -> NDArray[Any]:
        data = self._source.read(self._file, 0, self._file.size)
        return _flat(np.load(io.BytesIO(data), allow_pickle=False))


def _layout(
    source: DataSource, file: ReleasedFile
) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Return shape, order, type and offset of an array, from its index or its header."""
    index = source.index(file)
    if index is not None and index.codec == "raw":
        dtype = np.dtype(index.dtype)
        whole = index.offset + dtype.itemsize * math.prod(index.shape)
        if whole == file.size and not dtype.hasobject:
            return index.shape, index.order == "F", dtype, index.offset
    head = io.BytesIO(source.read(file, 0, HEADER))
    return *_header(head, file), head.tell()


def _header(head: io.BytesIO, file: ReleasedFile) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = npy.read_magic(head)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(head)
    except ValueError as error:
        raise NoData(f"{file.path} is no whole npy file: {error}") from None
    if dtype.hasobject:
        raise NoData(f"{file.path} holds Python objects, which are not loaded.")
    return shape, fortran, dtype


def read_file(source: DataSource, file: ReleasedFile) -> Any:
    """Return a file's content: an array, a table, JSON; for other kinds its path or address.

    Large arrays and tables over a network read their rows on demand.

    Raises
    ------
    NoData
        The file is damaged.
    """
    where = source.place(file)
    if file.suffix == "npy":
        return _array(source, file, where)
    if not alf.has_content(file.path):
        return source.address(file)
    if where is None and file.suffix == "pqt" and file.size > SMALL:
        table = remote_table(source, file)
        if table is not None:
            return table
    try:
        if where and where[1] == 0:
            return alf.load(where[0])
        return alf.load_bytes(file.path, source.read(file, 0, file.size))
    except (OSError, alf.FileInvalid) as error:
        raise NoData(f"{file.path} cannot be read: {error}") from None


def _array(source: DataSource, file: ReleasedFile, where: tuple[Path | str, int] | None) -> Any:
    try:
        if where is None:
            if 0 <= file.size <= SMALL:
                return _of_bytes(bytearray(source.read(file, 0, file.size)))
            return RemoteArray(source, file)
        path, offset = where
        with open(path, "rb", buffering=0) as stream:
            if offset:
                stream.seek(offset)
            if file.size > SMALL:
                return _mapped(stream, path, file)
            data = bytearray(file.size)
            return _of_bytes(data[: stream.readinto(data)])
    except (OSError, ValueError, EOFError) as error:
        raise NoData(f"{file.path} cannot be read: {error}") from None


def _of_bytes(data: bytearray) -> NDArray[Any]:
    """Return the array of an npy file's bytes: a writable view of them.

    Raises
    ------
    ValueError
        The bytes are no complete npy file, or hold Python objects.
    """
    begin = 10 + int.from_bytes(data[8:10], "little")
    if data[6:8] != b"\x01\x00" or len(data) < begin:  # larger headers are rare
        return _flat(np.load(io.BytesIO(data), allow_pickle=False))
    shape, fortran, dtype = _parsed(bytes(data[:begin]))
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not loaded")
    count = math.prod(shape)
    if len(data) < begin + count * dtype.itemsize:
        raise ValueError(f"it ends after {len(data)} bytes")
    flat = np.frombuffer(data, dtype, count, begin)
    return _flat(flat.reshape(shape, order="F" if fortran else "C"))


@lru_cache(maxsize=1024)
def _parsed(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return a header's content; cached, as the headers of a session's files repeat."""
    stream = io.BytesIO(header)
    npy.read_magic(stream)
    return npy.read_array_header_1_0(stream)


def _mapped(stream: Any, path: Path | str, file: ReleasedFile) -> NDArray[Any]:
    head = io.BytesIO(stream.read(HEADER))
    begin = stream.tell() - len(head.getbuffer())
    shape, fortran, dtype = _header(head, file)
    offset = begin + head.tell()
    if fortran:
        return _flat(np.memmap(path, dtype, "r", offset=offset, shape=shape, order="F"))
    return _flat(np.memmap(path, dtype, "r", offset=offset, shape=shape))


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
