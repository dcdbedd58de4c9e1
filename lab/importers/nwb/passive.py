"""The passive protocol of an NWB file, by the inverse of `lab.exports.nwb.passive`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from lab.exports.nwb.passive import PERIODS
from lab.importers.nwb.made import MadeDataset

STIMS = ("valve", "tone", "noise")


def passive_of(nwb: Any, note: Callable[[str], None]) -> Iterator[MadeDataset]:
    """Yield the periods of the passive protocol, its gratings and its other stimuli."""
    if "passive_protocol" not in nwb.processing:
        return
    parts = dict(nwb.processing["passive_protocol"].data_interfaces)
    if (periods := parts.pop("PassiveIntervals", None)) is not None:
        yield MadeDataset("alf/_ibl_passivePeriods.intervalsTable.csv", _periods(periods))
    if (gabor := parts.pop("PassiveGabor", None)) is not None:
        table = gabor.to_dataframe().reset_index(drop=True)
        names = {"start_time": "start", "stop_time": "stop"}
        names |= {name: name.removeprefix("stim_") for name in table if name.startswith("stim_")}
        yield MadeDataset("alf/_ibl_passiveGabor.table.csv", table.rename(columns=names))
    columns: dict[str, Any] = {}
    for name in STIMS:
        if (part := parts.pop(f"Passive{name.title()}", None)) is not None:
            table = part.to_dataframe()
            columns[f"{name}On"] = pd.Series(table["start_time"].to_numpy(float))
            columns[f"{name}Off"] = pd.Series(table["stop_time"].to_numpy(float))
    if columns:
        yield MadeDataset("alf/_ibl_passiveStims.table.csv", pd.DataFrame(columns))
    for name in sorted(parts):
        note(f"processing/passive_protocol/{name} stays in the file")


def _periods(table: Any) -> pd.DataFrame:
    """Return a column for each part of the protocol, with its start and its stop as rows.

    The column of the whole, ``passiveProtocol``, is not in NWB, and is not made up.
    """
    rows = table.to_dataframe().set_index("protocol_name")
    found = {
        name: rows.loc[name, ["start_time", "stop_time"]].to_numpy(float)
        if name in rows.index
        else np.full(2, np.nan)
        for name in PERIODS
    }
    return pd.DataFrame({"": ["start", "stop"]} | found)
