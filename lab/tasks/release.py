"""Tasks of releases: a session as NWB."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from lab.exports.folder import FolderSession, subject_facts
from lab.exports.session import ExportFacts
from shared.model import moment
from shared.model.task import SessionForTask
from shared.tasks.declared.release import NWB_FILE, NWB_LINK_FILE, NWB_RAW_FILE


class ToldSession(FolderSession):
    """A session's folder, with the server's facts about it.

    Parameters
    ----------
    folder : path
    told : SessionForTask
    """

    def __init__(self, folder: Path, told: SessionForTask) -> None:
        super().__init__(folder)
        self.facts = facts_told(told)
        lines = (line.partition("\t") for line in told.addresses.splitlines())
        self._addresses = {path: address for path, _, address in lines}

    def lasting_address(self, path: str) -> str:
        """Return the server's address of a file that stays where it is."""
        return self._addresses.get(path) or self.address(path)


def facts_told(told: SessionForTask) -> ExportFacts:
    """Return the facts of a session for exports.

    Raises
    ------
    ExportError
        A fact is not valid.
    """
    start = moment.instant(told.start_time, told.timezone or "UTC")
    return ExportFacts(
        id=told.session_id,
        lab=told.lab,
        subject=subject_facts(told.subject, msgspec.structs.asdict(told)),
        date=told.date,
        number=int(told.number),
        start=dt.datetime.fromisoformat(start),
        protocol=told.protocol,
        institution=told.institution,
        projects=tuple(told.projects.splitlines()),
        synthetic=bool(told.synthetic),
    )


def nwb(session: Path, out: Path, arguments: Mapping[str, str]) -> list[Path] | None:
    """Write a session's released data as NWB, checked as DANDI does.

    Raises
    ------
    ExportError
        Facts that archives ask for are unknown, or files contradict each other.
    """
    from lab.exports.nwb.backends import backend
    from lab.exports.nwb.export import export_processed

    written = export_processed(told_session(session, arguments), out, backend("hdf5"))
    return [_placed(written.path, out / arguments["output_collection"] / NWB_FILE)]


def nwb_raw(session: Path, out: Path, arguments: Mapping[str, str]) -> list[Path] | None:
    """Write a session's released recordings as NWB, a compressed chunk at a time.

    Raises
    ------
    ExportError
        As for :func:`nwb`; or a gain is unknown.
    """
    from lab.exports.nwb.backends import backend
    from lab.exports.nwb.export import export_raw

    written = export_raw(told_session(session, arguments), out, backend("hdf5"))
    return [_placed(written.path, out / arguments["output_collection"] / NWB_RAW_FILE)]


def nwb_link(session: Path, out: Path, arguments: Mapping[str, str]) -> list[Path] | None:
    """Write where a session's released recordings and videos lie, as NWB by reference.

    Raises
    ------
    ExportError
        As for :func:`nwb_raw`; or a recording is not compressed by Fornix.
    """
    from lab.exports.nwb.reference import export_reference

    written = export_reference(told_session(session, arguments), out)
    return [_placed(written.path, out / arguments["output_collection"] / NWB_LINK_FILE)]


def told_session(session: Path, arguments: Mapping[str, str]) -> ToldSession:
    """Return a session's folder with the facts that a task's arguments tell."""
    told = {
        name: arguments[name] for name in SessionForTask.__struct_fields__ if name in arguments
    }
    return ToldSession(session, msgspec.convert(told, SessionForTask))


def _placed(made: Path, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(made, target)
    return target
