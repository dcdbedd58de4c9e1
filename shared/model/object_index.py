"""Where the parts of a large object lie in it, so that any of them is had by one range request."""

from __future__ import annotations

from typing import Any

import msgspec

from shared.model.prefixes import INDEXES

INDEXED = 2**20
"""Bytes from which on an object gets an index; smaller ones are fetched whole."""


class ObjectIndex(msgspec.Struct, frozen=True):
    """The index of one object.

    Attributes
    ----------
    codec : {'fornix', 'raw', 'parquet', 'mp4', 'none'}
        How each part is stored: as a chunk of the Fornix codec, as samples one after the other,
        as a row group, as frames from one keyframe on. ``none``: nothing could be told.
    size : int
        Bytes of the object.
    dtype : str
        Of the samples, in NumPy's notation.
    shape : tuple of int
    chunk_length : int
        Rows of each part; the last may have fewer. 0 where ``facts`` tell the rows of each.
    offset : int
        Where the first part begins.
    lengths : tuple of int
        Bytes of each part; they follow each other.
    order : {'C', 'F'}
        Of the samples of a raw part.
    facts : dict
        What else a reader needs: of a recording its sample rate, the CRC-32 of each chunk, and
        by SpikeGLX gain, probe map and clock. Of a table ``rows`` of each part and the ``footer``
        of the file (base64); of a video ``rows``, the ``timescale``, and, compressed (`packed`),
        ``sizes`` of its frames, the ``gaps`` between them and the ``times`` from each to the next.
    """

    codec: str
    size: int
    dtype: str
    shape: tuple[int, ...]
    chunk_length: int
    offset: int
    lengths: tuple[int, ...]
    order: str = "C"
    facts: dict[str, Any] = {}


NONE = "none"
"""Codec of an object in which nothing could be told; it is not looked into again."""

INDEXED_EXTENSIONS = frozenset({"ebin", "npy", "pqt", "mp4"})
"""Of files that have an index."""


class LocatedObject(msgspec.Struct, frozen=True):
    """What the API tells of an object: where its bytes are, and what lies where in it.

    Attributes
    ----------
    id : str
        The dataset's.
    address : str
        Of the bytes, without account.
    good_for : int
        Seconds for which the address is good.
    index : ObjectIndex, optional
    """

    id: str
    path: str
    size: int
    address: str
    good_for: int
    index: ObjectIndex | None = None


def index_key(dataset: str) -> str:
    """Return where a dataset's index lies in the data bucket."""
    return f"{INDEXES}{dataset}.json"
