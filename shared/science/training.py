"""Training status of a mouse, from its trials.

The rules and numbers are those of the IBL training protocol (Appendix 2 of the behaviour paper,
doi 10.6084/m9.figshare.11634729) as three programs apply them:

'brainbox'
    What the labs see. The last three days of training, sessions of a day pooled, habituation
    left out. With fewer days so far it judges by those there are (ready4ephysrig needs three).
'datajoint'
    What produced the training times of the papers. Single sessions instead of days, three needed;
    `trained` only on a session that shows contrast 0 and one below 6.5 %; stages in order.
'paper'
    The behaviour paper's "trained": 1a or 1b over three consecutive days.

A status never falls. 'untrainable' and 'unbiasable' are told on the fortieth session and stay
until the mouse passes the next stage after all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from shared.science.behaviour import (
    EASY_CONTRAST,
    Trials,
    column,
    contrasts,
    counts_of,
    in_block,
    median,
    number,
    plain,
    reaction_times,
)
from shared.science.psychometric import Counts, Floats, PsychometricFit, fit_many

Variant = Literal["brainbox", "datajoint", "paper"]

UNTRAINABLE = "untrainable"
UNBIASABLE = "unbiasable"
IN_TRAINING = "in training"
TRAINED = "trained"
TRAINED_1A = "trained 1a"
TRAINED_1B = "trained 1b"
READY4EPHYSRIG = "ready4ephysrig"
READY4DELAY = "ready4delay"
READY4RECORDING = "ready4recording"

RANK = {
    UNTRAINABLE: 0,
    IN_TRAINING: 0,
    TRAINED: 1,
    TRAINED_1A: 1,
    TRAINED_1B: 2,
    UNBIASABLE: 2,
    READY4EPHYSRIG: 3,
    READY4DELAY: 4,
    READY4RECORDING: 5,
}
"""How far each status is; failing to go on ranks with the stage it is stuck in."""

GIVE_UP_AFTER = 40
"""Sessions still in training (untrainable), or biased without ready4ephysrig (unbiasable)."""

DELAY_SECONDS = 900.0
"""A start delayed by at least this counts as delayed."""

_WINDOW = 3


@dataclass(frozen=True)
class Session:
    """One session as the rules see it.

    Attributes
    ----------
    date : str
        ISO date (YYYY-MM-DD).
    protocol : str
        'training', 'biased', 'ephys' or 'habituation', or a task protocol naming one of them
        ('_iblrig_tasks_biasedChoiceWorld6.4.2').
    trials : mapping of columns
        choice, feedbackType, contrastLeft, contrastRight, probabilityLeft, response_times,
        stimOn_times and where there are goCueTrigger_times.
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
class Criterion:
    """One criterion of a status, with what was found.

    Attributes
    ----------
    name : str
    value : float, list of float or None
        As measured, one per session where the criterion is about each session.
    bound : float or None
        What the value is held against.
    rule : str
        The comparison in words, such as '|value| < 16'.
    margin : float or None
        Distance to the bound in the value's unit, of the worst (or best, for 'any') session;
        positive inside. None where it could not be measured.
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


@dataclass(frozen=True)
class Window:
    """What a window of sessions shows.

    Attributes
    ----------
    status : str
        By this window alone.
    info : dict
        Plain values: `session_dates`, `protocols`, `perf_easy`, `n_trials`, `rt` (s, median at
        contrast 0), the fit `psych` of training windows or `psych_20` and `psych_80` of biased
        ones, each (bias, threshold, lapse low, lapse high); `n_ephys`, `n_delay`.
    criteria : dict of status to list of Criterion
        Every status this window can be judged for.
    """

    status: str
    info: dict[str, Any]
    criteria: dict[str, list[Criterion]]

    @property
    def missing(self) -> tuple[str | None, list[Criterion]]:
        """Return the next status and the criteria of it; (None, []) after the last."""
        order = [TRAINED_1A, TRAINED_1B, READY4EPHYSRIG, READY4DELAY, READY4RECORDING]
        for status in order:
            if self.status == TRAINED:
                break
            if RANK[status] > RANK[self.status] and status in self.criteria:
                return status, self.criteria[status]
        return None, []

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        status, criteria = self.missing
        return {
            "status": self.status,
            "info": self.info,
            "criteria": {
                name: [criterion.as_dict() for criterion in found]
                for name, found in self.criteria.items()
            },
            "next": {"status": status, "criteria": [c.as_dict() for c in criteria]},
        }


@dataclass(frozen=True)
class History:
    """Status of a mouse session by session.

    Attributes
    ----------
    variant : str
    sessions : list of dict
        In time; habituation and unknown protocols left out. Each has `date`, `number`, `eid`,
        `protocol`, `status` (never falling), `window` (see :meth:`Window.as_dict`), `fit` of
        the day's own trials, `n_trials`, `performance_easy`, `performance`, `median_rt`,
        `good_enough_for_brainwide_map`.
    first : dict of status to dict
        Where each status was first reached: `date`, `number`, `eid`, `index` into `sessions`.
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


def protocol_of(task_protocol: str) -> str:
    """Return 'training', 'biased', 'ephys' or 'habituation' of a task protocol, else ''."""
    found = re.search(r"habituation|training|biased|ephys", task_protocol or "", re.IGNORECASE)
    return found.group().lower() if found else ""


def window_status(sessions: Sequence[Session], seed: int = 0) -> Window:
    """Judge the last three days of some sessions by the brainbox rules.

    Parameters
    ----------
    sessions : sequence of Session
        In any order; days are pooled, habituation left out.
    seed : int
        Of the fits.

    Returns
    -------
    Window

    Raises
    ------
    ValueError
        If no training, biased or ephys session is among them, or trials lack a column.
    """
    days = _pooled_by_day([_measure(session) for session in _ordered(sessions)])[-_WINDOW:]
    if not days:
        raise ValueError("no training, biased or ephys session to judge")
    pooled = _pool(days)
    return _judge(days, pooled, _fit(_needed(pooled), seed))


def history(sessions: Sequence[Session], variant: Variant = "brainbox", seed: int = 0) -> History:
    """Judge a mouse after each of its sessions.

    All curves of the whole history are fitted in one batch.

    Parameters
    ----------
    sessions : sequence of Session
        All sessions of one mouse, in any order.
    variant : {'brainbox', 'datajoint', 'paper'}
        Whose rules, see the module.
    seed : int
        Of the fits.

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
    units = [_measure(session) for session in _ordered(sessions)]
    if variant == "datajoint":
        windows, fits = _datajoint_windows(units, seed)
    else:
        units = _pooled_by_day(units)
        windows, fits = _day_windows(units, seed)
        if variant == "paper":
            windows = [_paper_window(window) for window in windows]
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


@dataclass(frozen=True)
class _Unit:
    """Sufficient numbers of one session, or of the sessions of one day."""

    sessions: list[Session]
    singles: list[_Unit]
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
        return self.sessions[-1].date

    @property
    def protocol(self) -> str:
        # As the labs' program does, a day goes by its last session.
        return self.protocols[-1]

    @property
    def perf_easy(self) -> float:
        return self.n_easy_correct / self.n_easy if self.n_easy else float("nan")

    @property
    def performance(self) -> float:
        return self.n_visible_correct / self.n_visible if self.n_visible else float("nan")

    @property
    def good_enough(self) -> bool:
        """Ephys session with more than 400 trials and more than 90 % of the easy ones right."""
        return self.protocol == "ephys" and self.n_trials > 400 and self.perf_easy > 0.9


_Fits = Mapping[int, PsychometricFit]  # by id() of the counts fitted


def _ordered(sessions: Sequence[Session]) -> list[Session]:
    judged = [s for s in sessions if protocol_of(s.protocol) in ("training", "biased", "ephys")]
    return sorted(judged, key=lambda session: (session.date, session.number))


def _measure(session: Session) -> _Unit:
    trials = session.trials
    contrast = contrasts(trials)
    correct = column(trials, "feedbackType") == 1
    easy, visible = np.abs(contrast) >= EASY_CONTRAST, np.abs(contrast) > 0
    times = reaction_times(trials)
    unit = _Unit(
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


def _pooled_by_day(units: Sequence[_Unit]) -> list[_Unit]:
    days: list[list[_Unit]] = []
    for unit in units:
        if days and days[-1][-1].date == unit.date:
            days[-1].append(unit)
        else:
            days.append([unit])
    return [_pool(day) for day in days]


def _pool(units: Sequence[_Unit]) -> _Unit:
    if len(units) == 1:
        return units[0]
    return _Unit(
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


def _needed(unit: _Unit) -> list[Counts]:
    """Return the curves a window is judged by."""
    biased = "training" not in unit.protocols
    return [unit.counts_20, unit.counts_80] if biased else [unit.counts]


def _fit(counts: Sequence[Counts], seed: int) -> _Fits:
    return dict(zip(map(id, counts), fit_many(counts, "status", seed), strict=True))


def _day_windows(days: Sequence[_Unit], seed: int) -> tuple[list[Window], _Fits]:
    parts = [days[max(0, i + 1 - _WINDOW) : i + 1] for i in range(len(days))]
    pooled = [_pool(part) for part in parts]
    fits = _fit([c for unit in pooled for c in _needed(unit)] + _own(days), seed)
    return [_judge(*window, fits) for window in zip(parts, pooled, strict=True)], fits


def _own(units: Sequence[_Unit]) -> list[Counts]:
    """Return the curves of each unit's own trials; training has no blocks to fit apart."""
    return [
        c
        for unit in units
        for c in (
            (unit.counts,)
            if unit.protocol == "training"
            else (unit.counts, unit.counts_20, unit.counts_80)
        )
    ]


def _judge(days: Sequence[_Unit], pooled: _Unit, fits: _Fits) -> Window:
    """Apply the brainbox rules to up to three days."""
    protocols = [day.protocol for day in days]
    info = _info(days, pooled)
    if "training" in protocols:
        found = fits[id(pooled.counts)]
        info["psych"] = plain(found.parameters)
        criteria = {
            TRAINED_1A: _trained_1a(days, pooled, found),
            TRAINED_1B: _trained_1b(days, pooled, found),
            READY4EPHYSRIG: [_n_biased(protocols)],
        }
        if len(set(protocols)) > 1 or _passes(criteria[TRAINED_1B]):
            # A mouse is put on the biased task once it is trained 1b: the labs' rule.
            return Window(TRAINED_1B, info, criteria)
        return Window(TRAINED_1A if _passes(criteria[TRAINED_1A]) else IN_TRAINING, info, criteria)

    found_20, found_80 = fits[id(pooled.counts_20)], fits[id(pooled.counts_80)]
    on_rig = [day for day in days if day.ephys_rig]
    info |= {
        "psych_20": plain(found_20.parameters),
        "psych_80": plain(found_80.parameters),
        "n_ephys": len(on_rig),
        "n_delay": sum(day.delayed for day in days),
    }
    ephysrig = [_n_biased(protocols), *_biased_criteria(days, pooled, found_20, found_80)]
    criteria = {
        READY4EPHYSRIG: ephysrig,
        READY4DELAY: [
            _over("N_ephys", len(on_rig), 0),
            _any_over("N_trials", [day.n_trials for day in on_rig], 400),
            _any_over("Perf_easy", [day.perf_easy for day in on_rig], 0.9),
        ],
        READY4RECORDING: [
            *ephysrig,
            _at_least("N_ephys", len(on_rig), 3),
            _over("N_delay", info["n_delay"], 0),
        ],
    }
    for status in (READY4RECORDING, READY4DELAY, READY4EPHYSRIG):
        if _passes(criteria[status]):
            return Window(status, info, criteria)
    return Window(TRAINED_1B, info, criteria)


def _paper_window(window: Window) -> Window:
    """Reduce a window to the behaviour paper's one status: 1a or 1b over three days."""
    criteria = {
        status: [_at_least("N_sessions", len(window.info["session_dates"]), _WINDOW), *found]
        for status, found in window.criteria.items()
        if status in (TRAINED_1A, TRAINED_1B)
    }
    trained = set(window.info["protocols"]) == {"training"} and any(
        map(_passes, criteria.values())
    )
    return Window(TRAINED if trained else IN_TRAINING, window.info, criteria)


def _datajoint_windows(units: Sequence[_Unit], seed: int) -> tuple[list[Window], _Fits]:
    """Judge session by session as the pipeline behind the papers did."""
    parts = []
    for i, unit in enumerate(units):
        so_far = units[: i + 1]
        biased = [u for u in so_far if u.protocol == "biased"] if unit.protocol == "biased" else []
        rig_like = [u for u in so_far if u.protocol != "training"]
        if unit.protocol == "training":
            rig_like = []
        parts.append([list(last[-_WINDOW:]) for last in (so_far, biased, rig_like)])
    pooled = [[_pool(part) if part else None for part in three] for three in parts]
    counts = [
        c
        for last, *others in pooled
        for c in (
            [last.counts] if last else [],
            *([u.counts_20, u.counts_80] for u in others if u),
        )
    ]
    fits = _fit([c for group in counts for c in group] + _own(units), seed)
    windows: list[Window] = []
    reached = IN_TRAINING
    for unit, three, together in zip(units, parts, pooled, strict=True):
        window = _judge_datajoint(unit, three, together, reached, fits)
        windows.append(window)
        reached = max(reached, window.status, key=RANK.__getitem__)
    return windows, fits


def _judge_datajoint(
    unit: _Unit,
    parts: Sequence[Sequence[_Unit]],
    pooled: Sequence[_Unit | None],
    reached: str,
    fits: _Fits,
) -> Window:
    (last, biased, rig_like), (last_all, biased_all, rig_all) = parts, pooled
    if last_all is None:
        raise ValueError("a session always belongs to its own window")
    found = fits[id(last_all.counts)]
    info = _info(last, last_all) | {"psych": plain(found.parameters)}
    shown = [_at_least("N_sessions", len(last), _WINDOW), *_low_contrasts(unit)]
    criteria = {
        TRAINED_1A: shown + _trained_1a(last, last_all, found),
        TRAINED_1B: shown + _trained_1b(last, last_all, found),
    }
    for status, part, together in (
        (READY4EPHYSRIG, biased, biased_all),
        (READY4RECORDING, rig_like, rig_all),
    ):
        if together is None:
            continue
        found_20, found_80 = fits[id(together.counts_20)], fits[id(together.counts_80)]
        criteria[status] = [
            _at_least("N_sessions", len(part), _WINDOW),
            _flag("Unbiased_block", together.has_unbiased, "some trials of the 0.5 block"),
            *_biased_criteria(part, together, found_20, found_80),
        ]
        key = "_biased" if status == READY4EPHYSRIG else ""
        info[f"psych_20{key}"] = plain(found_20.parameters)
        info[f"psych_80{key}"] = plain(found_80.parameters)
    if READY4RECORDING in criteria:
        criteria[READY4RECORDING] += [
            _at_least("N_ephys", sum(u.ephys_rig for u in rig_like), 3),
            _over("N_delay", sum(u.delayed for u in rig_like), 0),
        ]
    criteria[READY4DELAY] = [
        _flag("Before", RANK[reached] >= RANK[READY4EPHYSRIG], "ready4ephysrig before"),
        _flag("Biased_on_ephys_rig", unit.protocol == "biased" and unit.ephys_rig, "this session"),
        _over("N_trials", unit.n_trials, 400),
        _over("Perf_easy", unit.perf_easy, 0.9),
    ]
    for status in (READY4RECORDING, READY4DELAY, READY4EPHYSRIG, TRAINED_1B, TRAINED_1A):
        if status in criteria and _passes(criteria[status]):
            return Window(status, info, criteria)
    return Window(IN_TRAINING, info, criteria)


def _never_falling(units: Sequence[_Unit], windows: Sequence[Window]) -> list[str]:
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
    session: Session, single: _Unit, unit: _Unit, window: Window, status: str, fits: _Fits
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


def _info(days: Sequence[_Unit], pooled: _Unit) -> dict[str, Any]:
    return {
        "session_dates": [day.date for day in days],
        "protocols": [day.protocol for day in days],
        "perf_easy": [number(day.perf_easy) for day in days],
        "n_trials": [day.n_trials for day in days],
        "rt": number(median(pooled.rt_zero)),
    }


def _trained_1a(days: Sequence[_Unit], pooled: _Unit, found: PsychometricFit) -> list[Criterion]:
    return [
        _zero_contrast(pooled),
        _under("LapseLow_50", found.lapse_low, 0.2),
        _under("LapseHigh_50", found.lapse_high, 0.2),
        _within("Bias", found.bias, 16),
        _under("Threshold", found.threshold, 19),
        _all_over("N_trials", [day.n_trials for day in days], 200),
        _all_over("Perf_easy", [day.perf_easy for day in days], 0.8),
    ]


def _trained_1b(days: Sequence[_Unit], pooled: _Unit, found: PsychometricFit) -> list[Criterion]:
    return [
        _zero_contrast(pooled),
        _under("LapseLow_50", found.lapse_low, 0.1),
        _under("LapseHigh_50", found.lapse_high, 0.1),
        _within("Bias", found.bias, 10),
        _under("Threshold", found.threshold, 20),  # looser than 1a: so the protocol has it
        _all_over("N_trials", [day.n_trials for day in days], 400),
        _all_over("Perf_easy", [day.perf_easy for day in days], 0.9),
        _under("Reaction_time", median(pooled.rt_zero), 2),
    ]


def _biased_criteria(
    days: Sequence[_Unit], pooled: _Unit, found_20: PsychometricFit, found_80: PsychometricFit
) -> list[Criterion]:
    return [
        _under("LapseLow_80", found_80.lapse_low, 0.1),
        _under("LapseHigh_80", found_80.lapse_high, 0.1),
        _under("LapseLow_20", found_20.lapse_low, 0.1),
        _under("LapseHigh_20", found_20.lapse_high, 0.1),
        _over("Bias_shift", found_80.bias - found_20.bias, 5),
        _all_over("N_trials", [day.n_trials for day in days], 400),
        _all_over("Perf_easy", [day.perf_easy for day in days], 0.9),
        _under("Reaction_time", median(pooled.rt_zero), 2),
    ]


def _low_contrasts(unit: _Unit) -> list[Criterion]:
    """Return what the session of the day itself must show: contrast 0 and a low one."""
    size = np.abs(unit.counts.contrasts)
    low = bool(np.any((size > 0.1) & (size < 6.5)))
    return [
        _flag("Zero_contrast_today", bool(np.any(size == 0)), "contrast 0 in this session"),
        _flag("Low_contrast_today", low, "a contrast in (0.1, 6.5) % in this session"),
    ]


def _zero_contrast(pooled: _Unit) -> Criterion:
    shown = pooled.counts.contrasts
    present = bool(np.any(shown == 0))
    return Criterion("Zero_contrast", shown.tolist(), 0.0, "contrast 0 shown", None, present)


def _n_biased(protocols: Sequence[str]) -> Criterion:
    n = sum(protocol in ("biased", "ephys") for protocol in protocols)
    return Criterion(
        "NBiased", list(protocols), 3.0, "three biased sessions", float(n - 3), n >= 3
    )


def _flag(name: str, value: bool, rule: str) -> Criterion:
    return Criterion(name, value, None, rule, None, value)


def _under(name: str, value: float, bound: float) -> Criterion:
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


def _over(name: str, value: float, bound: float) -> Criterion:
    return Criterion(
        name,
        number(value),
        bound,
        f"value > {bound:g}",
        number(value - bound),
        bool(value > bound),
    )


def _at_least(name: str, value: float, bound: float) -> Criterion:
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


def _any_over(name: str, values: Sequence[float], bound: float) -> Criterion:
    margin = max((v - bound for v in values if np.isfinite(v)), default=float("nan"))
    return Criterion(
        name,
        [number(value) for value in values],
        bound,
        f"any > {bound:g}",
        number(margin),
        bool(margin > 0),
    )


def _passes(criteria: Sequence[Criterion]) -> bool:
    return all(criterion.passed for criterion in criteria)
