"""A simulated raw recording of a probe: the voltage of its simulated spikes.

The files are SpikeGLX's, so that readers of real probes read them: ``….ap.bin`` and ``….lf.bin``,
int16 of all channels sample by sample, each with its ``.meta``. The ``.meta`` has the keys that
neo, probeinterface and IBL's spikeglx need to open it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lab.simulate.spikes import N_CHANNELS

RATE = 30_000.0
"""Samples per second of the AP band."""

LF_RATE = 2_500.0
"""Samples per second of the LF band."""

RATES = {"ap": RATE, "lf": LF_RATE}

MICROVOLTS = 2.34375
"""Voltage of one count of the AP band: Neuropixels 1.0 at a gain of 500."""

LF_MICROVOLTS = 4.6875
"""Voltage of one count of the LF band, at a gain of 250."""

NOISE = 6.0
"""Standard deviation of a site's own noise in µV."""

STEM = "_spikeglx_ephysData_g0_t0.imec0"
STEM_3A = STEM.removesuffix("0")
"""Beginning of the names of a recording; phase 3A has no numbers of probes."""

SYNC = 6
"""Number of the synchronisation line, which changes every half second of the main clock."""

HALF = 0.5
"""Half a period of the synchronisation line (s)."""


@dataclass(frozen=True)
class ProbeDrift:
    """A probe's clock relative to the main one, and the pulses that it has missed.

    Attributes
    ----------
    offset
        Reading of the probe's clock as the main clock begins (s).
    drift
        Excess speed of the clock in parts per million.
    lost
        Missed pulses of the synchronisation line, counted from 0.
    """

    offset: float = 0.0
    drift: float = 0.0
    lost: tuple[int, ...] = ()

    def read(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probe's clock at times of the main one."""
        return self.offset + np.asarray(times, float) * (1 + self.drift * 1e-6)


class SimulatedProbe:
    """A probe whose voltage is made piece by piece.

    Parameters
    ----------
    sorting : mapping of array
        Files of :func:`lab.simulate.spikes.simulate_sorting`; times are the main clock's.
    channels : int
        Simulated sites, from the tip.
    seed : int
    drift : ProbeDrift
        The probe's clock.
    lines : mapping of array, optional
        When other lines change than that of the synchronisation, from low, by bit; s of the main
        clock. Such a probe is of phase 3A.
    """

    def __init__(
        self,
        sorting: Mapping[str, NDArray[np.generic]],
        *,
        channels: int,
        seed: int,
        drift: ProbeDrift | None = None,
        lines: Mapping[int, NDArray[np.float64]] | None = None,
    ) -> None:
        self.channels, self.seed, self.drift = channels, seed, drift or ProbeDrift()
        self.lines = lines
        self._waveforms = np.asarray(sorting["clusters.waveforms.npy"], np.float32) * 1e6
        self._places = np.asarray(sorting["clusters.waveformsChannels.npy"])
        times = np.asarray(sorting["spikes.times.npy"], float)
        self._clusters = np.asarray(sorting["spikes.clusters.npy"])
        self._amplitudes = np.asarray(sorting["spikes.amps.npy"], float) * 1e6
        trough = int(np.argmin(self._waveforms[0].min(axis=1)))
        self._starts = np.rint(self.drift.read(times) * RATE).astype(np.int64) - trough

    def ap(self, first: int, last: int) -> NDArray[np.int16]:
        """Return samples of the AP band in counts; shape (samples, channels + 1)."""
        rng = np.random.default_rng([self.seed, first])
        n = last - first
        volts = rng.standard_normal((n, self.channels), np.float32) * np.float32(NOISE)
        # Noise common to all sites, and slow waves that a filter has to remove.
        shared = rng.normal(0, 4, (n, 1)) + self._wave(first, last, RATE, 40)
        volts += shared.astype(np.float32) * self._by_depth()
        length = self._waveforms.shape[1]
        low = np.searchsorted(self._starts, first - length + 1)
        for spike in range(low, int(np.searchsorted(self._starts, last))):
            self._add(spike, volts, first)
        return self._with_sync(volts / MICROVOLTS, first, RATE)

    def lf(self, first: int, last: int) -> NDArray[np.int16]:
        """Return samples of the LF band in counts; shape (samples, channels + 1)."""
        rng = np.random.default_rng([self.seed, 1, first])
        volts = rng.standard_normal((last - first, self.channels), np.float32) * np.float32(10)
        volts += self._wave(first, last, LF_RATE, 150).astype(np.float32) * self._by_depth()
        return self._with_sync(volts / LF_MICROVOLTS, first, LF_RATE)

    def _by_depth(self) -> NDArray[np.float32]:
        depth = np.arange(self.channels, dtype=np.float32)[None] / self.channels
        return (0.8 + 0.4 * depth).astype(np.float32)

    def _wave(self, first: int, last: int, rate: float, size: float) -> NDArray[np.float64]:
        return size * np.sin(2 * np.pi * 7 * np.arange(first, last)[:, None] / rate)

    def _add(self, spike: int, volts: NDArray[np.float32], first: int) -> None:
        """Add a spike's voltage to the samples from ``first`` on."""
        unit, start = self._clusters[spike], int(self._starts[spike]) - first
        shape = self._waveforms[unit]
        sites = self._places[unit] < self.channels
        a, b = max(0, -start), min(len(shape), len(volts) - start)
        if a >= b or start + first < 0 or not sites.any():
            return
        scale = self._amplitudes[spike] / np.abs(shape).max()
        volts[start + a : start + b, self._places[unit][sites]] += shape[a:b, sites] * scale

    def _with_sync(
        self, counts: NDArray[np.float32], first: int, rate: float
    ) -> NDArray[np.int16]:
        whole = np.clip(np.rint(counts), -512, 511).astype(np.int16)
        last = first + len(whole)
        word = np.zeros(len(whole), np.uint16)
        for bit, edges in (self.lines or {SYNC: self._wave_of_sync(last / rate + 1)}).items():
            at = np.ceil(self.drift.read(edges) * rate - 1e-6).astype(np.int64)
            level = np.searchsorted(at, np.arange(first, last), side="right") % 2
            word |= level.astype(np.uint16) << np.uint16(bit)
        return np.column_stack([whole, word.view(np.int16)])

    def _wave_of_sync(self, until: float) -> NDArray[np.float64]:
        lost = [2 * pulse + edge for pulse in self.drift.lost for edge in (0, 1)]
        edges = np.arange(HALF, until, HALF)
        return np.delete(edges, [edge for edge in lost if edge < edges.size])


def simulate_recording(
    sorting: Mapping[str, NDArray[np.generic]], *, seconds: float, channels: int, seed: int
) -> NDArray[np.int16]:
    """Return the voltage of a probe's lowest sites, and its synchronisation line.

    Parameters
    ----------
    sorting : mapping of array
        Files of :func:`lab.simulate.spikes.simulate_sorting`.
    seconds : float
        Duration from the session's start.
    channels : int
        Simulated sites.
    seed : int

    Returns
    -------
    array of int16, samples × (channels + 1)
        In counts of `MICROVOLTS`.
    """
    return SimulatedProbe(sorting, channels=channels, seed=seed).ap(0, int(seconds * RATE))


def write_probe(
    probe: SimulatedProbe, coordinates: NDArray[np.generic], seconds: float, folder: Path
) -> None:
    """Write both bands of a probe, a second at a time.

    Parameters
    ----------
    probe : SimulatedProbe
    coordinates : array, sites × 2
        Positions of at least as many sites in µm.
    seconds : float
        Duration of the recording by the probe's clock.
    folder : path
        ``raw_ephys_data/probe00`` of a session.
    """
    for band, rate in RATES.items():
        make = probe.ap if band == "ap" else probe.lf
        n, step = int(seconds * rate), int(rate)
        blocks = (make(first, min(first + step, n)) for first in range(0, n, step))
        _write(blocks, coordinates, folder, band, phase_3a=probe.lines is not None)


def write_recording(
    samples: NDArray[np.int16], coordinates: NDArray[np.generic], folder: Path
) -> Path:
    """Write the files of a recording; return the path of the samples.

    Parameters
    ----------
    samples : array of int16, samples × (sites + 1)
    coordinates : array, sites × 2
        Positions of at least as many sites in µm.
    folder : Path
        ``raw_ephys_data/probe00`` of a session.
    """
    return _write([samples], coordinates, folder, "ap")


def _write(
    blocks: Iterable[NDArray[np.int16]],
    coordinates: NDArray[np.generic],
    folder: Path,
    band: str,
    *,
    phase_3a: bool = False,
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{STEM_3A if phase_3a else STEM}.{band}.bin"
    digest, size, columns = hashlib.sha1(usedforsecurity=False), 0, 1
    with path.open("wb") as file:
        for block in blocks:
            content = block.tobytes()
            file.write(content)
            digest.update(content)
            size, columns = size + len(content), block.shape[1]
    written = _About(path, band, size, columns, digest.hexdigest().upper())
    lines = (f"{k}={v}\n" for k, v in _meta(written, coordinates, phase_3a=phase_3a))
    path.with_suffix(".meta").write_text("".join(lines))
    return path


@dataclass(frozen=True)
class _About:
    """A file of samples: its path, band, bytes, columns, SHA-1."""

    path: Path
    band: str
    size: int
    columns: int
    sha1: str


def _meta(
    about: _About, coordinates: NDArray[np.generic], *, phase_3a: bool
) -> Iterator[tuple[str, object]]:
    """Yield the entries of SpikeGLX's `.meta` for the file."""
    sites, rate = about.columns - 1, RATES[about.band]
    first = 0 if about.band == "ap" else N_CHANNELS
    chans = "".join(f"({about.band.upper()}{c};{first + c}:{c})" for c in range(sites))
    saved = f"{sites},0,1" if about.band == "ap" else f"0,{sites},1"
    yield from {
        "typeThis": "imec",
        "fileName": about.path.name,
        "fileCreateTime": "2026-01-01T10:00:00",
        "fileSHA1": about.sha1,
        "fileSizeBytes": about.size,
        "fileTimeSecs": about.size // 2 // about.columns / rate,
        "firstSample": 0,
        "nSavedChans": about.columns,
        "imSampRate": rate,
        "imAiRangeMax": 0.6,
        "imAiRangeMin": -0.6,
        "snsApLfSy": saved,
        "acqApLfSy": "384,384,1",
        "snsSaveChanSubset": f"{first}:{first + sites - 1},768",
        "syncSourcePeriod": 1,
        "~snsChanMap": f"({saved}){chans}(SY0;768:{sites})",
    }.items()
    yield from _of_phase_3a(sites) if phase_3a else _of_phase_3b(coordinates[:sites])


def _of_phase_3b(coordinates: NDArray[np.generic]) -> Iterator[tuple[str, object]]:
    imro = "".join(f"({c} 0 0 500 250 1)" for c in range(N_CHANNELS))
    geometry = "".join(f"(0:{x:g}:{y:g}:1)" for x, y in np.asarray(coordinates, float).tolist())
    yield "imMaxInt", 512
    yield "imDatPrb_type", 0
    yield "imDatPrb_pn", "NP1010"
    yield "imDatPrb_port", 1
    yield "imDatPrb_slot", 2
    yield "imDatPrb_sn", 18005116102
    yield "~imroTbl", f"(0,{N_CHANNELS}){imro}"
    yield "~snsGeomMap", f"(NP1010,1,0,70){geometry}"


def _of_phase_3a(sites: int) -> Iterator[tuple[str, object]]:
    imro = "".join(f"({c} 0 0 500 250)" for c in range(N_CHANNELS))
    rows = "".join(f"(0:{c % 2}:{c // 2}:1)" for c in range(sites))
    yield "typeEnabled", "imec"
    yield "imProbeOpt", 3
    yield "imProbeSN", 641251510
    yield "~imroTbl", f"(641251510,3,{N_CHANNELS}){imro}"
    yield "~snsShankMap", f"(1,2,480){rows}"
