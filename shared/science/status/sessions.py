"""Sessions in the form that the rules of training need, and the numbers of a day's trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shared.model.protocols import protocol_of
from shared.science.behaviour.curves import (
    EASY_CONTRAST,
    Trials,
    column,
    contrasts,
    counts_of,
    in_block,
    reaction_times,
)
from shared.science.behaviour.psychometric import Counts, Floats
from shared.science.status.stages import DELAY_SECONDS


@dataclass(frozen=True)
class JudgedSession:
    """One session for the rules.

    Attributes
    ----------
    date : str
        ISO date (YYYY-MM-DD).
    protocol : str
        'training', 'biased', 'ephys' or 'habituation', or a task protocol naming one of them
        ('_iblrig_tasks_biasedChoiceWorld6.4.2').
    trials : mapping of columns
        choice, feedbackType, contrastLeft, contrastRight, probabilityLeft, response_times,
        stimOn_times and, if available, goCueTrigger_times.
    number : int
        Orders the sessions of a date.
    ephys_rig : bool
        Done on an electrophysiology rig.
    delay : float
        Seconds between the start of the session and the first trial.
    eid : str, optional
        Carried through to the results.
    """

    date: str
    protocol: str
    trials: Trials = field(repr=False)
    number: int = 1
    ephys_rig: bool = False
    delay: float = 0.0
    eid: str | None = None


@dataclass(frozen=True)
class Measures:
    """Sufficient numbers of one session, or of the sessions of one day."""

    sessions: list[JudgedSession]
    singles: list[Measures]
    protocols: list[str]
    n_trials: int
    n_easy: int
    n_easy_correct: int
    n_visible: int
    n_visible_correct: int
    counts: Counts
    counts_20: Counts
    counts_80: Counts
    has_unbiased: bool
    rt_zero: Floats
    rt: Floats
    ephys_rig: bool
    delayed: bool

    @property
    def date(self) -> str:
        """Return the day of the last session."""
        return self.sessions[-1].date

    @property
    def protocol(self) -> str:
        """Return the kind of the last session."""
        # As in the labs' program, the last session decides for its day.
        return self.protocols[-1]

    @property
    def perf_easy(self) -> float:
        """Return the fraction correct on easy trials; NaN without any."""
        return self.n_easy_correct / self.n_easy if self.n_easy else float("nan")

    @property
    def performance(self) -> float:
        """Return the fraction correct on visible trials; NaN without any."""
        return self.n_visible_correct / self.n_visible if self.n_visible else float("nan")

    @property
    def good_enough(self) -> bool:
        """Ephys session with more than 400 trials and more than 90 % of the easy ones right."""
        return self.protocol == "ephys" and self.n_trials > 400 and self.perf_easy > 0.9


def on_ephys_rig(location: str, protocol: str) -> bool:
    """Tell whether a session was done on an electrophysiology rig: by the rig's name, if known."""
    return "ephys" in location.lower() if location else protocol_of(protocol) == "ephys"


def in_time(sessions: Sequence[JudgedSession]) -> list[JudgedSession]:
    """Return the sessions that the rules judge, in order of time."""
    judged = [s for s in sessions if protocol_of(s.protocol) in ("training", "biased", "ephys")]
    return sorted(judged, key=lambda session: (session.date, session.number))


def measured(session: JudgedSession) -> Measures:
    """Return the numbers of one session."""
    trials = session.trials
    contrast = contrasts(trials)
    correct = column(trials, "feedbackType") == 1
    easy, visible = np.abs(contrast) >= EASY_CONTRAST, np.abs(contrast) > 0
    times = reaction_times(trials)
    unit = Measures(
        [session],
        [],
        [protocol_of(session.protocol)],
        int(contrast.size),
        int(easy.sum()),
        int((easy & correct).sum()),
        int(visible.sum()),
        int((visible & correct).sum()),
        counts_of(trials),
        counts_of(trials, in_block(trials, 0.2)),
        counts_of(trials, in_block(trials, 0.8)),
        bool(in_block(trials, 0.5).any()),
        times[contrast == 0],
        times,
        session.ephys_rig,
        session.delay >= DELAY_SECONDS,
    )
    unit.singles.append(unit)
    return unit


def pooled_by_day(units: Sequence[Measures]) -> list[Measures]:
    """Return the numbers of each day."""
    days: list[list[Measures]] = []
    for unit in units:
        if days and days[-1][-1].date == unit.date:
            days[-1].append(unit)
        else:
            days.append([unit])
    return [pool_sessions(day) for day in days]


def pool_sessions(units: Sequence[Measures]) -> Measures:
    """Return the numbers of several sessions taken together."""
    if len(units) == 1:
        return units[0]
    return Measures(
        [session for unit in units for session in unit.sessions],
        list(units),
        [protocol for unit in units for protocol in unit.protocols],
        sum(unit.n_trials for unit in units),
        sum(unit.n_easy for unit in units),
        sum(unit.n_easy_correct for unit in units),
        sum(unit.n_visible for unit in units),
        sum(unit.n_visible_correct for unit in units),
        _sum(unit.counts for unit in units),
        _sum(unit.counts_20 for unit in units),
        _sum(unit.counts_80 for unit in units),
        any(unit.has_unbiased for unit in units),
        np.concatenate([unit.rt_zero for unit in units]),
        np.concatenate([unit.rt for unit in units]),
        units[-1].ephys_rig,
        any(unit.delayed for unit in units),
    )


def _sum(counts: Any) -> Counts:
    return sum(counts, Counts.empty())
