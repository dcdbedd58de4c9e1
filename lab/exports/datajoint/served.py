"""Animals of a running API."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lab.client import Client
from lab.exports.datajoint.sources import (
    AMBIENT,
    FILES,
    SourceSubject,
    _moment,
    loaded_trials,
    session_record,
)
from lab.exports.served import ServedSession
from shared.alf.layout import wheel_in
from shared.science.tables.records import (
    LabRecord,
    RestrictionRecord,
    SessionRecord,
    SubjectRecord,
    WateringRecord,
    WeighingRecord,
)

PAGE = 250
"""Rows of one answer of a list: the maximum."""


class ServedSubject(SourceSubject):
    """An animal of the API, with its rows of the lists."""

    def __init__(self, client: Client, cache: Path, row: dict[str, Any], lab: dict) -> None:
        self.client, self.cache, self.row, self.lab = client, cache, row, lab
        self.id, self.nickname = str(row["id"]), str(row["nickname"])
        self.sessions: list[dict[str, Any]] = []
        self.files: list[tuple[str, str, str]] = []
        self.records: dict[str, list[dict[str, Any]]] = {"weighings": [], "waterings": []}
        self.records["restrictions"] = []

    def facts(self) -> Any:
        """Return the rows of the lists, and the hashes of the files."""
        columns = ("nickname", "sex", "birth_date", "projects", "lab")
        animal = {name: self.row.get(name) for name in columns}
        return [animal, self.lab, self.sessions, sorted(self.files), self.records]

    def load(self) -> SubjectRecord:
        """Read the animal, and download the input files of its rows."""
        birth = self.row.get("birth_date")
        return SubjectRecord(
            id=self.id,
            nickname=self.nickname,
            lab=LabRecord(
                str(self.row.get("lab") or ""),
                str(self.lab.get("institution") or ""),
                str(self.lab.get("timezone") or "UTC"),
            ),
            sex=str(self.row.get("sex") or "U"),
            birth_date=dt.date.fromisoformat(birth) if birth else None,
            projects=tuple(self.row.get("projects") or ()),
            sessions=tuple(self._session(record["id"]) for record in self.sessions),
            weighings=tuple(
                WeighingRecord(_moment(record["date_time"]), float(record["weight"]))
                for record in self.records["weighings"]
            ),
            waterings=tuple(
                WateringRecord(
                    _moment(record["date_time"]),
                    str(record.get("water_type") or "Water"),
                    record.get("water_administered"),
                    bool(record.get("adlib")),
                )
                for record in self.records["waterings"]
            ),
            restrictions=tuple(
                RestrictionRecord(
                    _moment(record["start_time"]),
                    _moment(record["end_time"]) if record.get("end_time") else None,
                    record.get("reference_weight"),
                )
                for record in self.records["restrictions"]
            ),
        )

    def _session(self, eid: str) -> SessionRecord:
        record = self.client.get(f"/sessions/{eid}")
        session = ServedSession(self.client, record, self.cache)
        wheels = wheel_in(session.paths, session.preferred)
        wheel = session.load(wheels[0], ("position",))["position"] if wheels else None
        location = str(record.get("location") or "")
        return session_record(session, location, loaded_trials(session), wheel)


RECORDS = {
    "weighings": "weighings",
    "waterings": "water-administrations",
    "restrictions": "water-restriction",
}
"""Records of an animal, and the lists that have them."""


def served_subjects(
    client: Client, cache: Path, ids: Collection[str] | None = None
) -> list[SourceSubject]:
    """Return the animals of the API that have sessions, as the lists describe them.

    Parameters
    ----------
    client : Client
    cache : path
        Folder of downloads.
    ids : collection of str, optional
        Only these animals; each gets its own requests of the lists.
    """
    labs = {row["name"]: row for row in _rows(client, "labs")}
    animals = [
        ServedSubject(
            client,
            cache,
            row,
            {k: labs.get(row["lab"], {}).get(k) for k in ("institution", "timezone")},
        )
        for row in _subject_rows(client, ids)
    ]
    many = Counter(animal.nickname for animal in animals)
    alone = ids is not None
    named = (
        {}
        if alone
        else {subject.nickname: subject for subject in animals if many[subject.nickname] == 1}
    )
    owner: dict[str, ServedSubject] = {}
    for animal, row in _of_animals(client, "sessions", named, animals):
        owner[row["id"]] = animal
        animal.sessions.append({k: v for k, v in row.items() if k != "url"})
    queries = [{"subject": subject.id} for subject in animals] if alone else [{}]
    for row in (row for query in queries for row in _rows(client, "datasets", **query)):
        eid = str(row.get("session") or "").rpartition("/")[2]
        wanted = row["name"].endswith(AMBIENT) or any(f"{name}." in row["name"] for name in FILES)
        if eid in owner and wanted:
            key = (eid, f"{row.get('collection')}/{row.get('revision')}/{row['name']}")
            state = f"{row['hash']} {row['default_dataset']}"
            owner[eid].files.append((*key, state))
    for name, path in RECORDS.items():
        for animal, row in _of_animals(client, path, named, animals):
            animal.records[name].append(row)
    for subject in animals:  # lists of one animal and of all differ in order
        subject.sessions.sort(key=lambda row: str(row["id"]))
        for rows in subject.records.values():
            rows.sort(key=lambda row: json.dumps(row, sort_keys=True))
    return [subject for subject in animals if subject.sessions]


def _subject_rows(client: Client, ids: Collection[str] | None) -> Iterator[dict[str, Any]]:
    if ids is None:
        yield from _rows(client, "subjects")
    for subject_id in sorted(ids or ()):
        yield from _rows(client, "subjects", django=f"id,{subject_id}")


def _of_animals(
    client: Client,
    path: str,
    named: Mapping[str, ServedSubject],
    animals: Sequence[ServedSubject],
) -> Iterator[tuple[ServedSubject, dict[str, Any]]]:
    """Yield the rows of a list with their animals; namesakes are requested one after the other."""
    for row in _rows(client, path) if named else ():
        if animal := named.get(row["subject"]):
            yield animal, row
    for animal in animals:
        if animal.nickname not in named:
            for row in _rows(client, path, subject=animal.id):
                yield animal, row


def _rows(client: Client, path: str, **query: str) -> Iterator[dict[str, Any]]:
    offset = 0
    while True:
        answer = client.get(f"/{path}", limit=PAGE, offset=offset, **query)
        page = answer["results"] if isinstance(answer, dict) else answer
        yield from page
        if len(page) < PAGE:
            return
        offset += PAGE
