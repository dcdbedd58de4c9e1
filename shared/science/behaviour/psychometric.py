"""Psychometric curves: an erf with two lapse rates.

The model and its bounds are those of psychofit as the IBL behaviour paper and the IBL training
protocol use it (two sets: training status, website plots).

Parameters are always in the order (bias, threshold, lapse low, lapse high): bias and threshold in
percent contrast, lapse low the asymptote on the left, lapse high one minus that on the right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf, ndtri

Floats = NDArray[np.float64]
Use = Literal["status", "plot"]

PARAMETERS = ("bias", "threshold", "lapse_low", "lapse_high")

WORDS = {
    "bias": "bias",
    "threshold": "threshold",
    "lapse_low": "lapse rate on the left",
    "lapse_high": "lapse rate on the right",
}

# Below this the curve is a step between any two contrasts; the bound 0 itself would divide by 0.
MIN_THRESHOLD = 1e-6
EPS = np.finfo(float).eps


@dataclass(frozen=True)
class PsychometricFit:
    """One fitted curve.

    Attributes
    ----------
    bias, threshold : float
        Percent contrast.
    lapse_low, lapse_high : float
        Fractions.
    nll : float
        Negative log-likelihood (nats) at these parameters, the invariant between fitters.
    n_trials : int
        Trials behind the fit.
    """

    bias: float
    threshold: float
    lapse_low: float
    lapse_high: float
    nll: float
    n_trials: int

    @property
    def parameters(self) -> Floats:
        """Return (bias, threshold, lapse low, lapse high)."""
        return np.array([self.bias, self.threshold, self.lapse_low, self.lapse_high])

    @property
    def ok(self) -> bool:
        """Tell whether there was anything to fit."""
        return bool(np.isfinite(self.nll))

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON, None for parameters without a fit."""
        values = {name: getattr(self, name) for name in (*PARAMETERS, "nll")}
        plain: dict[str, Any] = {
            name: float(value) if np.isfinite(value) else None for name, value in values.items()
        }
        return plain | {"n_trials": int(self.n_trials)}


@dataclass(frozen=True)
class Counts:
    """Stimuli and choices, per signed contrast.

    Attributes
    ----------
    contrasts : array of float, shape (n_contrasts,)
        Signed contrast in percent, ascending, left negative.
    n_trials, n_right : array of int, shape (n_contrasts,)
        Trials, and trials answered "right" (choice −1). A trial without an answer counts as
        shown and not as right.
    """

    contrasts: Floats
    n_trials: NDArray[np.int64]
    n_right: NDArray[np.int64]

    @classmethod
    def of(cls, signed_contrast: ArrayLike, choice: ArrayLike) -> Counts:
        """Count the trials of each signed contrast (percent) and those answered right.

        What is not finite is no contrast: such trials are left out.
        """
        contrast, right = np.asarray(signed_contrast, float), np.asarray(choice, float) == -1
        finite = np.isfinite(contrast)
        contrast, right = contrast[finite], right[finite]
        levels, index = np.unique(contrast, return_inverse=True)
        return cls(
            levels,
            np.bincount(index, minlength=levels.size).astype(np.int64),
            np.bincount(index, weights=right, minlength=levels.size).astype(np.int64),
        )

    @property
    def p_right(self) -> Floats:
        """Return the fraction answered right at each contrast."""
        with np.errstate(invalid="ignore"):
            return self.n_right / self.n_trials

    def __add__(self, other: Counts) -> Counts:
        if np.array_equal(self.contrasts, other.contrasts):  # most sessions have the same ones
            n_trials, right = self.n_trials + other.n_trials, self.n_right + other.n_right
            return Counts(self.contrasts, n_trials, right)
        levels = np.union1d(self.contrasts, other.contrasts)
        n_trials = np.zeros(levels.size, np.int64)
        right = np.zeros(levels.size, np.int64)
        for part in (self, other):
            at = np.searchsorted(levels, part.contrasts)
            n_trials[at] += part.n_trials
            right[at] += part.n_right
        return Counts(levels, n_trials, right)

    @classmethod
    def empty(cls) -> Counts:
        """Return the counts of no trial, the neutral element of addition."""
        none = np.zeros(0, np.int64)
        return cls(np.zeros(0), none, none)


def signed_contrast(contrast_left: ArrayLike, contrast_right: ArrayLike) -> Floats:
    """Return signed contrast in percent, 100·(right − left), NaN on a side meaning none.

    Parameters
    ----------
    contrast_left, contrast_right : array_like of float, shape (n_trials,)
        Contrasts between 0 and 1, NaN on the side without a stimulus (ONE convention).

    Returns
    -------
    array of float, shape (n_trials,)
        Percent, negative on the left.
    """
    left, right = np.asarray(contrast_left, float), np.asarray(contrast_right, float)
    left, right = np.where(np.isnan(left), 0, left), np.where(np.isnan(right), 0, right)
    return (right - left) * 100 + 0.0  # adding 0 turns −0 into 0


def curve(parameters: ArrayLike, contrasts: ArrayLike) -> Floats:
    """Return the probability of answering right.

    Parameters
    ----------
    parameters : array_like, shape (..., 4)
        (bias, threshold, lapse low, lapse high).
    contrasts : array_like, shape (n,)
        Signed contrast in percent.

    Returns
    -------
    array, shape (..., n)
    """
    bias, threshold, low, high = (
        part[..., None] for part in np.moveaxis(np.asarray(parameters, float), -1, 0)
    )
    z = (np.asarray(contrasts, float) - bias) / np.maximum(threshold, MIN_THRESHOLD)
    return low + (1 - low - high) * (erf(z) + 1) / 2


def neg_log_likelihood(parameters: ArrayLike, counts: Counts) -> float:
    """Return the binomial negative log-likelihood (nats, without the binomial coefficient)."""
    p = np.clip(curve(parameters, counts.contrasts), EPS, 1 - EPS)
    wrong = counts.n_trials - counts.n_right
    return float(-np.sum(counts.n_right * np.log(p) + wrong * np.log1p(-p)))


def bounds(counts: Counts, use: Use) -> tuple[Floats, Floats, Floats, int]:
    """Return start, lower and upper bounds and the number of fits of one of the two uses.

    Parameters
    ----------
    counts : Counts
        At least one contrast.
    use : {'status', 'plot'}
        'status' are the settings that training status has always used; 'plot' the narrower ones
        of the results website.

    Returns
    -------
    start, low, high : arrays of float, shape (4,)
    n_fits : int
        Number of starts: the first as given, the others uniform within the bounds.
    """
    if use == "status":
        x = counts.contrasts
        return (
            np.array([x.mean(), 20.0, 0.05, 0.05]),
            np.array([x.min(), 0.0, 0.0, 0.0]),
            np.array([x.max(), 100.0, 1.0, 1.0]),
            5,
        )
    if use == "plot":
        return (
            np.array([0.0, 40.0, 0.1, 0.1]),
            np.array([-50.0, 10.0, 0.0, 0.0]),
            np.array([50.0, 50.0, 0.2, 0.2]),
            10,
        )
    raise ValueError(f"use is 'status' or 'plot', not {use!r}")


def doubt_of(counts: Counts, found: PsychometricFit, use: Use) -> str:
    """Return why a fitted curve does not describe the mouse, empty if it does.

    A parameter at a bound is where the search ended, not an estimate; only a lapse rate of 0 is
    an estimate there. A curve has to explain the choices better than one rate for all contrasts,
    by Akaike's criterion: four parameters instead of one must gain more than three nats.

    Parameters
    ----------
    counts : Counts
    found : PsychometricFit
        The fit to these counts.
    use : {'status', 'plot'}
        The bounds of the fit, see :func:`bounds`.
    """
    if not found.ok:
        return "there are no trials to fit"
    shown = counts.n_trials > 0
    _, low, high, _ = bounds(
        Counts(counts.contrasts[shown], counts.n_trials[shown], counts.n_right[shown]), use
    )
    margin = 1e-3 * (high - low)
    at_bound = (found.parameters >= high - margin) | (found.parameters <= low + margin)
    at_bound[2:] = found.parameters[2:] >= (high - margin)[2:]
    at_bound[1] |= found.threshold < least_threshold(counts.contrasts[shown])
    if at_bound.any():
        names = [WORDS[name] for name, at in zip(PARAMETERS, at_bound, strict=True) if at]
        return f"the choices do not determine the {' and the '.join(names)}"
    total, right = counts.n_trials.sum(), counts.n_right.sum()
    p = np.clip(right / total, EPS, 1 - EPS)
    flat = -(right * np.log(p) + (total - right) * np.log1p(-p))
    if flat - found.nll <= len(PARAMETERS) - 1:
        return "the choices follow the contrast no better than chance"
    return ""


def least_threshold(contrasts: ArrayLike) -> float:
    """Return the finest threshold (percent) that these contrasts (percent) can measure.

    Below a third of the lowest contrast, the curve has reached its lapse rate (erf(3) is 1 to
    2e-5) before the first contrast on either side: all such curves are the same step.
    """
    size = np.abs(np.asarray(contrasts, float))
    return float(size[size > 0].min() / 3) if np.any(size > 0) else float("inf")


def choice_interval(
    n_right: ArrayLike, n_trials: ArrayLike, alpha: float = 0.032
) -> tuple[Floats, Floats]:
    """Return the normal-approximation interval of the fraction answered right.

    Parameters
    ----------
    n_right, n_trials : array_like of int, shape (n,)
    alpha : float
        Significance level; 0.032 is that of the IBL training plots.

    Returns
    -------
    low, high : arrays of float, shape (n,)
        Cut to [0, 1]; NaN where there is no trial.
    """
    total = np.asarray(n_trials, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = np.asarray(n_right, float) / total
        half = ndtri(1 - alpha / 2) * np.sqrt(p * (1 - p) / total)
    return np.clip(p - half, 0, 1), np.clip(p + half, 0, 1)
