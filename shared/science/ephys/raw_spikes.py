"""Spikes in a raw recording, counted before anything is sorted: whether the probe is in tissue.

A spike is a trough below a threshold, the deepest of its surroundings in time and along the
probe, in a signal without slow waves and without what all channels share. ibllib counts them in
a signal that it has destriped (``_iblqc_ephysChannels.rawSpikeRates``); these counts are another
measure, so their file has another name.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from shared.science.clocks.pulses import Floats
from shared.science.ephys.raw_quality import RawBand

THRESHOLD = -50e-6
"""Depth of a trough that counts as a spike (V; ibllib 4.1.0, ``SPIKE_THRESHOLD_UV``)."""

HIGHPASS = 200.0, 300.0
"""Frequencies (Hz) below which nothing passes, and above which all does."""

PIECES, SECONDS = 24, 1.0
"""Pieces of a recording that are looked at, evenly spread, and their length (s)."""

ALONE, BESIDE = 1e-3, 4
"""Seconds, and channels to either side, within which one spike is counted."""

TOGETHER = 4096
"""Troughs looked at together, which bounds the memory."""

FILE = "_fornix_ephysChannels.spikeRates.npy"
"""Spikes a second of each channel."""


def spike_rates(band: RawBand) -> npt.NDArray[np.float32]:
    """Return the spikes a second of each channel.

    Parameters
    ----------
    band : RawBand
        n channels, in the order of the probe.

    Returns
    -------
    array
        Shape (n,), Hz; 0 for a recording that is shorter than a spike's surroundings.
    """
    length = min(int(SECONDS * band.rate), band.n_samples)
    counts = np.zeros(band.volts.size)
    if length < 2 * int(ALONE * band.rate):
        return counts.astype(np.float32)
    most = max(1, min(PIECES, band.n_samples // length))
    firsts = np.unique(np.linspace(0, band.n_samples - length, most).astype(np.int64))
    channels = np.arange(band.volts.size)
    for first in firsts:
        raw = band.read(int(first), int(first) + length, channels)
        counts += _counted(raw.astype(float).T * band.volts[:, None], band.rate)
    return (counts / (firsts.size * length / band.rate)).astype(np.float32)


def _counted(volts: Floats, rate: float) -> Floats:
    """Return the number of spikes on each channel of a piece; shape (channels, samples)."""
    low, high = HIGHPASS
    share = np.clip((np.fft.rfftfreq(volts.shape[1], 1 / rate) - low) / (high - low), 0, 1)
    gain = (1 - np.cos(share * np.pi)) / 2
    clean = np.fft.irfft(np.fft.rfft(volts, axis=1) * gain, volts.shape[1], axis=1)
    if len(clean) > 2:  # of fewer channels the median is one of them
        clean -= np.median(clean, axis=0)
    beside = np.pad(clean, ((0, 0), (1, 1)), constant_values=0)
    trough = (clean < THRESHOLD) & (clean <= beside[:, :-2]) & (clean < beside[:, 2:])
    channel, sample = np.nonzero(trough)
    reach = int(ALONE * rate)
    padded = np.pad(clean, ((BESIDE, BESIDE), (reach, reach)), constant_values=0)
    around = np.lib.stride_tricks.sliding_window_view(padded, (2 * BESIDE + 1, 2 * reach + 1))
    counts = np.zeros(len(clean))
    for first in range(0, channel.size, TOGETHER):
        some = slice(first, first + TOGETHER)
        lowest = around[channel[some], sample[some]].min(axis=(1, 2))
        alone = clean[channel[some], sample[some]] == lowest
        counts += np.bincount(channel[some][alone], minlength=len(clean))
    return counts
