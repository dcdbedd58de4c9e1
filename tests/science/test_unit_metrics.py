"""The table of units that the IBL keeps: what is counted by hand, and what odd units give."""

from __future__ import annotations

import numpy as np
import pytest

from shared.science.ephys.sorted_probe import Sites, SortedProbe, located
from shared.science.ephys.unit_metrics import COLUMNS, unit_metrics


def units(*trains: np.ndarray, volts: float = 80e-6):
    """Return times, clusters, amplitudes and depths of spike trains."""
    rng = np.random.default_rng(1)
    times = np.concatenate(trains)
    clusters = np.repeat(np.arange(len(trains)), [len(train) for train in trains])
    order = np.argsort(times, kind="stable")
    amplitudes = volts * rng.normal(1, 0.1, times.size).clip(0.5)
    return times[order], clusters[order], amplitudes, np.full(times.size, 100.0)


def regular(rate: float, seconds: float, seed: int) -> np.ndarray:
    """Return a train without violations."""
    rng = np.random.default_rng(seed)
    return np.cumsum(5e-3 + rng.exponential(1 / rate, int(rate * seconds)))


def test_a_clean_unit_passes_and_a_mixed_one_fails_the_refractory_period():
    rng = np.random.default_rng(3)
    clean, mixed = regular(20, 300, 1), np.sort(rng.uniform(0, 300, 6000))
    table = unit_metrics(*units(clean, mixed))
    assert tuple(table.columns) == COLUMNS
    assert table["label"].tolist() == pytest.approx([1, 2 / 3])
    assert table["bitwise_fail"].tolist() == [0, 1]
    assert table["slidingRP_viol"].tolist() == [1, 0]
    assert table["spike_count"].tolist() == [clean.size, 6000]
    assert table["max_confidence"][0] > 90 > table["max_confidence"][1]
    assert table["contamination"][0] == 0
    assert table["contamination"][1] == pytest.approx(0.5, abs=0.15)


def test_faint_units_fail_the_amplitude_and_units_without_spikes_everything():
    table = unit_metrics(*units(regular(20, 300, 1), volts=30e-6), n_clusters=2)
    assert table["bitwise_fail"].tolist() == [4, 7]
    assert table["label"].tolist() == pytest.approx([2 / 3, 0])
    assert table["spike_count"].tolist() == [table["spike_count"][0], 0]
    assert np.isnan(table["amp_median"][1])


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_spikes_are_no_error(n):
    table = unit_metrics(*units(np.arange(n, dtype=float)), n_clusters=1)
    assert table["label"].tolist() == [1 / 3 if n else 0]


def test_a_probe_without_units_has_empty_files():
    none = np.zeros(0)
    sites = Sites(np.zeros((4, 2)), np.arange(4), np.zeros(4, np.int64))
    found = SortedProbe(
        none.astype(int), none.astype(int), none, none, np.zeros((0, 82, 4), np.float32),
        sites, 30_000.0,
    )  # fmt: skip
    files = found.files(lambda samples: samples / 30_000)
    assert len(files["clusters.metrics.pqt"]) == len(files["clusters.uuids.csv"]) == 0
    assert files["channels.rawInd.npy"].tolist() == [0, 1, 2, 3]


def test_waveforms_are_of_the_nearest_channels_and_identifiers_stay():
    places = np.column_stack([np.zeros(40), 20.0 * np.arange(40)])
    sites = Sites(places, np.arange(40), np.zeros(40, np.int64))
    templates = np.zeros((1, 60, 40), np.float32)
    templates[0, 20, 7], templates[0, 35, 7], templates[0, 20, 8] = -80e-6, 30e-6, -40e-6
    samples = np.array([300, 3000, 9000])
    found = SortedProbe(
        samples, np.zeros(3, int), np.full(3, 8e-5), np.array([138.0, 142, 140]), templates,
        sites, 30_000.0, extra={"snr": np.array([12.0])},
    )  # fmt: skip
    files = found.files(lambda at: at / 30_000 + 5)
    assert files["spikes.times.npy"].tolist() == [5.01, 5.1, 5.3]
    assert files["clusters.channels.npy"].tolist() == [7]
    assert files["clusters.depths.npy"].tolist() == [140]
    assert files["clusters.waveforms.npy"].shape == (1, 60, 32)
    assert files["clusters.waveformsChannels.npy"][0, :3].tolist() == [7, 6, 8]
    assert files["clusters.waveforms.npy"][0, 20, 0] == np.float32(-80e-6)
    assert files["clusters.peakToTrough.npy"].tolist() == [0.5]
    assert files["templates.amps.npy"] == pytest.approx([110e-6])
    assert files["clusters.metrics.pqt"]["snr"].tolist() == [12.0]
    again = found.files(lambda at: at / 30_000)["clusters.uuids.csv"]
    assert again.equals(files["clusters.uuids.csv"])


def test_channels_lie_where_histology_says_of_the_shank():
    places = np.array([[16.0, 0], [48, 20], [0, 3000]])
    sites = np.array([[0.0, 2000], [0, 0]])
    points, regions = located(
        places, sites, np.array([[0.0, 0, -1000], [0, 0, -3000]]), np.array([9, 5])
    )
    assert points[:, 2].tolist() == [-3000, -2980, -1000]
    assert regions.tolist() == [5, 5, 9]
    # the IBL counts depths from the tip, 20 µm farther
    sites[:, 1] += 20
    again, _ = located(places, sites, np.array([[0.0, 0, -1000], [0, 0, -3000]]), np.array([9, 5]))
    assert again.tolist() == points.tolist()
