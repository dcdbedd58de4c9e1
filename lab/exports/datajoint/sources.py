"""Sources of animals: a folder of sessions, or the running API.

Each source describes the input of every animal's rows without reading trials, so that unchanged
animals cost nothing.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from lab.exports.folder import SUBJECTS, FolderSession
from lab.exports.session import ExportError, ExportSession
from lab.extracted import Wheel as FolderWheel
from lab.extracted import ambient, default_folder
from lab.extracted import trials as trials_of_folder
from lab.rig.settings import settings_of
from shared.alf.layout import TRIAL_COLUMNS, sortings_in, trials_in
from shared.science.tables.records import (
    LabRecord,
    ProbeUnits,
    RestrictionRecord,
    SessionRecord,
    SubjectRecord,
    WateringRecord,
    WeighingRecord,
)

FILES = ("trials", "wheel", "wheelMoves", "spikes", "clusters")
"""Objects that rows are made from."""

AMBIENT = "_iblrig_ambientSensorData.raw.jsonable"


@cache
def code_version() -> str:
    """Return the digest of the code that makes rows: other code makes other rows."""
    import shared.science

    digest = hashlib.sha256()
    for folder in shared.science.__path__:
        for name in ("behaviour", "clocks", "status", "tables"):
            for file in sorted((Path(folder) / name).glob("*.py")):
                digest.update(file.read_bytes())
    return digest.hexdigest()


class SourceSubject(ABC):
    """An animal, as lists describe it.

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
        """Return the input of its rows, as JSON-like data."""

    @abstractmethod
    def load(self) -> SubjectRecord:
        """Read the animal with its sessions."""

    @property
    def made_from(self) -> str:
        """Digest of this state of the animal."""
        state = json.dumps([code_version(), self.facts()], sort_keys=True, default=str)
        return hashlib.sha256(state.encode()).hexdigest()


def session_record(
    session: ExportSession, location: str, trials: Any, wheel: Any
) -> SessionRecord:
    """Return the part of a session that the tables use.

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
        spikes = session.load(files, ("times", "clusters", "amps", "depths"))
        yield ProbeUnits(probe, spikes, clusters)


def loaded_trials(session: ExportSession) -> Mapping[str, Any] | None:
    """Return the trials of a session's first protocol; None if they or columns are missing."""
    tables = trials_in(session.paths, session.preferred)
    if not tables:
        return None
    trials = session.load(tables[0])
    return trials if set(TRIAL_COLUMNS) <= trials.keys() else None


class FolderSubject(SourceSubject):
    """An animal of a folder ``LAB/Subjects/SUBJECT``.

    Parameters
    ----------
    folder : path
    known : mapping
        Facts from `subjects.json`, as for `fornix analyse`.
    kept : path, optional
        Folder of extracted sessions.
    """

    def __init__(self, folder: Path, known: Mapping[str, Any], kept: Path | None) -> None:
        self.folder, self.known, self.kept = folder, known, kept
        self.nickname, self.lab = folder.name, folder.parts[-3]
        whole = f"{self.lab}/{self.nickname}"
        subject_id = str(known.get("id") or "")
        try:
            self.id = str(uuid.UUID(subject_id))
        except ValueError:
            self.id = str(uuid.uuid5(uuid.NAMESPACE_URL, whole))

    @property
    def _sessions(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("????-??-??/*") if path.is_dir())

    def facts(self) -> Any:
        """Return names, sizes and times of the files, and the known facts of the animal."""
        files = (
            file for session_folder in self._sessions for file in sorted(session_folder.rglob("*"))
        )
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
        facts = self.known
        birth = facts.get("birth_date")
        weighings = facts.get("weighings")
        if weighings is None:
            weighings = [
                (session.start.date().isoformat(), weight)
                for session, path in zip(sessions, self._sessions, strict=True)
                if (weight := settings_of(path).get("SUBJECT_WEIGHT"))
            ]
        return SubjectRecord(
            id=self.id,
            nickname=self.nickname,
            lab=LabRecord(self.lab, str(facts.get("institution") or "")),
            sex=str(facts.get("sex") or "U"),
            birth_date=dt.date.fromisoformat(birth) if birth else None,
            projects=tuple(facts.get("projects") or ()),
            sessions=tuple(sessions),
            weighings=tuple(WeighingRecord(_moment(day), float(g)) for day, g in weighings),
            waterings=tuple(
                WateringRecord(_moment(day), str(kind)) for day, kind in facts.get("waters", ())
            ),
            restrictions=tuple(
                RestrictionRecord(_moment(day), None, float(grams))
                for day, grams in facts.get("restrictions", ())
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
    facts: dict[str, Any] = {}
    if (root / SUBJECTS).is_file():
        try:
            facts = msgspec.json.decode((root / SUBJECTS).read_bytes(), type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise ExportError(f"{root / SUBJECTS} is no object by nickname: {error}") from error
    place = default_folder() if kept is None else kept
    return [
        FolderSubject(
            folder,
            facts.get(f"{folder.parts[-3]}/{folder.name}", facts.get(folder.name, {})),
            place,
        )
        for folder in folders
    ]


def _moment(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=None)
