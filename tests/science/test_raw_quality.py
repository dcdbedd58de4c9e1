"""Loudness, spectrum and saturation of a raw recording."""

from __future__ import annotations

import numpy as np
import pytest

from shared.science.ephys.raw_quality import RawBand, look_at

RATE = 2_500.0
WINDOW = 8192
"""The power of two of samples that three seconds need."""


def band(counts: np.ndarray, volts: float = 1e-6) -> RawBand:
    def read(start, stop, channels):
        return counts[start:stop][:, channels]

    n, width = counts.shape
    return RawBand(read, n, RATE, np.full(width, volts), most=512)


def test_loudness_is_that_of_the_noise_whatever_the_offset():
    rng = np.random.default_rng(0)
    sizes = np.array([5.0, 20.0, 80.0])
    counts = np.rint(rng.normal(0, 1, (3 * WINDOW, 3)) * sizes + [300, -200, 0]).astype(np.int16)
    found = look_at(band(counts))
    assert found.rms.shape == (3, 3)
    np.testing.assert_allclose(found.rms, np.tile(sizes * 1e-6, (3, 1)), rtol=0.05)
    middles = (np.arange(3) * WINDOW + (WINDOW - 1) / 2) / RATE
    np.testing.assert_allclose(found.timestamps, middles, rtol=1e-6)
    assert found.microvolts(50) == pytest.approx(20, rel=0.05)


def test_the_spectrum_is_scipy_s_and_has_the_power_of_a_wave_at_its_frequency():
    signal = pytest.importorskip("scipy.signal")
    rng = np.random.default_rng(1)
    wave = 100 * np.sin(2 * np.pi * 250 * np.arange(WINDOW) / RATE)[:, None]
    counts = np.rint(wave + rng.normal(0, 10, (WINDOW, 2))).astype(np.int16)
    found = look_at(band(counts))
    freqs, power = signal.welch(counts.T * 1e-6, fs=RATE, nperseg=1024)
    np.testing.assert_allclose(found.freqs, freqs)
    # below 1 Hz the signal is faded out
    np.testing.assert_allclose(found.power[2:], power.T[2:], rtol=1e-3)
    assert found.freqs[found.power[:, 0].argmax()] == pytest.approx(250, abs=2)


def test_a_sample_is_saturated_where_many_channels_are_at_the_rail():
    counts = np.zeros((2 * WINDOW, 10), np.int16)
    counts[100:110, :3] = 511  # three of ten
    counts[200:300, :2] = -512  # two of ten are not more than a fifth
    assert look_at(band(counts)).saturated == pytest.approx(10 / (2 * WINDOW))


def test_windows_are_left_out_and_a_short_end_is_looked_at():
    counts = np.ones((5 * WINDOW + 100, 40), np.int16)
    assert look_at(band(counts)).rms.shape == (6, 40)
    found = look_at(band(counts), every=4)
    assert found.rms.shape == (2, 40)
    assert found.timestamps[1] == pytest.approx((4.5 * WINDOW - 0.5) / RATE)


@pytest.mark.parametrize("n", [1, 5, 1023])
def test_a_short_recording_has_loudness_and_no_spectrum(n):
    found = look_at(band(np.zeros((n, 2), np.int16)))
    assert found.rms.shape == (1, 2)
    assert not found.power.any()
