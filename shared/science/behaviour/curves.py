"""Measures and plots of behaviour: performance, reaction times, the curves of a session's page.

`trials` is anything that gives a column by its ONE name: a dictionary, a DataFrame, a loaded ALF
object. Contrasts are fractions, times seconds, choice −1 a report "right" (ONE convention).
Values for a page are returned as plain numbers, lists and None, ready for JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv

from shared.science.behaviour.psychometric import (
    Counts,
    Floats,
    PsychometricFit,
    Use,
    choice_interval,
    curve,
    doubt_of,
    signed_contrast,
)
from shared.science.behaviour.psychometric_fit import fit_once

Trials = Mapping[Any, Any]

EASY_CONTRAST = 50.0
"""Percent: trials at least this bright are easy (IBL training protocol)."""

BLOCKS = (0.2, 0.5, 0.8)
"""Probabilities of a stimulus on the left in the biased task."""

_CURVE_AT = np.linspace(-100, 100, 101)


def column(trials: Trials, name: str) -> Floats:
    """Return one column of the trials as floats.

    Raises
    ------
    ValueError
        If the trials have no such column.
    """
    try:
        return np.asarray(trials[name], float)
    except KeyError:
        raise ValueError(f"the trials have no column {name!r}") from None


def contrasts(trials: Trials) -> Floats:
    """Return the signed contrast of each trial in percent, left negative."""
    return signed_contrast(column(trials, "contrastLeft"), column(trials, "contrastRight"))


def in_block(trials: Trials, probability_left: float) -> NDArray[np.bool_]:
    """Tell which trials have this probability of a left stimulus.

    In the training task `probabilityLeft` is the debiasing value of the moment, not a block:
    treat a training session as one block instead.
    """
    return np.abs(column(trials, "probabilityLeft") - probability_left) < 1e-6


def performance_easy(trials: Trials) -> float:
    """Return the fraction correct at contrasts of 50 % and more; no answer counts as wrong.

    NaN without such trials.
    """
    easy = np.abs(contrasts(trials)) >= EASY_CONTRAST
    return _mean(column(trials, "feedbackType")[easy] == 1)


def performance(trials: Trials) -> float:
    """Return the fraction correct of all trials with a visible stimulus; NaN without any."""
    visible = np.abs(contrasts(trials)) > 0
    return _mean(column(trials, "feedbackType")[visible] == 1)


def reaction_times(trials: Trials) -> Floats:
    """Return response − stimulus onset (s) of each trial, the time the status rules use.

    Where a stimulus onset is missing, the go cue's trigger stands in; NaN where both are.
    """
    onset = column(trials, "stimOn_times").copy() if "stimOn_times" in trials else None
    if "goCueTrigger_times" in trials:
        cue = column(trials, "goCueTrigger_times")
        onset = cue if onset is None else np.where(np.isnan(onset), cue, onset)
    if onset is None:
        raise ValueError("the trials have neither 'stimOn_times' nor 'goCueTrigger_times'")
    return column(trials, "response_times") - onset


def median(values: Floats) -> float:
    """Return the median of the finite values, NaN without any (and no warning)."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")


def median_interval(
    samples: Sequence[Floats], alpha: float = 0.32
) -> tuple[Floats, Floats, Floats]:
    """Return medians and their bootstrap percentile intervals, many samples at once.

    No resample is drawn: a resample's middle value is an order statistic of uniform draws with a
    known law (beta), which gives its percentiles. For an even number of values the percentiles of
    the two middle ones are averaged, as if both were low or high together.

    Parameters
    ----------
    samples : sequence of arrays
        Values in any unit; non-finite ones are left out.
    alpha : float
        Significance level; 0.32 (one standard error) is that of the IBL reaction-time plots.

    Returns
    -------
    median, low, high : arrays of float, shape (n_samples,)
        NaN for a sample without finite values.
    """
    ordered = [np.sort(sample[np.isfinite(sample)]) for sample in samples]
    out = np.full((3, len(samples)), np.nan)
    n = np.array([values.size for values in ordered], int)
    some = np.flatnonzero(n)
    if some.size == 0:
        return out[0], out[1], out[2]
    values, n = np.concatenate(ordered), n[some]
    start = np.cumsum(n) - n
    middle = np.array([(n + 1) // 2, n // 2 + 1])  # ranks of the lower and upper middle value
    out[0, some] = values[start + middle - 1].mean(axis=0)
    for row, share in ((1, alpha / 2), (2, 1 - alpha / 2)):
        drawn = betaincinv(middle, n + 1 - middle, share)
        out[row, some] = values[start + np.minimum((drawn * n).astype(int), n - 1)].mean(axis=0)
    return out[0], out[1], out[2]


def chronometric(trials: Trials, block: float | None = None) -> dict[str, Any]:
    """Return the median reaction time per signed contrast with a 68 % bootstrap interval.

    Parameters
    ----------
    trials : mapping of columns
    block : float, optional
        Only trials of this probability of a left stimulus.

    Returns
    -------
    dict
        Lists `contrasts` (percent), `median`, `low`, `high` (s) and `n`, the trials with a time.
    """
    keep = in_block(trials, block) if block is not None else slice(None)
    contrast, times = contrasts(trials)[keep], reaction_times(trials)[keep]
    levels = np.unique(contrast)
    samples = [times[contrast == level] for level in levels]
    middle, low, high = median_interval(samples)
    return {
        "contrasts": plain(levels),
        "median": plain(middle),
        "low": plain(low),
        "high": plain(high),
        "n": [int(np.isfinite(sample).sum()) for sample in samples],
    }


def reaction_time_by_trial(trials: Trials, window: int = 10) -> dict[str, Any]:
    """Return reaction time against trial number, with a rolling median.

    Returns
    -------
    dict
        Lists `trial` (1, 2, …), `time` (s) and `rolling_median` over the last `window` trials
        (s; None until the window is full of trials with a time).
    """
    times = reaction_times(trials)
    rolling = np.full(times.size, np.nan)
    if times.size >= window:
        views = np.lib.stride_tricks.sliding_window_view(times, window)
        rolling[window - 1 :] = np.median(views, axis=1)
    return {
        "trial": list(range(1, times.size + 1)),
        "time": plain(times, 4),
        "rolling_median": plain(rolling, 4),
    }


def blocks_of(trials: Trials, protocol: str) -> list[float | None]:
    """Return the blocks to draw separately: those of biased tasks, one (None) in training."""
    if protocol not in ("biased", "ephys"):
        return [None]
    return [block for block in BLOCKS if in_block(trials, block).any()]


def session_plots(
    sessions: Iterable[tuple[Trials, str]], seed: int = 0, use: Use = "plot"
) -> list[dict[str, Any]]:
    """Return the plots of the session pages, with all curves of all sessions fitted in one go.

    Parameters
    ----------
    sessions : iterable of (trials, protocol)
        Protocol 'training', 'biased' or 'ephys'.
    seed : int
        Seed of the fits.
    use : {'status', 'plot'}
        Bounds of the fits, see :func:`shared.science.behaviour.psychometric.bounds`.

    Returns
    -------
    list of dict
        Per session: `n_trials`, `performance`, `performance_easy`, `median_reaction_time` (s),
        `bias_shift` (percent or None), `reaction_time_by_trial`, and `blocks`: per block
        `probability_left` (0.5 in training), `psychometric` (points with 96.8 % interval, fit
        and its curve) and `chronometric`.
    """
    todo = [(trials, blocks_of(trials, protocol)) for trials, protocol in sessions]
    counts = [
        counts_of(trials, None if block is None else in_block(trials, block))
        for trials, blocks in todo
        for block in blocks
    ]
    fits = iter(zip(counts, fit_once(counts, use, seed), strict=True))
    return [_session_plots(trials, blocks, fits, use) for trials, blocks in todo]


def counts_of(trials: Trials, keep: NDArray[np.bool_] | None = None) -> Counts:
    """Count trials and answers "right" per signed contrast, of all or the kept trials."""
    contrast, choice = contrasts(trials), column(trials, "choice")
    return Counts.of(contrast, choice) if keep is None else Counts.of(contrast[keep], choice[keep])


def psychometric_plot(counts: Counts, found: PsychometricFit, use: Use) -> dict[str, Any]:
    """Return points, interval, parameters and fitted curve of one psychometric plot.

    `doubt` says why a fit does not describe the mouse (empty if it does); it has no curve then.
    """
    doubt = doubt_of(counts, found, use)
    low, high = choice_interval(counts.n_right, counts.n_trials)
    return {
        "contrasts": plain(counts.contrasts),
        "p_right": plain(counts.p_right, 5),
        "low": plain(low, 5),
        "high": plain(high, 5),
        "n": counts.n_trials.tolist(),
        "fit": found.as_dict(),
        "curve": {
            "x": plain(_CURVE_AT),
            "y": [] if doubt else plain(curve(found.parameters, _CURVE_AT), 5),
        },
        "doubt": doubt,
    }


def contrast_heat_map(days: Iterable[tuple[str, Trials, str]]) -> dict[str, Any]:
    """Return the fraction answered right per date and signed contrast, unbiased trials only.

    Parameters
    ----------
    days : iterable of (date, trials, protocol)
        Sessions of the same date are pooled. All trials of a training session count; of biased
        ones those of the 0.5 block.

    Returns
    -------
    dict
        `dates`, `contrasts` (percent) and `p_right`, one row per contrast with one value per
        date (None: not shown that day).
    """
    pooled: dict[str, Counts] = {}
    for date, trials, protocol in days:
        keep = in_block(trials, 0.5) if protocol in ("biased", "ephys") else None
        pooled[date] = pooled.get(date, Counts.empty()) + counts_of(trials, keep)
    dates = sorted(pooled)
    levels = sorted({float(level) for counts in pooled.values() for level in counts.contrasts})
    grid = np.full((len(levels), len(dates)), np.nan)
    for j, date in enumerate(dates):
        grid[np.searchsorted(levels, pooled[date].contrasts), j] = pooled[date].p_right
    return {"dates": dates, "contrasts": levels, "p_right": [plain(row, 4) for row in grid]}


def plain(values: ArrayLike, digits: int | None = None) -> list[float | None]:
    """Return numbers for JSON, non-finite ones as None."""
    array = np.asarray(values, float)
    if digits is not None:
        array = np.round(array, digits)
    return [
        value if ok else None for value, ok in zip(array.tolist(), np.isfinite(array), strict=True)
    ]


def number(value: float) -> float | None:
    """Return one number for JSON, None if not finite."""
    return float(value) if np.isfinite(value) else None


def _session_plots(
    trials: Trials, blocks: list[float | None], fits: Any, use: Use
) -> dict[str, Any]:
    drawn = []
    bias: dict[float, float] = {}
    for block in blocks:
        counts, found = next(fits)
        plot = psychometric_plot(counts, found, use)
        bias[0.5 if block is None else block] = float("nan") if plot["doubt"] else found.bias
        drawn.append(
            {
                "probability_left": 0.5 if block is None else block,
                "psychometric": plot,
                "chronometric": chronometric(trials, block),
            }
        )
    return {
        "n_trials": int(column(trials, "choice").size),
        "performance": number(performance(trials)),
        "performance_easy": number(performance_easy(trials)),
        "median_reaction_time": number(median(reaction_times(trials))),
        "bias_shift": number(bias[0.8] - bias[0.2]) if {0.2, 0.8} <= bias.keys() else None,
        "blocks": drawn,
        "reaction_time_by_trial": reaction_time_by_trial(trials),
    }


def _mean(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if values.size else float("nan")
