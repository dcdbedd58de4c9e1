"""The passive protocol: its periods, and the replayed stimuli."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from pynwb import NWBFile
from pynwb.epoch import TimeIntervals

from lab.exports.nwb.columns import column
from lab.exports.session import ExportError, ExportSession

PERIODS = {
    "spontaneousActivity": "Nothing is shown.",
    "RFM": "Sparse noise maps receptive fields.",
    "taskReplay": "Stimuli of the task are replayed.",
}


def add_passive(nwb: NWBFile, session: ExportSession) -> None:
    """Add the available parts of the passive protocol.

    Raises
    ------
    ExportError
        A table has other columns than the ONE convention defines.
    """
    tables: list[TimeIntervals] = []
    periods = _table(session, "passivePeriods", "intervalsTable")
    if periods is not None:
        tables += _periods(periods)
    gabor = _table(session, "passiveGabor", "table")
    if gabor is not None and len(gabor):
        tables.append(_gabor(gabor))
    stims = _table(session, "passiveStims", "table")
    if stims is not None and len(stims):
        tables += _stims(stims)
    if tables:
        module = nwb.create_processing_module("passive_protocol", "Protocol without a task.")
        for intervals in tables:
            module.add(intervals)


def _table(session: ExportSession, name: str, attribute: str) -> pd.DataFrame | None:
    files = session.first(name)
    if files is None or attribute not in files.files:
        return None
    from shared.alf import io

    table = io.load(session.local(files.files[attribute]))
    return table.loc[:, [not str(column).startswith("Unnamed") for column in table.columns]]


def _intervals(name: str, told: str, starts: Any, stops: Any, *more: Any) -> TimeIntervals:
    columns = [
        column("start_time", "Start (s).", np.asarray(starts, float)),
        column("stop_time", "End (s).", np.asarray(stops, float)),
        *more,
    ]
    return TimeIntervals(name=name, description=told, columns=columns)


def _periods(table: pd.DataFrame) -> list[TimeIntervals]:
    """Return the parts of the protocol: the table's columns, with start and stop as rows."""
    names = [name for name in PERIODS if name in table]
    if len(table) != 2 or not names:
        raise ExportError("passivePeriods.intervalsTable has not one column a part, two rows")
    starts, stops = table[names].to_numpy(float)
    finite = np.isfinite(starts) & np.isfinite(stops)
    if not finite.any():
        return []
    present = [name for name, is_finite in zip(names, finite, strict=True) if is_finite]
    return [
        _intervals(
            "PassiveIntervals",
            "Parts of the passive protocol.",
            starts[finite],
            stops[finite],
            column("protocol_name", "Part of the protocol.", present),
            column("protocol_description", "What happens.", [PERIODS[name] for name in present]),
        )
    ]


def _gabor(table: pd.DataFrame) -> TimeIntervals:
    missing = {"start", "stop"} - set(table.columns)
    if missing:
        raise ExportError(f"passiveGabor.table has no {', '.join(sorted(missing))}")
    more = [
        column(f"stim_{name}", f"{name.title()} of the grating.", table[name].to_numpy(float))
        for name in ("position", "contrast", "phase")
        if name in table
    ]
    return _intervals(
        "PassiveGabor", "Gratings shown passively.", table["start"], table["stop"], *more
    )


def _stims(table: pd.DataFrame) -> list[TimeIntervals]:
    intervals = []
    for name in ("valve", "tone", "noise"):
        first, last = f"{name}On", f"{name}Off"
        if first in table and last in table:
            rows = table[[first, last]].dropna().to_numpy(float)
            if len(rows):
                title = f"Passive{name.title()}"
                description = f"Times at which the {name} is replayed."
                intervals.append(_intervals(title, description, *rows.T))
    return intervals
