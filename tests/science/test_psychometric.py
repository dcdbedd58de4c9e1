"""Psychometric fits against psychofit and the real sessions of one mouse."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import psychofit
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.science.behaviour import psychometric_fit
from shared.science.behaviour.psychometric import (
    Counts,
    bounds,
    choice_interval,
    curve,
    doubt_of,
    neg_log_likelihood,
    signed_contrast,
)
from shared.science.behaviour.psychometric_fit import fit, fit_many, fit_once

CONTRASTS = np.array([-100, -25, -12.5, -6.25, 0, 6.25, 12.5, 25, 100.0])


def reference_fit(counts: Counts, use: str, seed: int) -> np.ndarray:
    """Fit with psychofit, the peer every lab used so far."""
    start, low, high, n_fits = bounds(counts, use)
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found, _ = psychofit.mle_fit_psycho(
                np.vstack([counts.contrasts, counts.n_trials, counts.p_right]),
                "erf_psycho_2gammas",
                start,
                low,
                high,
                n_fits,
            )
    finally:
        np.random.set_state(state)
    return found


def simulated(parameters, n_per_contrast: int, seed: int) -> Counts:
    rng = np.random.default_rng(seed)
    shown = np.full(CONTRASTS.size, n_per_contrast)
    return Counts(CONTRASTS, shown, rng.binomial(shown, curve(parameters, CONTRASTS)))


@pytest.fixture(scope="module")
def mouse(shared_data: Path) -> dict[str, pd.DataFrame]:
    trials = pd.read_csv(shared_data / "training_status" / "SWC_054_11_sessions_trials.csv")
    return dict(iter(trials.groupby("session_date")))


def counts_of(trials: pd.DataFrame, block: float | None = None) -> Counts:
    if block is not None:
        trials = trials[np.isclose(trials.probabilityLeft, block)]
    return Counts.of(signed_contrast(trials.contrastLeft, trials.contrastRight), trials.choice)


def test_real_sessions_give_the_golden_parameters(shared_data, mouse):
    golden = json.loads(
        (shared_data / "training_status" / "SWC_054_golden_per_session.json").read_text()
    )
    cases = [
        (date, block, counts_of(trials, block), golden[date][key])
        for date, trials in mouse.items()
        for key, block in [("psych_all_trials", None)]
        + [(f"psych_{b}", b) for b in (0.2, 0.5, 0.8)]
        if key in golden[date]
    ]
    fits = fit_many([counts for *_, counts, _ in cases])

    same = 0
    for (date, block, counts, expected), found in zip(cases, fits, strict=True):
        excess = neg_log_likelihood(expected, counts) - found.nll
        assert excess > -1e-9, f"{date} {block}: a worse likelihood than the golden fit"
        # Where the reference stopped short of the maximum its digits are those of its seed.
        if block is None or excess < 1e-6:
            np.testing.assert_allclose(found.parameters, expected, rtol=1e-3, atol=1e-5)
            same += 1
    assert (len(cases), same) == (29, 20)


@pytest.mark.parametrize("use", ["status", "plot"])
@pytest.mark.parametrize("seed", range(12))
def test_no_curve_is_fitted_worse_than_by_psychofit(use, seed):
    rng = np.random.default_rng(seed)
    counts = simulated(
        [rng.uniform(-40, 40), rng.uniform(0.5, 90), rng.uniform(0, 0.5), rng.uniform(0, 0.5)],
        int(rng.integers(1, 60)),
        seed,
    )
    theirs = psychofit.neg_likelihood(
        reference_fit(counts, use, seed),
        np.vstack([counts.contrasts, counts.n_trials, counts.p_right]),
        "erf_psycho_2gammas",
        *bounds(counts, use)[1:3],
    )
    assert fit(counts, use).nll <= theirs + 1e-7


@pytest.mark.parametrize("use", ["status", "plot"])
def test_every_window_of_the_real_mouse_is_fitted_at_least_as_well(mouse, use):
    days = [counts_of(trials) for trials in mouse.values()]
    windows = [a + b + c for a, b, c in zip(days, days[1:], days[2:], strict=False)]
    for window, found in zip(windows, fit_many(windows, use), strict=True):
        theirs = reference_fit(window, use, seed=1)
        assert found.nll <= neg_log_likelihood(theirs, window) + 1e-7


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(list(CONTRASTS)), st.sampled_from([-1, 0, 1])),
        min_size=1,
        max_size=80,
    ),
    st.sampled_from(["status", "plot"]),
)
def test_any_trials_give_finite_parameters_within_the_bounds(trials, use):
    contrast, choice = (np.array(column, float) for column in zip(*trials, strict=True))
    counts = Counts.of(contrast, choice)
    found = fit(counts, use)
    start, low, high, _ = bounds(counts, use)
    assert np.all(found.parameters >= low)
    assert np.all(found.parameters <= high + 1e-6)
    assert found.nll <= neg_log_likelihood(np.clip(start, low, high), counts) + 1e-9


def test_a_curve_does_not_depend_on_its_batch():
    many = [simulated([b, 15, 0.05, 0.1], 40, seed) for seed, b in enumerate((-20, 0, 5, 30))]
    together = fit_many([*many, simulated([0, 1, 0, 0], 3, 9)])
    for counts, found in zip(many, together, strict=False):
        np.testing.assert_allclose(found.parameters, fit(counts).parameters, rtol=1e-9)


def test_a_process_fits_no_curve_twice_in_a_row(monkeypatch):
    left, middle, right = (simulated([b, 15, 0.05, 0.1], 40, 1) for b in (-20, 0, 20))
    alone = [fit(counts) for counts in (right, middle, left)]
    asked = []

    def counted(many, *settings):
        asked.append(len(many))
        return fit_many(many, *settings)

    monkeypatch.setattr(psychometric_fit, "_fitted", {})
    monkeypatch.setattr(psychometric_fit, "_REMEMBERED", 4)
    monkeypatch.setattr(psychometric_fit, "fit_many", counted)
    # Given two curves, one of them twice
    first = fit_once([left, middle, left])
    # When they are asked for again beside a new one, only that is fitted
    again = fit_once([right, middle, left])
    assert asked == [2, 1]
    assert [again[2], again[1], again[2]] == first
    for expected, found in zip(alone, again, strict=True):
        np.testing.assert_allclose(found.parameters, expected.parameters, rtol=1e-9)
    # Other bounds are another fit, and the oldest curves are forgotten
    assert fit_once([left], "plot")[0].parameters[1] >= bounds(left, "plot")[1][1]
    fit_once([middle], "plot")
    fit_once([left, middle, right])
    assert asked == [2, 1, 1, 1, 1]
    assert len(psychometric_fit._fitted) == 4


def test_the_parameters_that_made_many_trials_come_back():
    truth = [4.0, 18.0, 0.04, 0.12]
    np.testing.assert_allclose(
        fit(simulated(truth, 40_000, 0)).parameters, truth, rtol=0.05, atol=0.01
    )


def test_no_trials_give_no_fit():
    found = fit(Counts.empty())
    assert not found.ok
    assert found.as_dict() == {
        "bias": None,
        "threshold": None,
        "lapse_low": None,
        "lapse_high": None,
        "nll": None,
        "n_trials": 0,
    }


def test_pooled_counts_are_the_counts_of_the_pooled_trials():
    a = Counts.of([-25, 0, 0, 100], [1, -1, 0, -1])
    b = Counts.of([6.25, 0], [-1, 1])
    pooled = Counts.of([-25, 0, 0, 100, 6.25, 0], [1, -1, 0, -1, -1, 1])
    for left, right in [(a + b, pooled), (pooled + Counts.empty(), pooled)]:
        np.testing.assert_array_equal(left.contrasts, right.contrasts)
        np.testing.assert_array_equal(left.n_trials, right.n_trials)
        np.testing.assert_array_equal(left.n_right, right.n_right)


def test_signed_contrast_is_percent_right_minus_left():
    left = [1.0, np.nan, 0.0, np.nan]
    right = [np.nan, 0.0625, np.nan, 0.0]
    assert signed_contrast(left, right).tolist() == [-100.0, 6.25, 0.0, 0.0]


def test_choice_interval_is_the_normal_one_cut_to_fractions():
    low, high = choice_interval([50, 0, 99, 0], [100, 100, 100, 0])
    # 0.5 ± 2.1444·√(0.25/100), z of a two-sided 0.032
    np.testing.assert_allclose([low[0], high[0]], [0.39278, 0.60722], atol=1e-5)
    assert (low[1], high[1]) == (0.0, 0.0)
    assert high[2] == 1.0
    assert np.isnan(low[3])


def test_an_unknown_use_is_named():
    with pytest.raises(ValueError, match="'status' or 'plot', not 'web'"):
        fit(simulated([0, 20, 0, 0], 5, 0), "web")


class TestDoubt:
    """A fit that tells nothing of the mouse says so."""

    levels = np.array([-100, -50, -25, -12.5, -6.25, 0, 6.25, 12.5, 25, 50, 100])

    def doubt(self, p_right, n=60, use="status") -> str:
        n_trials = np.full(self.levels.size, n)
        counts = Counts(self.levels, n_trials, np.round(n * np.asarray(p_right)).astype(int))
        return doubt_of(counts, fit(counts, use), use)

    def test_a_mouse_that_sees_is_not_doubted(self):
        seen = curve([5, 20, 0.1, 0.05], self.levels)
        assert self.doubt(seen) == ""

    def test_nor_is_one_that_never_lapses(self):
        assert self.doubt(curve([0, 20, 0, 0], self.levels)) == ""

    def test_a_mouse_that_guesses_is(self):
        rng = np.random.default_rng(1)
        assert self.doubt(rng.binomial(60, 0.5, self.levels.size) / 60) != ""

    def test_a_step_between_two_contrasts_has_no_threshold(self):
        assert "threshold" in self.doubt((self.levels > 0).astype(float))

    def test_the_narrow_bounds_of_plots_cut_off_what_free_ones_measure(self):
        sharp = curve([0, 7, 0.05, 0.05], self.levels)
        assert "threshold" in self.doubt(sharp, use="plot")
        assert self.doubt(sharp) == ""

    def test_without_trials_there_is_nothing_to_fit(self):
        empty = Counts.empty()
        assert doubt_of(empty, fit(empty), "status") == "there are no trials to fit"
