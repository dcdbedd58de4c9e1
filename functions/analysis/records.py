"""The cloud's records as a source of the results site."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pandas as pd
from botocore.exceptions import ClientError
from numpy.typing import NDArray

import shared.work.item  # noqa: F401 - tasks are among what is listed
from shared import catalog
from shared.catalog import visible
from shared.catalog.visible import Calendar
from shared.model import copies, moment
from shared.records import aws, documents
from shared.records.errors import NotFound
from shared.records.items import Dataset as DatasetItem
from shared.records.items import Session as SessionItem
from shared.records.where import Where
from shared.results.reading import load_array, load_run, load_sorting, load_trials
from shared.results.source import Lab, SiteSession, Sorting, SourceFile, Subject, Unreadable
from shared.sessions import store as sessions
from shared.sessions.contents import session_and_datasets

AT_ONCE = 8
"""Sessions read in parallel."""


class Records:
    """Sessions in the table, their files in the data bucket.

    Parameters
    ----------
    bucket : str
        The data bucket.
    expected : mapping
        Sessions just written, by subject, which an index may not have yet.
    """

    def __init__(self, bucket: str, expected: Mapping[str, Collection[str]]) -> None:
        self.bucket = bucket
        self.expected = expected

    def subjects(self) -> Iterable[str]:
        """Return the nicknames of all subjects with sessions."""
        catalog.start_request()
        return {str(name) for name in catalog.table("session").select().values("subject")}

    def subject(self, nickname: str) -> Subject:
        """Return the facts of a subject."""
        item = documents.find("subject", nickname)
        body = item.body if item else {}
        return Subject(
            nickname,
            lab=body.get("lab") or "",
            id=body.get("id") or "",
            sex=body.get("sex") or "",
            birth_date=body.get("birth_date") or "",
            line=body.get("line") or "",
            strain=body.get("strain") or "",
            species=body.get("species") or "",
            projects=tuple(body.get("projects") or ()),
        )

    def sessions(self, subject: str) -> list[SiteSession]:
        """Return all sessions of a subject with their visible datasets.

        Each is read with strong consistency, so that a session just made private is private here.
        """
        ids = {item.id for item in sessions.of_subject(subject)}
        ids |= set(self.expected.get(subject, ()))
        catalog.start_request()
        calendar = visible.calendar_of(catalog.table)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            read = list(pool.map(lambda eid: _read(eid, subject, calendar), sorted(ids)))
        return [session for session in read if session is not None and session.subject == subject]

    def labs(self) -> list[Lab]:
        """Return all labs; their coordinates are in the lab's ``json``."""
        catalog.start_request()
        return [_lab(lab) for lab in catalog.table("lab").rows()]

    def hidden(self, lab: str) -> set[str]:
        """Return the nicknames of a lab's mice that may have a session that is not public."""
        catalog.start_request()
        table, of_lab = catalog.table("session"), Where("lab", "exact", lab)
        private = table.select([of_lab, Where("public", "test", lambda public: not public)])
        delayed = table.select([of_lab, Where("embargo_until", "test", bool)])
        calendar = visible.calendar_of(catalog.table)
        of_mice = table.select([of_lab, Where("subject", "in", set(calendar.subjects))])
        of_projects = table.select([of_lab, Where("projects", "in", set(calendar.projects))])
        several = (private, delayed, of_mice, of_projects)
        return {str(name) for rows in several for name in rows.values("subject")}

    def trials(self, session: SiteSession) -> pd.DataFrame | None:
        """Return the session's trials table."""
        return load_trials(session, self._bytes)

    def runs(self, session: SiteSession, more: Sequence[str]) -> list[tuple[str, pd.DataFrame]]:
        """Return collection and trials of each protocol of a session, with more columns.

        Raises
        ------
        Unreadable
            A file is damaged or elsewhere.
        """
        return [
            (files.collection, load_run(session, files, self._bytes, more))
            for files in session.trials
        ]

    def sorting(self, session: SiteSession, collection: str) -> Sorting | None:
        """Return the sorted spikes in a collection."""
        return load_sorting(session, collection, self._bytes, _acronym)

    def array(self, session: SiteSession, path: str) -> NDArray[Any]:
        """Return an array of a session, by its path."""
        return load_array(session, path, self._bytes)

    def _bytes(self, dataset: SourceFile) -> io.BytesIO:
        try:
            answer = aws.client("s3").get_object(Bucket=self.bucket, Key=dataset.location)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                raise Unreadable(f"{dataset.path} is not in this store") from error
            raise
        return io.BytesIO(answer["Body"].read())


def _acronym(region: int) -> str:
    """Return the acronym of a region of the brain; its number if it is not in the table."""
    found = documents.find("brain-region", str(region))
    return str(found.body["acronym"]) if found else str(region)


def _read(eid: str, subject: str, calendar: Calendar) -> SiteSession | None:
    """Return a session; one with an invalid record is refused and does not stop the others."""
    try:
        item, datasets = session_and_datasets(eid, strong=True)
    except NotFound:
        return None
    try:
        return _session(item, datasets, calendar)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        refused = f"Its record cannot be read, so the session is left out: {error}"
        return SiteSession(eid, item.lab, subject, "", 0, refused=refused)


def _elsewhere(item: DatasetItem) -> str:
    """Return the servers that hold the bytes, empty if the own bucket holds them."""
    if item.in_own_store and item.stored_key:
        return ""
    return ", ".join(sorted(copies.existing(item.records)))


def _session(item: SessionItem, datasets: list[DatasetItem], calendar: Calendar) -> SiteSession:
    seen = visible.of_item(item, calendar)
    settings = item.json if isinstance(item.json, dict) else {}
    return SiteSession(
        id=item.id,
        lab=item.lab,
        subject=item.subject,
        date=item.date,
        number=int(item.number),
        start_time=moment.naive(item.start_time) or "",
        end_time=moment.naive(item.end_time) or "",
        task_protocol=item.task_protocol or "",
        projects=tuple(item.projects or ()),
        location=item.location or "",
        delay_start=float(settings.get("SESSION_DELAY_START") or 0),
        public=seen.public,
        timezone=seen.timezone,
        embargo_until=date.fromisoformat(seen.embargo_until[:10]) if seen.embargo_until else None,
        synthetic=bool(item.synthetic),
        quality=item.extended_qc if isinstance(item.extended_qc, dict) else {},
        datasets=tuple(
            SourceFile(
                id=d.uuid,
                name=d.name,
                collection=d.collection,
                revision=d.revision or "",
                hash=d.sha256 or d.hash or "",
                default=bool(d.default),
                location=d.stored_key or "",
                elsewhere=_elsewhere(d),
            )
            for d in datasets
            if copies.existing(d.records)
        ),
    )


def _lab(row: dict[str, Any]) -> Lab:
    facts = row.get("json") if isinstance(row.get("json"), dict) else {}
    assert facts is not None  # noqa: S101 - the line above
    return Lab(
        name=row["name"],
        institution=row.get("institution") or "",
        timezone=row.get("timezone") or "",
        latitude=_degrees(facts.get("latitude")),
        longitude=_degrees(facts.get("longitude")),
    )


def _degrees(value: Any) -> float | None:
    """Return a coordinate from a free field, None if it is no number."""
    return float(value) if isinstance(value, int | float) else None
