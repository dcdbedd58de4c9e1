"""Writing several items at once, all or none, together with feed, audit trail and journal.

The journal gets everything that a transaction saves or deletes. Records with a row in lists and a
history are written by `Transaction.record`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pynamodb.exceptions import DeleteError, PutError, TransactWriteError, UpdateError
from pynamodb.expressions.condition import Condition
from pynamodb.transactions import TransactWrite

from shared.model import moment
from shared.model.change import Change
from shared.records import audit, feed
from shared.records.audit import Audit
from shared.records.errors import Conflict, TooLarge
from shared.records.table import Record, connection

ORDERED_BY: Mapping[str, str] = {
    "Book": "version",
    "Dataset": "e",
    "Doc": "version",
    "Password": "generation",
    "Session": "version",
    "Task": "edition",
}
"""Stored attribute that counts the versions of an item, by its kind; each write raises it."""

SECRET = frozenset({"HookKey", "Password"})
"""Kinds of item that only the journal may see, not the feed's readers."""

UNCHANGING = frozenset({"Audit"})
"""Kinds of item that are written once: the feed only names them, and the journal reads them from
the table."""

NOT_JOURNALED: Mapping[str, str] = {
    "Answer": "what a device was answered, should it ask again; its writes are known by their ids",
    "Change": "the feed itself",
    "Delivery": "events sent to webhooks; their receivers know them, and they end after a month",
    "FeedPlace": "how far the feed was read for webhooks; a restored table has another feed",
    "KnownSource": "where accounts have logged in from; it is learnt again",
    "Lock": "held for minutes; after a restore nothing runs that holds one",
    "StagedSet": "a list that is being written; after a restore nothing writes it",
    "Restore": "says that a restore is under way",
    "SigningKey": "made anew; addresses signed before are good for an hour",
    "Token": "a restore must not bring back what was revoked; people log in again",
    "Tries": "failed logins of the last minutes",
    "Worker": "what a worker last said of itself; it says so again in a minute",
}
"""Kinds of item that a restore does not bring back, and why."""

Row = Mapping[str, Any]

committed: list[Callable[[list[Change]], None]] = []
"""Called with the changed rows of each transaction of this process once it is committed."""


Image = tuple[str, str, int | None, dict[str, Any] | None]
"""``(pk, sk, order, item or None)``, see `shared.records.feed.FeedEntry`."""


class ConditionFailed(Conflict):
    """A condition of a transaction did not hold, or others were writing the same items."""


class Transaction:
    """Writes that are committed together. Made by `transaction`.

    Parameters
    ----------
    group : str, optional
        A UUID common to the audit entries of this and related transactions.
    of_many : bool
        Whether many documents are made, so that their audit entries share one item.
    """

    def __init__(self, group: str | None = None, *, of_many: bool = False) -> None:
        self._group = group
        self._of_many = of_many
        self._writes = TransactWrite(connection=connection())
        self._rows: list[tuple[str, str, int, Row | None]] = []
        self._images: list[Image] = []
        self._sealed: list[Image] = []
        self._audits: list[Audit] = []
        self._together: dict[str, list[Audit]] = {}
        self._sk = f"{moment.stamp()}#{secrets.token_hex(4)}"

    def save(self, item: Record, condition: Condition | None = None) -> None:
        """Write an item, if a condition holds."""
        self._writes.save(item, condition=condition)
        self._keep(item, self._writes._put_items[-1]["Item"])

    def stage(self, item: Record, condition: Condition | None = None) -> None:
        """Write a hidden item; a later transaction journals it."""
        self._writes.save(item, condition=condition)

    def delete(self, item: Record, condition: Condition | None = None) -> None:
        """Delete an item, if a condition holds."""
        self._writes.delete(item, condition=condition)
        self._keep(item, None)

    def check(self, model: type[Record], pk: str, sk: str, condition: Condition) -> None:
        """Commit only if a condition holds for an item that is not written."""
        self._writes.condition_check(model, pk, sk, condition=condition)

    def journal(self, items: Iterable[Record]) -> None:
        """Journal items that were written before, but become valid by this transaction.

        The journal reads them from the table: a hundred files' checksums would double the cost.
        """
        self._images += [image_of(each, each.serialize(), by_name=True) for each in items]

    def _keep(self, item: Record, stored: dict[str, Any] | None) -> None:
        kind = type(item).stored_kind()
        if kind not in NOT_JOURNALED:
            images = self._sealed if kind in SECRET else self._images
            images.append(image_of(item, stored))

    def record(
        self,
        kind: str,
        key: str,
        before: Row | None,
        after: Row | None,
        who: str,
        *,
        item: Record,
        version: int,
        condition: Condition | None = None,
        action: str | None = None,
        lab: str | None = None,
    ) -> None:
        """Write a record: its item, its row in lists, its audit entry and its journal entry.

        Parameters
        ----------
        kind, key : str
            Kind and key of the record.
        before, after : mapping or None
            Its rows; ``before`` is None for a new record, ``after`` None for a deleted one.
        who : str
            User name of the caller.
        item : Record
            The new item; the former one of a deleted record.
        version : int
            New version of the record.
        condition : Condition, optional
            Condition for the whole transaction.
        action : str, optional
            Word for the audit trail; ``create``, ``update`` or ``delete`` by default.
        lab : str, optional
            Lab that owns the record; it indexes the audit entry. Empty if all labs do.
        """
        word = "create" if before is None else "delete" if after is None else "update"
        note = self._note(who, action or word, kind, key, before, after, version, lab)
        if before is None and not action and self._is_small(note, item):
            place = audit.place_of_many(self._group or self._sk[-8:], lab or "")
            self._together.setdefault(place, []).append(note)
            item.made = f"{place}|{self._sk}"  # type: ignore[attr-defined]
        else:
            note.made = getattr(item, "made", None) if after is None else None
            self._audits.append(note)
        if after is None:
            self.delete(item, condition)
        else:
            self.save(item, condition)
        self.row(kind, key, version, after)

    def _is_small(self, note: Audit, item: Record) -> bool:
        """Return whether a record's audit entry shares one item with others."""
        fits = len(note.detail) <= audit.TOGETHER and note.lab is not None
        return self._of_many and fits and hasattr(type(item), "made")

    @property
    def rows(self) -> list[tuple[str, str, int, Row | None]]:
        """Kind, key, version and row of each record written so far."""
        return self._rows

    def row(self, kind: str, key: str, version: int, row: Row | None) -> None:
        """Set a record's new row in lists; None if the record is deleted."""
        self._rows.append((kind, key, version, row))

    def audit(
        self,
        who: str,
        action: str,
        kind: str,
        key: str,
        before: Row | None = None,
        after: Row | None = None,
        version: int | None = None,
        lab: str | None = None,
    ) -> None:
        """Add an audit entry; one entry may stand for many items of one record."""
        self._audits.append(self._note(who, action, kind, key, before, after, version, lab))

    def _note(
        self,
        who: str,
        action: str,
        kind: str,
        key: str,
        before: Row | None,
        after: Row | None,
        version: int | None,
        lab: str | None,
    ) -> Audit:
        facts: dict[str, Any] = {"group": self._group, "version": version, "lab": lab}
        return audit.entry(who, action, kind, key, before, after, **facts)

    def commit(self) -> None:
        """Write everything, or nothing.

        Raises
        ------
        ConditionFailed
            If a condition did not hold, or others were writing the same items.
        TooLarge
            If an item is larger than 400 KB, or all together exceed 4 MB.
        """
        at = moment.stamp()
        notes = [audit.together(some, pk) for pk, some in self._together.items()]
        notes += self._audits
        audit.bind(notes, self._sk)
        for note in notes:
            self.save(note)
        for entry in feed.entries(self._rows, self._images):
            self._writes.save(entry)
        for entry in feed.entries([], self._sealed, secret=True):
            self._writes.save(entry)
        try:
            with self._writes:
                pass
        except TransactWriteError as error:
            reasons = error.cancellation_reasons
            codes = {reason.code for reason in reasons if reason}
            if codes & {"ConditionalCheckFailed", "TransactionConflict"} or _busy(error):
                text = "The record was changed by somebody else at the same time."
                raise ConditionFailed(text) from error
            said = [error.cause_response_message, *(each and each.message for each in reasons)]
            if any("size" in str(each).lower() for each in said):
                text = "The record is too large for the table; keep large texts in files."
                raise TooLarge(text) from error
            raise
        changes = [
            Change(at, kind, key, version, None if row is None else dict(row))
            for kind, key, version, row in self._rows
        ]
        for callback in committed:
            callback(changes)


def image_of(item: Record, stored: dict[str, Any] | None, *, by_name: bool = False) -> Image:
    """Return the image of an item, by which the feed passes it to the journal.

    Parameters
    ----------
    item : Record
        The new item, or the former one if it is deleted.
    stored : dict or None
        Its stored form; None if it is deleted.
    by_name : bool
        Whether the journal reads it from the table.
    """
    kind = type(item).stored_kind()
    if kind in UNCHANGING and stored is not None:
        return item.pk, item.sk, None, feed.IN_TABLE
    order = None
    if counter := ORDERED_BY.get(kind):
        whole = stored if stored is not None else item.serialize()
        order = int(whole[counter]["N"]) + (stored is None) if counter in whole else None
    return item.pk, item.sk, order, feed.IN_TABLE if by_name else stored


@contextmanager
def transaction(group: str | None = None, *, of_many: bool = False) -> Iterator[Transaction]:
    """Collect writes and commit them together when the block ends.

    Parameters
    ----------
    group : str, optional
        A UUID common to the audit entries.
    of_many : bool
        Whether many documents are made.

    Raises
    ------
    ConditionFailed
        If a condition did not hold, or another transaction was writing the same items.
    """
    writes = Transaction(group, of_many=of_many)
    yield writes
    writes.commit()


@contextmanager
def conditional() -> Iterator[None]:
    """Write one item alone, if a condition holds.

    Raises
    ------
    ConditionFailed
        If the condition did not hold, or a transaction was writing the item.
    """
    try:
        yield
    except (UpdateError, PutError, DeleteError) as error:
        if error.cause_response_code not in ALONE_REFUSED:
            raise
        raise ConditionFailed("The record was changed by somebody else.") from error


ALONE_REFUSED = frozenset({"ConditionalCheckFailedException", "TransactionConflictException"})


def _busy(error: Any) -> bool:
    return error.cause_response_code in {
        "TransactionInProgressException",
        "TransactionConflictException",
    }
