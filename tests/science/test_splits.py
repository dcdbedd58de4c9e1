"""Which units are pieces of one neuron: on spikes whose neurons are known."""

from __future__ import annotations

import numpy as np
import pytest

from shared.science.ephys.splits import Piece, independent, likeness, neurons, separation

RNG = np.random.default_rng(5)
PLACES = np.column_stack([np.tile([16.0, 48.0], 8), np.repeat(np.arange(8) * 20.0, 2)])
SECONDS = 300.0


def shape(at: float, width: float = 4.0) -> np.ndarray:
    """Return a mean waveform of 1 µV at its peak, at a depth (µm)."""
    t = np.arange(60) - 25
    trace = -np.exp(-((t / width) ** 2)) + 0.3 * np.exp(-(((t - 12) / 9) ** 2))
    return trace[:, None] * np.exp(-np.abs(PLACES[:, 1] - at) / 45)


def spikes(mean: np.ndarray, sizes: np.ndarray, noise: float = 4.0) -> np.ndarray:
    """Return waveforms of these sizes (µV)."""
    return sizes[:, None, None] * mean + RNG.normal(0, noise, (sizes.size, *mean.shape))


def piece(number: int, waveforms: np.ndarray, times: np.ndarray, at: float) -> Piece:
    return Piece((number,), np.sort(times), np.array([16.0, at]), lambda on: waveforms[:, :, on])


def fired(n: int) -> np.ndarray:
    return np.sort(RNG.uniform(0, SECONDS, n))


def test_a_neuron_cut_by_the_size_of_its_spikes_is_one():
    # Given a neuron whose spikes vary by a seventh in size, cut at any size, by any sorter
    mean, sizes, times = shape(60.0), RNG.normal(70, 10, 300), fired(300)
    waveforms = spikes(mean, sizes)
    for cut in (60.0, 70.0, 80.0):
        small = sizes < cut
        pieces = [
            piece(0, waveforms[small], times[small], 60),
            piece(1, waveforms[~small], times[~small], 60),
        ]
        # Then the pieces belong together
        assert neurons(pieces, PLACES, SECONDS) == [(0, 1)]


def test_several_pieces_are_joined_and_other_units_stay():
    mean, sizes, times = shape(60.0), RNG.normal(70, 10, 600), fired(600)
    seen = sizes + RNG.normal(0, 6, sizes.size)  # sorters see sizes through noise
    waveforms, part = spikes(mean, sizes), np.digitize(seen, [64, 76])
    pieces = [piece(n, waveforms[part == n], times[part == n], 60) for n in range(3)]
    other = piece(3, spikes(shape(90.0, 7.0), RNG.normal(80, 10, 200)), fired(200), 100)
    few = piece(4, waveforms[:5], times[:5], 60)
    (joined,) = neurons([other, *pieces, few], PLACES, SECONDS)
    assert sorted(joined) == [0, 1, 2]


@pytest.mark.parametrize(
    ("at", "width", "size"),
    [(60.0, 4.0, 160.0), (74.0, 4.0, 70.0), (60.0, 7.0, 70.0)],
    ids=["twice as large", "14 µm away", "another shape"],
)
def test_two_neurons_stay_two(at, width, size):
    one = piece(0, spikes(shape(60.0), RNG.normal(70, 7, 300)), fired(300), 60)
    two = piece(1, spikes(shape(at, width), RNG.normal(size, size / 10, 300)), fired(300), 60)
    assert neurons([one, two], PLACES, SECONDS) == []


def test_equal_spikes_that_fire_independently_are_of_two_neurons():
    mean = shape(60.0)
    one, two = (piece(n, spikes(mean, RNG.normal(70, 10, 300)), fired(6000), 60) for n in range(2))
    assert independent(one.times, two.times, SECONDS)
    assert neurons([one, two], PLACES, SECONDS) == []
    # Few spikes do not tell it.
    assert not independent(one.times[:100], two.times[:100], SECONDS)


def test_a_spike_found_twice_counts_once():
    mean, times = shape(60.0), fired(100)
    one, two = (piece(n, spikes(mean, RNG.normal(70, 10, 100)), times, 60) for n in range(2))
    assert not independent(one.times, two.times, SECONDS)
    assert one.joined(two).times.size == 100


def test_pieces_of_other_alignment_are_alike_at_their_shift():
    mean = shape(60.0)
    alike, shift = likeness(mean, np.roll(mean, 4, axis=0))
    assert (alike > 0.99, shift) == (True, 4)
    assert likeness(mean, np.zeros_like(mean))[0] <= 0


def test_the_noise_of_few_spikes_is_no_separation():
    first, second = RNG.normal(0, 1, (12, 900)), RNG.normal(0, 1, (200, 900))
    assert separation(first, second) < 1
    assert separation(first, second + 0.5) > 6
