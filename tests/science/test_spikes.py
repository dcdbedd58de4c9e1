"""Rasters, rates, correlograms, drift and unit quality on spikes whose truth is known."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from shared.science.ephys.drift import amplitude_over_time, depth_raster, drift_map
from shared.science.ephys.quality import autocorrelogram, units_quality
from shared.science.ephys.rasters import (
    around,
    depth_peth,
    psth,
    psth_by_event,
    raster,
    usable_trials,
)

NAN = np.nan
HOUR = 3600.0

TRIALS = {
    "contrastLeft": np.array([1.0, NAN, 0.25, NAN, 0.0, 1.0]),
    "contrastRight": np.array([NAN, 0.5, NAN, 1.0, NAN, NAN]),
    "choice": np.array([1, -1, -1, -1, 1, 0]),
    "feedbackType": np.array([1, 1, -1, 1, 1, -1]),
    "stimOn_times": np.array([10.0, 20, 30, 40, 50, 60]),
    "firstMovement_times": np.array([10.4, 20.2, 30.3, 40.1, NAN, 60.5]),
    "feedback_times": np.array([10.9, 20.5, 31.0, 46.0, 50.6, 60.9]),
}


def poisson_unit(rate: float, duration: float, seed: int = 0, refractory: float = 2e-3):
    rng = np.random.default_rng(seed)
    gaps = refractory + rng.exponential(1 / rate - refractory, int(2 * rate * duration))
    times = np.cumsum(gaps)
    return times[times < duration]


def test_around_gives_a_spike_to_every_event_it_is_near():
    relative, event = around([1.0, 2.0, 2.5, 9.0], [2.0, NAN, 2.4], (-0.5, 0.5))
    np.testing.assert_allclose(relative, [0.0, -0.4, 0.1])
    assert event.tolist() == [0, 2, 2]


def test_a_raster_leaves_out_trials_without_answer_and_longer_than_5_s():
    assert np.flatnonzero(usable_trials(TRIALS)).tolist() == [0, 1, 2, 4]


@pytest.mark.parametrize(
    ("align", "sort", "order"),
    [
        ("stimulus", "trial", [0, 1, 2, 4]),
        ("stimulus", "contrast", [0, 2, 4, 1]),
        ("stimulus", "latency", [1, 2, 0, 4]),
        ("stimulus", "feedback", [2, 0, 1, 4]),
        ("movement", "trial", [0, 1, 2]),
        ("feedback", "latency", [1, 4, 0, 2]),
    ],
)
def test_rows_of_a_raster(align, sort, order):
    found = raster([], TRIALS, align, sort)
    assert [row["trial"] for row in found["rows"]] == order


def test_spikes_of_a_raster_lie_on_their_trials():
    found = raster([10.1, 20.0, 29.95, 44.0, 50.3], TRIALS, "stimulus", "contrast")
    assert list(zip(found["row"], found["time"], strict=True)) == [
        (0, 0.1),
        (1, -0.05),
        (2, 0.3),
        (3, 0.0),
    ]
    assert found["rows"][0] == {
        "trial": 0,
        "contrast": -100.0,
        "correct": True,
        "side": "left",
        "mark": 0.4,
    }
    assert found["rows"][2]["mark"] is None


def test_a_full_raster_is_thinned_and_says_so():
    dense = np.arange(0, 70, 1e-3)
    found = raster(dense, TRIALS, max_points=100)
    assert len(found["time"]) == len(found["row"]) == 100
    assert found["n_spikes"] == 8000
    assert found == raster(dense, TRIALS, max_points=100)


def test_psth_is_the_mean_rate_and_its_standard_error():
    found = psth([0.05, 0.06, 10.05], [0.0, 10.0, NAN], (0, 0.2), 0.1)
    assert found["n"] == 2
    assert found["time"] == [0.05, 0.15]
    assert found["mean"] == [15.0, 0.0]
    assert found["error"] == [5.0, 0.0]
    empty = psth([0.1], [], (0, 0.2), 0.1)
    assert empty["mean"] == [None, None]


def test_psth_by_event_splits_the_trials():
    found = psth_by_event([10.05, 20.05, 30.05], TRIALS)
    assert {name: group["n"] for name, group in found.items()} == {
        "left": 1,
        "right": 1,
        "incorrect": 1,
        "all": 4,
    }


def test_autocorrelogram_counts_each_pair_once_on_either_side():
    found = autocorrelogram([0.0, 0.0010, 0.0031, 1.0])
    lag, count = np.array(found["lag"]), np.array(found["count"])
    assert lag.size == 200
    assert lag[count > 0].tolist() == [-3.1, -2.1, -1.1, 1.1, 2.1, 3.1]
    assert count.sum() == 6
    assert autocorrelogram([])["count"] == [0] * 200


def test_autocorrelogram_of_a_poisson_unit_is_flat_beyond_its_refractory_period():
    times = poisson_unit(20, 2000, refractory=3e-3)
    found = autocorrelogram(times)
    lag, rate = np.abs(found["lag"]), np.array(found["rate"])
    assert rate[lag < 3].max() == 0
    # The rate given a spike at 0 exceeds the mean rate just after the refractory period.
    assert rate[lag > 10].mean() == pytest.approx(20, rel=0.05)


def test_drift_map_counts_every_spike_once():
    rng = np.random.default_rng(0)
    times, depths = np.sort(rng.uniform(0, 100, 5000)), rng.uniform(20, 3800, 5000)
    found = drift_map(times, depths, time_bin=2, depth_bin=40)
    assert np.sum(found["value"]) == 5000
    assert len(found["time"]) == 50
    assert len(found["value"]) == len(found["depth"]) == 95
    by_amplitude = drift_map(times, depths, np.full(5000, 100e-6), depth_bin=40)
    assert np.sum(by_amplitude["value"]) == pytest.approx(500_000)
    assert drift_map([], [])["value"] == []


def test_drift_map_widens_its_time_bin_rather_than_overflow_a_page():
    times = np.linspace(0, HOUR, 1000)
    found = drift_map(times, np.tile([0.0, 3800.0], 500), max_cells=10_000)
    assert len(found["time"]) * len(found["depth"]) <= 11_000
    assert found["time_bin"] == 69
    assert np.sum(found["value"]) == 1000


def test_depth_raster_and_amplitudes_are_in_micrometres_and_microvolts():
    found = depth_raster([0.5, 1.5, 2.5], [10, 20, NAN], [50e-6, 60e-6, 70e-6], 1.0, 3.0)
    assert found == {
        "time": [1.5, 2.5],
        "depth": [20.0, None],
        "amplitude": [60.0, 70.0],
        "n_spikes": 2,
    }
    assert len(amplitude_over_time(np.arange(100), np.ones(100), max_points=10)["time"]) == 10


def test_depth_peth_shows_who_answers_the_event():
    rng = np.random.default_rng(1)
    events = np.arange(5, 500, 5.0)
    background = rng.uniform(0, 500, 20_000)
    answer = (events[:, None] + rng.uniform(0.1, 0.2, (events.size, 10))).ravel()
    times = np.concatenate([background, answer])
    depths = np.concatenate([rng.choice([100.0, 900.0], 20_000), np.full(answer.size, 900.0)])
    order = np.argsort(times)
    found = depth_peth(times[order], depths[order], events)
    z, time = np.array(found["z"], float), np.array(found["time"])
    during = (time > 0.1) & (time < 0.2)
    quiet, answering = (found["depth"].index(d) for d in (80.0, 880.0))
    assert np.nanmean(z[answering, during]) > 10
    assert abs(np.nanmean(z[quiet, during])) < 1.5
    assert depth_peth([], [], events)["z"] == []


def spikes_of(*trains: np.ndarray, volts: float = 150e-6) -> dict[str, np.ndarray]:
    """Return an object `spikes`; units are numbered 7, 3, …"""
    times = np.concatenate(trains)
    units = np.repeat([7, 3][: len(trains)], [train.size for train in trains])
    order = np.argsort(times)
    amplitudes = np.random.default_rng(0).normal(volts, volts / 6, times.size)
    return {
        "times": times[order],
        "clusters": units[order],
        "amps": amplitudes,
        "depths": np.full(times.size, 500.0),
    }


def test_quality_of_units_is_that_of_their_metrics():
    spikes = spikes_of(poisson_unit(10, 600, seed=1), poisson_unit(5, 600, seed=2))
    found = units_quality(spikes)
    assert set(found) == {3, 7}
    assert (found[7]["label"], found[7]["bitwise_fail"]) == (1.0, 0)
    assert found[7]["firing_rate"] == pytest.approx(10, rel=0.05)
    assert found[7]["median_amplitude_uv"] == pytest.approx(150, rel=0.05)
    assert found[7]["presence_ratio"] > 0.98  # brainbox counts the last, cut window as one
    assert found[7]["drift"] == 0
    faint = units_quality(spikes | {"amps": spikes["amps"] / 5})[7]
    assert (faint["label"], faint["bitwise_fail"]) == (pytest.approx(2 / 3, abs=1e-5), 4)
    json.dumps(found, allow_nan=False)


def test_values_of_the_file_count_and_what_it_lacks_is_calculated():
    spikes = spikes_of(poisson_unit(10, 600, seed=1), poisson_unit(5, 600, seed=2))
    own = units_quality(spikes)
    filed = pd.DataFrame({"cluster_id": [0, 7, 7], "label": [1.0, 1 / 3, 0], "drift": np.nan})
    found = units_quality(spikes, filed)
    assert found[7]["label"] == pytest.approx(1 / 3, abs=1e-5)
    assert found[7]["drift"] is None  # the file knows the unit, and not its drift
    assert found[7]["noise_cutoff"] == own[7]["noise_cutoff"]
    assert found[3] == own[3]  # no row of the file is about this unit


@pytest.mark.parametrize("amplitude", [0.0, np.nan, -1e-5])
def test_unknown_amplitudes_make_a_unit_fail_and_no_error(amplitude):
    spikes = spikes_of(poisson_unit(10, 60, seed=1))
    found = units_quality(spikes | {"amps": np.full(spikes["times"].size, amplitude)})
    assert found[7]["bitwise_fail"] & 4
    json.dumps(found, allow_nan=False)
