"""Arrays in rows of tables: DataJoint's blobs, told from one another by their digests."""

from __future__ import annotations

import hashlib
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


class ArrayCell:
    """A vector of numbers in a row; two are equal if the database holds the same bytes of them.

    Parameters
    ----------
    values : array, shape (spikes,)
    chosen : array of int, shape (n,)
        Indices of this row's values. They are copied only when they are read, so that a row
        costs little before.
    """

    def __init__(self, values: NDArray[Any], chosen: NDArray[np.intp]) -> None:
        self._values, self._chosen = values, chosen
        self._digest = ""

    @classmethod
    def stored(cls, digest: str) -> Self:
        """Return a substitute for an array in a database: it has only the digest."""
        cell = cls(np.empty(0), np.empty(0, np.intp))
        cell._digest = digest
        return cell

    @property
    def array(self) -> NDArray[np.float64]:
        """The numbers, shape (n,)."""
        return np.asarray(self._values[self._chosen], "<f8")

    @property
    def digest(self) -> str:
        """SHA-256 of its bytes in the database, in hexadecimal."""
        if not self._digest:
            self._digest = hashlib.sha256(self.packed()).hexdigest()
        return self._digest

    def packed(self) -> bytes:
        """Return the array as DataJoint keeps it, not compressed, so that its digest is known.

        Source: the format ``mYm`` of DataJoint (``datajoint.blob``, 0.14 and 2.x): the name, an
        ``A``, the number of dimensions and the shape (uint64), the type (uint32; 6 is double),
        whether it is complex (uint32), and the numbers, little-endian.
        """
        array = self.array
        shape = np.array([1, len(array)], "<u8").tobytes()
        return b"mYm\0A" + shape + np.array([6, 0], "<u4").tobytes() + array.tobytes()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArrayCell) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"ArrayCell({self.digest[:8]})"
