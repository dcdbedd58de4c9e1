"""Synchronisation lines: rise and fall times of a board's or a probe's digital lines."""

from __future__ import annotations

import numpy as np
from pynwb import NWBFile, TimeSeries

from lab.exports.nwb.columns import timing
from lab.exports.nwb.probes import title
from lab.exports.session import ExportError, ExportSession
from shared.science.clocks.wiring import decode_wiring
from shared.science.errors import RawFileInvalid

NEEDED = ("times", "channels", "polarities")


def add_sync(nwb: NWBFile, session: ExportSession) -> int:
    """Add the fronts of each line as a series of 1 (rises) and -1 (falls); return the line count.

    The fronts come from ``_spikeglx_sync.{times,channels,polarities}.npy`` of each collection, and
    the names from its ``.wiring.json``, if any. Analog channels are numbered from 16 on (IBL).

    Raises
    ------
    ExportError
        The lengths of the three files differ.
    """
    count = 0
    for files in session.objects("sync"):
        if not files.files.keys() >= set(NEEDED):
            continue
        loaded = session.load(files, NEEDED)
        times, channels, polarities = (np.asarray(loaded[name]).ravel() for name in NEEDED)
        if not len(times) == len(channels) == len(polarities):
            raise ExportError(
                f"{files.collection} has {len(times)} times, {len(channels)} channels and "
                f"{len(polarities)} polarities of its synchronisation: extract it again"
            )
        folder = files.collection.rpartition("/")[2]
        where = title(folder) if folder.startswith("probe") else "Nidq"
        names = wired(session, files.collection)
        for line in np.unique(channels).astype(int).tolist():
            mine = channels == line
            order = np.argsort(times[mine], kind="stable")
            at = np.asarray(times[mine], float)[order]
            description = f"Line {line}" + (f", {names[line]}" if line in names else "")
            nwb.add_acquisition(
                TimeSeries(
                    name=f"Sync{where}Line{line:02d}",
                    description=f"{description}: 1 where it rises, -1 where it falls.",
                    data=np.sign(polarities[mine][order]).astype(np.int8),
                    unit="n.a.",
                    **timing(at),
                )
            )
            count += 1
    return count


def wired(session: ExportSession, collection: str) -> dict[int, str]:
    """Return the device on each line, from the rig's wiring file; empty without one.

    Raises
    ------
    ExportError
        The file is not the wiring of a rig.
    """
    paths = [
        path
        for path in session.paths
        if path.rpartition("/")[0] == collection and path.endswith(".wiring.json")
    ]
    if not paths:
        return {}
    try:
        lines = decode_wiring(session.local(paths[-1]))
    except RawFileInvalid as error:
        raise ExportError(f"{paths[-1]}: {error}") from None
    return {line: device for device, line in lines.items()}
