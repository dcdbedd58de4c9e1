"""Plan and simulate mice that learn the task over some weeks."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    pass
from lab.simulate.ephys import EphysRig, add_probe
from lab.simulate.mouse import BIASED, LAST_PHASE, TRAINING, LearningCurve, Progress
from lab.simulate.session import simulate_session
from lab.simulate.truth import Truth


@dataclass(frozen=True)
class PlannedSession:
    """One session of a cohort, before it is simulated."""

    lab: str
    subject: str
    date: datetime.date
    day: int
    performance: float
    n_trials: int


def plan_cohort(
    *, lab: str, mice: int, days: int, seed: int, first_date: datetime.date
) -> list[list[PlannedSession]]:
    """Plan the sessions of a cohort: one list of consecutive weekdays for each mouse.

    Performance and trials follow a learning curve drawn for each mouse.
    """
    plans = []
    for mouse in range(mice):
        curve = LearningCurve.draw(np.random.default_rng([seed, mouse]))
        weekdays = _weekdays(first_date)
        plans.append(
            [
                PlannedSession(
                    lab,
                    f"SYN_{mouse + 1:03d}",
                    next(weekdays),
                    day,
                    curve.performance(day),
                    curve.trials(day),
                )
                for day in range(days)
            ]
        )
    return plans


def _weekdays(first: datetime.date) -> Iterator[datetime.date]:
    date = first
    while True:
        if date.weekday() < 5:
            yield date
        date += datetime.timedelta(days=1)


def simulate_mouse(
    out: Path | str,
    plan: list[PlannedSession],
    *,
    seed: int,
    rig_version: int,
    ephys: EphysRig | None = None,
) -> Iterator[Truth]:
    """Simulate the sessions of one mouse in order; each continues the progress of the last.

    The mouse goes on to the biased task when it sees all contrasts and was right on more than
    80 % of the easy trials for three sessions.

    On an ephys rig each session has the recordings of its board and of a probe, and films, too.

    Yields
    ------
    Truth
        The truth of each session, once its files are written.
    """
    progress, good, protocol = Progress(), 0, TRAINING
    for session in plan:
        truth = simulate_session(
            Path(out) / session.lab / "Subjects",
            seed=seed,
            rig_version=rig_version,
            subject=session.subject,
            date=session.date,
            day=session.day,
            performance=session.performance,
            n_trials=session.n_trials,
            protocol=protocol,
            progress=progress,
            lab=session.lab,
            board=ephys.board if ephys else None,
            cameras=ephys.cameras if ephys else (),
        )
        if ephys:
            add_probe(truth, ephys, seed=seed)
        progress = truth.progress
        trained = progress.phase == LAST_PHASE and truth.performance_easy > 0.8
        good = good + 1 if trained else 0
        if good == 3:
            protocol = BIASED
        yield truth
