"""Lay NWB files out as sessions in a folder, for `lab.importers.folder`."""

from __future__ import annotations

import datetime as dt
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from lab.importers.carrier import Carrier, Row
from lab.importers.identifiers import derived
from lab.importers.known import KnownIds
from lab.importers.nwb.tables import datasets_of
from shared.alf.names import is_name
from shared.model.identity import SessionKey


class NwbFacts(msgspec.Struct, frozen=True):
    """The session as an NWB file describes it.

    Attributes
    ----------
    path : Path
    identity : str
        Key that the files of one session share.
    subject : str
    start : datetime
        With its time zone.
    lab : str or None
    about : dict
        Facts of the animal: fields of the resource ``subjects``.
    protocol : str
    """

    path: Path
    identity: str
    subject: str
    start: dt.datetime
    lab: str | None
    about: dict[str, Any]
    protocol: str


class UnfitFile(Exception):
    """A file cannot become a session; the message says why."""


class NwbImport:
    """Turns NWB files into folders of sessions.

    Parameters
    ----------
    carrier : Carrier
        Creates animals and sessions; its journal records what is left out.
    root : Path
        Folder of the sessions.
    lab : str, optional
        Lab of files that name no valid lab.
    """

    def __init__(self, carrier: Carrier, root: Path, lab: str | None = None) -> None:
        self.carrier, self.root, self.lab = carrier, root, lab

    def lay_out(self, paths: Iterable[Path]) -> KnownIds:
        """Write the datasets of all files; return the ids of their sessions."""
        sessions: dict[tuple[str, str], list[NwbFacts]] = defaultdict(list)
        for path in sorted(paths):
            try:
                facts = read_facts(path, self.lab)
            except UnfitFile as problem:
                self.carrier.refuse("nwb files", str(path), str(problem))
                continue
            sessions[facts.subject, facts.identity].append(facts)
        ids_by_path: dict[str, str] = {}
        numbers: dict[tuple[str, dt.date], int] = defaultdict(int)
        for (subject, _), group in sorted(sessions.items(), key=lambda item: item[1][0].start):
            day = group[0].start.date()
            numbers[subject, day] += 1
            self._session(group, numbers[subject, day], ids_by_path)
        return KnownIds(ids_by_path)

    def _session(self, group: list[NwbFacts], number: int, known: dict[str, str]) -> None:
        """Write the datasets of one session's files, and create the session."""
        first = group[0]
        lab = str(first.lab)
        day = first.start.date().isoformat()
        folder = SessionKey(lab, first.subject, day, number).folder
        eid = _session_id(first, lab)
        known[folder] = eid
        n = sum(self._file(facts.path, self.root / folder) for facts in group)
        if not n:
            self.carrier.refuse("sessions", folder, "its files hold nothing that is carried")
            return
        self.carrier.ensure("labs", lab, {"name": lab})
        self.carrier.carry("subjects", [first.about | {"nickname": first.subject, "lab": lab}])
        session: Row = {
            "id": eid,
            "subject": first.subject,
            "lab": lab,
            "start_time": first.start.replace(tzinfo=None).isoformat(),
            "number": number,
        }
        if first.protocol:
            session["task_protocol"] = first.protocol
        self.carrier.carry("sessions", [session])

    def _file(self, path: Path, folder: Path) -> int:
        """Write the datasets of one file; return their number."""
        from pynwb import NWBHDF5IO

        n = 0
        note = self.carrier.journal.note
        with NWBHDF5IO(str(path), "r") as opened:
            try:
                for dataset in datasets_of(opened.read(), note):
                    dataset.write(folder)
                    n += 1
            except (KeyError, TypeError, ValueError, OSError, IndexError) as error:
                reason = "a part of it cannot be read"
                self.carrier.refuse("nwb files", str(path), reason, f"{path.name}: {error}")
        return n


def read_facts(path: Path, lab: str | None) -> NwbFacts:
    """Return the session that a file describes.

    Raises
    ------
    UnfitFile
        The file is no NWB file, or does not identify its session.
    """
    from pynwb import NWBHDF5IO

    try:
        with NWBHDF5IO(str(path), "r") as opened:
            nwb = opened.read()
            subject = nwb.subject
            start = nwb.session_start_time
            named, own, protocol = nwb.session_id, nwb.lab, nwb.protocol
            nickname = str(subject.subject_id or "") if subject else ""
            animal = _about(subject)
    except Exception as error:  # readers of damaged HDF5 files may raise anything
        raise UnfitFile(f"it is no NWB file that can be read ({type(error).__name__})") from None
    if not is_name("subject", nickname):
        nickname = re.sub(r"[^\w.-]+", "_", nickname).strip("._")
    if not is_name("subject", nickname):
        raise UnfitFile("it does not say which animal it is about")
    chosen = own if own and is_name("lab", own) else lab
    if not chosen:
        raise UnfitFile("its lab is no name of a lab here: give --lab")
    identity = str(named or start.isoformat())
    return NwbFacts(path, identity, nickname, start, chosen, animal, str(protocol or ""))


def _about(subject: Any) -> Row:
    """Return the facts of a file's animal."""
    if subject is None:
        return {}
    fields: Row = {"sex": subject.sex if subject.sex in ("M", "F") else "U"}
    if subject.date_of_birth:
        fields["birth_date"] = subject.date_of_birth.date().isoformat()
    if subject.description:
        fields["description"] = str(subject.description)
    return fields


def _session_id(facts: NwbFacts, lab: str) -> str:
    """Return the session's id: the file's identifier if valid, else one derived from its facts."""
    try:
        if UUID(facts.identity).version in (3, 4):
            return str(UUID(facts.identity))
    except ValueError:
        pass
    return str(derived("nwb", lab, facts.subject, facts.identity))
