"""Trials and training status of each mouse as datasets of the mouse: ONE's aggregates.

They are made anew by the nightly build when a session's trials have changed, as a new revision.
Nobody without an account sees them: a mouse may have sessions that are private or under an
embargo, and each table has the trials of all.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import msgspec
import pandas as pd

from shared import catalog
from shared.datasets.read import datasets_of
from shared.datasets.register import register_datasets
from shared.model.copies import OWN
from shared.model.dataset import FileRecord
from shared.model.identity import data_key, dataset_id, dataset_path, nickname_of
from shared.model.json import Faulty
from shared.model.prefixes import AGGREGATES, CACHE
from shared.model.revisions import next_revision
from shared.records import documents, objects
from shared.records.items import Dataset
from shared.records.where import Where
from shared.results.source import SiteSession, Unreadable
from shared.science.status.aggregates import (
    BESIDE,
    SessionTrials,
    subject_training,
    subject_trials,
)
from shared.science.status.sessions import on_ephys_rig

if TYPE_CHECKING:
    from functions.analysis.records import Records

log = logging.getLogger(__name__)

TYPES = ("subjectTrials.table", "subjectTraining.table")
"""Dataset types of the tables."""

MODEL = "subjects.subject"
"""Alyx's name for the model of a mouse; owners of its datasets begin with it."""

WHO = "analysis"
"""Name in the audit trail."""

SEEN = f"{CACHE}aggregates.json"
"""Object with the `Stamp` of each mouse at the last run."""

OF_SESSION = ("id", "start_time", "number", "task_protocol", "location", "json")
OF_DATASET = ("session", "path", "file_size", "hash", "default_dataset", "repositories")
"""Fields of rows of the search index on which the tables depend."""

CRITERIA = "trained_criteria"
"""Key of a mouse's ``json`` for the date and session of each status (ibllib, brainbox)."""

MADE_OF = "made_of"
"""Name of the note that says of which trials a table was made."""


def update(records: Records, subjects: Iterable[str], today: date) -> int:
    """Make the tables of mice whose trials have changed; return how many mice.

    A mouse of which the search index shows nothing new since the last run is not read at all,
    also where its trials could not be read then. A mouse whose data cannot be read is left out,
    and the log says why.

    Parameters
    ----------
    records
        Sessions and their files.
    subjects
        Keys of the mice.
    today
        Day of the new revisions.
    """
    catalog.start_request()
    stamps = _stamps()
    before = _seen()
    seen = {subject: stamp for subject, stamp in before.items() if subject in stamps}
    changed = 0
    try:
        for subject in subjects:
            stamp = stamps.get(subject)
            if stamp is None or seen.get(subject) == stamp:
                continue
            try:
                made = _of_subject(records, subject, today)
            except Exception:  # whatever it is, the night goes on with the others
                log.exception("the tables of %s could not be made", subject)
                continue
            changed += made
            seen[subject] = msgspec.structs.replace(stamp, tables=stamp.tables or made)
    finally:
        if seen != before:
            objects.put_json(SEEN, seen)
    return changed


class Stamp(msgspec.Struct, frozen=True):
    """What the search index has about a mouse.

    Attributes
    ----------
    trials
        Digest of its sessions and their files of trials.
    tables
        Whether it has the tables.
    """

    trials: str
    tables: bool


def _seen() -> dict[str, Stamp]:
    """Return the stamps of the mice as the last run left them."""
    try:
        return objects.read_object(SEEN, dict[str, Stamp]) or {}
    except Faulty:  # then all mice are read, and it is written anew
        log.exception("%s cannot be read", SEEN)
        return {}


def _stamps() -> dict[str, Stamp]:
    """Return the stamp of each mouse with sessions."""
    lines: defaultdict[str, list[str]] = defaultdict(list)
    owners, mice = {}, {}
    for row in catalog.table("subject").select().all(("nickname", "id", "lab")):
        mice[f"{MODEL}#{row.get('id') or row['nickname']}"] = row["nickname"]
        lines[row["nickname"]].append(_line(row, ("id", "lab")))
    for row in catalog.table("session").select().all(("subject", *OF_SESSION)):
        owners[row["id"]] = row["subject"]
        lines[row["subject"]].append(_line(row, OF_SESSION))
    of_trials = Where("path", "test", lambda path: "trials" in path or "_ibl_subject" in path)
    tables: defaultdict[str, set[str]] = defaultdict(set)
    for row in catalog.table("dataset").select([of_trials]).all((*OF_DATASET, "dataset_type")):
        if row["session"] in mice:
            tables[mice[row["session"]]].add(row["dataset_type"])
        elif row["session"] in owners:
            lines[owners[row["session"]]].append(_line(row, OF_DATASET))
    return {
        subject: Stamp(
            hashlib.sha256("\n".join(sorted(lines[subject])).encode()).hexdigest(),
            tables[subject].issuperset(TYPES),
        )
        for subject in set(owners.values())
    }


def _line(row: Mapping[str, Any], fields: Iterable[str]) -> str:
    return msgspec.json.encode([row.get(name) for name in fields]).decode()


def _of_subject(records: Records, subject: str, today: date) -> bool:
    """Make the tables of a mouse if its trials have changed; return whether they had."""
    document = documents.find("subject", subject)
    if document is None:
        return False
    owner = f"{MODEL}#{document.body.get('id') or document.id}"
    sessions = [one for one in records.sessions(subject) if one.trials and not one.refused]
    made_of = _digest(sessions)
    existing = datasets_of(owner)
    before = {
        item.dataset_type: (item.json or {}).get(MADE_OF) for item in existing if item.default
    }
    if not sessions or all(before.get(kind) == made_of for kind in TYPES):
        return False
    read = _read(records, subject, sessions)
    if not read:
        return False
    tables = dict(zip(TYPES, (subject_trials(read), subject_training(read)), strict=True))
    lab = document.body.get("lab") or sessions[0].lab
    folder = f"{AGGREGATES}Subjects/{lab}/{nickname_of(subject)}"
    new = [_store(owner, folder, *table, existing, made_of, today) for table in tables.items()]
    _tell(subject, tables["subjectTraining.table"])
    register_datasets(
        owner, new, manifest=f"{owner} {made_of}", who=WHO, belongs_to=("subject", subject)
    )
    return True


def _tell(subject: str, training: pd.DataFrame) -> None:
    """Keep in the mouse's ``json`` where it reached each status; brainbox reads it there."""
    columns = (training.index, training["training_status"], training["session"])
    criteria = {
        str(status).replace(" ", "_"): [str(day), str(eid)]
        for day, status, eid in zip(*columns, strict=True)
    }

    def edit(body: dict[str, Any]) -> dict[str, Any]:
        return body | {"json": {**(body.get("json") or {}), CRITERIA: criteria}}

    documents.update("subject", subject, edit, who=WHO)


def _digest(sessions: Iterable[SiteSession]) -> str:
    """Return a digest of what the tables are made of: the sessions' trials and what is told."""
    told = sorted(
        f"{one.id} {one.start_time} {one.number} {one.task_protocol} {one.location} "
        f"{one.delay_start} "
        + " ".join(sorted(f.hash for f in one.datasets if "trials" in f.name))
        for one in sessions
    )
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _read(records: Records, subject: str, sessions: Sequence[SiteSession]) -> list[SessionTrials]:
    """Return the trials of the sessions that can be read; the log tells of the others, once."""
    read, without = [], []
    for session in sessions:
        try:
            runs = records.runs(session, tuple(BESIDE))
        except Unreadable as error:
            without.append(f"{session.reference}: {error}")
        else:
            read += _of_session(session, runs)
    if without:
        log.warning(
            "%d of %d sessions are left out of the tables of %s; the first is %s",
            len(without), len(sessions), subject, without[0],
        )  # fmt: skip
    return read


def _of_session(
    session: SiteSession, runs: Sequence[tuple[str, pd.DataFrame]]
) -> list[SessionTrials]:
    protocols = session.task_protocol.split("/")
    found = []
    for collection, trials in runs:
        numbered = re.fullmatch(r"alf/task_(\d+)", collection)
        number = int(numbered[1]) if numbered else 0
        protocol = protocols[number] if number < len(protocols) else session.task_protocol
        found.append(
            SessionTrials(
                eid=session.id,
                start_time=session.start_time or session.date,
                number=session.number,
                task_protocol=protocol,
                trials=trials,
                ephys_rig=on_ephys_rig(session.location, protocol),
                delay=session.delay_start,
                protocol_number=number,
            )
        )
    return found


def _store(
    owner: str,
    folder: str,
    kind: str,
    table: pd.DataFrame,
    existing: Sequence[Dataset],
    made_of: str,
    today: date,
) -> Dataset:
    """Write a table under its first free revision; return its dataset, not yet registered.

    A table that is as before keeps its revision.
    """
    file = io.BytesIO()
    table.to_parquet(file)
    content = file.getvalue()
    name = f"_ibl_{kind}.pqt"
    own = [item for item in existing if item.name == name]
    used = {item.revision or "" for item in own}
    digest = hashlib.sha256(content).hexdigest()
    same = next((item for item in own if item.default and item.sha256 == digest), None)
    revision: str | None = next_revision(today.isoformat(), used) if used else None
    if same is not None:
        revision = same.revision
    while True:
        path = dataset_path("", revision, name)
        key = data_key(folder, path, dataset_id(owner, path))
        if objects.write_new(key, content) or objects.read(key) == content:
            break  # new, or written by a run that was cut off
        used.add(revision or "")
        revision = next_revision(today.isoformat(), used)
    return Dataset.of(
        owner,
        path,
        dataset_type=kind,
        data_format="parquet",
        file_size=len(content),
        hash=hashlib.md5(content, usedforsecurity=False).hexdigest(),
        sha256=digest,
        rows=len(table),
        stored_in=folder,
        created_by=None,
        json={MADE_OF: made_of},
        records=[FileRecord(OWN, True, f"{folder}/{path}")],
    )
