"""Videos (MP4, ISO/IEC 14496-12): the places of the frames in the file, from its sample tables.

Only boxes are read, not pictures: the ``moov`` box has size, place, time and kind of each frame of
the first video track. The number of frames bounds the tables.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

import msgspec
import numpy as np
import numpy.typing as npt

from .errors import FileInvalid

MOST_FRAMES = 2**24
"""Most frames of a video: 31 hours at 150 frames per second."""

MOST_MOOV = 2**28
"""Most bytes of a video's tables."""

_INNER = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl"})


class VideoTables(msgspec.Struct, frozen=True):
    """The tables of a video: its frames in stored order.

    Attributes
    ----------
    width, height : int
        Pixels.
    timescale : int
        Units of time per second.
    sizes, offsets, times : array of int64, shape (frames,)
        Size in bytes, position in the file, and decoding time (in units of time) of each frame.
    keyframes : array of int64
        Numbers of the frames that are decoded without others.
    description : bytes
        The codec's box (``avc1`` …), which configures a decoder.
    """

    width: int
    height: int
    timescale: int
    sizes: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    keyframes: npt.NDArray[np.int64]
    description: bytes


def video_tables(file: BinaryIO, size: int, name: str = "") -> VideoTables:
    """Return the tables of the first video track of a file.

    Parameters
    ----------
    file : binary file
        Seekable.
    size : int
        Size in bytes.
    name : str
        Name of the file in errors.

    Raises
    ------
    FileInvalid
        The file has no tables, or they contradict each other or the file.
    """
    try:
        tables = _tables(_moov(file, size))
    except (struct.error, ValueError, KeyError, IndexError) as error:
        raise _invalid(name, str(error) or "its tables are torn") from None
    if tables is None:
        raise _invalid(name, "it has no video track")
    ends = tables.offsets + tables.sizes
    if len(ends) and (tables.offsets.min() < 0 or ends.max() > size):
        raise _invalid(name, "its tables lead beyond its end")
    return tables


def _invalid(name: str, rule: str) -> FileInvalid:
    return FileInvalid(
        name, "content", "", rule, "copy the video again from where it was recorded"
    )


def _moov(file: BinaryIO, size: int) -> bytes:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, kind = struct.unpack_from(">I4s", head)
        begin = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", head, 8)
            begin = 16
        length = length or size - at
        if length < begin:
            raise ValueError(f"a box of {length} bytes")
        if kind == b"moov":
            if length > MOST_MOOV or at + length > size:
                raise ValueError(f"tables of {length} bytes")
            file.seek(at + begin)
            return file.read(length - begin)
        at += length
    raise ValueError("it has no tables (moov): it was not closed")


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        begin = 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, at + 8)
            begin = 16
        length = length or len(data) - at
        if length < begin or at + length > len(data):
            raise ValueError(f"a box {kind!r} of {length} bytes")
        yield kind, data[at + begin : at + length]
        at += length


def _flat(data: bytes) -> dict[bytes, bytes]:
    """Return the boxes of a track by kind, including nested ones."""
    boxes: dict[bytes, bytes] = {}
    for kind, body in _boxes(data):
        boxes.setdefault(kind, body)
        if kind in _INNER:
            boxes = _flat(body) | boxes
    return boxes


def _tables(moov: bytes) -> VideoTables | None:
    for kind, body in _boxes(moov):
        if kind != b"trak":
            continue
        boxes = _flat(body)
        if boxes.get(b"hdlr", b"")[8:12] == b"vide":
            return _of_track(boxes)
    return None


def _of_track(boxes: dict[bytes, bytes]) -> VideoTables:
    header = boxes[b"mdhd"]
    (timescale,) = struct.unpack_from(">I", header, 20 if header[0] == 1 else 12)
    length, _ = struct.unpack_from(">I4s", boxes[b"stsd"], 8)
    description = boxes[b"stsd"][8 : 8 + length]
    width, height = struct.unpack_from(">HH", description, 32)
    sizes = _sizes(boxes[b"stsz"])
    n = len(sizes)
    times = np.concatenate([[0], np.cumsum(_runs(boxes[b"stts"], n))[:-1]]) if n else sizes
    if b"stss" in boxes:
        keyframes = _column(boxes[b"stss"], 1, ">u4")[:, 0] - 1
        if len(keyframes) and (keyframes.min() < 0 or keyframes.max() >= n):
            raise ValueError("keyframes that are no frames")
    else:
        keyframes = np.arange(n)
    return VideoTables(
        width=width,
        height=height,
        timescale=timescale,
        sizes=sizes,
        offsets=_offsets(boxes, sizes),
        times=times.astype(np.int64),
        keyframes=np.unique(keyframes),
        description=description,
    )


def _column(box: bytes, columns: int, dtype: str) -> npt.NDArray[np.int64]:
    """Return the table of a box, which follows version, flags and count."""
    (count,) = struct.unpack_from(">I", box, 4)
    width = np.dtype(dtype).itemsize * columns
    if count > MOST_FRAMES or len(box) < 8 + count * width:
        raise ValueError(f"a table of {count} rows in {len(box)} bytes")
    return np.frombuffer(box, dtype, count * columns, 8).reshape(count, columns).astype(np.int64)


def _sizes(box: bytes) -> npt.NDArray[np.int64]:
    same, count = struct.unpack_from(">II", box, 4)
    if count > MOST_FRAMES:
        raise ValueError(f"{count} frames")
    if same:
        return np.full(count, same, np.int64)
    return _column(box[4:], 1, ">u4")[:, 0]


def _runs(box: bytes, n: int) -> npt.NDArray[np.int64]:
    """Return the duration of each of n frames."""
    table = _column(box, 2, ">u4")
    if table[:, 0].sum() != n:
        raise ValueError(f"times of {table[:, 0].sum()} frames, of {n}")
    return np.repeat(table[:, 1], table[:, 0])


def _offsets(boxes: dict[bytes, bytes], sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the position of each frame; the frames of a chunk follow each other."""
    if b"co64" in boxes:
        chunks = _column(boxes[b"co64"], 1, ">u8")[:, 0]
    else:
        chunks = _column(boxes[b"stco"], 1, ">u4")[:, 0]
    table = _column(boxes[b"stsc"], 3, ">u4")
    n = len(sizes)
    if not len(chunks) or not len(table):
        if n:
            raise ValueError("frames without a place")
        return np.zeros(0, np.int64)
    firsts = table[:, 0] - 1
    if firsts[0] != 0 or (np.diff(firsts) <= 0).any() or firsts[-1] >= len(chunks):
        raise ValueError("chunks out of order")
    counts = np.repeat(table[:, 1], np.diff([*firsts, len(chunks)]))
    if counts.sum() != n:
        raise ValueError(f"places of {counts.sum()} frames, of {n}")
    chunk = np.repeat(np.arange(len(chunks)), counts)
    before = np.cumsum(sizes) - sizes
    first_of_chunk = np.cumsum(counts) - counts
    return chunks[chunk] + before - before[np.minimum(first_of_chunk, n - 1)][chunk]
