"""Index of the parts of a large object: a reader fetches any part by one range request."""

from __future__ import annotations

from typing import Any

import msgspec

from shared.model.prefixes import INDEXES

INDEXED = 2**20
"""Smallest size in bytes of an object with an index; readers fetch smaller objects whole."""


class ObjectIndex(msgspec.Struct, frozen=True):
    """The index of one object.

    Attributes
    ----------
    codec : {'fornix', 'raw', 'parquet', 'mp4', 'none'}
        Form of each part: a chunk of the Fornix codec, samples one after the other, a row group,
        or frames from one keyframe on. ``none``: the object could not be parsed.
    size : int
        Bytes of the object.
    dtype : str
        Type of the samples, in NumPy's notation.
    shape : tuple of int
    chunk_length : int
        Rows of each part; the last may have fewer. 0 if ``facts`` have the rows of each part.
    offset : int
        Position of the first part, bytes.
    lengths : tuple of int
        Bytes of each part; they follow each other.
    order : {'C', 'F'}
        Memory order of the samples of a raw part.
    facts : dict
        Further needs of a reader. Recording: its sample rate, the CRC-32 of each chunk, and, from
        SpikeGLX, gain, probe map and clock. Table: ``rows`` of each part and the ``footer`` of
        the file (base64). Video: ``rows``, the ``timescale``, and, compressed (`packed`),
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
"""Codec of an object that could not be parsed; nobody tries again."""

INDEXED_EXTENSIONS = frozenset({"ebin", "npy", "pqt", "mp4"})
"""Extensions of files that get an index."""


class LocatedObject(msgspec.Struct, frozen=True):
    """An object as the API answers: the address of its bytes, and its index.

    Attributes
    ----------
    id : str
        The dataset's id.
    address : str
        URL of the bytes, usable without an account.
    good_for : int
        Seconds for which the address is valid.
    index : ObjectIndex, optional
    """

    id: str
    path: str
    size: int
    address: str
    good_for: int
    index: ObjectIndex | None = None


def index_key(dataset: str) -> str:
    """Return the key of a dataset's index in the data bucket."""
    return f"{INDEXES}{dataset}.json"
