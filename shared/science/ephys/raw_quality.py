"""The noise of a raw recording, in time and by frequency, and its saturated share.

The rules of noise and spectra are those of the IBL pipeline (ibllib 4.1.0, ``rmsmap``), and so
are the files, ``_iblqc_ephysTimeRmsAP.{rms,timestamps}`` and ``_iblqc_ephysSpectralDensityAP.
{freqs,power}``, and the same of the LF band.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.science.clocks.pulses import Floats, Read

WINDOW = 3.0
"""Least length of the windows of the RMS (s); in samples a power of two."""

SEGMENT = 1024
"""Samples of a segment of the spectrum (Welch, Hann, half overlapping)."""

LOWEST = 1.0
"""Frequency below which the signal is faded out (Hz)."""

TOGETHER = 32
"""Channels processed at once, which bounds the memory."""

RAIL, SHARE = 0.96, 0.2
"""A sample is saturated if this share (the second) of the channels exceeds this share (the first)
of the range (ibl-neuropixel 1.14.0, ``saturation``)."""


@dataclass(frozen=True)
class RawQuality:
    """RMS, spectrum and saturation of a band.

    Attributes
    ----------
    rms : array
        Shape (windows, channels), V.
    timestamps : array
        Shape (windows,), s of the recording: the middles of the windows.
    power : array
        Shape (frequencies, channels), V²/Hz: the sum over the windows, as the reference has it.
    freqs : array
        Shape (frequencies,), Hz.
    saturated
        Share of the analysed samples that are saturated.
    """

    rms: npt.NDArray[np.float32]
    timestamps: npt.NDArray[np.float32]
    power: npt.NDArray[np.float32]
    freqs: npt.NDArray[np.float32]
    saturated: float

    def files(self, band: str) -> dict[str, npt.NDArray[np.float32]]:
        """Return the arrays by the name of their file; ``band`` is AP or LF."""
        return {
            f"_iblqc_ephysTimeRms{band}.rms.npy": self.rms,
            f"_iblqc_ephysTimeRms{band}.timestamps.npy": self.timestamps,
            f"_iblqc_ephysSpectralDensity{band}.power.npy": self.power,
            f"_iblqc_ephysSpectralDensity{band}.freqs.npy": self.freqs,
        }

    def microvolts(self, percentile: float) -> float:
        """Return a percentile over the channels of the median RMS of each; µV."""
        return float(np.percentile(np.median(self.rms, axis=0), percentile) * 1e6)


@dataclass(frozen=True)
class RawBand:
    """A recording for the analysis.

    Attributes
    ----------
    read : callable
        Reads samples, from, to, of some channels.
    n_samples : int
    rate : float
        Samples a second.
    volts : array
        Shape (channels,): V of one count; lines of other devices are left out.
    most : int
        The largest count.
    """

    read: Read
    n_samples: int
    rate: float
    volts: Floats
    most: int


def look_at(band: RawBand, every: int = 1) -> RawQuality:
    """Analyse a recording, window by window.

    Parameters
    ----------
    band : RawBand
    every : int
        The first of every so many windows is analysed.
    """
    length = int(2 ** np.ceil(np.log2(band.rate * WINDOW)))
    firsts = np.arange(0, max(band.n_samples, 1), length)[::every]
    n = band.volts.size
    rms = np.zeros((firsts.size, n))
    power = np.zeros((SEGMENT // 2 + 1, n))
    middles = np.zeros(firsts.size)
    saturated = looked_at = 0
    for i, first in enumerate(firsts):
        last = min(int(first) + length, band.n_samples)
        loud = np.zeros(last - int(first), np.int32)
        for start in range(0, n, TOGETHER):
            channels = np.arange(start, min(start + TOGETHER, n))
            counts = band.read(int(first), last, channels).astype(np.float64)
            loud += (np.abs(counts) > RAIL * band.most).sum(axis=1)
            volts = _without_offset(counts.T * band.volts[channels, None], band.rate)
            rms[i, channels] = np.sqrt(np.mean(volts**2, axis=1))
            if last - first >= SEGMENT:
                power[:, channels] += _spectrum(volts, band.rate).T
        middles[i] = (first + (last - first - 1) / 2) / band.rate
        saturated += int(np.sum(loud > SHARE * n))
        looked_at += last - int(first)
    freqs = np.arange(SEGMENT // 2 + 1) * band.rate / SEGMENT
    return RawQuality(
        rms.astype(np.float32),
        middles.astype(np.float32),
        power.astype(np.float32),
        freqs.astype(np.float32),
        saturated / max(looked_at, 1),
    )


def volts_of(microvolts: Sequence[float] | float, n_channels: int) -> Floats:
    """Return the volts of one count of each channel, from a recording's values (µV)."""
    return np.broadcast_to(np.asarray(microvolts, float) * 1e-6, (n_channels,)).copy()


def _without_offset(volts: Floats, rate: float) -> Floats:
    """Return a signal without frequencies below :data:`LOWEST`; shape (channels, samples)."""
    n = volts.shape[1]
    share = np.clip(np.arange(n // 2 + 1) / n * rate / LOWEST, 0, 1)
    gain = (1 - np.cos(share * np.pi)) / 2
    return np.fft.irfft(np.fft.rfft(volts, axis=1) * gain, n, axis=1)


def _spectrum(volts: Floats, rate: float) -> Floats:
    """Return the power by frequency; shape (channels, frequencies), V²/Hz."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SEGMENT) / SEGMENT)
    pieces = np.lib.stride_tricks.sliding_window_view(volts, SEGMENT, axis=1)
    pieces = pieces[:, :: SEGMENT // 2]
    level = pieces.mean(axis=2, keepdims=True)
    transformed = np.fft.rfft((pieces - level) * window, axis=2)
    power = np.mean(np.abs(transformed) ** 2, axis=1) / (rate * np.sum(window**2))
    power[:, 1:-1] *= 2
    return power
