"""Training status of a mouse session by session, from its trials.

The rules and numbers are those of the IBL training protocol (Appendix 2 of the behaviour paper,
doi 10.6084/m9.figshare.11634729) as three programs apply them:

'brainbox'
    The labs' rules. The last three days of training, sessions of a day pooled, habituation
    left out. With fewer days it judges by those (ready4ephysrig needs three).
'datajoint'
    The rules behind the training times of the papers. Single sessions instead of days, three
    needed; `trained` only on a session with contrast 0 and one below 6.5 %; stages in order.
'paper'
    The behaviour paper's "trained": 1a or 1b over three consecutive days.

A status never falls. 'untrainable' and 'unbiasable' begin with the fortieth session and stay
until the mouse passes the next stage after all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.science.behaviour.curves import (
    median,
    number,
)
from shared.science.status.sessions import (
    JudgedSession,
    Measures,
    in_time,
    measured,
    pooled_by_day,
)
from shared.science.status.stages import (
    GIVE_UP_AFTER,
    IN_TRAINING,
    RANK,
    READY4EPHYSRIG,
    UNBIASABLE,
    UNTRAINABLE,
    Variant,
)
from shared.science.status.windows import (
    Fits,
    SessionWindow,
    datajoint_windows,
    day_windows,
    paper_window,
)


@dataclass(frozen=True)
class History:
    """Status of a mouse session by session.

    Attributes
    ----------
    variant : str
    sessions : list of dict
        In time; habituation and unknown protocols left out. Each has `date`, `number`, `eid`,
        `protocol`, `status` (never falling), `window` (see `SessionWindow.as_dict`), `fit` of
        the day's own trials, `n_trials`, `performance_easy`, `performance`, `median_rt`,
        `good_enough_for_brainwide_map`.
    first : dict of status to dict
        The session of each first status: `date`, `number`, `eid`, `index` into `sessions`.
    days_to_trained, sessions_to_trained : int or None
        Distinct dates, and sessions, strictly before the first trained session; None if never.
    """

    variant: Variant
    sessions: list[dict[str, Any]]
    first: dict[str, dict[str, Any]]
    days_to_trained: int | None
    sessions_to_trained: int | None

    @property
    def status(self) -> str | None:
        """Return the latest status; None without sessions."""
        return self.sessions[-1]["status"] if self.sessions else None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "variant": self.variant,
            "status": self.status,
            "sessions": self.sessions,
            "first": self.first,
            "days_to_trained": self.days_to_trained,
            "sessions_to_trained": self.sessions_to_trained,
        }


def training_history(
    sessions: Sequence[JudgedSession], variant: Variant = "brainbox", seed: int = 0
) -> History:
    """Judge a mouse after each of its sessions.

    All curves of the whole history are fitted in one batch.

    Parameters
    ----------
    sessions : sequence of JudgedSession
        All sessions of one mouse, in any order.
    variant : {'brainbox', 'datajoint', 'paper'}
        The program whose rules apply, see the module.
    seed : int
        Seed of the fits.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        On an unknown variant, or trials that lack a column.
    """
    if variant not in ("brainbox", "datajoint", "paper"):
        raise ValueError(f"variant is 'brainbox', 'datajoint' or 'paper', not {variant!r}")
    units = [measured(session) for session in in_time(sessions)]
    if variant == "datajoint":
        windows, fits = datajoint_windows(units, seed)
    else:
        units = pooled_by_day(units)
        windows, fits = day_windows(units, seed)
        if variant == "paper":
            windows = [paper_window(window) for window in windows]
    statuses = _never_falling(units, windows)
    rows = [
        _row(session, single, unit, window, status, fits)
        for unit, window, status in zip(units, windows, statuses, strict=True)
        for session, single in zip(unit.sessions, unit.singles, strict=True)
    ]
    first: dict[str, dict[str, Any]] = {}
    for index, row in enumerate(rows):
        where = {key: row[key] for key in ("date", "number", "eid")} | {"index": index}
        first.setdefault(row["status"], where)
    trained = min(
        (place["index"] for status, place in first.items() if RANK[status] > 0), default=None
    )
    return History(
        variant,
        rows,
        first,
        None
        if trained is None
        else len({r["date"] for r in rows if r["date"] < rows[trained]["date"]}),
        trained,
    )


def _never_falling(units: Sequence[Measures], windows: Sequence[SessionWindow]) -> list[str]:
    statuses = []
    reached, in_training, biased = IN_TRAINING, 0, 0
    for unit, window in zip(units, windows, strict=True):
        if RANK[window.status] > RANK[reached]:
            reached = window.status
        in_training += len(unit.sessions) * (RANK[reached] == 0)
        biased += unit.protocols.count("biased")
        if RANK[reached] == 0 and in_training >= GIVE_UP_AFTER:
            reached = UNTRAINABLE
        if RANK[reached] < RANK[READY4EPHYSRIG] and biased >= GIVE_UP_AFTER:
            reached = UNBIASABLE
        statuses.append(reached)
    return statuses


def _row(
    session: JudgedSession,
    single: Measures,
    unit: Measures,
    window: SessionWindow,
    status: str,
    fits: Fits,
) -> dict[str, Any]:
    blocks: dict[str, Any] = {"fit_20": None, "fit_80": None, "bias_shift": None}
    if unit.protocol != "training":
        found_20, found_80 = fits[id(unit.counts_20)], fits[id(unit.counts_80)]
        blocks = {
            "fit_20": found_20.as_dict(),
            "fit_80": found_80.as_dict(),
            "bias_shift": number(found_80.bias - found_20.bias),
        }
    return {
        "date": session.date,
        "number": session.number,
        "eid": session.eid,
        "protocol": single.protocol,
        "ephys_rig": session.ephys_rig,
        "status": status,
        "n_trials": single.n_trials,
        "performance": number(single.performance),
        "performance_easy": number(single.perf_easy),
        "median_rt": number(median(single.rt)),
        "good_enough_for_brainwide_map": single.good_enough,
        "fit": fits[id(unit.counts)].as_dict(),
        **blocks,
        "window": window.as_dict(),
    }
