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
    codec : {'fornix', 'raw'}
        How each part is stored: as a chunk of the Fornix codec, or as samples one after the other.
    size : int
        Bytes of the object.
    dtype : str
        Of the samples, in NumPy's notation.
    shape : tuple of int
    chunk_length : int
        Rows of each part; the last may have fewer.
    offset : int
        Where the first part begins.
    lengths : tuple of int
        Bytes of each part; they follow each other.
    order : {'C', 'F'}
        Of the samples of a raw part.
    facts : dict
        What else a reader needs: of a recording its sample rate, the CRC-32 of each chunk, and
        by SpikeGLX gain, probe map and clock.
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
