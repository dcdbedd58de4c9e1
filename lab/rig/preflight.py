"""What the server is asked before a session is sent: lab, subject, and the names in its facts.

Asked for an upload and for its dry run alike, so that a dry run says what an upload would meet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from lab.client import Client, RecordMissing, RequestRefused
from shared.alf import SessionPath

CHECKED = {"projects": "project", "procedures": "procedure", "users": "user"}
"""Facts whose names the server must know: they are left out, and told, where it does not."""


class NotReady(ValueError):
    """The session cannot be uploaded; the message names the next step."""


@dataclass
class Account:
    """Who is asking, and what the server has answered so far."""

    client: Client
    _known: dict[str, Any] = field(default_factory=dict)

    def me(self) -> dict[str, Any]:
        """Return the account's name, role and labs."""
        if "/me" not in self._known:
            self._known["/me"] = self.client.me()
        found: dict[str, Any] = self._known["/me"]
        return found

    def find(self, path: str) -> Any:
        """Return a row of the server, None if there is none; asked once."""
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
            It is not clear which, or the account does not belong to it.
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
        """Return a lab that was given, if it is there and the account may ask about it.

        Raises
        ------
        NotReady
            It is not; the message says which are.
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
        """Check that a session's subject is there; return what is to be told.

        Parameters
        ----------
        path, lab
            Whose session it is.
        create
            Add a subject that is not there.
        dry
            Change nothing.

        Raises
        ------
        NotReady
            There is no such subject, or it is of another lab.
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
        found = self.find(f"/subjects?nickname={quote(nickname, safe='')}") or {}
        return sorted({str(row["lab"]) for row in found.get("results") or ()})

    def known_facts(self, facts: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Return the facts whose names the server knows, and what is told of the others."""
        kept, notes = dict(facts), []
        for name, kind in CHECKED.items():
            if name not in facts:
                continue
            there = [one for one in facts[name] if self._there(name, one)]
            missing = [one for one in facts[name] if one not in there]
            if missing:
                notes.append(f"the server has no {kind} {', '.join(missing)}: left out")
            kept[name] = there
            if not there:
                del kept[name]
        return kept, notes

    def _there(self, resource: str, name: str) -> bool:
        try:
            return self.find(f"/{resource}/{quote(name, safe='')}") is not None
        except RequestRefused:
            return False


def add_subject(client: Client, nickname: str, lab: str, **fields: Any) -> dict[str, Any]:
    """Add a subject to a lab; one that is there already, and no different, is returned as it is.

    Raises
    ------
    NotReady
        The account may not, or the server refuses a value.
    """
    body = {"nickname": nickname, "lab": lab} | {k: v for k, v in fields.items() if v is not None}
    try:
        return client.post("/subjects", body)
    except RequestRefused as error:
        if error.status in (400, 409):
            there = client.get("/subjects", nickname=nickname, lab=lab)
            for row in there if isinstance(there, list) else there["results"]:
                if row.items() >= body.items():
                    return dict(row)
        who = " Members and managers of the lab may." if error.status == 403 else ""
        raise NotReady(f"subject {nickname} could not be added: {error}.{who}") from None
