"""Plan a cohort whose mice learn as real ones did, from their daily tables.

A synthetic mouse takes from a real one's published daily tables: performance on easy trials and
number of trials of each day, sex, age, weights, reference weight, waters, training length, and
the light and food of its laboratory.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.alf import ALFInvalid, SessionPath

if TYPE_CHECKING:
    import pandas as pd


LABS = (
    "fimbrialab",
    "septumlab",
    "alveuslab",
    "cingulumlab",
    "habenulalab",
    "claustrumlab",
    "zonalab",
    "taeniatecta",
    "indusiumlab",
)
"""Made-up laboratories: synthetic data never carry a real one's name."""

LATER = datetime.timedelta(weeks=5 * 52)
"""Shift from real to synthetic dates: whole weeks keep the days of the week."""

FIRST_NUMBER = 301
"""First number of the mice's names (SYN_301): other simulations use smaller ones."""

WINDOW = 3
"""Sessions that the training status looks at."""

AFTER = 2
"""Days simulated after the real mouse was trained: the synthetic one may need them."""

DAYS_NEEDED = 5
"""Mice trained in fewer days have no features, so small cohorts leave them out."""

ENOUGH_TRIALS = 205
"""Least trials of a scaled session where the status asks for more than 200 trials."""

FEWEST_TRIALS = 20

AVERAGE = 20.0
"""Weight (g) where no weight is on record."""

NO_ZERO = 3
"""The last training phase without trials of contrast 0, without which no mouse is trained."""

SHARP = 12.0
"""Threshold (% contrast) of a mouse about to be trained; the status asks for less than 19."""


class CohortError(ValueError):
    """The cohort cannot be made; the message says why."""


@dataclass(frozen=True)
class PlannedDay:
    """One session of a synthetic mouse, as planned.

    Attributes
    ----------
    date : str
        ISO date.
    performance : float
        Fraction correct on easy contrasts.
    n_trials : int
    weight : float
        In g.
    first_phase, last_phase : int
        Lowest and highest training phase of the mouse in this session.
    threshold : float or None
        Threshold of the psychometric function in % contrast; None: by performance.
    """

    date: str
    performance: float
    n_trials: int
    weight: float
    first_phase: int
    last_phase: int
    threshold: float | None


@dataclass(frozen=True)
class Mouse:
    """A synthetic mouse, as planned.

    Attributes
    ----------
    subject, lab : str
    trained : str
        ISO date on which the real mouse was trained, moved as all dates are.
    training_time : int
        Days of training before it.
    facts : dict
        The mouse's facts in ``subjects.json``: ``synthetic``, ``sex``, ``birth_date``,
        ``weighings``, ``restrictions``, ``waters``, ``light``, ``food``.
    days : tuple of PlannedDay
    """

    subject: str
    lab: str
    trained: str
    training_time: int
    facts: dict[str, Any]
    days: tuple[PlannedDay, ...]

    def folder(self, out: Path, day: PlannedDay) -> Path:
        """Return the session's folder of a day."""
        return out / self.lab / "Subjects" / self.subject / day.date / "001"


def plan(
    folder: Path | str,
    *,
    labs: Sequence[str] = LABS,
    n_mice: int | None = None,
    n_days: int | None = None,
    trials_scale: float = 1.0,
) -> list[Mouse]:
    """Plan one synthetic mouse for each real mouse that was trained.

    Parameters
    ----------
    folder : path
        Folder of the daily tables of :func:`shared.science.cohort.daily_tables.from_daily_tables`.
    labs : sequence of str
        Made-up laboratories, assigned to the real ones in alphabetical order.
    n_mice : int, optional
        Number of mice with the shortest training of at least five days; by default all.
    n_days : int, optional
        Only the first days of each mouse.
    trials_scale : float
        Factor for the numbers of trials.

    Returns
    -------
    list of Mouse
        Sorted by name, which is the order of the real mice's identifiers.

    Raises
    ------
    CohortError
        A table is missing or lacks a column, the tables have fewer mice, or a lab's name cannot
        name a folder.
    """
    from shared.science.cohort.daily_tables import daily_tables

    try:
        learning, weights, water = daily_tables(Path(folder))
    except ValueError as error:
        raise CohortError(str(error)) from error
    learning = learning[learning["date_trained"].notna()]
    deal = {real: labs[i % len(labs)] for i, real in enumerate(sorted(set(learning["lab_name"])))}
    weights_of, water_of = (dict(iter(t.groupby("subject_uuid"))) for t in (weights, water))
    mice = [
        _mouse(
            f"SYN_{FIRST_NUMBER + i:03d}",
            deal[str(days["lab_name"].iloc[0])],
            days.sort_values("session_date"),
            weights_of.get(uuid, weights[:0]).sort_values("session_date"),
            water_of.get(uuid, water[:0]).sort_values("session_date"),
            trials_scale,
        )
        for i, (uuid, days) in enumerate(learning.groupby("subject_uuid"))
    ]
    for lab in labs:
        try:
            SessionPath(lab, mice[0].subject, datetime.date.today(), 1)
        except ALFInvalid as error:
            raise CohortError(f"lab {lab!r}: {error}") from error
    if n_mice is not None:
        if n_mice > len(mice):
            raise CohortError(f"{n_mice} mice are asked for, and {folder} has {len(mice)}")
        quickest = sorted(
            mice, key=lambda m: (m.training_time < DAYS_NEEDED, m.training_time, m.subject)
        )
        mice = sorted(quickest[:n_mice], key=lambda m: m.subject)
    return [_shortened(mouse, n_days) for mouse in mice]


def _shortened(mouse: Mouse, n_days: int | None) -> Mouse:
    """Keep the first days, and the facts known by the last of them."""
    days = mouse.days[:n_days]
    facts = {
        name: [row for row in value if row[0] <= days[-1].date]
        if isinstance(value, list)
        else value
        for name, value in mouse.facts.items()
    }
    return replace(mouse, days=days, facts=facts)


def _mouse(
    subject: str,
    lab: str,
    days: pd.DataFrame,
    weights: pd.DataFrame,
    water: pd.DataFrame,
    trials_scale: float,
) -> Mouse:
    """Plan a mouse from the real one's rows of the three tables, in order of their dates."""
    from shared.science.cohort.features import food_of, light_of

    real = days.iloc[0]
    trained = real["date_trained"]
    before = int((days["session_date"] < trained).sum())
    days = days.iloc[: before + 1 + AFTER]
    start = days["session_date"].iloc[0]
    light = light_of(real["lab_name"], real["subject_nickname"])
    facts = {
        "synthetic": True,
        "sex": real["sex"],
        "birth_date": _moved(real["subject_birth_date"]),
        "weighings": [
            [_moved(date), round(float(grams), 2)]
            for date, grams in zip(weights["session_date"], weights["avg_weight"], strict=True)
        ],
        "restrictions": _restriction(weights, start),
        "waters": [
            [_moved(date), str(kinds)]
            for date, kinds in zip(water["session_date"], water["watertype"], strict=True)
            if kinds == kinds
        ],
        "light": light if light == light else None,
        "food": food_of(real["lab_name"]),
    }
    rows = days.to_dict("records")
    return Mouse(
        subject,
        lab,
        _moved(trained),
        before,
        facts,
        tuple(
            _day(row, i - before, weight, trials_scale)
            for i, (row, weight) in enumerate(zip(rows, _weights(days, weights), strict=True))
        ),
    )


def _day(
    row: dict[Any, Any], since_trained: int, weight: float, trials_scale: float
) -> PlannedDay:
    """Plan a day; the day on which the real mouse was trained is number 0."""
    performance, easy = float(row["performance"]), float(row["performance_easy"]) / 100
    # Equal numbers mean that only easy contrasts were shown: the first phase.
    only_easy = easy != easy or abs(performance - easy) < 1e-4
    if easy != easy:
        easy = performance
    n_trials = int(row["n_trials_date"])
    fewest = FEWEST_TRIALS
    close = since_trained > -WINDOW
    if close and n_trials >= ENOUGH_TRIALS:
        fewest = ENOUGH_TRIALS
    first, last = (0, 0) if only_easy else (1, NO_ZERO)
    if since_trained >= 0:
        first, last = NO_ZERO + 1, NO_ZERO + 2
    return PlannedDay(
        _moved(row["session_date"]),
        round(easy, 4),
        n_trials if trials_scale == 1 else max(round(n_trials * trials_scale), fewest),
        weight,
        first,
        last,
        SHARP if close else None,
    )


def _weights(days: pd.DataFrame, weights: pd.DataFrame) -> list[float]:
    """Return the last known weight (g) on each day; an average mouse's before the first."""
    last = weights["session_date"].searchsorted(days["session_date"], side="right")
    grams = [AVERAGE, *weights["avg_weight"]]
    return [round(float(grams[i]), 2) for i in last]


def _restriction(weights: pd.DataFrame, start: pd.Timestamp) -> list[list[Any]]:
    """Return the water restriction, with the reference that gives the first day's ratio."""
    first = weights[weights["session_date"] == start]
    if first.empty:
        return []
    row = first.iloc[0]
    begun = min(weights["session_date"].iloc[0], start - datetime.timedelta(days=1))
    return [[_moved(begun), round(float(row["avg_weight"] / row["norm_weight"]), 4)]]


def _moved(date: datetime.date) -> str:
    return (date + LATER).strftime("%Y-%m-%d")
