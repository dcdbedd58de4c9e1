"""The raw recordings on a probe's page: the data that its script reads piece by piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from shared.alf.layout import RecordingFiles
from shared.results import addresses
from shared.results.numbers import rounded
from shared.results.source import SiteSession, Sorting
from shared.results.store import encode
from shared.results.views.session import Numbers, TrialArrays
from shared.science.ephys.rasters import ALIGN

SPIKE = np.dtype([("time", "<f8"), ("depth", "<u2"), ("cluster", "<u2")])
"""A spike for the page: s of the session, µm, unit; 12 bytes, in order of time."""

CLOCK_STEP = 10.0
"""Interval between the points of the recording's clock (s)."""


class Band(Struct, frozen=True):
    """A recording of a probe: addresses of samples, index and overview on the site."""

    band: str
    data: str
    index: str
    overview: str | None


class Clock(Struct, frozen=True):
    """The samples of the AP band at some times: s of the session, samples."""

    time: Numbers
    sample: Numbers


class SpikesByTime(Struct, frozen=True):
    """The spikes by second: `rows` has the first row of each second from 0 on."""

    file: str
    rows: Sequence[int]


class Recording(Struct, frozen=True):
    """The data with which a probe's page shows its raw voltage.

    Attributes
    ----------
    bands : list of Band
    spikes : SpikesByTime
    clock : Clock, optional
        Without it the first sample was taken at 0 s, and the rest at the recording's rate.
    events : dict
        Moments of the trials' events in s, by name.
    """

    bands: list[Band]
    spikes: SpikesByTime
    clock: Clock | None
    events: dict[str, Numbers]


class Shown(Struct, frozen=True):
    """A probe's recordings as files of the site.

    Attributes
    ----------
    about : str
        Key of the `Recording`.
    written : dict
        Contents by key.
    copied : dict
        Paths of the session's files by key: they are copied unchanged.
    """

    about: str
    written: dict[str, bytes]
    copied: dict[str, str]


def recordings_of(
    session: SiteSession, name: str, sorting: Sorting, trials: TrialArrays | None
) -> Shown | None:
    """Return a probe's raw recordings as files of the site, None if the session has none.

    Parameters
    ----------
    session : SiteSession
    name : str
        Name of the probe's page.
    sorting : Sorting
        Its spikes, to draw over the voltage.
    trials : dict of array, optional
    """
    probe = sorting.collection.split("/")[1]
    recordings = session.recordings(probe)
    if not recordings:
        return None
    folder = addresses.recordings_folder(name)
    bands: list[Band] = []
    copied: dict[str, str] = {}
    for recording in recordings:
        band, files = _band(folder, recording)
        bands.append(band)
        copied |= files
    rows, spikes = spikes_by_time(sorting.spikes)
    content = Recording(
        bands, SpikesByTime(f"{folder}spikes.bin", rows), _clock(sorting.spikes), _events(trials)
    )
    written = {f"{folder}recording.json": encode(content), f"{folder}spikes.bin": spikes}
    return Shown(f"{folder}recording.json", written, copied)


def _band(folder: str, files: RecordingFiles) -> tuple[Band, dict[str, str]]:
    """Return a band, and the path of each of its files in the session."""
    key = f"{folder}{files.band}"
    copied = {f"{key}.ebin": files.data, f"{key}.eh": files.index}
    if files.overview:
        copied[f"{key}.rms.npy"] = files.overview
    overview = f"{key}.rms.npy" if files.overview else None
    return Band(files.band, f"{key}.ebin", f"{key}.eh", overview), copied


def spikes_by_time(spikes: Mapping[str, NDArray[Any]]) -> tuple[list[int], bytes]:
    """Return the first row of each second, and the rows as bytes (`SPIKE`).

    Parameters
    ----------
    spikes : mapping
        ``times`` in s, ``depths`` in µm, ``clusters``. Spikes without a time, or before 0 s, are
        left out.
    """
    times = np.asarray(spikes["times"], float)
    usable = np.flatnonzero(np.isfinite(times) & (times >= 0))
    usable = usable[np.argsort(times[usable], kind="stable")]
    rows = np.zeros(usable.size, SPIKE)
    rows["time"] = times[usable]
    depths = np.nan_to_num(np.asarray(spikes["depths"], float)[usable])
    rows["depth"] = np.clip(np.rint(depths), 0, 65535)
    rows["cluster"] = np.clip(np.asarray(spikes["clusters"])[usable], 0, 65535)
    seconds = np.arange(int(rows["time"][-1]) + 2) if rows.size else np.arange(1)
    return np.searchsorted(rows["time"], seconds).tolist(), rows.tobytes()


def _clock(spikes: Mapping[str, NDArray[Any]]) -> Clock | None:
    """Return the recording's clock from its spikes, which have both seconds and samples."""
    times, samples = spikes["times"], spikes.get("samples")
    if samples is None or samples.shape != times.shape or times.size < 2:
        return None
    first, last = float(times[0]), float(times[-1])
    moments = np.append(np.arange(first, last, CLOCK_STEP), last)
    chosen = np.unique(np.clip(np.searchsorted(times, moments), 0, times.size - 1))
    at = times[chosen]
    # Two spikes at one time are one point; the clock must go forward.
    later = np.flatnonzero(np.diff(at, prepend=-np.inf) > 0)
    if later.size < 2:
        return None
    return Clock(
        [rounded(float(each), 9) for each in at[later]],
        [int(each) for each in samples[chosen][later]],
    )


def _events(trials: TrialArrays | None) -> dict[str, Numbers]:
    if trials is None:
        return {}
    return {
        str(label): [rounded(float(moment), 6) for moment in trials[name] if np.isfinite(moment)]
        for label, name in ALIGN.items()
        if name in trials
    }
