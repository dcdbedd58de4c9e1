"""Performance, reaction times and what the session pages draw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from shared.science.behaviour.curves import (
    chronometric,
    contrast_heat_map,
    median_interval,
    performance,
    performance_easy,
    reaction_time_by_trial,
    reaction_times,
    session_plots,
)

NAN = np.nan


def trials(**columns) -> dict[str, np.ndarray]:
    base = {
        "contrastLeft": [1.0, NAN, 0.5, NAN, 0.0, 0.0625],
        "contrastRight": [NAN, 1.0, NAN, 0.5, NAN, NAN],
        "choice": [1, -1, -1, 0, -1, 1],
        "feedbackType": [1, 1, -1, -1, 1, 1],
        "probabilityLeft": [0.5, 0.5, 0.2, 0.2, 0.8, 0.8],
        "stimOn_times": [0.0, 10, 20, 30, 40, 50],
        "response_times": [0.5, 10.4, 21.0, 90.0, 40.3, 50.2],
    }
    return {key: np.array(value, float) for key, value in (base | columns).items()}


@pytest.fixture(scope="module")
def mouse(shared_data: Path) -> pd.DataFrame:
    return pd.read_csv(shared_data / "training_status" / "SWC_054_11_sessions_trials.csv")


def test_performance_counts_no_answer_as_wrong():
    assert performance_easy(trials()) == 2 / 4
    assert performance(trials()) == 3 / 5  # contrast 0 has no right answer
    assert np.isnan(performance_easy(trials(contrastLeft=[0.0] * 6, contrastRight=[0.0] * 6)))


def test_reaction_times_use_the_go_cue_only_where_the_stimulus_is_missing():
    some = trials(
        stimOn_times=[0.0, NAN, 20, 30, NAN, 50],
        goCueTrigger_times=[0.1, 10.1, 20.1, 30.1, NAN, 50.1],
    )
    np.testing.assert_allclose(reaction_times(some), [0.5, 0.3, 1, 60, NAN, 0.2])


def test_chronometric_medians_of_a_real_session(mouse):
    one = mouse[mouse.session_date == "2020-08-28"]
    found = chronometric(one)
    rt = one.response_times - one.stimOn_times
    contrast = 100 * (one.contrastRight.fillna(0) - one.contrastLeft.fillna(0))
    expected = rt.groupby(contrast).median()
    np.testing.assert_allclose(found["contrasts"], expected.index)
    np.testing.assert_allclose(found["median"], expected)
    assert all(
        lo <= m <= hi
        for lo, m, hi in zip(found["low"], found["median"], found["high"], strict=True)
    )
    assert found == chronometric(one)


@pytest.mark.parametrize("n", [1, 2, 3, 8, 21, 60])
def test_median_interval_is_that_of_a_plain_bootstrap(n):
    rng = np.random.default_rng(n)
    x = rng.exponential(size=n)
    middle, low, high = median_interval([x, np.array([NAN])])
    drawn = np.sort(np.median(rng.choice(x, (40_000, n)), axis=1))
    ordered = np.searchsorted(drawn, [low[0], high[0]]) / drawn.size
    assert middle[0] == pytest.approx(np.median(x))
    # The share of plain resamples at or below each end, up to the steps of so few values.
    step = max(np.unique(drawn, return_counts=True)[1]) / drawn.size
    assert abs(ordered[0] - 0.16) < 0.015 + step
    assert abs(ordered[1] - 0.84) < 0.015 + step
    assert np.isnan([middle[1], low[1], high[1]]).all()


def test_rolling_median_starts_with_a_full_window():
    found = reaction_time_by_trial(trials(), window=3)
    assert found["trial"] == [1, 2, 3, 4, 5, 6]
    assert found["rolling_median"] == [None, None, 0.5, 1.0, 1.0, 0.3]


def test_session_plots_fit_each_block_of_a_biased_session(mouse):
    biased = mouse[mouse.session_date == "2020-08-28"]
    in_training = mouse[mouse.session_date == "2020-08-21"]
    two = session_plots([(biased, "biased"), (in_training, "training")])
    assert [b["probability_left"] for b in two[0]["blocks"]] == [0.2, 0.5, 0.8]
    assert [b["probability_left"] for b in two[1]["blocks"]] == [0.5]
    fits = [block["psychometric"]["fit"] for block in two[0]["blocks"]]
    known = not any(two[0]["blocks"][i]["psychometric"]["doubt"] for i in (0, 2))
    shift = fits[2]["bias"] - fits[0]["bias"]
    assert two[0]["bias_shift"] == (pytest.approx(shift) if known else None)
    assert all(fit["lapse_low"] <= 0.2 and 10 <= fit["threshold"] <= 50 for fit in fits)
    assert sum(sum(b["psychometric"]["n"]) for b in two[0]["blocks"]) == two[0]["n_trials"]
    assert two[1]["bias_shift"] is None
    json.dumps(two, allow_nan=False)


def test_heat_map_pools_a_date_and_leaves_biased_blocks_out():
    days = [("2024-01-02", trials(), "biased"), ("2024-01-01", trials(), "training")]
    found = contrast_heat_map([*days, ("2024-01-01", trials(), "training")])
    assert found["dates"] == ["2024-01-01", "2024-01-02"]
    assert found["contrasts"] == [-100, -50, -6.25, 0, 50, 100]
    assert found["p_right"] == [[0, 0], [1, None], [0, None], [1, None], [0, None], [1, 1]]


def test_a_missing_column_is_named():
    incomplete = trials()
    del incomplete["stimOn_times"]
    with pytest.raises(ValueError, match="neither 'stimOn_times' nor 'goCueTrigger_times'"):
        reaction_times(incomplete)
    del incomplete["contrastLeft"]
    with pytest.raises(ValueError, match="no column 'contrastLeft'"):
        performance(incomplete)
