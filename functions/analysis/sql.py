"""The public tables for SQL: rows per animal, from its public sessions."""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Iterable

import numpy as np

from functions.analysis.records import Records
from shared import catalog
from shared.alf.layout import objects, wheel_in
from shared.model.identity import nickname_of
from shared.results import sql
from shared.results.build.state import code_version
from shared.results.source import SiteSession, Unreadable, fingerprint, is_visible
from shared.results.store import SiteStore
from shared.results.views.session import columns_of
from shared.science.tables.records import LabRecord, ProbeUnits, SessionRecord, SubjectRecord
from shared.science.tables.rows import rows_of

log = logging.getLogger(__name__)


def refresh(records: Records, store: SiteStore, names: Iterable[str], at: dt.datetime) -> int:
    """Bring the rows of animals in step with their public sessions.

    Returns
    -------
    int
        Animals that were written or removed.
    """
    listed = {
        session.nickname: (key, session) for key, session in sql.index(store).subjects.items()
    }
    changed = 0
    for name in names:
        sessions = [session for session in records.sessions(name) if is_visible(session, at)]
        sessions = [session for session in sessions if not session.refused]
        key, before = listed.get(name, ("", None))
        if not sessions:
            if before is not None:
                sql.remove_subjects(store, [key])
                changed += 1
            continue
        made_from = fingerprint(code_version(), [_told(session) for session in sessions])
        if before is not None and before.made_from == made_from:
            continue
        try:
            subject = _subject(records, name, sessions)
            rows = rows_of(subject)
        except ValueError as error:
            log.warning("the tables have no rows of %s: %s", name, error)
            if before is not None:
                sql.remove_subjects(store, [key])
            continue
        if before is not None and key != subject.id:
            sql.remove_subjects(store, [key])
        sql.put_subject(
            store, subject.id, name, made_from, [session.id for session in sessions], rows
        )
        changed += 1
    return changed


def forget(records: Records, store: SiteStore) -> None:
    """Remove animals that have no sessions any more."""
    existing = set(records.subjects())
    gone = [
        key for key, listed in sql.index(store).subjects.items() if listed.nickname not in existing
    ]
    if gone:
        sql.remove_subjects(store, gone)


def withdraw(records: Records, store: SiteStore, eids: Iterable[str], at: dt.datetime) -> None:
    """Remove at once those of these sessions that are no longer public."""
    wanted = set(eids)
    for listed in sql.index(store).subjects.values():
        if wanted.isdisjoint(listed.sessions):
            continue
        visible = {s.id for s in records.sessions(listed.nickname) if is_visible(s, at)}
        if not visible.issuperset(listed.sessions):
            refresh(records, store, [listed.nickname], at)


def _told(session: SiteSession) -> list[object]:
    files = sorted((path, file.hash) for path, file in session.by_path.items())
    facts = (session.start_time, session.task_protocol, session.location, session.projects)
    return [session.id, facts, files]


def _subject(records: Records, name: str, sessions: list[SiteSession]) -> SubjectRecord:
    subject = records.subject(name)
    lab = catalog.table("lab").get(subject.lab) or {}
    born = subject.birth_date
    return SubjectRecord(
        id=subject.id or str(uuid.uuid5(uuid.NAMESPACE_URL, f"{subject.lab}/{name}")),
        nickname=nickname_of(name),
        lab=LabRecord(
            subject.lab, str(lab.get("institution") or ""), str(lab.get("timezone") or "UTC")
        ),
        sex=subject.sex or "U",
        birth_date=dt.date.fromisoformat(born) if born else None,
        projects=subject.projects,
        sessions=tuple(_session(records, session) for session in sessions),
    )


def _session(records: Records, one: SiteSession) -> SessionRecord:
    trials = wheel = None
    probes: list[ProbeUnits] = []
    try:
        frame = records.trials(one)
        trials = columns_of(frame) if frame is not None and len(frame) else None
        if wheels := wheel_in(one.paths, one.preferred):
            wheel = records.array(one, wheels[0].files["position"])
        for collection in one.sortings:
            sorting = records.sorting(one, collection)
            name = next((part for part in collection.split("/") if part.startswith("probe")), "")
            if sorting is not None and name and all(name != probe.name for probe in probes):
                probes.append(ProbeUnits(name, sorting.spikes, sorting.clusters))
    except Unreadable as error:
        # A damaged file loses its own rows only, not the whole animal.
        log.warning("rows of %s: %s", one.reference, error)
    return SessionRecord(
        id=one.id,
        start=dt.datetime.fromisoformat(one.start_time),
        number=one.number,
        lab=one.lab,
        location=one.location,
        protocol=one.task_protocol,
        projects=one.projects,
        trials=trials,
        wheel=wheel,
        movements=_movements(records, one),
        probes=tuple(probes),
    )


def _movements(records: Records, one: SiteSession) -> int | None:
    for movements in objects(one.paths, "wheelMoves", one.preferred):
        if "intervals" in movements.files:
            try:
                return len(np.asarray(records.array(one, movements.files["intervals"])))
            except Unreadable:
                return None
    return None
