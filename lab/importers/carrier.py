"""Send rows to Fornix and keep account of each: created, unchanged, kept, not carried."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from lab.client import RequestRefused, plain

from .journal import Journal

Row = dict[str, Any]
T = TypeVar("T")
Progress = Callable[[str, int, int | None], None]
"""Called with what is being carried, how many are behind, and of how many (None: not known)."""

MAX_ROWS = 200
"""Rows that ``POST /import`` takes at once."""

CONFLICT = 409
"""Status of a row that is there with other content."""

UNUSABLE = (400, 413)
"""Answers to a request that is wrong or too large as a whole."""

NAMES = ("id", "nickname", "username", "name")
"""Fields that name a row."""

MAX_BYTES = 1_000_000
"""Body size at which a batch is cut; a function behind API Gateway takes 6 MB."""


class Api(Protocol):
    """What an import needs of a client of the HTTP API."""

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON answer of a GET."""

    def post(self, path: str, body: Any = None) -> Any:
        """Return the JSON answer of a POST."""

    def patch(self, path: str, body: Any) -> Any:
        """Return the JSON answer of a PATCH."""

    def send_file(self, method: str, path: str, field: str, file: Path) -> Any:
        """Return the JSON answer of a form with a file."""


class Carrier:
    """Carries rows into one Fornix.

    Parameters
    ----------
    api : Api
        Client of an administrator.
    journal : Journal
        What happened so far.
    dry_run : bool
        Send nothing; count what would be sent.
    progress : callable, optional
        See :data:`Progress`.
    """

    def __init__(
        self,
        api: Api,
        journal: Journal,
        *,
        dry_run: bool = False,
        progress: Progress = lambda what, done, total: None,
    ) -> None:
        self.api = api
        self.journal = journal
        self.dry_run = dry_run
        self.progress = progress
        self._bytes = 0

    def count_bytes(self, n: int) -> None:
        """Tell of bytes that were uploaded."""
        self._bytes += n
        self.progress("MB uploaded", self._bytes // 1_000_000, None)

    def send(self, resource: str, rows: Iterable[Row]) -> dict[str, Row]:
        """Send rows of one resource, in batches; return what the server refused, by id.

        A row that the server has under the same identifier with other content is left as it is
        there: counted as ``kept``, not as refused.
        """
        refused: dict[str, Row] = {}
        for batch in batches(rows, lambda row: row):
            if self.dry_run:
                self.journal.tally(resource, "to send", len(batch))
                continue
            answer = self.deliver(resource, batch)
            for outcome in ("created", "unchanged"):
                self.journal.tally(resource, outcome, answer[outcome])
            for item in answer["refused"]:
                if item["status"] == CONFLICT and item.get("existing", item["id"]) == item["id"]:
                    self.journal.tally(resource, "kept")
                else:
                    refused[str(item["id"])] = item
        return refused

    def deliver(self, resource: str, batch: list[Row]) -> Row:
        """Send a batch; one that is refused as a whole is cut until the row at fault is alone.

        Returns
        -------
        dict
            The server's answer: ``created`` and ``unchanged`` are counts, ``refused`` are items
            with ``row``, the place in the batch.
        """
        try:
            return self.api.post("/import", {"resource": resource, "rows": batch})
        except RequestRefused as error:
            if error.status not in UNUSABLE:
                raise
            if len(batch) == 1:
                name = next((batch[0][k] for k in NAMES if batch[0].get(k)), "?")
                item = {"id": name, "row": 0, "status": error.status, "detail": plain(error.body)}
                return {"created": 0, "unchanged": 0, "refused": [item]}
        middle = len(batch) // 2
        first = self.deliver(resource, batch[:middle])
        second = self.deliver(resource, batch[middle:])
        for item in second["refused"]:
            if "row" in item:
                item["row"] += middle
        return {key: first[key] + second[key] for key in ("created", "unchanged", "refused")}

    def carry(self, resource: str, rows: Iterable[Row]) -> set[str]:
        """Send rows; account for those that the server refused and return their ids."""
        refused = self.send(resource, rows)
        for id_, item in refused.items():
            detail = message(item["detail"])
            self.refuse(resource, id_, f"the server refuses it: {pattern(detail)}", detail)
        return set(refused)

    def ensure(self, resource: str, name: str, row: Row, lab: str | None = None) -> Row:
        """Make a named row unless there is one, of a lab if its names are its own; return it.

        The server is asked once in an import.
        """
        place = f"{resource} {lab}/{name}" if lab else f"{resource} {name}"
        known = self.journal.get(place)
        if known is None:
            query = {"lab": lab} if lab else {}
            try:
                known = self.api.get(f"/{resource}/{quote(name, safe='')}", **query)
            except RequestRefused:  # not there, or a name that fits into no address
                self.carry(resource, [row])
                known = row
            self.journal.set(place, known)
        return known

    def refuse(self, resource: str, id_: str, reason: str, detail: str = "", n: int = 1) -> None:
        """Account for what cannot be carried.

        Parameters
        ----------
        resource : str
            What it is, e.g. ``'datasets'``.
        id_ : str
            Its identifier, name or path.
        reason : str
            Why, in words that many rows share; the report groups by it.
        detail : str
            What is special to this one; by default the reason.
        n : int
            How many it stands for, e.g. the files of a folder.
        """
        self.journal.tally(resource, "not carried", n)
        self.journal.refuse(resource, id_, reason, detail or reason)


def message(detail: Any) -> str:
    """Return the server's reason as one line."""
    return detail if isinstance(detail, str) else plain(detail)


def pattern(detail: str) -> str:
    """Return a reason without what is special to one row, so that the report can group by it."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|[0-9a-f]{8}-[0-9a-f-]{27}|\d+", "…", detail)


def batches(rows: Iterable[T], sent: Callable[[T], Row]) -> Iterator[list[T]]:
    """Cut rows into batches that one request holds.

    Parameters
    ----------
    rows : iterable
    sent : callable
        Gives what is sent of one.
    """
    batch: list[T] = []
    size = 0
    for row in rows:
        length = len(json.dumps(sent(row)))
        if batch and (len(batch) == MAX_ROWS or size + length > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += length
    if batch:
        yield batch
