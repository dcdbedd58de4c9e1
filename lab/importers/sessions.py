"""Carry sessions and datasets that are known only by their paths and a few columns.

What ONE tables and folders have in common: the labs, subjects, projects and revisions that they
name are made where Fornix has none, and the bytes stay in a data repository of their own.
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
    """Where the bytes of datasets stay.

    Attributes
    ----------
    name : str
        Name of the data repository.
    url : str or None
        Address under which its root is served; None: not served.
    plain_names : bool
        Whether files lie there under their own names, not with the dataset's UUID before the
        extension as in Alyx's repositories.
    """

    name: str
    url: str | None
    plain_names: bool = False


class RepositoryTaken(Exception):
    """A repository of this name is there, and it is another one."""


class SessionCarrier:
    """Carries sessions, datasets and the rows that they refer to.

    Parameters
    ----------
    carrier : Carrier
        Where to.
    repository : Repository or None
        Where bytes stay; None: nowhere, they are uploaded.

    Raises
    ------
    RepositoryTaken
        There is another repository of this name.
    """

    def __init__(self, carrier: Carrier, repository: Repository | None) -> None:
        self.carrier = carrier
        self.journal = carrier.journal
        self.repository = repository
        if repository is not None:
            self._ensure_repository(repository)

    def _ensure_repository(self, wanted: Repository) -> None:
        """Make the repository, or make sure that it is the one that is there.

        Raises
        ------
        RepositoryTaken
            It is not.
        """
        row: Row = {"name": wanted.name, "data_url": wanted.url}
        if wanted.plain_names:
            row["json"] = {"plain_names": True}
        there = self.carrier.ensure("data-repository", wanted.name, row)
        plain = bool((there.get("json") or {}).get("plain_names"))
        if plain != wanted.plain_names:
            names = "plain names" if plain else "UUIDs in file names"
            raise RepositoryTaken(f"data repository {wanted.name} is there, with {names}")
        if wanted.url and (there.get("data_url") or "").rstrip("/") != wanted.url.rstrip("/"):
            raise RepositoryTaken(
                f"data repository {wanted.name} is there, at {there.get('data_url')}"
            )

    def prepare_session(self, session: SessionPath, projects: Iterable[str] = ()) -> str | None:
        """Make what a session refers to; return why the session cannot be carried, if so."""
        lab, subject = session.lab, session.subject
        if lab is None:
            return "no folder 'lab/Subjects' names the lab: give --lab"
        if "timezone" not in self.carrier.ensure("labs", lab, {"name": lab}):
            self.journal.note(f"lab {lab} is new: give it its time zone and weight thresholds")
        row = {"nickname": subject, "lab": lab}
        there = self.carrier.ensure("subjects", subject, row, lab)
        if there.get("lab") != lab:
            return f"the subject belongs to lab {there.get('lab')}"
        for project in projects:
            self.carrier.ensure("projects", project, {"name": project})
        return None

    def prepare_datasets(self, rows: Iterable[Row]) -> None:
        """Make the revisions that datasets refer to."""
        for revision in {row["revision"] for row in rows if row["revision"]}:
            self.carrier.ensure("revisions", revision, {"name": revision})

    def carry_sessions(self, rows: list[Row], *, adopt: bool) -> dict[str, str]:
        """Send sessions; return sent id → id there, without those that could not be carried.

        Parameters
        ----------
        rows : list of dict
            See :func:`session_row`.
        adopt : bool
            Where the server has the session (subject, date and number) under another id, go on
            with that id; otherwise such a session is not carried, for its id must be kept.
        """
        refused = self.carrier.send("sessions", rows)
        ids = {row["id"]: row["id"] for row in rows}
        for id_, item in refused.items():
            there = item.get("existing") if item["status"] == CONFLICT else None
            if there and adopt:
                self.journal.tally("sessions", "kept")
                ids[id_] = there
                continue
            del ids[id_]
            reason = "the server refuses it"
            if there:
                reason = "the server has this subject, date and number under another id"
            self.carrier.refuse("sessions", id_, reason, f"{reason}: {item['detail']}")
        return ids


def session_row(eid: UUID | str, session: SessionPath, **columns: Any) -> Row:
    """Return the row of a session that is known by its path; it starts at midnight."""
    return {
        "id": str(eid),
        "lab": session.lab,
        "subject": session.subject,
        "start_time": f"{session.date.isoformat()}T00:00:00",
        "number": session.number,
        **columns,
    }


def dataset_row(id_: UUID | None, eid: str, path: str, **columns: Any) -> Row:
    """Return the row of a dataset that is known by its path within the session.

    Without an id the server makes one of the session and the path, always the same.

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
