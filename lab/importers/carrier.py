"""Send rows to Fornix and count their outcomes: created, unchanged, kept, not carried."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from lab.client import RequestRefused, plain

from .journal import Journal

Row = dict[str, Any]
T = TypeVar("T")
Progress = Callable[[str, int, int | None], None]
"""Called with the kind of row, the number of rows done, and the total (None: unknown)."""

MAX_ROWS = 200
"""Rows in one ``POST /import`` at most."""

CONFLICT = 409
"""Status of a row that exists with other content."""

UNUSABLE = (400, 413)
"""Status codes of a request that is wrong or too large as a whole."""

NAMES = ("id", "nickname", "username", "name")
"""Fields that identify a row."""

SENDERS = 3
"""Parallel requests for rows that do not refer to each other."""

FEW_ROWS = 10
"""Rows that one request takes, though other senders have none."""

MAX_BYTES = 1_000_000
"""Body size at which a batch is cut; a function behind API Gateway accepts 6 MB."""


class Api(Protocol):
    """The part of an HTTP client that an import needs."""

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
        Record of the import so far.
    dry_run : bool
        Send nothing; only count.
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
        """Report uploaded bytes."""
        self._bytes += n
        self.progress("MB uploaded", self._bytes // 1_000_000, None)

    def send(
        self, resource: str, rows: Iterable[Row], *, apart: str | None = None
    ) -> dict[str, Row]:
        """Send rows of one resource, in batches; return the rows that the server refused, by id.

        A row that exists with other content stays unchanged on the server: it counts as ``kept``,
        not as refused.

        Parameters
        ----------
        resource : str
            Kind of row.
        rows : iterable of dict
            A row may refer to earlier ones.
        apart : str, optional
            Field of rows that do not refer to each other: batches are sent in parallel, and rows
            of equal value go together. All batches are answered when this returns or raises.
        """
        refused: dict[str, Row] = {}
        if self.dry_run:
            self.journal.tally(resource, "to send", sum(1 for _ in rows))
            return refused
        for answer in self._answers(resource, rows, apart):
            for outcome in ("created", "unchanged"):
                self.journal.tally(resource, outcome, answer[outcome])
            for item in answer["refused"]:
                if item["status"] == CONFLICT and item.get("existing", item["id"]) == item["id"]:
                    self.journal.tally(resource, "kept")
                else:
                    refused[str(item["id"])] = item
        return refused

    def _answers(self, resource: str, rows: Iterable[Row], apart: str | None) -> Iterator[Row]:
        """Yield the server's answer to each batch of rows."""
        if apart is None:
            for batch in batches(rows, lambda row: row):
                yield self.deliver(resource, batch)
            return
        with ThreadPoolExecutor(SENDERS, thread_name_prefix="send") as senders:
            some = batches_apart(list(rows), apart)
            yield from senders.map(lambda batch: self.deliver(resource, batch), some)

    def deliver(self, resource: str, batch: list[Row]) -> Row:
        """Send a batch; a batch refused as a whole is cut until the faulty row is alone.

        Returns
        -------
        dict
            The server's answer: ``created`` and ``unchanged`` are counts, ``refused`` are items
            with ``row``, the position in the batch.
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

    def carry(self, resource: str, rows: Iterable[Row], *, apart: str | None = None) -> set[str]:
        """Send rows (see `send`); record those that the server refused and return their ids."""
        refused = self.send(resource, rows, apart=apart)
        for id_, item in refused.items():
            detail = message(item["detail"])
            self.refuse(resource, id_, f"the server refuses it: {pattern(detail)}", detail)
        return set(refused)

    def end(self) -> None:
        """Tell the server that all rows have come, unless none was new since the last time.

        The server then indexes them in one piece; before, they are changes beside its index.
        """
        created = sum(counts.get("created", 0) for counts in self.journal.tallies().values())
        if created != self.journal.get("ended with", 0):
            self.api.post("/import/end", {})
            self.journal.set("ended with", created)

    def ensure(self, resource: str, name: str, row: Row, lab: str | None = None) -> Row:
        """Return a named row, created if it is missing; ``lab`` if names are unique per lab only.

        The server is asked once per import.
        """
        place = f"{resource} {lab}/{name}" if lab else f"{resource} {name}"
        existing = self.journal.get(place)
        if existing is None:
            query = {"lab": lab} if lab else {}
            try:
                existing = self.api.get(f"/{resource}/{quote(name, safe='')}", **query)
            except RequestRefused:  # missing, or its name fits into no address
                self.carry(resource, [row])
                existing = row
            self.journal.set(place, existing)
        return existing

    def refuse(self, resource: str, id_: str, reason: str, detail: str = "", n: int = 1) -> None:
        """Record a row that cannot be carried.

        Parameters
        ----------
        resource : str
            Kind of row, e.g. ``'datasets'``.
        id_ : str
            Its identifier, name or path.
        reason : str
            Reason in words that many rows share; the report groups by it.
        detail : str
            Detail of this row; by default the reason.
        n : int
            Number of things it stands for, e.g. the files of a folder.
        """
        self.journal.tally(resource, "not carried", n)
        self.journal.refuse(resource, id_, reason, detail or reason)


def message(detail: Any) -> str:
    """Return the server's reason as one line."""
    return detail if isinstance(detail, str) else plain(detail)


def pattern(detail: str) -> str:
    """Return a reason without the parts that vary between rows, for grouping in the report."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|[0-9a-f]{8}-[0-9a-f-]{27}|\d+", "…", detail)


def batches_apart(rows: list[Row], field: str) -> list[list[Row]]:
    """Cut rows into batches for all senders; rows with the same value of a field go together.

    Only rows of one value that exceed a request are cut: two requests at once for the datasets of
    one session would wait for each other.
    """
    most = min(MAX_ROWS, max(FEW_ROWS, -(-len(rows) // SENDERS)))
    cut: list[list[Row]] = []

    def value(row: Row) -> str:
        return str(row.get(field))

    for _, group in groupby(sorted(rows, key=value), value):
        for part in batches(group, lambda row: row):
            if cut and len(cut[-1]) + len(part) <= most:
                cut[-1] += part
            else:
                cut.append(part)
    return [batch for some in cut for batch in batches(some, lambda row: row)]


def batches(rows: Iterable[T], sent: Callable[[T], Row]) -> Iterator[list[T]]:
    """Cut rows into batches that fit into one request.

    Parameters
    ----------
    rows : iterable
    sent : callable
        Returns the part of a row that is sent.
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
