"""The public tables for SQL: the rows of animals, of the sessions that everybody may see."""

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
    known = {one.nickname: (key, one) for key, one in sql.index(store).subjects.items()}
    changed = 0
    for name in names:
        sessions = [one for one in records.sessions(name) if is_visible(one, at)]
        sessions = [one for one in sessions if not one.refused]
        key, before = known.get(name, ("", None))
        if not sessions:
            if before is not None:
                sql.remove_subjects(store, [key])
                changed += 1
            continue
        made_from = fingerprint(code_version(), [_told(one) for one in sessions])
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
        sql.put_subject(store, subject.id, name, made_from, [one.id for one in sessions], rows)
        changed += 1
    return changed


def forget(records: Records, store: SiteStore) -> None:
    """Remove animals that have no sessions any more."""
    there = set(records.subjects())
    gone = [key for key, one in sql.index(store).subjects.items() if one.nickname not in there]
    if gone:
        sql.remove_subjects(store, gone)


def withdraw(records: Records, store: SiteStore, eids: Iterable[str], at: dt.datetime) -> None:
    """Take out at once what of these sessions is in the tables and not public any more."""
    asked = set(eids)
    for one in sql.index(store).subjects.values():
        if asked.isdisjoint(one.sessions):
            continue
        visible = {s.id for s in records.sessions(one.nickname) if is_visible(s, at)}
        if not visible.issuperset(one.sessions):
            refresh(records, store, [one.nickname], at)


def _told(session: SiteSession) -> list[object]:
    files = sorted((path, found.hash) for path, found in session.by_path.items())
    about = (session.start_time, session.task_protocol, session.location, session.projects)
    return [session.id, about, files]


def _subject(records: Records, name: str, sessions: list[SiteSession]) -> SubjectRecord:
    about = records.subject(name)
    row = catalog.table("lab").get(about.lab) or {}
    born = about.birth_date
    return SubjectRecord(
        id=about.id or str(uuid.uuid5(uuid.NAMESPACE_URL, f"{about.lab}/{name}")),
        nickname=nickname_of(name),
        lab=LabRecord(
            about.lab, str(row.get("institution") or ""), str(row.get("timezone") or "UTC")
        ),
        sex=about.sex or "U",
        birth_date=dt.date.fromisoformat(born) if born else None,
        projects=about.projects,
        sessions=tuple(_session(records, one) for one in sessions),
    )


def _session(records: Records, one: SiteSession) -> SessionRecord:
    trials = wheel = None
    probes: list[ProbeUnits] = []
    try:
        frame = records.trials(one)
        trials = columns_of(frame) if frame is not None and len(frame) else None
        if found := wheel_in(one.paths, one.preferred):
            wheel = records.array(one, found[0].files["position"])
        for collection in one.sortings:
            sorting = records.sorting(one, collection)
            name = next((part for part in collection.split("/") if part.startswith("probe")), "")
            if sorting is not None and name and all(name != probe.name for probe in probes):
                probes.append(ProbeUnits(name, sorting.spikes, sorting.clusters))
    except Unreadable as error:
        # A damaged file costs its rows, not the animal.
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
    for found in objects(one.paths, "wheelMoves", one.preferred):
        if "intervals" in found.files:
            try:
                return len(np.asarray(records.array(one, found.files["intervals"])))
            except Unreadable:
                return None
    return None
