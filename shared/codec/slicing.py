"""NumPy's indexing keys for recordings of samples × channels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def two_axes(key: Any) -> tuple[Any, Any]:
    """Split a key into one for samples and one for channels."""
    if key is Ellipsis:
        return slice(None), slice(None)
    if not isinstance(key, tuple):
        return key, slice(None)
    if Ellipsis in [part for part in key if not isinstance(part, np.ndarray)]:
        at = next(i for i, part in enumerate(key) if part is Ellipsis)
        key = key[:at] + (slice(None),) * (3 - len(key)) + key[at + 1 :]
    if len(key) > 2:
        raise IndexError(f"{len(key)} indices for a recording of samples × channels")
    return (*key, slice(None))[0], (*key, slice(None), slice(None))[1]


def inside(number: int, length: int, axis: int) -> int:
    """Return a position counted from the start; refuse one outside the axis."""
    if not -length <= number < length:
        raise IndexError(f"index {number} is out of bounds for axis {axis} with size {length}")
    return number % length


def positions(key: Any, length: int, axis: int) -> NDArray[np.int64]:
    """Turn a slice, a list, an index array or a mask into positions."""
    if isinstance(key, slice):
        return np.arange(*key.indices(length))
    array = np.asarray(key)
    if array.dtype == bool:
        if array.shape != (length,):
            raise IndexError(f"a mask of shape {array.shape} for axis {axis} with size {length}")
        return np.flatnonzero(array)
    if array.size == 0:
        return np.zeros(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise IndexError("recordings are indexed by integers, slices, and lists of integers")
    indices = array.astype(np.int64)
    for bad in indices[(indices < -length) | (indices >= length)][:1]:
        raise IndexError(f"index {bad} is out of bounds for axis {axis} with size {length}")
    return indices % length
