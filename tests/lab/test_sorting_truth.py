"""How sorted spikes are counted against the true ones."""

from __future__ import annotations

import numpy as np
import pytest

from tests.lab.sorting_truth import WITHIN, pairs

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
