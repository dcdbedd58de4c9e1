"""The criteria of each stage, each with its measured value and its bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.science.behaviour.curves import (
    median,
    number,
)
from shared.science.behaviour.psychometric import PsychometricFit
from shared.science.status.sessions import Measures


@dataclass(frozen=True)
class Criterion:
    """One criterion of a status, with its measured value.

    Attributes
    ----------
    name : str
    value : float, list of float or None
        Measured value, one per session if the criterion is about each session.
    bound : float or None
        Bound for the value.
    rule : str
        The comparison in words, such as '|value| < 16'.
    margin : float or None
        Distance to the bound in the value's unit, of the worst (or best, for 'any') session;
        positive inside. None if it could not be measured.
    passed : bool
    """

    name: str
    value: Any
    bound: float | None
    rule: str
    margin: float | None
    passed: bool

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "name": self.name,
            "value": self.value,
            "bound": self.bound,
            "rule": self.rule,
            "margin": self.margin,
            "pass": self.passed,
        }


def trained_1a(
    days: Sequence[Measures], pooled: Measures, found: PsychometricFit
) -> list[Criterion]:
    """Return the criteria of trained 1a."""
    return [
        _zero_contrast(pooled),
        under("LapseLow_50", found.lapse_low, 0.2),
        under("LapseHigh_50", found.lapse_high, 0.2),
        _within("Bias", found.bias, 16),
        under("Threshold", found.threshold, 19),
        _all_over("N_trials", [day.n_trials for day in days], 200),
        _all_over("Perf_easy", [day.perf_easy for day in days], 0.8),
    ]


def trained_1b(
    days: Sequence[Measures], pooled: Measures, found: PsychometricFit
) -> list[Criterion]:
    """Return the criteria of trained 1b."""
    return [
        _zero_contrast(pooled),
        under("LapseLow_50", found.lapse_low, 0.1),
        under("LapseHigh_50", found.lapse_high, 0.1),
        _within("Bias", found.bias, 10),
        under("Threshold", found.threshold, 20),  # looser than 1a, as in the protocol
        _all_over("N_trials", [day.n_trials for day in days], 400),
        _all_over("Perf_easy", [day.perf_easy for day in days], 0.9),
        under("Reaction_time", median(pooled.rt_zero), 2),
    ]


def biased_criteria(
    days: Sequence[Measures],
    pooled: Measures,
    found_20: PsychometricFit,
    found_80: PsychometricFit,
) -> list[Criterion]:
    """Return the criteria of biased days: lapses and shift between blocks, trials, times."""
    return [
        under("LapseLow_80", found_80.lapse_low, 0.1),
        under("LapseHigh_80", found_80.lapse_high, 0.1),
        under("LapseLow_20", found_20.lapse_low, 0.1),
        under("LapseHigh_20", found_20.lapse_high, 0.1),
        over("Bias_shift", found_80.bias - found_20.bias, 5),
        _all_over("N_trials", [day.n_trials for day in days], 400),
        _all_over("Perf_easy", [day.perf_easy for day in days], 0.9),
        under("Reaction_time", median(pooled.rt_zero), 2),
    ]


def low_contrasts(unit: Measures) -> list[Criterion]:
    """Return the criteria on the session of the day: contrast 0 and a low one."""
    size = np.abs(unit.counts.contrasts)
    low = bool(np.any((size > 0.1) & (size < 6.5)))
    return [
        yes_or_no("Zero_contrast_today", bool(np.any(size == 0)), "contrast 0 in this session"),
        yes_or_no("Low_contrast_today", low, "a contrast in (0.1, 6.5) % in this session"),
    ]


def _zero_contrast(pooled: Measures) -> Criterion:
    contrasts_shown = pooled.counts.contrasts
    present = bool(np.any(contrasts_shown == 0))
    return Criterion(
        "Zero_contrast", contrasts_shown.tolist(), 0.0, "contrast 0 shown", None, present
    )


def n_biased(protocols: Sequence[str]) -> Criterion:
    """Tell whether all sessions of the window are biased ones."""
    n = sum(protocol in ("biased", "ephys") for protocol in protocols)
    return Criterion(
        "NBiased", list(protocols), 3.0, "three biased sessions", float(n - 3), n >= 3
    )


def yes_or_no(name: str, value: bool, rule: str) -> Criterion:
    """Return a criterion that holds or does not."""
    return Criterion(name, value, None, rule, None, value)


def under(name: str, value: float, bound: float) -> Criterion:
    """Return the criterion that a value is below a bound."""
    return Criterion(
        name,
        number(value),
        bound,
        f"value < {bound:g}",
        number(bound - value),
        bool(value < bound),
    )


def _within(name: str, value: float, bound: float) -> Criterion:
    margin = bound - abs(value)
    return Criterion(
        name, number(value), bound, f"|value| < {bound:g}", number(margin), bool(margin > 0)
    )


def over(name: str, value: float, bound: float) -> Criterion:
    """Return the criterion that a value is above a bound."""
    return Criterion(
        name,
        number(value),
        bound,
        f"value > {bound:g}",
        number(value - bound),
        bool(value > bound),
    )


def at_least(name: str, value: float, bound: float) -> Criterion:
    """Return the criterion that a value reaches a bound."""
    return Criterion(
        name,
        number(value),
        bound,
        f"value ≥ {bound:g}",
        number(value - bound),
        bool(value >= bound),
    )


def _all_over(name: str, values: Sequence[float], bound: float) -> Criterion:
    margin = min((value - bound for value in values), default=float("nan"))
    if not all(np.isfinite(values)):
        margin = float("nan")
    return Criterion(
        name,
        [number(value) for value in values],
        bound,
        f"each > {bound:g}",
        number(margin),
        bool(margin > 0),
    )


def any_over(name: str, values: Sequence[float], bound: float) -> Criterion:
    """Return the criterion that one session's value is above a bound."""
    margin = max((v - bound for v in values if np.isfinite(v)), default=float("nan"))
    return Criterion(
        name,
        [number(value) for value in values],
        bound,
        f"any > {bound:g}",
        number(margin),
        bool(margin > 0),
    )


def all_passed(criteria: Sequence[Criterion]) -> bool:
    """Tell whether all criteria are met."""
    return all(criterion.passed for criterion in criteria)
