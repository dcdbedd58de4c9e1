"""The index of a table or a video: the bytes of each part, and the facts that readers need."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from shared.model.object_index import ObjectIndex

from .mp4 import video_tables

PARQUET, MP4 = "parquet", "mp4"
"""Codecs of tables and of videos."""

FOOTER = 8
"""Bytes at the end of a Parquet file: the length of its metadata, and ``PAR1``."""

MOST_FOOTER = 2**24
"""Most bytes of a table's metadata in an index."""


def packed(values: Sequence[int] | npt.NDArray[np.int64]) -> str:
    """Return integers from 0 to 2**32 as compressed text."""
    return base64.b64encode(zlib.compress(np.asarray(values, "<u4").tobytes())).decode()


def unpacked(text: str) -> npt.NDArray[np.int64]:
    """Return the integers of a compressed text."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), "<u4").astype(np.int64)


def table_index(file: BinaryIO, size: int) -> ObjectIndex | None:
    """Return the index of a Parquet file: its row groups, and its metadata.

    Raises
    ------
    ValueError, pyarrow.ArrowException
        It is no Parquet file.
    """
    import pyarrow.parquet as pq

    file.seek(size - FOOTER)
    length = int.from_bytes(file.read(4), "little")
    if length + FOOTER > size or length > MOST_FOOTER:
        return None
    file.seek(size - FOOTER - length)
    footer = file.read(length + FOOTER)
    meta = pq.read_metadata(io.BytesIO(b"PAR1" + footer))
    begins, rows = [], []
    for number in range(meta.num_row_groups):
        group = meta.row_group(number)
        starts = []
        for column in range(group.num_columns):
            chunk = group.column(column)
            places = (chunk.data_page_offset, chunk.dictionary_page_offset)
            starts.append(min(place for place in places if place))
        begins.append(min(starts, default=4))
        rows.append(group.num_rows)
    ends = [*begins[1:], size - len(footer)]
    if begins != sorted(begins):
        return None
    return ObjectIndex(
        codec=PARQUET,
        size=size,
        dtype="",
        shape=(meta.num_rows, meta.num_columns),
        chunk_length=0,
        offset=begins[0] if begins else 4,
        lengths=tuple(end - begin for begin, end in zip(begins, ends, strict=True)),
        facts={"rows": rows, "footer": base64.b64encode(footer).decode()},
    )


def video_index(file: BinaryIO, size: int, name: str) -> ObjectIndex | None:
    """Return the index of a video; None unless its frames lie one after the other.

    Raises
    ------
    FileInvalid
        Its tables are damaged.
    """
    tables = video_tables(file, size, name)
    keys = tables.keyframes
    ends = tables.offsets + tables.sizes
    if not len(keys) or keys[0] != 0 or (tables.offsets[1:] < ends[:-1]).any():
        return None
    last = [*(keys[1:] - 1), len(ends) - 1]
    # Sound may lie between frames, so a part ends where the next begins.
    gaps = tables.offsets[1:] - ends[:-1]
    begins = tables.offsets[keys]
    lengths = np.diff([*begins, ends[last[-1]]])
    facts: dict[str, Any] = {
        "rows": np.diff([*keys, len(ends)]).tolist(),
        "timescale": tables.timescale,
        "sizes": packed(tables.sizes),
        "gaps": packed(gaps) if gaps.any() else "",
        "times": packed(np.diff(tables.times)),
        "description": base64.b64encode(tables.description).decode(),
    }
    return ObjectIndex(
        codec=MP4,
        size=size,
        dtype="|u1",
        shape=(len(ends), tables.height, tables.width),
        chunk_length=0,
        offset=int(begins[0]),
        lengths=tuple(lengths.tolist()),
        facts=facts,
    )
