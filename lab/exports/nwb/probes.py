"""Probes: devices, electrode groups and the table of electrodes."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pynwb import NWBFile

from lab.exports.session import ExportError, ExportSession

UNKNOWN = "root"
"""Location of an electrode without histology: the whole of the Allen atlas."""


class Electrodes(msgspec.Struct, frozen=True):
    """The rows of a probe's electrodes in the file's table.

    Attributes
    ----------
    probe : str
    first : int
        Row of its first electrode.
    rows : array of int, shape (channels,)
        Row of the file's table by row of the probe's channels.
    raw : array of int, shape (channels,)
        Channel of the raw file by row of the probe's channels.
    """

    probe: str
    first: int
    rows: NDArray[np.int64]
    raw: NDArray[np.int64]


def title(probe: str) -> str:
    """Return a probe's name as types are written: ``probe00`` → ``Probe00``."""
    return probe[:1].upper() + probe[1:]


def add_probe(
    nwb: NWBFile, session: ExportSession, probe: str, sites: NDArray[np.float64] | None, n: int
) -> Electrodes:
    """Add a probe's device, group and electrodes, in the order of its raw file.

    Parameters
    ----------
    nwb : NWBFile
    session : ExportSession
    probe : str
        Name of the probe's folder.
    sites : array, shape (n, 2), optional
        Positions of the raw file's channels on the probe (µm), used without a `channels` object.
    n : int
        Smallest number of channels: of the raw file, or from the units.

    Raises
    ------
    ExportError
        The numbers of its channels contradict each other.
    """
    channels = _channels(session, probe)
    coordinates = channels.get("localCoordinates")
    n_known = len(coordinates) if coordinates is not None else 0
    raw = np.asarray(channels.get("rawInd", np.arange(n_known or n)), np.int64)
    if (n_known and len(raw) != n_known) or len(set(raw.tolist())) != len(raw) or (raw < 0).any():
        raise ExportError(f"channels.rawInd of {probe} does not number its {n_known} channels")
    total = max(n, int(raw.max(initial=-1)) + 1)
    places = np.full((total, 2), np.nan)
    if sites is not None:
        places[: len(sites)] = sites
    if coordinates is not None:
        places[raw] = coordinates
    regions = _regions(channels, n_known)
    device = nwb.create_device(title(probe), description="Silicon probe (Neuropixels).")
    group = nwb.create_electrode_group(
        title(probe),
        description=f"Electrodes of {probe}.",
        location="See the electrodes." if regions else UNKNOWN,
        device=device,
    )
    first = 0 if nwb.electrodes is None else len(nwb.electrodes)
    by_raw = dict(zip(raw.tolist(), regions, strict=True)) if regions else {}
    for channel in range(total):
        x, y = places[channel]
        nwb.add_electrode(
            group=group,
            group_name=group.name,
            location=by_raw.get(channel, UNKNOWN),
            rel_x=float(x),
            rel_y=float(y),
        )
    return Electrodes(probe, first, first + raw, raw)


def _channels(session: ExportSession, probe: str) -> dict[str, Any]:
    """Return the channels of a probe, from any of its folders."""
    for files in session.objects("channels"):
        if probe in files.collection.split("/"):
            return session.load(files)
    return {}


def _regions(channels: dict[str, Any], n: int) -> list[str]:
    """Return the acronym of the Allen region of each channel; an empty list if unknown."""
    names = [name for name in channels if name.startswith("brainLocationIds")]
    if not names:
        return []
    from iblatlas.regions import BrainRegions

    regions = BrainRegions()
    identifiers = np.abs(np.asarray(channels[names[0]], np.int64))
    acronyms = dict(zip(regions.id.tolist(), regions.acronym.tolist(), strict=True))
    acronyms_found = [str(acronyms.get(int(region), UNKNOWN)) for region in identifiers]
    return (
        [UNKNOWN if region == "void" else region for region in acronyms_found]
        if len(acronyms_found) == n
        else []
    )
