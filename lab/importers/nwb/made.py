"""What a part of an NWB file becomes: a path within the session, and its content."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shared.alf import io

Write = Callable[[Path], object]
"""Writes a dataset that is too large for memory, or is no array, to its path."""


class MadeDataset(NamedTuple):
    """One dataset of a session: its path within the session, and its content."""

    path: str
    content: NDArray[Any] | pd.DataFrame | dict[str, Any] | Write

    def write(self, session: Path) -> None:
        """Write it at its place in a session's folder."""
        target = session / self.path
        target.parent.mkdir(parents=True, exist_ok=True)
        if callable(self.content):
            self.content(target)
        else:
            io.save(target, self.content)


def times_of(series: Any) -> NDArray[np.float64]:
    """Return the sample times of a time series (s)."""
    if series.timestamps is not None:
        return np.asarray(series.timestamps, float)
    return series.starting_time + np.arange(len(series.data)) / series.rate


def camel(name: str) -> str:
    """Return a name as the convention writes attributes: ``trials of one`` → ``trialsOfOne``."""
    parts = [part for part in re.split(r"[^0-9A-Za-z]+", name) if part]
    return parts[0][:1].lower() + parts[0][1:] + "".join(p[:1].upper() + p[1:] for p in parts[1:])


def folder_of(name: str) -> str:
    """Return the name of a probe's folder: ``Probe00`` → ``probe00``."""
    return re.sub(r"[^0-9A-Za-z_-]+", "_", name).strip("_").lower() or "probe00"
