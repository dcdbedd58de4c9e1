"""Raw recordings: the bands of a probe, copied chunk by chunk from the compressed file."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
from hdmf.data_utils import GenericDataChunkIterator
from numpy.typing import NDArray
from pynwb import NWBFile
from pynwb.ecephys import ElectricalSeries

from lab.exports.nwb.probes import Electrodes, title
from lab.exports.session import ExportError, ExportSession
from shared import recordings
from shared.recordings.spikeglx import Meta, read_meta

BANDS = {"ap": "Action-potential band.", "lf": "Local-field band."}

CHUNK_BYTES = 10_000_000
"""Largest raw size of a chunk in bytes (NWB's recommendation for the cloud, as in IBL-to-nwb)."""

OFF = 0.5
"""Samples by which times may differ from a constant rate; beyond, each sample gets a time."""

Notice = Callable[[str, int, int], None]
"""Called with the progress: a series, samples done, samples in all."""


class ProbeRecording(msgspec.Struct, frozen=True):
    """A band of a probe.

    Attributes
    ----------
    path : str
        Path within the session.
    probe, band : str
    address : str
        Absolute path or HTTP address.
    reader : shared.codec.Reader
    channels : int
        Number of channels that are electrodes; the synchronisation line follows them.
    volts : float or array
        Volts of one count, for all channels or for each.
    sites : array, shape (channels, 2), optional
        Positions of the channels on the probe (µm).
    """

    path: str
    probe: str
    band: str
    address: str
    reader: Any
    channels: int
    volts: Any
    sites: Any = None

    @property
    def name(self) -> str:
        """The name of its series."""
        return f"ElectricalSeries{title(self.probe)}{self.band.upper()}"

    @property
    def columns(self) -> range:
        """Channels of the recording that are electrodes."""
        return range(self.channels)

    def chunks(self, notice: Notice | None = None) -> Chunks:
        """Return its samples for a writer."""
        return Chunks(self.name, self.reader, self.columns, notice)


def recordings_of(session: ExportSession) -> list[ProbeRecording]:
    """Open the compressed recordings of a session's probes.

    Raises
    ------
    ExportError
        A gain is unknown.
    """
    return [_opened(session, *place) for place in _places(session)]


def has_recordings(session: ExportSession) -> bool:
    """Return whether a session has compressed recordings of a probe."""
    return bool(_places(session))


def _places(session: ExportSession) -> list[tuple[str, str, str]]:
    """Return path, probe and band of the recordings; Fornix's own compression goes first."""
    paths: dict[tuple[str, str], str] = {}
    for path in session.paths:
        folder, _, name = path.rpartition("/")
        probe = folder.rpartition("/")[2]
        if not probe.startswith("probe") or "ephysData" not in name:
            continue
        for band in BANDS:
            has_ebin = paths.get((probe, band), "").endswith(".ebin")
            if f".{band}." in name and name.endswith((".ebin", ".cbin")) and not has_ebin:
                paths[probe, band] = path
    return [(path, probe, band) for (probe, band), path in sorted(paths.items())]


def _opened(session: ExportSession, path: str, probe: str, band: str) -> ProbeRecording:
    address, reader = session.address(path), open_compressed(session, path)
    facts, meta = dict(reader.index.facts), meta_beside(session, path)
    if meta is not None:
        facts = meta.facts(reader.n_channels) | facts
    gains = facts.get("microvolts")
    if gains is None:
        raise ExportError(
            f"how many microvolts a count of {path} is, is not known: put SpikeGLX's .meta "
            "beside it, or compress it anew with the .meta beside the .bin"
        )
    volts = 1e-6 * np.asarray(gains, float)
    sites = facts.get("probe_map")
    synchronised = 1 if meta is None or not meta.pairs else _sync_lines(meta)
    channels = reader.n_channels - synchronised
    places = np.asarray(sites, float)[:channels, 1:] if sites else None
    volts = volts[:channels] if volts.ndim else volts
    return ProbeRecording(path, probe, band, address, reader, channels, volts, places)


def open_compressed(session: ExportSession, path: str) -> Any:
    """Open a compressed recording of a session, with what lies beside it."""
    sidecar = None
    if path.endswith(".cbin"):
        beside = path.removesuffix(".cbin") + ".ch"
        sidecar = session.local(beside) if beside in session.paths else None
    return recordings.open(session.address(path), sidecar=sidecar)


def meta_beside(session: ExportSession, path: str) -> Meta | None:
    """Return the ``.meta`` beside a recording, if there is one."""
    beside = path.rpartition(".")[0] + ".meta"
    return read_meta(session.local(beside)) if beside in session.paths else None


def _sync_lines(meta: Meta) -> int:
    """Return the number of channels without electrode: those after AP and LF (SpikeGLX)."""
    counts = meta.pairs.get("snsApLfSy", "").split(",")
    return int(counts[2]) if len(counts) == 3 and counts[2].isdigit() else 1


class Chunks(GenericDataChunkIterator):
    """The samples of some channels, with one compressed chunk in memory at a time.

    Parameters
    ----------
    name : str
        Name of their series, for the notice.
    reader : shared.codec.Reader
    columns : range
        Channels, one after the other.
    notice : callable, optional
    """

    def __init__(
        self, name: str, reader: Any, columns: range, notice: Notice | None = None
    ) -> None:
        self._name, self._reader, self._columns, self._notice = name, reader, columns, notice
        n, length = reader.n_samples, chunk_length(reader)
        most = max(1, CHUNK_BYTES // (len(columns) * reader.dtype.itemsize))
        chunk = min(n, next(length // k for k in range(1, length + 1) if _fits(length, k, most)))
        super().__init__(
            buffer_shape=(min(n, length), len(columns)), chunk_shape=(chunk, len(columns))
        )

    def _get_data(self, selection: tuple[slice, ...]) -> NDArray[Any]:
        rows, columns = selection
        chosen = self._columns[columns]
        samples: NDArray[Any] = self._reader.read(rows.start, rows.stop)
        if self._notice:
            self._notice(self._name, rows.stop, self._reader.n_samples)
        return samples[:, chosen.start : chosen.stop]

    def _get_maxshape(self) -> tuple[int, int]:
        return self._reader.n_samples, len(self._columns)

    def _get_dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self._reader.dtype
        return dtype


def chunk_length(reader: Any) -> int:
    """Return the samples of a compressed chunk."""
    bounds = reader.chunk_bounds
    return int(bounds[1] - bounds[0])


def _fits(length: int, parts: int, most: int) -> bool:
    return length % parts == 0 and length // parts <= most


class Times(GenericDataChunkIterator):
    """The times of a recording's samples, interpolated between the knots of its probe's clock."""

    def __init__(self, n: int, knots: NDArray[np.float64]) -> None:
        self._n, self._knots = n, knots
        step = min(n, 1_000_000)
        super().__init__(buffer_shape=(step,), chunk_shape=(step,))

    def _get_data(self, selection: tuple[slice, ...]) -> NDArray[np.float64]:
        return times_at(np.arange(selection[0].start, selection[0].stop), self._knots)

    def _get_maxshape(self) -> tuple[int]:
        return (self._n,)

    def _get_dtype(self) -> np.dtype[Any]:
        return np.dtype(float)


def times_at(samples: NDArray[Any], knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the session's times of samples (s).

    Parameters
    ----------
    samples : array, shape (n,)
    knots : array, shape (k, 2)
        Sample and second; the clock is linear between the knots and beyond the ends.
    """
    at, seconds = knots.T
    inside = np.interp(samples, at, seconds)
    before = seconds[0] + (samples - at[0]) * (seconds[1] - seconds[0]) / (at[1] - at[0])
    after = seconds[-1] + (samples - at[-1]) * (seconds[-1] - seconds[-2]) / (at[-1] - at[-2])
    return np.where(samples < at[0], before, np.where(samples > at[-1], after, inside))


def clock(session: ExportSession, recording: ProbeRecording) -> tuple[dict[str, Any], str]:
    """Return the timing of the samples: a rate if it is accurate to half a sample.

    Returns
    -------
    dict
        `starting_time` and `rate`, or `timestamps` that are computed during writing.
    str
        Description of the clock.

    Raises
    ------
    ExportError
        The file of the probe's clock is damaged.
    """
    n, rate = recording.reader.n_samples, recording.reader.sample_rate
    paths = [
        path
        for path in session.paths
        if path.endswith(".timestamps.npy")
        and f"/{recording.probe}/" in path
        and "ephysData" in path
    ]
    if not paths:
        return {"starting_time": 0.0, "rate": float(rate)}, "By the probe's own clock."
    knots = np.load(session.local(paths[-1]), allow_pickle=False).astype(float)
    if knots.ndim != 2 or knots.shape[1] != 2 or len(knots) < 2 or not np.isfinite(knots).all():
        raise ExportError(f"{paths[-1]} does not hold samples and seconds in two columns")
    if (np.diff(knots, axis=0) <= 0).any():
        raise ExportError(f"the times in {paths[-1]} do not increase")
    if recording.band == "lf":  # the knots count samples of the action-potential band
        knots = knots / [_ratio(rate), 1.0]
    first, last = times_at(np.array([0, n - 1]), knots)
    step = (last - first) / max(1, n - 1)
    off = np.abs(first + step * knots[:, 0] - knots[:, 1])
    description = "By the session's clock."
    if off[(knots[:, 0] >= 0) & (knots[:, 0] < n)].max(initial=0) <= OFF * step:
        return {"starting_time": float(first), "rate": 1.0 / step}, description
    return {"timestamps": Times(n, knots)}, description


def _ratio(rate: float) -> float:
    """Return the number of action-potential samples per local-field sample."""
    return max(1.0, float(round(30_000 / rate)))


def add_recording(
    nwb: NWBFile,
    session: ExportSession,
    recording: ProbeRecording,
    electrodes: Electrodes,
    data: Any,
) -> None:
    """Add a recording's series.

    Parameters
    ----------
    data
        The samples: `Chunks`, with the compression that the backend wants around it.
    """
    region = nwb.create_electrode_table_region(
        list(range(electrodes.first, electrodes.first + recording.channels)),
        f"Electrodes of {recording.probe}, in the order of the raw file.",
    )
    when, description = clock(session, recording)
    volts = np.asarray(recording.volts, float)
    same_gain = not volts.ndim or len(set(volts.tolist())) == 1
    scale = float(volts.flat[0]) if same_gain else 1.0
    nwb.add_acquisition(
        ElectricalSeries(
            name=recording.name,
            description=f"{BANDS[recording.band]} {description}",
            data=data,
            electrodes=region,
            conversion=scale,
            channel_conversion=None if same_gain else volts.tolist(),
            resolution=math.nan if not same_gain else scale,
            **when,
        )
    )
