"""Identifiers of imported rows: kept if they exist, else derived, always the same."""

from __future__ import annotations

import hashlib
from uuid import UUID

import numpy as np
import numpy.typing as npt


def derived(*parts: str) -> UUID:
    """Derive an identifier from text; the same text gives the same identifier everywhere.

    ONE clients accept only UUIDs of version 3 and 4 as identifiers of sessions and datasets, so
    122 bits of a SHA-256 take the form of version 4.

    Parameters
    ----------
    *parts : str
        Texts that identify the row, e.g. ``'session', lab, subject, date, number``.
    """
    digest = hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).digest()
    return UUID(bytes=digest[:16], version=4)


def as_text(identifier: object) -> object:
    """Turn an identifier of 16 bytes into its UUID; return others unchanged."""
    if isinstance(identifier, bytes) and len(identifier) == 16:
        return str(UUID(bytes=identifier))
    return identifier


def from_int_pairs(pairs: npt.NDArray[np.int64]) -> list[str]:
    """Turn identifiers of older ONE tables, two 64-bit integers each, into UUIDs.

    Parameters
    ----------
    pairs : ndarray of int64, shape (rows, 2)
        The columns ``id_0`` and ``id_1``: the UUID's 16 bytes read as two little-endian integers.

    Returns
    -------
    list of str
        The identifiers that ONE-api shows for the same rows.
    """
    data = np.ascontiguousarray(pairs, dtype="<i8").tobytes()
    return [str(UUID(bytes=data[i : i + 16])) for i in range(0, len(data), 16)]
