"""Spikes counted in a raw recording, before anything is sorted."""

from __future__ import annotations

import numpy as np
import pytest

from shared.science.ephys.raw_quality import RawBand
from shared.science.ephys.raw_spikes import spike_rates

RATE = 30_000.0


def band(volts: np.ndarray) -> RawBand:
    """Return a recording of 1 µV a count."""
    counts = np.rint(volts * 1e6).astype(np.int16)

    def read(start, stop, channels):
        return counts[start:stop][:, channels]

    return RawBand(read, len(counts), RATE, np.full(counts.shape[1], 1e-6), most=512)


def recorded(
    seconds: float, spikes: dict[int, int], *, volts: float = 150e-6, channels: int = 12
) -> np.ndarray:
    """Return noise of 8 µV, a wave and a hum common to all, and evenly spread spikes."""
    rng = np.random.default_rng(0)
    n = int(seconds * RATE)
    at = np.arange(n)[:, None] / RATE
    signal = rng.normal(0, 8e-6, (n, channels))
    signal += 300e-6 * np.sin(2 * np.pi * 7 * at) + 100e-6 * np.sin(2 * np.pi * 1000 * at)
    shape = -volts * np.exp(-(((np.arange(30) - 10) / 3) ** 2))
    for channel, number in spikes.items():
        for first in np.linspace(100, n - 200, number).astype(int):
            for beside, share in ((-1, 0.6), (0, 1.0), (1, 0.6)):
                if 0 <= channel + beside < channels:
                    signal[first : first + 30, channel + beside] += share * shape
    return signal


def test_each_spike_counts_once_on_its_deepest_channel() -> None:
    """Given spikes seen by three channels, in waves that all share, then each is counted once."""
    found = spike_rates(band(recorded(2.0, {2: 20, 9: 60})))
    expected = np.zeros(12)
    expected[[2, 9]] = 10, 30
    np.testing.assert_allclose(found, expected, atol=0.51)


def test_noise_and_small_spikes_do_not_count() -> None:
    assert not spike_rates(band(recorded(1.0, {}))).any()
    assert not spike_rates(band(recorded(1.0, {5: 40}, volts=30e-6))).any()


def test_pieces_of_a_long_recording_stand_for_it() -> None:
    found = spike_rates(band(recorded(40.0, {3: 800}, channels=4)))
    assert found[3] == pytest.approx(20, abs=1.5)


@pytest.mark.parametrize("n", [0, 1, 20])
def test_a_recording_shorter_than_a_spike_has_none(n) -> None:
    assert not spike_rates(band(np.zeros((n, 3)))).any()


@pytest.mark.parametrize("channels", [1, 2])
def test_few_channels_are_counted_without_what_they_share(channels) -> None:
    quiet = recorded(1.0, {0: 25}, channels=channels)
    at = np.arange(len(quiet))[:, None] / RATE
    found = spike_rates(band(quiet - 100e-6 * np.sin(2 * np.pi * 1000 * at)))
    assert found[0] == pytest.approx(25, abs=1)
