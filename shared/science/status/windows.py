"""The status of a window of sessions on its own, by each program's rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.science.behaviour.curves import (
    median,
    number,
    plain,
)
from shared.science.behaviour.psychometric import Counts, PsychometricFit
from shared.science.behaviour.psychometric_fit import fit_once
from shared.science.status.criteria import (
    Criterion,
    all_passed,
    any_over,
    at_least,
    biased_criteria,
    low_contrasts,
    n_biased,
    over,
    trained_1a,
    trained_1b,
    yes_or_no,
)
from shared.science.status.sessions import (
    JudgedSession,
    Measures,
    in_time,
    measured,
    pool_sessions,
    pooled_by_day,
)
from shared.science.status.stages import (
    IN_TRAINING,
    N_SESSIONS,
    RANK,
    READY4DELAY,
    READY4EPHYSRIG,
    READY4RECORDING,
    TRAINED,
    TRAINED_1A,
    TRAINED_1B,
)


@dataclass(frozen=True)
class SessionWindow:
    """The result of a window of sessions.

    Attributes
    ----------
    status : str
        Status by this window alone.
    info : dict
        Plain values: `session_dates`, `protocols`, `perf_easy`, `n_trials`, `rt` (s, median at
        contrast 0), the fit `psych` of training windows or `psych_20` and `psych_80` of biased
        ones, each (bias, threshold, lapse low, lapse high); `n_ephys`, `n_delay`.
    criteria : dict of status to list of Criterion
        All statuses that this window can be judged for.
    """

    status: str
    info: dict[str, Any]
    criteria: dict[str, list[Criterion]]

    @property
    def missing(self) -> tuple[str | None, list[Criterion]]:
        """Return the next status and its criteria; (None, []) after the last."""
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


def window_status(sessions: Sequence[JudgedSession], seed: int = 0) -> SessionWindow:
    """Judge the last three days of some sessions by the brainbox rules.

    Parameters
    ----------
    sessions : sequence of JudgedSession
        In any order; days are pooled, habituation left out.
    seed : int
        Seed of the fits.

    Returns
    -------
    SessionWindow

    Raises
    ------
    ValueError
        If no training, biased or ephys session is among them, or trials lack a column.
    """
    days = pooled_by_day([measured(session) for session in in_time(sessions)])[-N_SESSIONS:]
    if not days:
        raise ValueError("no training, biased or ephys session to judge")
    pooled = pool_sessions(days)
    return _judge(days, pooled, fits_of(_needed(pooled), seed))


Fits = Mapping[int, PsychometricFit]  # by id() of the counts fitted


def _needed(unit: Measures) -> list[Counts]:
    """Return the curves that decide about a window."""
    biased = "training" not in unit.protocols
    return [unit.counts_20, unit.counts_80] if biased else [unit.counts]


def fits_of(counts: Sequence[Counts], seed: int) -> Fits:
    """Fit all curves in one batch."""
    return dict(zip(map(id, counts), fit_once(counts, "status", seed), strict=True))


def day_windows(days: Sequence[Measures], seed: int) -> tuple[list[SessionWindow], Fits]:
    """Judge each day with up to two before it; return the fits as well."""
    parts = [days[max(0, i + 1 - N_SESSIONS) : i + 1] for i in range(len(days))]
    pooled = [pool_sessions(part) for part in parts]
    fits = fits_of([c for unit in pooled for c in _needed(unit)] + own_counts(days), seed)
    return [_judge(*window, fits) for window in zip(parts, pooled, strict=True)], fits


def own_counts(units: Sequence[Measures]) -> list[Counts]:
    """Return the curves of each unit's own trials; training has no blocks to fit separately."""
    return [
        c
        for unit in units
        for c in (
            (unit.counts,)
            if unit.protocol == "training"
            else (unit.counts, unit.counts_20, unit.counts_80)
        )
    ]


def _judge(days: Sequence[Measures], pooled: Measures, fits: Fits) -> SessionWindow:
    """Apply the brainbox rules to up to three days."""
    protocols = [day.protocol for day in days]
    info = _info(days, pooled)
    if "training" in protocols:
        curve_fit = fits[id(pooled.counts)]
        info["psych"] = plain(curve_fit.parameters)
        criteria = {
            TRAINED_1A: trained_1a(days, pooled, curve_fit),
            TRAINED_1B: trained_1b(days, pooled, curve_fit),
            READY4EPHYSRIG: [n_biased(protocols)],
        }
        if len(set(protocols)) > 1 or all_passed(criteria[TRAINED_1B]):
            # A mouse goes on to the biased task once it is trained 1b: the labs' rule.
            return SessionWindow(TRAINED_1B, info, criteria)
        return SessionWindow(
            TRAINED_1A if all_passed(criteria[TRAINED_1A]) else IN_TRAINING, info, criteria
        )

    found_20, found_80 = fits[id(pooled.counts_20)], fits[id(pooled.counts_80)]
    on_rig = [day for day in days if day.ephys_rig]
    info |= {
        "psych_20": plain(found_20.parameters),
        "psych_80": plain(found_80.parameters),
        "n_ephys": len(on_rig),
        "n_delay": sum(day.delayed for day in days),
    }
    ephysrig = [n_biased(protocols), *biased_criteria(days, pooled, found_20, found_80)]
    criteria = {
        READY4EPHYSRIG: ephysrig,
        READY4DELAY: [
            over("N_ephys", len(on_rig), 0),
            any_over("N_trials", [day.n_trials for day in on_rig], 400),
            any_over("Perf_easy", [day.perf_easy for day in on_rig], 0.9),
        ],
        READY4RECORDING: [
            *ephysrig,
            at_least("N_ephys", len(on_rig), 3),
            over("N_delay", info["n_delay"], 0),
        ],
    }
    for status in (READY4RECORDING, READY4DELAY, READY4EPHYSRIG):
        if all_passed(criteria[status]):
            return SessionWindow(status, info, criteria)
    return SessionWindow(TRAINED_1B, info, criteria)


def paper_window(window: SessionWindow) -> SessionWindow:
    """Reduce a window to the behaviour paper's one status: 1a or 1b over three days."""
    criteria = {
        status: [at_least("N_sessions", len(window.info["session_dates"]), N_SESSIONS), *found]
        for status, found in window.criteria.items()
        if status in (TRAINED_1A, TRAINED_1B)
    }
    trained = set(window.info["protocols"]) == {"training"} and any(
        map(all_passed, criteria.values())
    )
    return SessionWindow(TRAINED if trained else IN_TRAINING, window.info, criteria)


def datajoint_windows(units: Sequence[Measures], seed: int) -> tuple[list[SessionWindow], Fits]:
    """Judge session by session, as the pipeline behind the papers did."""
    parts = []
    for i, unit in enumerate(units):
        so_far = units[: i + 1]
        biased = [u for u in so_far if u.protocol == "biased"] if unit.protocol == "biased" else []
        rig_like = [u for u in so_far if u.protocol != "training"]
        if unit.protocol == "training":
            rig_like = []
        parts.append([list(last[-N_SESSIONS:]) for last in (so_far, biased, rig_like)])
    pooled = [[pool_sessions(part) if part else None for part in three] for three in parts]
    counts = [
        c
        for last, *others in pooled
        for c in (
            [last.counts] if last else [],
            *([u.counts_20, u.counts_80] for u in others if u),
        )
    ]
    fits = fits_of([c for group in counts for c in group] + own_counts(units), seed)
    windows: list[SessionWindow] = []
    reached = IN_TRAINING
    for unit, three, together in zip(units, parts, pooled, strict=True):
        window = _judge_datajoint(unit, three, together, reached, fits)
        windows.append(window)
        reached = max(reached, window.status, key=RANK.__getitem__)
    return windows, fits


def _judge_datajoint(
    unit: Measures,
    parts: Sequence[Sequence[Measures]],
    pooled: Sequence[Measures | None],
    reached: str,
    fits: Fits,
) -> SessionWindow:
    (last, biased, rig_like), (last_all, biased_all, rig_all) = parts, pooled
    if last_all is None:
        raise ValueError("a session always belongs to its own window")
    curve_fit = fits[id(last_all.counts)]
    info = _info(last, last_all) | {"psych": plain(curve_fit.parameters)}
    criteria_of_session = [at_least("N_sessions", len(last), N_SESSIONS), *low_contrasts(unit)]
    criteria = {
        TRAINED_1A: criteria_of_session + trained_1a(last, last_all, curve_fit),
        TRAINED_1B: criteria_of_session + trained_1b(last, last_all, curve_fit),
    }
    for status, part, together in (
        (READY4EPHYSRIG, biased, biased_all),
        (READY4RECORDING, rig_like, rig_all),
    ):
        if together is None:
            continue
        found_20, found_80 = fits[id(together.counts_20)], fits[id(together.counts_80)]
        criteria[status] = [
            at_least("N_sessions", len(part), N_SESSIONS),
            yes_or_no("Unbiased_block", together.has_unbiased, "some trials of the 0.5 block"),
            *biased_criteria(part, together, found_20, found_80),
        ]
        key = "_biased" if status == READY4EPHYSRIG else ""
        info[f"psych_20{key}"] = plain(found_20.parameters)
        info[f"psych_80{key}"] = plain(found_80.parameters)
    if READY4RECORDING in criteria:
        criteria[READY4RECORDING] += [
            at_least("N_ephys", sum(u.ephys_rig for u in rig_like), 3),
            over("N_delay", sum(u.delayed for u in rig_like), 0),
        ]
    criteria[READY4DELAY] = [
        yes_or_no("Before", RANK[reached] >= RANK[READY4EPHYSRIG], "ready4ephysrig before"),
        yes_or_no(
            "Biased_on_ephys_rig", unit.protocol == "biased" and unit.ephys_rig, "this session"
        ),
        over("N_trials", unit.n_trials, 400),
        over("Perf_easy", unit.perf_easy, 0.9),
    ]
    for status in (READY4RECORDING, READY4DELAY, READY4EPHYSRIG, TRAINED_1B, TRAINED_1A):
        if status in criteria and all_passed(criteria[status]):
            return SessionWindow(status, info, criteria)
    return SessionWindow(IN_TRAINING, info, criteria)


def _info(days: Sequence[Measures], pooled: Measures) -> dict[str, Any]:
    return {
        "session_dates": [day.date for day in days],
        "protocols": [day.protocol for day in days],
        "perf_easy": [number(day.perf_easy) for day in days],
        "n_trials": [day.n_trials for day in days],
        "rt": number(median(pooled.rt_zero)),
    }
