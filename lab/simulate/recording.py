"""A simulated raw recording of a probe: the voltage that its simulated spikes would have made.

SpikeGLX's files, so that what reads a real probe reads this one: ``….ap.bin``, int16 of all
channels sample by sample, and ``….ap.meta``. Keys of the ``.meta``: those that neo, probeinterface
and IBL's spikeglx need to open it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lab.simulate.spikes import N_CHANNELS

RATE = 30_000.0
"""Samples per second of the AP band."""

MICROVOLTS = 2.34375
"""Of one count: Neuropixels 1.0 at a gain of 500."""

NOISE = 6.0
"""Standard deviation of a site's own noise in µV."""

STEM = "_spikeglx_ephysData_g0_t0.imec0.ap"

SYNC = 64
"""Bit of the synchronisation line, which changes every half second."""


def simulate_recording(
    sorting: Mapping[str, NDArray[np.generic]], *, seconds: float, channels: int, seed: int
) -> NDArray[np.int16]:
    """Return the voltage of a probe's lowest sites, and its synchronisation line.

    Parameters
    ----------
    sorting : mapping of array
        Files of :func:`lab.simulate.spikes.simulate_sorting`.
    seconds : float
        From the session's beginning.
    channels : int
        Sites to be simulated.
    seed : int

    Returns
    -------
    array of int16, samples × (channels + 1)
        In counts of `MICROVOLTS`.
    """
    rng = np.random.default_rng(seed)
    n = int(seconds * RATE)
    volts = rng.normal(0, NOISE, (n, channels)).astype(np.float32)
    # What all sites share, and slow waves that a filter has to take off.
    time = np.arange(n)[:, None] / RATE
    shared = rng.normal(0, 4, (n, 1)) + 40 * np.sin(2 * np.pi * 7 * time)
    depth = np.arange(channels)[None] / channels
    volts += (shared * (0.8 + 0.4 * depth)).astype(np.float32)
    waveforms = np.asarray(sorting["clusters.waveforms.npy"], np.float32) * 1e6
    places = np.asarray(sorting["clusters.waveformsChannels.npy"])
    times = np.asarray(sorting["spikes.times.npy"], float)
    clusters = np.asarray(sorting["spikes.clusters.npy"])
    amplitudes = np.asarray(sorting["spikes.amps.npy"], float) * 1e6
    length = waveforms.shape[1]
    trough = int(np.argmin(waveforms[0].min(axis=1)))
    for spike in np.flatnonzero(times < seconds):
        unit = clusters[spike]
        start = round(times[spike] * RATE) - trough
        sites = places[unit] < channels
        if start < 0 or start + length > n or not sites.any():
            continue
        shape = waveforms[unit][:, sites]
        volts[start : start + length, places[unit][sites]] += (
            shape * amplitudes[spike] / np.abs(waveforms[unit]).max()
        )
    counts = np.clip(np.rint(volts / MICROVOLTS), -512, 511).astype(np.int16)
    sync = (SYNC * (np.arange(n) // int(RATE / 2) % 2)).astype(np.int16)
    return np.column_stack([counts, sync])


def write_recording(
    samples: NDArray[np.int16], coordinates: NDArray[np.generic], folder: Path
) -> Path:
    """Write the files of a recording; return that of the samples.

    Parameters
    ----------
    samples : array of int16, samples × (sites + 1)
    coordinates : array, sites × 2
        Places of at least as many sites in µm.
    folder : Path
        ``raw_ephys_data/probe00`` of a session.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{STEM}.bin"
    path.write_bytes(samples.tobytes())
    pairs = _meta(samples, coordinates, path)
    path.with_suffix(".meta").write_text("".join(f"{k}={v}\n" for k, v in pairs.items()))
    return path


def _meta(
    samples: NDArray[np.int16], coordinates: NDArray[np.generic], path: Path
) -> dict[str, object]:
    """Return what SpikeGLX's `.meta` would say of the file."""
    sites = samples.shape[1] - 1
    imro = "".join(f"({c} 0 0 500 250 1)" for c in range(N_CHANNELS))
    chans = "".join(f"(AP{c};{c}:{c})" for c in range(sites))
    geometry = "".join(
        f"(0:{float(x):g}:{float(y):g}:1)" for x, y in np.asarray(coordinates[:sites], float)
    )
    return {
        "typeThis": "imec",
        "fileName": path.name,
        "fileCreateTime": "2026-01-01T10:00:00",
        "fileSHA1": hashlib.sha1(samples.tobytes(), usedforsecurity=False).hexdigest().upper(),
        "fileSizeBytes": samples.nbytes,
        "fileTimeSecs": len(samples) / RATE,
        "firstSample": 0,
        "nSavedChans": sites + 1,
        "imSampRate": RATE,
        "imAiRangeMax": 0.6,
        "imAiRangeMin": -0.6,
        "imMaxInt": 512,
        "imDatPrb_type": 0,
        "imDatPrb_pn": "NP1010",
        "imDatPrb_port": 1,
        "imDatPrb_slot": 2,
        "imDatPrb_sn": 18005116102,
        "snsApLfSy": f"{sites},0,1",
        "acqApLfSy": "384,384,1",
        "snsSaveChanSubset": f"0:{sites - 1},768",
        "syncSourcePeriod": 1,
        "~imroTbl": f"(0,{N_CHANNELS}){imro}",
        "~snsChanMap": f"({sites},0,1){chans}(SY0;768:{sites})",
        "~snsGeomMap": f"(NP1010,1,0,70){geometry}",
    }
