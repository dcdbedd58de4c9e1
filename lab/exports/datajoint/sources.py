"""Where animals come from: a folder of sessions, or the running API.

Each says of every animal what its rows would be made from, without reading trials, so that what
has not changed costs nothing.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import uuid
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from lab.client import Client
from lab.exports.folder import SUBJECTS, FolderSession
from lab.exports.served import ServedSession
from lab.exports.session import ExportError, ExportSession
from lab.extracted import Wheel as FolderWheel
from lab.extracted import ambient, default_folder
from lab.extracted import trials as trials_of_folder
from lab.rig.settings import settings_of
from shared.alf.layout import TRIAL_COLUMNS, sortings_in, trials_in, wheel_in
from shared.science.tables.records import (
    LabRecord,
    ProbeUnits,
    RestrictionRecord,
    SessionRecord,
    SubjectRecord,
    WateringRecord,
    WeighingRecord,
)

PAGE = 250
"""Rows of one answer of a list, the most there are."""

FILES = ("trials", "wheel", "wheelMoves", "spikes", "clusters")
"""Objects that rows are made from."""

AMBIENT = "_iblrig_ambientSensorData.raw.jsonable"


@cache
def code_version() -> str:
    """Return the digest of the code that makes rows: other code, other rows."""
    import shared.science

    digest = hashlib.sha256()
    for folder in shared.science.__path__:
        for name in ("behaviour", "clocks", "status", "tables"):
            for file in sorted((Path(folder) / name).glob("*.py")):
                digest.update(file.read_bytes())
    return digest.hexdigest()


class SourceSubject(ABC):
    """An animal, as far as lists tell.

    Attributes
    ----------
    id : str
        UUID.
    nickname : str
    """

    id: str
    nickname: str

    @abstractmethod
    def facts(self) -> Any:
        """Return JSON-like what its rows would be made from."""

    @abstractmethod
    def load(self) -> SubjectRecord:
        """Read the animal with its sessions."""

    @property
    def made_from(self) -> str:
        """What tells this state of the animal from another."""
        told = json.dumps([code_version(), self.facts()], sort_keys=True, default=str)
        return hashlib.sha256(told.encode()).hexdigest()


def session_record(
    session: ExportSession, location: str, trials: Any, wheel: Any
) -> SessionRecord:
    """Return what the tables take of a session.

    Parameters
    ----------
    session : ExportSession
    location : str
        Rig.
    trials, wheel
        Columns, and positions; None if there are none.
    """
    facts = session.facts
    moves = session.first("wheelMoves")
    intervals = session.load(moves, ("intervals",)).get("intervals") if moves else None
    logs = [session.local(path) for path in session.paths if path.endswith(AMBIENT)]
    return SessionRecord(
        id=facts.id,
        start=facts.start.replace(tzinfo=None),
        number=facts.number,
        lab=facts.lab,
        location=location,
        protocol=facts.protocol,
        projects=facts.projects,
        trials=trials,
        wheel=wheel,
        movements=None if intervals is None else len(intervals),
        ambient=ambient(logs) if logs else None,
        probes=tuple(_units(session)),
    )


def _units(session: ExportSession) -> Iterator[ProbeUnits]:
    seen = set()
    for files in sortings_in(session.paths, session.preferred):
        probe = next(
            (part for part in files.collection.split("/") if part.startswith("probe")), ""
        )
        if not probe or probe in seen or not {"clusters", "amps"} <= files.files.keys():
            continue
        seen.add(probe)
        of_clusters = session.first("clusters", files.collection)
        clusters: dict[str, Any] = {}
        if of_clusters is not None:
            clusters = session.load(of_clusters, ("channels", "depths", "metrics"))
        metrics = clusters.pop("metrics", None)
        if metrics is not None and "label" in metrics and "cluster_id" in metrics:
            label = np.full(int(metrics["cluster_id"].max()) + 1, np.nan)
            label[metrics["cluster_id"]] = metrics["label"]
            clusters["label"] = label
        spikes = session.load(files, ("times", "clusters", "amps"))
        yield ProbeUnits(probe, spikes, clusters)


def loaded_trials(session: ExportSession) -> Mapping[str, Any] | None:
    """Return the trials of a session's first protocol; None without, or without their columns."""
    found = trials_in(session.paths, session.preferred)
    if not found:
        return None
    trials = session.load(found[0])
    return trials if set(TRIAL_COLUMNS) <= trials.keys() else None


class FolderSubject(SourceSubject):
    """An animal of a folder ``LAB/Subjects/SUBJECT``.

    Parameters
    ----------
    folder : path
    known : mapping
        What `subjects.json` says of it, as for `fornix analyse`.
    kept : path, optional
        Where extracted sessions are kept.
    """

    def __init__(self, folder: Path, known: Mapping[str, Any], kept: Path | None) -> None:
        self.folder, self.known, self.kept = folder, known, kept
        self.nickname, self.lab = folder.name, folder.parts[-3]
        whole = f"{self.lab}/{self.nickname}"
        told = str(known.get("id") or "")
        try:
            self.id = str(uuid.UUID(told))
        except ValueError:
            self.id = str(uuid.uuid5(uuid.NAMESPACE_URL, whole))

    @property
    def _sessions(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("????-??-??/*") if path.is_dir())

    def facts(self) -> Any:
        """Return names, sizes and times of the files, and what is known of the animal."""
        files = (file for one in self._sessions for file in sorted(one.rglob("*")))
        listed = [
            (
                file.relative_to(self.folder).as_posix(),
                file.stat().st_size,
                file.stat().st_mtime_ns,
            )
            for file in files
            if file.is_file()
        ]
        return [self.lab, dict(self.known), listed]

    def load(self) -> SubjectRecord:
        """Read the animal; sessions without results are extracted from their raw files."""
        sessions = [self._session(path) for path in self._sessions]
        known = self.known
        birth = known.get("birth_date")
        weighings = known.get("weighings")
        if weighings is None:
            weighings = [
                (one.start.date().isoformat(), weight)
                for one, path in zip(sessions, self._sessions, strict=True)
                if (weight := settings_of(path).get("SUBJECT_WEIGHT"))
            ]
        return SubjectRecord(
            id=self.id,
            nickname=self.nickname,
            lab=LabRecord(self.lab, str(known.get("institution") or "")),
            sex=str(known.get("sex") or "U"),
            birth_date=dt.date.fromisoformat(birth) if birth else None,
            projects=tuple(known.get("projects") or ()),
            sessions=tuple(sessions),
            weighings=tuple(WeighingRecord(_moment(day), float(g)) for day, g in weighings),
            waterings=tuple(
                WateringRecord(_moment(day), str(kind)) for day, kind in known.get("waters", ())
            ),
            restrictions=tuple(
                RestrictionRecord(_moment(day), None, float(grams))
                for day, grams in known.get("restrictions", ())
            ),
        )

    def _session(self, path: Path) -> SessionRecord:
        session = FolderSession(path)
        location = str(settings_of(path).get("PYBPOD_BOARD") or "")
        wheel = FolderWheel(path, self.kept)
        position = wheel.get("position")
        return session_record(session, location, trials_of_folder(path, self.kept), position)


def folder_subjects(root: Path, kept: Path | None = None) -> list[SourceSubject]:
    """Return the animals of a folder of sessions.

    Raises
    ------
    ExportError
        There is none, or `subjects.json` is no object.
    """
    folders = sorted(path for path in root.glob("*/Subjects/*") if path.is_dir())
    if not folders:
        raise ExportError(f"{root} holds no LAB/Subjects/SUBJECT folder")
    known: dict[str, Any] = {}
    if (root / SUBJECTS).is_file():
        try:
            known = msgspec.json.decode((root / SUBJECTS).read_bytes(), type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise ExportError(f"{root / SUBJECTS} is no object by nickname: {error}") from error
    place = default_folder() if kept is None else kept
    return [
        FolderSubject(
            one, known.get(f"{one.parts[-3]}/{one.name}", known.get(one.name, {})), place
        )
        for one in folders
    ]


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=None)


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
        kept = ("nickname", "sex", "birth_date", "projects", "lab")
        animal = {name: self.row.get(name) for name in kept}
        return [animal, self.lab, self.sessions, sorted(self.files), self.records]

    def load(self) -> SubjectRecord:
        """Read the animal, and download the files that its rows are made from."""
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
            sessions=tuple(self._session(row["id"]) for row in self.sessions),
            weighings=tuple(
                WeighingRecord(_moment(row["date_time"]), float(row["weight"]))
                for row in self.records["weighings"]
            ),
            waterings=tuple(
                WateringRecord(
                    _moment(row["date_time"]),
                    str(row.get("water_type") or "Water"),
                    row.get("water_administered"),
                    bool(row.get("adlib")),
                )
                for row in self.records["waterings"]
            ),
            restrictions=tuple(
                RestrictionRecord(
                    _moment(row["start_time"]),
                    _moment(row["end_time"]) if row.get("end_time") else None,
                    row.get("reference_weight"),
                )
                for row in self.records["restrictions"]
            ),
        )

    def _session(self, eid: str) -> SessionRecord:
        record = self.client.get(f"/sessions/{eid}")
        session = ServedSession(self.client, record, self.cache)
        found = wheel_in(session.paths, session.preferred)
        wheel = session.load(found[0], ("position",))["position"] if found else None
        location = str(record.get("location") or "")
        return session_record(session, location, loaded_trials(session), wheel)


RECORDS = {
    "weighings": "weighings",
    "waterings": "water-administrations",
    "restrictions": "water-restriction",
}
"""Records of an animal, and the lists that they are in."""


def served_subjects(
    client: Client, cache: Path, ids: Collection[str] | None = None
) -> list[SourceSubject]:
    """Return the animals of the API that have sessions, with what lists tell of them.

    Parameters
    ----------
    client : Client
    cache : path
        Folder for what is downloaded.
    ids : collection of str, optional
        Only these animals; the lists are asked for each alone.
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
    named = {} if alone else {one.nickname: one for one in animals if many[one.nickname] == 1}
    owner: dict[str, ServedSubject] = {}
    for animal, row in _of_animals(client, "sessions", named, animals):
        owner[row["id"]] = animal
        animal.sessions.append({k: v for k, v in row.items() if k != "url"})
    whose = [{"subject": one.id} for one in animals] if alone else [{}]
    for row in (row for query in whose for row in _rows(client, "datasets", **query)):
        eid = str(row.get("session") or "").rpartition("/")[2]
        wanted = row["name"].endswith(AMBIENT) or any(f"{name}." in row["name"] for name in FILES)
        if eid in owner and wanted:
            told = (eid, f"{row.get('collection')}/{row.get('revision')}/{row['name']}")
            state = f"{row['hash']} {row['default_dataset']}"
            owner[eid].files.append((*told, state))
    for name, path in RECORDS.items():
        for animal, row in _of_animals(client, path, named, animals):
            animal.records[name].append(row)
    for one in animals:  # lists of one animal and of all have other orders
        one.sessions.sort(key=lambda row: str(row["id"]))
        for rows in one.records.values():
            rows.sort(key=lambda row: json.dumps(row, sort_keys=True))
    return [one for one in animals if one.sessions]


def _subject_rows(client: Client, ids: Collection[str] | None) -> Iterator[dict[str, Any]]:
    if ids is None:
        yield from _rows(client, "subjects")
    for each in sorted(ids or ()):
        yield from _rows(client, "subjects", django=f"id,{each}")


def _of_animals(
    client: Client,
    path: str,
    named: Mapping[str, ServedSubject],
    animals: Sequence[ServedSubject],
) -> Iterator[tuple[ServedSubject, dict[str, Any]]]:
    """Yield the rows of a list with their animals; of those called alike, one after the other."""
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
        found = client.get(f"/{path}", limit=PAGE, offset=offset, **query)
        page = found["results"] if isinstance(found, dict) else found
        yield from page
        if len(page) < PAGE:
            return
        offset += PAGE
