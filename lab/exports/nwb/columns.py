"""Small helpers of the tables and time series of a file."""

from __future__ import annotations

from typing import Any

import numpy as np
from hdmf.common import VectorData, VectorIndex
from numpy.typing import NDArray

REGULAR = 1e-9
"""Seconds by which regular times may differ from exact steps (nwbinspector's tolerance)."""


def column(name: str, description: str, data: Any, **more: Any) -> VectorData:
    """Return a column of a table."""
    return VectorData(name=name, description=description, data=data, **more)


def ragged(
    name: str, description: str, data: NDArray[Any], ends: NDArray[np.int64]
) -> tuple[VectorData, VectorIndex]:
    """Return a column with several values a row, and its index.

    Parameters
    ----------
    data : array
        The values of all rows, one after the other.
    ends : array of int, shape (rows,)
        End of each row's values.
    """
    values = column(name, description, data)
    return values, VectorIndex(name=f"{name}_index", target=values, data=ends)


def timing(times: NDArray[np.float64]) -> dict[str, Any]:
    """Return the timing of samples: a rate if they are regular, else the times.

    Parameters
    ----------
    times : array, shape (n,)
        Seconds; ascending.
    """
    times = np.asarray(times, float)
    if len(times) > 2 and np.isfinite(times).all():
        step = (times[-1] - times[0]) / (len(times) - 1)
        exact = times[0] + step * np.arange(len(times))
        off = max(np.abs(np.diff(times) - step).max(), np.abs(exact - times).max())
        if step > 0 and off <= REGULAR / 2:
            return {"starting_time": float(times[0]), "rate": 1.0 / step}
    return {"timestamps": times}


def has_values(values: NDArray[Any]) -> bool:
    """Return whether any value is not NaN."""
    return bool(values.size) and not (
        np.issubdtype(values.dtype, np.floating) and np.isnan(values).all()
    )
