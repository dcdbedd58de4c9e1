"""Carry sessions and datasets of which only paths and a few columns are known.

ONE tables and folders share this: the labs, subjects, projects and revisions that they name are
created if Fornix lacks them, and the bytes stay in a data repository of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from shared.alf.path import SessionPath, parse_dataset_path

from .carrier import CONFLICT, Carrier, Row


@dataclass(frozen=True)
class Repository:
    """A place where the bytes of datasets stay.

    Attributes
    ----------
    name : str
        Name of the data repository.
    url : str or None
        Address that serves its root; None: not served.
    plain_names : bool
        Whether files have their own names there, without the dataset's UUID before the extension
        as in Alyx's repositories.
    """

    name: str
    url: str | None
    plain_names: bool = False


class RepositoryTaken(Exception):
    """A different repository has this name already."""


class SessionCarrier:
    """Carries sessions, datasets and the rows that they refer to.

    Parameters
    ----------
    carrier : Carrier
        Sends the rows.
    repository : Repository or None
        Keeps the bytes; None: they are uploaded.

    Raises
    ------
    RepositoryTaken
        A different repository has this name.
    """

    def __init__(self, carrier: Carrier, repository: Repository | None) -> None:
        self.carrier = carrier
        self.journal = carrier.journal
        self.repository = repository
        if repository is not None:
            self._ensure_repository(repository)

    def _ensure_repository(self, wanted: Repository) -> None:
        """Create the repository, or check that the existing one is the same.

        Raises
        ------
        RepositoryTaken
            The existing one differs.
        """
        repository: Row = {"name": wanted.name, "data_url": wanted.url}
        if wanted.plain_names:
            repository["json"] = {"plain_names": True}
        existing = self.carrier.ensure("data-repository", wanted.name, repository)
        plain = bool((existing.get("json") or {}).get("plain_names"))
        if plain != wanted.plain_names:
            names = "plain names" if plain else "UUIDs in file names"
            raise RepositoryTaken(f"data repository {wanted.name} is there, with {names}")
        if wanted.url and (existing.get("data_url") or "").rstrip("/") != wanted.url.rstrip("/"):
            raise RepositoryTaken(
                f"data repository {wanted.name} is there, at {existing.get('data_url')}"
            )

    def prepare_session(self, session: SessionPath, projects: Iterable[str] = ()) -> str | None:
        """Create what a session refers to; return the reason if the session cannot be carried."""
        lab, subject = session.lab, session.subject
        if lab is None:
            return "no folder 'lab/Subjects' names the lab: give --lab"
        if "timezone" not in self.carrier.ensure("labs", lab, {"name": lab}):
            self.journal.note(f"lab {lab} is new: give it its time zone and weight thresholds")
        animal = {"nickname": subject, "lab": lab}
        existing = self.carrier.ensure("subjects", subject, animal, lab)
        if existing.get("lab") != lab:
            return f"the subject belongs to lab {existing.get('lab')}"
        for project in projects:
            self.carrier.ensure("projects", project, {"name": project})
        return None

    def prepare_datasets(self, rows: Iterable[Row]) -> None:
        """Create the revisions that datasets refer to."""
        for revision in {dataset["revision"] for dataset in rows if dataset["revision"]}:
            self.carrier.ensure("revisions", revision, {"name": revision})

    def carry_sessions(self, rows: list[Row], *, adopt: bool) -> dict[str, str]:
        """Send sessions; return sent id → id at the server, without the refused ones.

        Parameters
        ----------
        rows : list of dict
            See :func:`session_row`.
        adopt : bool
            If the server has the session (subject, date and number) under another id, use that id;
            otherwise such a session is refused, because its id must be kept.
        """
        refused = self.carrier.send("sessions", rows)
        ids = {session["id"]: session["id"] for session in rows}
        for id_, item in refused.items():
            existing_id = item.get("existing") if item["status"] == CONFLICT else None
            if existing_id and adopt:
                self.journal.tally("sessions", "kept")
                ids[id_] = existing_id
                continue
            del ids[id_]
            reason = "the server refuses it"
            if existing_id:
                reason = "the server has this subject, date and number under another id"
            self.carrier.refuse("sessions", id_, reason, f"{reason}: {item['detail']}")
        return ids


def session_row(eid: UUID | str, session: SessionPath, **columns: Any) -> Row:
    """Return the row of a session known by its path; it starts at midnight."""
    return {
        "id": str(eid),
        "lab": session.lab,
        "subject": session.subject,
        "start_time": f"{session.date.isoformat()}T00:00:00",
        "number": session.number,
        **columns,
    }


def dataset_row(id_: UUID | None, eid: str, path: str, **columns: Any) -> Row:
    """Return the row of a dataset known by its path within the session.

    Without an id the server derives one from the session and the path, always the same.

    Raises
    ------
    ALFInvalid
        The path does not follow the grammar.
    """
    parts = parse_dataset_path(path)
    return {
        **({"id": str(id_)} if id_ else {}),
        "session": eid,
        "name": parts.filename,
        "collection": parts.collection,
        "revision": parts.revision or None,
        **columns,
    }
