"""The twenty features of the first five training days that may predict the training time.

The named set `fig2-2023` follows the code behind Fig. 2 of the data architecture paper (Nature
Methods 2023); :data:`NOTES` says where that code differs from the paper's text. Two sources:
the published daily tables of a cohort (13 features), and the sessions of a cohort (all 20).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from shared.model.protocols import protocol_of
from shared.science.behaviour.curves import (
    EASY_CONTRAST,
    Trials,
    column,
    contrasts,
    median,
    reaction_times,
)
from shared.science.behaviour.psychometric import Floats
from shared.science.status.history import training_history
from shared.science.status.sessions import JudgedSession
from shared.science.status.stages import RANK, Variant

FEATURE_SET = "fig2-2023"

DAYS = 5
"""Training days for the features."""

FEATURES: dict[str, str] = {
    "age_start": "age on the first training day (days)",
    "air_pressure_mb": "air pressure (mbar): median over sessions before trained of their means",
    "delta_variance": "mean sign of the four day-to-day changes of easy performance (−1…1)",
    "disp_norm": "|net wheel displacement| / path length, mean over days 1-5, weighted by trials",
    "food": "protein in the food (%), by lab",
    "light": "light cycle, by lab: 1 inverted, 0 not",
    "moves_time": "wheel path length / time of the last trial (rad/s), mean over days 1-5",
    "perf_delta1": "change of easy performance from day 1 to day 5 (fraction)",
    "perf_init": "easy performance on day 1 (fraction)",
    "relative_humidity": "humidity (%): median over sessions before trained of their means",
    "RT_delta1": "change of the median reaction time at contrast ≥ 50 % from day 1 to 5 (s)",
    "RT_init": "median reaction time at contrast ≥ 50 % on day 1 (s)",
    "sex": "1 female, 0 male",
    "temperature_c": "temperature (°C): median over sessions before trained of their means",
    "trials_delta1": "change of the number of trials from day 1 to day 5",
    "trials_init": "number of trials on day 1",
    "trials_sum": "number of trials on days 1 to 5",
    "weekend_water": "1 if citric-acid water was ever given before trained, else 0",
    "weight_loss": "weight on day 1 / reference weight of the water restriction",
    "weight_start": "weight on day 1 (g)",
}
"""Name and definition of each feature, in alphabetical order for the classifier."""

LABELS: dict[str, str] = {
    "age_start": "age at start",
    "air_pressure_mb": "air pressure",
    "delta_variance": "steadiness of change",
    "disp_norm": "wheel displacement",
    "food": "protein in food",
    "light": "light cycle",
    "moves_time": "wheel movement",
    "perf_delta1": "performance change",
    "perf_init": "first performance",
    "relative_humidity": "humidity",
    "RT_delta1": "change of reaction time",
    "RT_init": "first reaction time",
    "sex": "sex",
    "temperature_c": "temperature",
    "trials_delta1": "change of trials",
    "trials_init": "first trials",
    "trials_sum": "trials, days 1–5",
    "weekend_water": "weekend water",
    "weight_loss": "weight loss",
    "weight_start": "weight at start",
}
"""Name of each feature for readers."""

NOTES = (
    "Performance is that on easy trials (contrast ≥ 50 %), not on all; in the first days only "
    "100 % and 50 % are shown, so the two coincide.",
    "'Variance' of performance change is the mean of the signs of the daily changes, not a "
    "variance.",
    "Temperature, pressure and humidity are medians over all sessions until trained; the text "
    "says the first five.",
    "The number of trials of a day is its highest trial number: of several sessions on a day "
    "the longest counts.",
    "Wheel measures are averaged over trials, so a longer session weighs more.",
    "Training time counts the dates before the first session trained 1a or 1b; a mouse trained "
    "in fewer than five days has no day 5 and drops out.",
    "Light and food are known per laboratory (light at the SWC per mouse), so they carry what "
    "else differs between laboratories.",
    "Weekend water by this definition agrees with the rows that the paper's notebook prints in "
    "6 of 10 mice; where the others come from is not known.",
)
"""Differences of the code behind the figure from the text of the paper, and details."""

FOOD = {
    "cortexlab": 18.0,
    "hoferlab": 16.0,
    "mrsicflogellab": 16.0,
    "angelakilab": 19.0,
    "wittenlab": 20.0,
    "mainenlab": 20.0,
    "zadorlab": 20.0,
    "churchlandlab": 20.0,
    "danlab": 20.0,
    "steinmetzlab": 20.0,
}
"""Protein in the food of each laboratory (%); 20 in all others."""

_INVERTED_LIGHT = frozenset({"wittenlab", "churchlandlab", "angelakilab"})
_SWC_LABS = frozenset({"hoferlab", "mrsicflogellab"})
# SWC mice lived in either cycle; numbers of those in the normal one, of the 61 on record.
_SWC_NORMAL_LIGHT = frozenset([*range(37, 44), *range(47, 50), *range(53, 56), *range(59, 62)])
_SWC_RECORDED = 61


@dataclass(frozen=True)
class CohortSession:
    """One session of a mouse of the cohort.

    Attributes
    ----------
    date : str
        ISO date.
    protocol : str
        Task protocol, see :func:`shared.model.protocols.protocol_of`.
    trials : mapping of columns
        As for the training status, and `intervals` (n_trials, 2) or `intervals_0` (s) for the
        time of the last trial.
    number : int
        Orders the sessions of a date.
    wheel : mapping of columns, optional
        `position` (rad) of the session.
    ambient : mapping of columns, optional
        `temperature_c`, `air_pressure_mb`, `relative_humidity`, each one value or one per trial.
    eid : str, optional
    """

    date: str
    protocol: str
    trials: Trials = field(repr=False)
    number: int = 1
    wheel: Mapping[str, Any] | None = field(default=None, repr=False)
    ambient: Mapping[str, Any] | None = field(default=None, repr=False)
    eid: str | None = None


@dataclass(frozen=True)
class CohortSubject:
    """A mouse of the cohort.

    Attributes
    ----------
    name, lab : str
    sex : str
        'F' or 'M'.
    birth_date : str or None
        ISO date.
    sessions : sequence of CohortSession
        In any order.
    weighings : sequence of (date, weight)
        ISO date and grams.
    restrictions : sequence of (date, reference weight)
        Start of each water restriction and its reference weight (g).
    waters : sequence of (date, type)
        Name of the water given.
    light, food : float, optional
        If known for the mouse; else by lab.
    id : str, optional
        Identifier; the name if empty.
    """

    name: str
    lab: str
    sex: str
    birth_date: str | None
    sessions: Sequence[CohortSession] = field(repr=False)
    weighings: Sequence[tuple[str, float]] = ()
    restrictions: Sequence[tuple[str, float]] = ()
    waters: Sequence[tuple[str, str]] = ()
    light: float | None = None
    food: float | None = None
    id: str = ""


def light_of(lab: str, subject: str) -> float:
    """Return 1 for an inverted light cycle, 0 for a normal one, NaN if not on record."""
    if lab not in _SWC_LABS:
        return float(lab in _INVERTED_LIGHT)
    prefix, _, number = subject.rpartition("_")
    if prefix != "SWC" or not number.isdigit() or not 1 <= int(number) <= _SWC_RECORDED:
        return float("nan")
    return float(int(number) not in _SWC_NORMAL_LIGHT)


def food_of(lab: str) -> float:
    """Return the protein in the food of a laboratory (%)."""
    return FOOD.get(lab, 20.0)


def is_citric(water_type: str) -> bool:
    """Tell whether the name of a water, or of several joined, names citric-acid water."""
    return "citric acid" in water_type.lower()


def from_sessions(
    subjects: Iterable[CohortSubject],
    variant: Variant = "datajoint",
    seed: int = 0,
    progress: Callable[[str], None] = lambda name: None,
) -> pd.DataFrame:
    """Compute all features from the sessions of a cohort, training status included.

    Parameters
    ----------
    subjects : iterable of CohortSubject
        Taken one by one, so that a generator may load them.
    variant : {'datajoint', 'brainbox', 'paper'}
        Rules of the training status; those behind the figure are DataJoint's.
    seed : int
        Seed of the psychometric fits.
    progress : callable, optional
        Called with each subject's name when it is done.

    Returns
    -------
    DataFrame
        As :func:`from_daily_tables`.
    """
    rows = []
    for subject in subjects:
        rows.append(subject_features(subject, variant, seed))
        progress(subject.name)
    return as_table(rows)


def subject_features(
    subject: CohortSubject, variant: Variant = "datajoint", seed: int = 0
) -> dict[str, Any]:
    """Compute the features of one mouse; see :func:`from_sessions`."""
    sessions = sorted(
        (s for s in subject.sessions if protocol_of(s.protocol) not in ("", "habituation")),
        key=lambda session: (session.date, session.number),
    )
    judged = training_history(
        [JudgedSession(s.date, s.protocol, s.trials, s.number) for s in sessions], variant, seed
    )
    trained = min(
        (place["date"] for status, place in judged.first.items() if RANK[status] > 0),
        default=None,
    )
    before = [s for s in sessions if trained is None or s.date < trained]
    days = sorted({s.date for s in before})
    row: dict[str, Any] = {
        "id": subject.id or subject.name,
        "subject": subject.name,
        "lab": subject.lab,
        "training_time": float("nan") if trained is None else float(len(days)),
        "n_days": len(days),
        "sex": {"F": 1.0, "M": 0.0}.get(subject.sex, float("nan")),
        "light": light_of(subject.lab, subject.name) if subject.light is None else subject.light,
        "food": food_of(subject.lab) if subject.food is None else subject.food,
        "weekend_water": any_citric(
            [kind for day, kind in subject.waters if day < (trained or "~")]
        ),
    }
    row |= _ambient(before)
    if not sessions:
        return row
    start = sessions[0].date
    if subject.birth_date:
        row["age_start"] = (
            date.fromisoformat(start) - date.fromisoformat(subject.birth_date)
        ).days
    row |= _weight(subject, start)
    if len(days) < DAYS:
        return row
    of_day = [[s for s in before if s.date == day] for day in days[:DAYS]]
    performance = np.array([_pooled_performance_easy(day) for day in of_day])
    n_trials = np.array([max(_n_trials(s) for s in day) for day in of_day])
    times = [_easy_reaction_time(of_day[i]) for i in (0, -1)]
    row |= changes(performance, n_trials)
    row |= {"RT_init": times[0], "RT_delta1": times[1] - times[0]}
    row |= _wheel([s for day in of_day for s in day])
    return row


def any_citric(water_types: Iterable[str]) -> float:
    """Return 1 if any is citric-acid water, 0 if none is, NaN without records."""
    named = [is_citric(kind) for kind in water_types]
    return float(any(named)) if named else float("nan")


def as_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the features of mice as a table, see :func:`from_daily_tables`."""
    columns = ["id", "subject", "lab", "training_time", "n_days", *FEATURES]
    table = pd.DataFrame(list(rows), columns=columns)
    table[list(FEATURES)] = table[list(FEATURES)].astype(float)
    return table.sort_values("id", ignore_index=True)


def changes(performance: Floats, n_trials: Floats) -> dict[str, float]:
    """Return first-day values and changes over the five days."""
    return {
        "perf_init": performance[0],
        "perf_delta1": performance[-1] - performance[0],
        "delta_variance": float(np.mean(np.sign(np.diff(performance)))),
        "trials_init": n_trials[0],
        "trials_delta1": n_trials[-1] - n_trials[0],
        "trials_sum": n_trials.sum(),
    }


def _n_trials(session: CohortSession) -> int:
    return int(column(session.trials, "choice").size)


def _easy(session: CohortSession) -> Any:
    return np.abs(contrasts(session.trials)) >= EASY_CONTRAST


def _pooled_performance_easy(day: Sequence[CohortSession]) -> float:
    correct = np.concatenate([column(s.trials, "feedbackType")[_easy(s)] == 1 for s in day])
    return float(correct.mean()) if correct.size else float("nan")


def _easy_reaction_time(day: Sequence[CohortSession]) -> float:
    return median(np.concatenate([reaction_times(s.trials)[_easy(s)] for s in day]))


def _ambient(sessions: Sequence[CohortSession]) -> dict[str, float]:
    row = {}
    for name in ("temperature_c", "air_pressure_mb", "relative_humidity"):
        means = []
        for session in sessions:
            values = np.asarray((session.ambient or {}).get(name, np.nan), float)
            values = values[np.isfinite(values)]
            means.append(values.mean() if values.size else np.nan)
        row[name] = median(np.array(means, float))
    return row


def _weight(subject: CohortSubject, start: str) -> dict[str, float]:
    on_day = [weight for day, weight in subject.weighings if day == start]
    references = [weight for day, weight in sorted(subject.restrictions) if day < start]
    if not on_day:
        return {}
    row = {"weight_start": float(on_day[0])}
    if references and references[-1] > 0:
        row["weight_loss"] = float(np.mean(on_day)) / references[-1]
    return row


def _wheel(sessions: Sequence[CohortSession]) -> dict[str, float]:
    measured: list[tuple[int, float, float]] = []
    for session in sessions:
        position = np.asarray((session.wheel or {}).get("position", []), float)
        path = float(np.abs(np.diff(position)).sum())
        last = _last_trial_start(session.trials)
        if path > 0 and last > 0:
            displacement = abs(float(position[-1] - position[0])) / path
            measured.append((_n_trials(session), displacement, path / last))
    if not measured:
        return {}
    weight, displacement, speed = np.array(measured).T
    return {
        "disp_norm": float(np.average(displacement, weights=weight)),
        "moves_time": float(np.average(speed, weights=weight)),
    }


def _last_trial_start(trials: Trials) -> float:
    for name in ("intervals", "intervals_0"):
        if name in trials:
            starts = np.asarray(trials[name], float)
            starts = starts[:, 0] if starts.ndim == 2 else starts
            return float(np.nanmax(starts)) if np.isfinite(starts).any() else float("nan")
    raise ValueError("the trials have neither 'intervals' nor 'intervals_0'")
