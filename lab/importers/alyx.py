"""``fornix import alyx``: copy a running Alyx, in the order in which rows refer to each other.

Lists are read by limit and offset. Several of Alyx's lists have no order, so a page may repeat
rows of another and miss some. The import counts the identifiers seen against the list's ``count``
and reads the list again while some are missing. Sessions are read one by one, because only a
session's detail has all its fields. Several are read in parallel, while others are written.

One file, because all of it is one walk through the lists of Alyx, with one state.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import UUID
from zoneinfo import ZoneInfo

from lab.client import ClientError, RecordMissing, RequestRefused
from lab.importers.ahead import PASSES, Ahead, Listed, Pages
from lab.importers.alyx_rows import RowLeft, RowUnfit
from lab.importers.alyx_source import AlyxSource
from lab.importers.alyx_steps import (
    AFTER_SESSIONS,
    BEFORE_SESSIONS,
    DATASETS,
    NOT_COPIED,
    SESSIONS,
    Step,
)
from lab.importers.bytes import Mover, Remote
from lab.importers.carrier import Carrier, Row

OF_EVERY_ROW = ("id", "url", "version")
"""Fields of every row; Fornix computes its own (``version`` counts a record's changes)."""

CHUNK = 25
"""Sessions whose datasets are read by one request; their ids stand in its address."""

ROUND = 4
"""Chunks sent between two commits of the journal, side by side."""

SHORT_LIST = f"the source counts more rows than its list showed in {PASSES} readings"


class AlyxImport:
    """Copies an Alyx into Fornix.

    Parameters
    ----------
    source : AlyxSource
        Source of the rows.
    carrier : Carrier
        Sends the rows, with the journal.
    server_zone : ZoneInfo, optional
        Time zone of the Alyx server's clock, by which it stores weighings, waterings and
        surgeries. They become the lab's wall-clock times, as Alyx itself shifts them before it
        counts a day's water. None: they are the lab's already.
    mover : Mover, optional
        Moves the bytes, too.
    """

    def __init__(
        self,
        source: AlyxSource,
        carrier: Carrier,
        server_zone: ZoneInfo | None = None,
        mover: Mover | None = None,
    ) -> None:
        self.mover = mover
        self._chunk, self._round = (1, 1) if mover else (CHUNK, CHUNK * ROUND)
        self._remotes: dict[str, list[Remote]] = {}
        self.source = source
        self._pages = Pages(source)
        self.server_zone = server_zone
        self.lab: str | None = None  # the lab being read, while a list is read lab by lab
        self.carrier = carrier
        self.journal = carrier.journal

    def run(self) -> None:
        """Copy everything that the journal does not have yet."""
        with self._pages:
            self._copy_lists(BEFORE_SESSIONS)
            self._copy_delegates()
            self._list_sessions()
            self._copy_sessions()
            self._copy_lists(AFTER_SESSIONS)
        self._mention_the_rest()

    # Lists

    def _copy_lists(self, steps: Sequence[Step]) -> None:
        """Copy some lists; while one is copied, the next one's first page is read."""
        for place, step in enumerate(steps):
            for each in steps[place : place + 2]:
                if not (self._goes_by_lab(each) or self.journal.get(_name(each) + " done")):
                    offset = self.journal.get(_name(each) + " offset", 0)
                    self._pages.begin("/" + each.resource, offset, **dict(each.filters))
            if self._goes_by_lab(step):
                self._copy_by_lab(step)
            else:
                self._copy_list(step)

    def _goes_by_lab(self, step: Step) -> bool:
        return step.by_lab and bool(self.journal.count("namesakes"))

    def _copy_by_lab(self, step: Step) -> None:
        """Copy a list lab by lab: its rows do not distinguish labs' animals of one name."""
        for lab in sorted({lab for _, lab in self.journal.states("lab of subject")}):
            self.lab = lab
            lab_filter = ("django", f"subject__lab__name,{lab}")
            self._copy_list(replace(step, filters=(*step.filters, lab_filter)))
        self.lab = None

    def _copy_list(self, step: Step) -> None:
        """Copy a list, from the page reached so far."""
        name = _name(step)
        if self.journal.get(name + " done"):
            return
        for _ in range(PASSES):
            count = self._read_list(name, step)
            missing = count - self.journal.count(name)
            if missing <= 0:
                break
            self.journal.set(name + " offset", 0)
        else:
            self.carrier.refuse(step.resource, f"{missing} rows", SHORT_LIST)
        self.journal.set(name + " done", True)

    def _read_list(self, name: str, step: Step) -> int:
        """Read a list once, from the offset reached; return its length."""
        offset = self.journal.get(name + " offset", 0)
        while True:
            try:
                count, rows = self._pages.page("/" + step.resource, offset, **dict(step.filters))
            except RecordMissing:
                if offset:
                    raise
                self.journal.note(f"the source has no {step.resource}")
                return 0
            with self.journal.transaction():
                fit = self._fit_rows(name, step, rows)
                self.carrier.carry(step.resource, fit, apart=step.apart)
                offset += len(rows)
                self.journal.set(name + " offset", offset)
            self.carrier.progress(step.resource, offset, count)
            if offset >= count or not rows:
                return count

    def _fit_rows(self, name: str, step: Step, rows: list[Any]) -> Iterator[Row]:
        """Yield the sent part of the rows not seen before."""
        for row in rows:
            try:
                if not isinstance(row, dict):
                    raise RowUnfit("the source shows something that is no row")
                key = str(_identifier(row) or "" if step.key == "id" else row.get(step.key) or "")
                fit = self.fit(step, row)
                if step.resource == "subjects":
                    key = self._key_of_animal(key, str(row.get("lab")))
                key = key or str(fit.get("id") or "")
                if not key:
                    raise RowUnfit("the row has no identifier")
            except RowLeft as problem:
                if self.journal.add(name, [key], "left"):
                    self.journal.note(f"{step.resource}: {problem}")
                continue
            except RowUnfit as problem:
                excerpt = str(row)[:200]
                if self.journal.add(name, ["unfit " + excerpt], "unfit"):
                    self.carrier.refuse(step.resource, excerpt, str(problem))
                continue
            # Later rows refer by id, but Fornix needs the name: store it as the item's state.
            if self.journal.add(name, [key], "seen"):
                if "id" in fit and step.key != "id":
                    self.journal.add(f"name of {step.resource}", [str(fit["id"])], key)
                    self.journal.add(f"id of {step.resource}", [key], str(fit["id"]))
                yield fit

    def fit(self, step: Step, row: Row) -> Row:
        """Return the carried part of a row; note unknown fields."""
        carried, computed = step.carried.split(), step.computed.split()
        result = {k: row[k] for k in carried if k in row}
        if identifier := _identifier(row):
            result["id"] = identifier
        for field, value in row.items():
            known_fields = {*OF_EVERY_ROW, *carried, *computed}
            if field not in known_fields and value not in (None, "", [], {}):
                self.journal.note(f"{step.resource}: the field {field!r} is not carried")
        if step.convert:
            step.convert(self, result)
        return result

    def _copy_delegates(self) -> None:
        """Set the delegates of users, when all users exist."""
        for username, delegates in self.journal.states("delegates"):
            try:
                if not self.carrier.dry_run:
                    path = f"/users/{quote(username, safe='')}"
                    self.carrier.api.patch(path, {"allowed_users": json.loads(delegates)})
            except RequestRefused as error:
                reason = "the server refuses the users who may act for this one"
                self.carrier.refuse("users", username, reason, f"{username}: {error}")

    # Sessions and datasets

    def _list_sessions(self) -> None:
        """Store the identifiers of all sessions in the journal."""
        if self.journal.get("sessions listed"):
            return
        for _ in range(PASSES):
            offset, count = self.journal.get("sessions offset", 0), 1
            while offset < count:
                count, rows = self._pages.page("/sessions", offset)
                with self.journal.transaction():
                    for session in rows:
                        self._note_session(session)
                    offset += len(rows)
                    self.journal.set("sessions offset", offset)
                self.carrier.progress("list of sessions", offset, count)
                if not rows:
                    break
            if self.journal.count("sessions") >= count:
                break
            self.journal.set("sessions offset", 0)
        else:
            missing = count - self.journal.count("sessions")
            self.carrier.refuse("sessions", f"{missing} rows", SHORT_LIST)
        self.journal.set("sessions listed", True)

    def _note_session(self, row: Any) -> None:
        identifier = _identifier(row) if isinstance(row, dict) else None
        if identifier:
            self.journal.add("sessions", [identifier], "turn 0")
        elif self.journal.add("sessions", ["unfit " + str(row)[:200]], "unfit"):
            self.carrier.refuse("sessions", str(row)[:200], "the row has no identifier")

    def _copy_sessions(self) -> None:
        """Copy the listed sessions with their datasets; children after their parents.

        A session whose parent is still to come waits for the next turn. A turn without progress
        leaves only sessions that wait for each other: they are carried without parents.
        """
        with Ahead(self.source) as ahead:
            self._copy_turns(ahead)

    def _copy_turns(self, ahead: Ahead) -> None:
        turn, behind = self.journal.get("turn", (0, -1))
        while True:
            while some := self.journal.items("sessions", f"turn {turn}", 2 * self._round):
                starts = range(0, len(some), self._chunk)
                chunks = [some[start : start + self._chunk] for start in starts]
                for chunk in chunks:  # the next round is read while this one is written
                    ahead.begin(chunk)
                chunks = chunks[: self._round // self._chunk]
                self._copy_chunks(chunks, f"turn {turn + 1}", ahead)
            if not self.journal.count("sessions", f"turn {turn + 1}"):
                return
            done = self.journal.count("sessions", "done")
            if done == behind:
                self.journal.set("cut parents", True)
            turn, behind = turn + 1, done
            self.journal.set("turn", (turn, behind))

    def _copy_chunks(self, chunks: list[list[str]], waiting: str, ahead: Ahead) -> None:
        """Copy some sessions and their datasets; commit when the server has all.

        Parameters
        ----------
        chunks : list of list of str
            The sessions to copy; none of them is another's parent.
        waiting : str
            State of sessions that must wait.
        ahead : Ahead
            Has started to read them.
        """
        with self.journal.transaction():
            rows = []
            for eid in [eid for chunk in chunks for eid in chunk]:
                session = self._session(eid, ahead)
                if session is None:
                    self.journal.mark("sessions", [eid], "not carried")
                elif self._must_wait(session):
                    self.journal.mark("sessions", [eid], waiting)
                else:
                    rows.append(session)
            refused = self.carrier.carry("sessions", rows, apart="id")
            self.journal.mark("sessions", refused, "not carried")
            for eid in refused:
                self._leave_datasets(eid)
            sent = [session["id"] for session in rows if session["id"] not in refused]
            datasets = [
                dataset
                for chunk in chunks
                for dataset in self._datasets(ahead.datasets(chunk), chunk, set(sent))
            ]
            self.carrier.carry("datasets", datasets, apart="session")
            if self.mover:
                for eid in sent:
                    self.mover.move(eid, self._remotes.pop(eid, []))
            self.journal.mark("sessions", sent, "done")
        behind = self.journal.count("sessions", "done")
        self.carrier.progress("sessions", behind, self.journal.count("sessions"))

    def _leave_datasets(self, eid: str) -> None:
        """Record the datasets of a session that the server refused."""
        count = int(self.source.get("/datasets", session=eid, limit=1)["count"])
        if count:
            reason = "its session was not carried"
            detail = f"{count} datasets of session {eid}"
            self.carrier.refuse("datasets", f"of session {eid}", reason, detail, n=count)

    def _session(self, eid: str, ahead: Ahead) -> Row | None:
        """Return a session's row, or None after recording why there is none."""
        try:
            session = ahead.session(eid)
            if not isinstance(session, dict) or _identifier(session) != eid:
                raise RowUnfit("the source shows another row under the session's address")
            return self.fit(SESSIONS, session)
        except RowUnfit as problem:
            self.carrier.refuse("sessions", eid, str(problem))
        except RecordMissing as error:
            self.carrier.refuse("sessions", eid, "deleted from the source meanwhile", str(error))
        except RequestRefused as error:
            if error.status != 500:
                raise
            self.carrier.refuse("sessions", eid, "the source fails to show it", str(error))
        return None

    def _must_wait(self, row: Row) -> bool:
        """Return whether a session's parent is still to come; cut the link if it never will."""
        parent = row.get("parent_session")
        if not parent:
            return False
        state = self.journal.state("sessions", parent)
        if state == "done":
            return False
        if state in (None, "not carried") or self.journal.get("cut parents"):
            row["parent_session"] = None
            self.journal.note("sessions whose parent session could not be carried: carried alone")
            return False
        return True

    def _datasets(self, listed: Listed, asked: list[str], sent: set[str]) -> Iterator[Row]:
        """Yield the rows of the datasets of sessions that were sent, each once.

        Parameters
        ----------
        listed : Listed
            The source's datasets of some sessions.
        asked, sent : list and set of str
            Those sessions, and which of them were sent.
        """
        for dataset in listed.rows:
            eid = str(dataset.get("session"))[-36:] if isinstance(dataset, dict) else ""
            if eid in sent or eid not in asked:
                yield from self._dataset(dataset, asked)
        if listed.missing:
            some = f"session {asked[0]}" + (" and others" if len(asked) > 1 else "")
            self.carrier.refuse("datasets", f"{listed.missing} rows of {some}", SHORT_LIST)

    def _dataset(self, row: Any, asked: list[str]) -> Iterator[Row]:
        """Yield the sent part of a dataset, or record why there is none."""
        try:
            if not isinstance(row, dict) or not _identifier(row):
                raise RowUnfit("the row has no identifier")
            fit = self.fit(DATASETS, row)
            if fit.get("session") not in asked:
                raise RowUnfit("the source shows a dataset of another session")
            if self.mover:
                self._remotes.setdefault(fit["session"], []).append(_remote(row, fit))
            yield fit
        except RowUnfit as problem:
            self.carrier.refuse("datasets", str(row)[:200], str(problem))

    def _mention_the_rest(self) -> None:
        """Note the number of rows in lists that are not copied."""
        for route, why in NOT_COPIED.items():
            try:
                count = int(self.source.get("/" + route, limit=1)["count"])
            except (ClientError, KeyError, TypeError, ValueError):
                continue
            if count:
                self.journal.note(f"{count} rows of {route} are not copied: {why}")

    def animal(self, nickname: Any, lab: str | None = None) -> Any:
        """Return the reference to an animal: with its lab, if another lab has the same nickname.

        Parameters
        ----------
        nickname : any
            Nickname or reference as the source has it.
        lab : str, optional
            Lab of the animal; by default the one being read.
        """
        lab = lab or self.lab or self.journal.state("lab of subject", str(nickname))
        if self.journal.state("namesakes", str(nickname)) is None:
            return nickname
        return f"{nickname}@{lab}"

    def _key_of_animal(self, nickname: str, lab: str) -> str:
        """Return a key that is unique in the list of animals."""
        first = self.journal.state("lab of subject", nickname)
        return nickname if first in (None, lab) else f"{nickname}@{lab}"

    def lab_time(self, subject: Any, text: Any) -> Any:
        """Convert a time of the server to the wall clock of the subject's lab.

        Raises
        ------
        RowUnfit
            The text is no time.
        """
        lab = self.journal.state("lab of subject", str(subject))
        zone = lab and self.journal.state("zone of lab", lab)
        if self.server_zone is None or not zone or text is None:
            return text
        try:
            time = datetime.fromisoformat(text)
        except (TypeError, ValueError):
            raise RowUnfit(f"{str(text)[:50]!r} is no time") from None
        time = time if time.tzinfo else time.replace(tzinfo=self.server_zone)
        return time.astimezone(ZoneInfo(zone)).replace(tzinfo=None).isoformat()

    def name_of(self, resource: str, reference: Any) -> str:
        """Return the name of a row from a reference by identifier or by name.

        Raises
        ------
        RowUnfit
            No such row was seen.
        """
        name = self.journal.state(f"name of {resource}", str(reference))
        if name is None and self.journal.state(resource, str(reference)) is None:
            raise RowUnfit(f"refers to a row of {resource} that the source does not list")
        return name or str(reference)


def _remote(row: Row, fit: Row) -> Remote:
    """Return a dataset's remote file: the first existing file record with an address."""
    records = [r for r in row.get("file_records") or [] if r.get("exists") and r.get("data_url")]
    revision = f"#{fit['revision']}#" if fit.get("revision") else ""
    parts = (fit.get("collection"), revision, fit.get("name"))
    return Remote(
        id=fit["id"],
        path="/".join(str(part) for part in parts if part),
        url=records[0]["data_url"] if records else None,
        size=fit.get("file_size"),
        md5=fit["hash"],
    )


def _name(step: Step) -> str:
    """Return the name of a list in the journal."""
    return " ".join([step.resource, *(f"{k}={v}" for k, v in step.filters)])


def _identifier(row: Row) -> str | None:
    """Return a row's UUID, from its ``id`` or else from the end of its ``url``."""
    for text in (row.get("id"), str(row.get("url") or "")[-36:]):
        try:
            return str(UUID(text))
        except (TypeError, ValueError, AttributeError):
            continue
    return None
