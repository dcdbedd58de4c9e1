"""Identifiers of imported rows: kept where there are any, else derived, always the same."""

from __future__ import annotations

import hashlib
from uuid import UUID

import numpy as np
import numpy.typing as npt


def derived(*parts: str) -> UUID:
    """Derive an identifier from text; the same text gives the same identifier everywhere.

    ONE clients accept only UUIDs of version 3 and 4 as identifiers of sessions and datasets, so
    122 bits of a SHA-256 take the shape of version 4.

    Parameters
    ----------
    *parts : str
        What identifies the row, e.g. ``'session', lab, subject, date, number``.
    """
    digest = hashlib.sha256("\0".join(parts).encode(errors="surrogateescape")).digest()
    return _as_version_4(digest[:16])


def derived_dataset(session: UUID, relative_path: str) -> UUID:
    """Derive a dataset's identifier from its session and its path within it.

    Its first 12 hexadecimal digits are the session's, as of all datasets made by Fornix, so that
    the session of a dataset is found without an index.
    """
    return _as_version_4(session.bytes[:6] + derived(str(session), relative_path).bytes[6:])


def from_int_pairs(pairs: npt.NDArray[np.int64]) -> list[str]:
    """Turn identifiers of older ONE tables, two 64-bit integers each, into the UUIDs they are.

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


def _as_version_4(data: bytes) -> UUID:
    return UUID(bytes=data, version=4)
