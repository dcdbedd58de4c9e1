"""The rows of an animal in all tables, in the order of the tables' columns."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.model.protocols import protocol_of
from shared.science.behaviour.curves import EASY_CONTRAST, contrasts
from shared.science.status.history import training_history
from shared.science.status.sessions import JudgedSession
from shared.science.tables.arrays import ArrayCell
from shared.science.tables.records import ProbeUnits, SessionRecord, SubjectRecord

Row = tuple[Any, ...]
Rows = dict[str, list[Row]]

CHOICES = {-1: "CCW", 0: "No Go", 1: "CW"}
"""Turn of the wheel by `trials.choice` (IBL-pipeline)."""

STATUSES = {
    "in training": "in_training",
    "trained": "trained_1a",
    "trained 1a": "trained_1a",
    "trained 1b": "trained_1b",
}
"""IBL-pipeline's names that differ from ours."""


def rows_of(subject: SubjectRecord, seed: int = 0) -> Rows:
    """Return the rows of an animal by table.

    Parameters
    ----------
    subject : SubjectRecord
    seed : int
        Seed of the psychometric fits behind the training status.

    Returns
    -------
    dict of list of tuple
        Values in the order of the table's columns; None is unknown. Times have whole seconds, as
        the database keeps them; the last of several rows with one key stays.

    Raises
    ------
    ValueError
        Trials lack a column.
    """
    me, sessions = subject.id, sorted(subject.sessions, key=lambda one: (one.start, one.number))
    rows: Rows = {
        "Lab": [_lab(subject)],
        "Project": [(name,) for name in _projects(subject)],
        "LabLocation": [(one.lab, one.location) for one in sessions if one.location],
        "WaterType": [(one.kind,) for one in subject.waterings],
        "Subject": [(me, subject.nickname, subject.sex, subject.birth_date)],
        "SubjectLab": [(me, subject.lab.name)],
        "SubjectProject": [(me, name) for name in _projects(subject)],
        "Session": [_session(me, one) for one in sessions],
        "Weighing": [(me, _second(one.at), one.grams) for one in subject.weighings],
        "WaterAdministration": [
            (me, _second(one.at), one.ml, one.adlib, one.kind) for one in subject.waterings
        ],
        "WaterRestriction": [
            (me, _second(one.start), _second(one.end) if one.end else None, one.grams)
            for one in subject.restrictions
        ],
        "Settings": [(*_key(me, one), one.location or None) for one in sessions],
    }
    rows |= _behaviour(me, [one for one in sessions if one.trials is not None], seed)
    rows["WheelMoveSet"] = [
        _wheel(me, one) for one in sessions if one.wheel is not None and len(one.wheel)
    ]
    rows["ProbeInsertion"] = [
        (*_key(me, one), number, probe.name)
        for one in sessions
        for number, probe in enumerate(one.probes)
    ]
    rows["DefaultCluster"] = [
        row
        for one in sessions
        for number, probe in enumerate(one.probes)
        for row in _clusters((*_key(me, one), number), probe)
    ]
    return {name: _unique(name, found) for name, found in rows.items()}


def _unique(name: str, rows: Iterable[Row]) -> list[Row]:
    from shared.science.tables.declared import BY_NAME

    width = len(BY_NAME[name].key)
    return list({row[:width]: row for row in rows}.values())


def _lab(subject: SubjectRecord) -> Row:
    lab = subject.lab
    return lab.name, lab.institution or None, lab.institution or lab.name, lab.timezone


def _projects(subject: SubjectRecord) -> list[str]:
    named = set(subject.projects).union(*(one.projects for one in subject.sessions))
    return sorted(named)


def _second(at: dt.datetime) -> dt.datetime:
    return at.replace(microsecond=0, tzinfo=None)


def _key(me: str, session: SessionRecord) -> Row:
    return me, _second(session.start)


def _session(me: str, one: SessionRecord) -> Row:
    place = (one.lab, one.location or None)
    return (*_key(me, one), one.id, one.number, *place, one.protocol or None)


def _behaviour(me: str, sessions: Sequence[SessionRecord], seed: int) -> Rows:
    rows: Rows = {
        name: []
        for name in (
            *("TrialSet", "TrialSet.Trial", "AmbientSensorData", "PsychResults"),
            *("SessionTrainingStatus", "BehavioralSummaryByDate", "TrainingStatus"),
        )
    }
    for one in sessions:
        key = _key(me, one)
        trials = trial_rows(one.trials)
        rows["TrialSet"].append((*key, len(trials)))
        rows["TrialSet.Trial"] += [(*key, n, *row) for n, row in enumerate(trials, 1)]
        rows["AmbientSensorData"] += _ambient(key, one, len(trials))
        rows["PsychResults"].append((*key, *performances([one])))
    judged = [one for one in sessions if protocol_of(one.protocol) not in ("", "habituation")]
    history = training_history(
        [
            JudgedSession(
                one.start.date().isoformat(),
                one.protocol,
                one.trials or {},
                one.number,
                eid=one.id,
            )
            for one in judged
        ],
        "datajoint",
        seed,
    )
    starts = {one.id: _key(me, one) for one in judged}
    for row in history.sessions:
        status = STATUSES.get(row["status"], row["status"])
        good = bool(row["good_enough_for_brainwide_map"])
        rows["SessionTrainingStatus"].append((*starts[row["eid"]], status, good))
        rows["TrainingStatus"].append((status,))
    days = [
        (day, list(of_day)) for day, of_day in groupby(judged, key=lambda one: one.start.date())
    ]
    for number, (day, of_day) in enumerate(days, 1):
        total = sum(len(trial_rows(one.trials)) for one in of_day)
        week = (day - days[0][0]).days // 7 + 1
        summary = (me, day, *performances(of_day), total, number, week)
        rows["BehavioralSummaryByDate"].append(summary)
    return rows


def performances(sessions: Sequence[SessionRecord]) -> tuple[float | None, float | None]:
    """Return the share correct of visible, and of easy trials of sessions taken together."""
    sides = np.concatenate([np.abs(contrasts(one.trials or {})) for one in sessions])
    right = np.concatenate([_column(one.trials, "feedbackType") == 1 for one in sessions])
    return _share(right[sides > 0]), _share(right[sides >= EASY_CONTRAST])


def _share(right: NDArray[np.bool_]) -> float | None:
    return float(right.mean()) if right.size else None


def trial_rows(trials: Any) -> list[Row]:
    """Return the rows of trials without their keys."""
    n = len(np.asarray(trials["choice"]))
    if "intervals" in trials:
        start, stop = np.asarray(trials["intervals"], float).T
    else:
        start, stop = _column(trials, "intervals_0", n), _column(trials, "intervals_1", n)
    numbers = [
        start,
        stop,
        _column(trials, "response_times", n),
        _column(trials, "stimOn_times", n),
        _column(trials, "goCue_times", n),
        _column(trials, "feedback_times", n),
        np.nan_to_num(_column(trials, "contrastLeft", n)),
        np.nan_to_num(_column(trials, "contrastRight", n)),
        _column(trials, "rewardVolume", n),
        _column(trials, "probabilityLeft", n),
    ]
    start_, stop_, answer, onset, cue, reward, left, right, volume, odds = map(_plain, numbers)
    choices = [CHOICES.get(int(one), "No Go") for one in np.nan_to_num(trials["choice"])]
    kinds = [int(one) for one in np.nan_to_num(trials["feedbackType"])]
    columns: list[list[Any]] = [start_, stop_, answer, choices, onset, cue, reward, left, right]
    columns += [kinds, volume, odds]
    return list(zip(*columns, strict=True))


def _column(trials: Any, name: str, n: int = 0) -> NDArray[np.float64]:
    return np.asarray(trials[name], float) if name in trials else np.full(n, np.nan)


def _plain(values: NDArray[np.float64]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]


def _ambient(key: Row, session: SessionRecord, n: int) -> list[Row]:
    names = ("temperature_c", "air_pressure_mb", "relative_humidity")
    columns = [list((session.ambient or {}).get(name) or [])[:n] for name in names]
    length = max(map(len, columns))
    padded = [
        _plain(np.array(column + [math.nan] * (length - len(column)), float)) for column in columns
    ]
    return [(*key, number, *row) for number, row in enumerate(zip(*padded, strict=True), 1)]


def _wheel(me: str, session: SessionRecord) -> Row:
    position = np.asarray(session.wheel, float)
    path = float(np.abs(np.diff(position)).sum())
    return (*_key(me, session), session.movements, float(position[-1] - position[0]), path)


def _clusters(key: Row, probe: ProbeUnits) -> list[Row]:
    owners = np.asarray(probe.spikes["clusters"], np.int64)
    order = np.argsort(owners, kind="stable")
    numbers, firsts = np.unique(owners[order], return_index=True)
    rows = []
    for number, spikes in zip(numbers.tolist(), np.split(order, firsts[1:]), strict=True):
        times = np.asarray(probe.spikes["times"])[spikes]
        span = float(times[-1] - times[0])
        of_cluster = [
            _value(probe.clusters, name, number) for name in ("channels", "depths", "label")
        ]
        channel, depth, label = of_cluster
        rows.append(
            (
                *key,
                number,
                None if channel is None else int(channel),
                depth,
                float(np.median(np.asarray(probe.spikes["amps"])[spikes])),
                len(spikes),
                len(spikes) / span if span > 0 else None,
                label,
                *_arrays(probe, spikes),
            )
        )
    return rows


def _arrays(probe: ProbeUnits, spikes: NDArray[np.intp]) -> Iterable[ArrayCell | None]:
    for name in ("times", "amps", "depths"):
        values = probe.spikes.get(name)
        yield None if values is None else ArrayCell(np.asarray(values), spikes)


def _value(values: Any, name: str, number: int) -> float | None:
    column = values.get(name)
    if column is None or number >= len(column) or math.isnan(float(column[number])):
        return None
    return float(column[number])
