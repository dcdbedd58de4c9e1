"""How sorted spikes are counted against the true ones."""

from __future__ import annotations

import numpy as np
import pytest

from lab.simulate.spikes import MARGIN, NEAREST, _apart
from tests.lab.sorting_truth import WITHIN, likeness, pairs

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("missed", [0.0, 0.2, 0.5])
def test_missed_spikes_cost_no_found_ones(missed):
    # Given the true spikes, and those of them that a sorter found, a little off
    true = np.cumsum(RNG.exponential(0.2, 500) + 2e-3)
    found = true[RNG.random(true.size) >= missed]
    errors = pairs(true, found + 1e-4)
    # Then each that was found is counted
    assert errors.size == found.size
    assert errors == pytest.approx(1e-4, abs=1e-9)


def test_a_spike_is_matched_once_and_only_nearby():
    true = np.array([1.0, 1.0003, 2.0])
    assert pairs(true, np.array([1.0002, 2.0 + 2 * WITHIN])) == pytest.approx([-1e-4])
    assert pairs(true, np.empty(0)).size == 0


def test_units_whose_waveforms_differ_in_amplitude_only_are_told():
    # Given three units: two of one shape at one place, one of them later, and one far away
    shape = np.sin(np.linspace(0, 3, 82))[:, None] * np.array([1.0, 0.5])
    true = {
        "clusters.depths.npy": np.array([10.0, 12.0, 500.0, 9000.0]),
        "clusters.waveforms.npy": np.array([shape, 3 * np.roll(shape, 2, 0), shape, shape]),
        "clusters.waveformsChannels.npy": np.array([[0, 1], [0, 1], [50, 51], [0, 1]]),
    }
    # Then only the first two are alike, and what was not recorded does not count
    assert likeness(true, 600.0) == pytest.approx({0: 1, 1: 1, 2: 0})


@pytest.mark.parametrize("seed", range(3))
def test_simulated_neurons_keep_the_distance_of_the_generator_of_ground_truth(seed: int) -> None:
    # Given the depths of as many neurons as a whole probe has, some at nearly the same place
    draw = np.random.default_rng(seed)
    depths = np.sort(draw.uniform(60, 3780, 150))
    across = draw.uniform(0, 48, depths.size)
    # When places across the probe are found for them
    placed = _apart(across, depths, seed)
    gaps = np.hypot(placed[:, None] - placed, depths[:, None] - depths)
    np.fill_diagonal(gaps, np.inf)
    # Then hardly one is nearer to another than 20 µm, and those that had room stay
    assert (gaps.min(axis=1) < NEAREST).sum() <= 4
    assert gaps.min() > 15
    assert (placed == across).sum() > 75
    assert placed.min() >= -MARGIN
    assert placed.max() <= 48 + MARGIN
