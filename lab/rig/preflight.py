"""Checks with the server before a session is sent: lab, subject, and the names in its facts.

Uploads and dry runs share them, so that a dry run reports what an upload would meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from lab.client import Client, RecordMissing, RequestRefused
from shared.alf import SessionPath

CHECKED = {"projects": "project", "procedures": "procedure", "users": "user"}
"""Facts whose names the server must know; unknown names are left out and reported."""


class NotReady(ValueError):
    """The session cannot be uploaded; the message names the next step."""


@dataclass
class Account:
    """The account at the server, and the server's answers so far."""

    client: Client
    _known: dict[str, Any] = field(default_factory=dict)

    def me(self) -> dict[str, Any]:
        """Return the account's name, role and labs."""
        if "/me" not in self._known:
            self._known["/me"] = self.client.me()
        account: dict[str, Any] = self._known["/me"]
        return account

    def find(self, path: str) -> Any:
        """Return a record of the server, None if there is none; each path is requested once."""
        if path not in self._known:
            try:
                self._known[path] = self.client.get(path)
            except RecordMissing:
                self._known[path] = None
        return self._known[path]

    def lab_of(self, path: SessionPath, given: str | None) -> str:
        """Return the lab a session goes to: as given, as its path says, or the account's only one.

        A folder above ``Subjects`` counts if the account belongs to such a lab: rigs put their
        data in folders like ``iblrigv8_data/Subjects``.

        Raises
        ------
        NotReady
            The lab is unclear, or the account does not belong to it.
        """
        me = self.me()
        labs = list(me.get("labs") or [])
        if given:
            return self.check_lab(given)
        if path.lab and (path.lab in labs or (not labs and self._is_lab(path.lab))):
            return path.lab
        if len(labs) == 1:
            return labs[0]
        yours = f"; yours are {', '.join(labs)}" if labs else ""
        raise NotReady(f"which lab is the session of? Give --lab{yours}")

    def check_lab(self, given: str) -> str:
        """Return the given lab if it exists and the account may use it.

        Raises
        ------
        NotReady
            The lab is unknown, or the account does not belong to it.
        """
        me = self.me()
        labs = list(me.get("labs") or [])
        if labs and given not in labs and me.get("role") != "administrator":
            raise NotReady(
                f"your account {me.get('username')} belongs to {', '.join(labs)}, not to "
                f"{given}: give --lab {labs[0]}, or ask for an account of {given}"
            )
        if not labs and not self._is_lab(given):
            raise NotReady(f"there is no lab {given!r} on the server: check --lab")
        return given

    def _is_lab(self, name: str) -> bool:
        return self.find(f"/labs/{quote(name, safe='')}") is not None

    def check_subject(self, path: SessionPath, lab: str, *, create: bool, dry: bool) -> list[str]:
        """Check that a session's subject exists; return notes for the report.

        Parameters
        ----------
        path, lab
            Session and lab of the subject.
        create
            Add a missing subject.
        dry
            Change nothing.

        Raises
        ------
        NotReady
            The subject does not exist, or belongs to another lab.
        """
        name = quote(path.subject, safe="")
        address = f"/subjects/{name}?lab={quote(lab, safe='')}"
        subject = self.find(address)
        if subject is None and not create and (theirs := self._labs_with(path.subject)):
            raise NotReady(
                f"subject {path.subject} is of {' and of '.join(theirs)}, not of {lab}: give "
                f"--lab {theirs[0]}, another name to the folder, or --create-subject where {lab} "
                "has a subject of this name, too"
            )
        if subject is None:
            if not create:
                raise NotReady(
                    f"there is no subject {path.subject!r} in {lab}: "
                    f"`fornix subject add {path.subject} --lab {lab}` adds it, or repeat the "
                    "command with --create-subject"
                )
            if self.me().get("role") in ("rig", "worker"):
                raise NotReady(
                    f"there is no subject {path.subject!r} in {lab}, and an account of a "
                    f"{self.me()['role']} adds none: a member of the lab does, by "
                    f"`fornix subject add {path.subject} --lab {lab}`"
                )
            if dry:
                return [f"subject {path.subject} would be added to {lab}"]
            self._known[address] = add_subject(self.client, path.subject, lab)
            return [f"subject {path.subject} is new in {lab}"]
        birth = subject.get("birth_date")
        if birth and str(birth) > path.date.isoformat():
            return [f"the session is of {path.date}, before {path.subject} was born ({birth})"]
        return []

    def _labs_with(self, nickname: str) -> list[str]:
        """Return the labs that have a subject of a nickname."""
        page = self.find(f"/subjects?nickname={quote(nickname, safe='')}") or {}
        return sorted({str(subject["lab"]) for subject in page.get("results") or ()})

    def known_facts(self, facts: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Return the facts whose names the server knows, and notes about the others."""
        known, notes = dict(facts), []
        for name, kind in CHECKED.items():
            if name not in facts:
                continue
            existing = [value for value in facts[name] if self._there(name, value)]
            missing = [value for value in facts[name] if value not in existing]
            if missing:
                notes.append(f"the server has no {kind} {', '.join(missing)}: left out")
            known[name] = existing
            if not existing:
                del known[name]
        return known, notes

    def _there(self, resource: str, name: str) -> bool:
        try:
            return self.find(f"/{resource}/{quote(name, safe='')}") is not None
        except RequestRefused:
            return False


def add_subject(client: Client, nickname: str, lab: str, **fields: Any) -> dict[str, Any]:
    """Add a subject to a lab; return an equal subject that exists already unchanged.

    Raises
    ------
    NotReady
        The account may not add subjects, or the server refuses a value.
    """
    body = {"nickname": nickname, "lab": lab} | {k: v for k, v in fields.items() if v is not None}
    try:
        return client.post("/subjects", body)
    except RequestRefused as error:
        if error.status in (400, 409):
            page = client.get("/subjects", nickname=nickname, lab=lab)
            for subject in page if isinstance(page, list) else page["results"]:
                if subject.items() >= body.items():
                    return dict(subject)
        who = " Members and managers of the lab may." if error.status == 403 else ""
        raise NotReady(f"subject {nickname} could not be added: {error}.{who}") from None
