"""Numbers for JSON: rounded to the digits that readers can see, missing ones as null."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

DIGITS = 5
"""Significant digits of single numbers: more than any plot or table shows."""


def rounded(value: float | None, digits: int = DIGITS) -> float | None:
    """Return a number with that many significant digits, None for NaN and infinities."""
    if value is None or not np.isfinite(value):
        return None
    return float(f"{float(value):.{digits}g}")


def column(values: ArrayLike, decimals: int) -> list[Any]:
    """Return an array as a list with that many decimals; whole numbers as int, NaN as None."""
    array = np.asarray(values, float)
    finite = np.isfinite(array)
    if decimals == 0:
        if finite.all():
            return array.astype(int).tolist()
        pairs = zip(array.tolist(), finite.tolist(), strict=True)
        return [int(value) if ok else None for value, ok in pairs]
    rounded_ = np.round(array, decimals)
    if np.array_equal(rounded_, np.trunc(rounded_), equal_nan=True):
        return column(array, 0)
    listed = rounded_.tolist()
    if finite.all():
        return listed
    return [v if ok else None for v, ok in zip(listed, finite.tolist(), strict=True)]
