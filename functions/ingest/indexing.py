"""The index of a large file: the places of its parts."""

from __future__ import annotations

import io
import math
from typing import BinaryIO

from shared.model.object_index import INDEXED, ObjectIndex


class _Whole:
    """A seekable file in the form that the codec reads."""

    ahead = 2**16

    def __init__(self, file: BinaryIO, size: int, name: str) -> None:
        self.name, self._file, self._size = name, file, size

    def size(self) -> int:
        return self._size

    def read(self, start: int, stop: int) -> bytes:
        self._file.seek(start)
        return self._file.read(stop - start)


def object_index(file: BinaryIO, extension: str, size: int, name: str) -> ObjectIndex | None:
    """Return the index of a file; None if it is small, or of a kind without an index.

    Raises
    ------
    Exception
        Any error of its parser: then it has no index either.
    """
    if size < INDEXED:
        return None
    if extension == "ebin":
        from shared.recordings.object_index import object_index as of_recording

        return of_recording(_Whole(file, size, name))
    if extension == "pqt":
        from shared.alf.indexing import table_index

        return table_index(file, size)
    if extension == "mp4":
        from shared.alf.indexing import video_index

        return video_index(file, size, name)
    return _of_array(file, size) if extension == "npy" else None


def _of_array(file: BinaryIO, size: int) -> ObjectIndex:
    from numpy.lib import format as npy

    file.seek(0, io.SEEK_SET)
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(file)
    return ObjectIndex(
        codec="raw",
        size=size,
        dtype=dtype.str,
        shape=shape,
        chunk_length=shape[0] if shape else 1,
        offset=file.tell(),
        lengths=(dtype.itemsize * math.prod(shape),),
        order="F" if fortran else "C",
    )
