"""Several documents written together: created, changed and deleted in one transaction.

Each is written with its unique values, with its alias if it is stored within another record, with
its entry in the change feed and its audit entry. The transaction holds only if the documents are
as they were read, and if the records that they name exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from pynamodb.expressions.condition import Condition

from shared.records import keys, leaving, staging
from shared.records.errors import Conflict, Exists, TooLarge
from shared.records.feed import first_version
from shared.records.items import Document, Pointer
from shared.records.leaving import Name
from shared.records.table import Record
from shared.records.transactions import ConditionFailed, Transaction, transaction

Extra = Callable[[Transaction], None]
"""Adds writes to a transaction."""

MANY = 4
"""New documents in one transaction from which on their audit entries are one item."""

MOST_WRITES = 86
"""Items of one transaction beside the feed's; DynamoDB takes 100, and 4 MB, which are 14 entries
of the feed."""


class Write(msgspec.Struct, eq=False, kw_only=True):
    """The write of one document.

    Attributes
    ----------
    kind, key : str
    before : Document or None
        The document as read; None for a new one.
    body : dict or None
        The new body; None to delete the document. If it is unchanged, the transaction only checks
        that nobody else changes the document meanwhile.
    unique, was_unique : sequence of (field, value)
        Values that no other document of the kind may have, from now on and until now.
    parent : (str, str), optional
        Index entry under a parent: (``"SUBJ#KS001"``, ``"weighing#2024-…"``).
    place : (str, str), optional
        Primary key of a new one within another record's partition: (``"SES#<id>"``, ``"E#<id>"``).
    needs : sequence of (kind, key)
        Records that must exist when it is written, and must not be in deletion.
    mark : str
        Mark of the deletion, see `leaving`; empty if it has none.
    action : str, optional
        Word for the audit trail.
    lab : str, optional
        Lab that owns the record; empty if all labs do.
    """

    kind: str
    key: str
    before: Document | None = None
    body: dict[str, Any] | None = None
    unique: Sequence[Name] = ()
    was_unique: Sequence[Name] = ()
    parent: tuple[str, str] | None = None
    place: tuple[str, str] | None = None
    needs: Sequence[Name] = ()
    mark: str = ""
    action: str | None = None
    lab: str | None = None
    version: int = 0

    def __post_init__(self) -> None:
        """Set the version."""
        if not self.version:
            before = self.before
            self.version = first_version() if before is None else int(before.version) + 1

    @property
    def is_change(self) -> bool:
        """Whether anything is written at all."""
        if self.before is None:
            return self.body is not None
        return self.body != self.before.body

    @property
    def name(self) -> Name:
        """Kind and key."""
        return self.kind, self.key

    @property
    def items(self) -> int:
        """Number of items in a transaction, without the records it needs."""
        if not self.is_change:
            return 1
        return 2 + len(self._taken()) + len(self._freed())

    def add_to(self, writes: Transaction, who: str) -> Document | None:
        """Add it to a transaction; return the item as it will be stored."""
        old = self.before
        if not self.is_change:
            if old is not None:
                unchanged = Document.version == int(old.version)
                writes.check(Document, old.pk, old.sk, unchanged & leaving.unmarked())
            return old
        item = self._item()
        if old is None:
            condition: Condition = Record.pk.does_not_exist()
        else:
            condition = Document.version == int(old.version)
            if self.mark and keys.is_document(old.pk):
                condition &= leaving.marked(self.mark)
        writes.record(
            self.kind,
            self.key,
            None if old is None else old.body,
            self.body,
            who,
            action=self.action,
            item=item,
            version=self.version,
            condition=condition,
            lab=self.lab,
        )
        for guard in self._taken():
            writes.save(guard, condition=Record.pk.does_not_exist())
        for guard in self._freed():
            held = self.mark and guard.pk == leaving.place_of(*self.name)[0]
            writes.delete(guard, condition=leaving.marked(self.mark) if held else None)
        return None if self.body is None else item

    def undone(self, item: Document | None) -> Write:
        """Return the write that undoes this one; ``item`` is the stored result of this one."""
        old = self.before
        return Write(
            kind=self.kind,
            key=self.key,
            before=item,
            body=None if old is None else old.body,
            unique=self.was_unique,
            was_unique=self.unique,
            parent=(old.g1pk, old.g1sk) if old is not None and old.g1pk else None,
            place=(old.pk, old.sk) if old is not None and not keys.is_document(old.pk) else None,
            version=self.version + 1,
            lab=self.lab,
        )

    def _item(self) -> Document:
        """Return the new item; the former one of a deleted document."""
        if self.body is None:
            assert self.before is not None  # noqa: S101 - else there is no change
            return self.before
        old = self.before
        pk, sk = (
            (old.pk, old.sk) if old else self.place or (keys.document(self.kind, self.key), "A")
        )
        made = Document(pk=pk, sk=sk, what=self.kind, body=self.body, version=self.version)
        made.id = old.id if old else str(self.body["id"])
        made.made = old.made if old else None
        if filed := self.parent or (old and old.g1pk and (old.g1pk, old.g1sk)):
            made.g1pk, made.g1sk = filed
        return made

    def _taken(self) -> list[Pointer]:
        """Return the new items beside the document: guards of unique values, and its alias."""
        new = set(self.unique) - set(self.was_unique) if self.body is not None else set()
        guards = [self._guard(*each) for each in sorted(new)]
        if self.place and self.before is None:
            alias = keys.document(self.kind, self.key)
            guards.append(Pointer(pk=alias, sk="A", to=self.place[0], to_sk=self.place[1]))
        return guards

    def _freed(self) -> list[Pointer]:
        """Return the items beside the document that are no longer needed."""
        old = set(self.was_unique) - set(self.unique if self.body is not None else ())
        guards = [self._guard(*each) for each in sorted(old)]
        placed = self.before is not None and not keys.is_document(self.before.pk)
        if self.body is None and placed:
            guards.append(Pointer(pk=keys.document(self.kind, self.key), sk="A", to=""))
        return guards

    def _guard(self, field: str, value: str) -> Pointer:
        return Pointer(pk=keys.unique(self.kind, field, value), sk="A", to=self.key)

    def taken(self) -> str | None:
        """Return the message about the taken identity of a refused document; None if none is."""
        if self.before is None and _there(keys.document(self.kind, self.key)):
            return f"{self.kind} {self.key!r} already exists."
        for field, value in sorted(set(self.unique) - set(self.was_unique)):
            if _there(keys.unique(self.kind, field, value)):
                return f"{self.kind} with this {field} already exists."
        return None


def _there(pk: str) -> bool:
    """Return whether an item exists; remains of a killed writer do not count and are deleted.

    Raises
    ------
    Conflict
        If it belongs to a set that is being written, whose outcome is open.
    """
    try:
        item = Record.get(pk, "A", consistent_read=True)
    except Record.DoesNotExist:
        return False
    if isinstance(item, Document | Pointer) and staging.is_hidden(item):
        if staging.is_left_over(item):
            return False
        raise Conflict("It is in a list that is being written just now; try again.")
    return True


def write_all(
    writes: Sequence[Write],
    *,
    who: str,
    group: str | None = None,
    extra: Extra | None = None,
    whole: bool = True,
) -> list[Document | None]:
    """Write documents, all or none.

    Parameters
    ----------
    writes : sequence of Write
        In the order of their dependencies; at most one for each document.
    who : str
        User name, for the audit trail.
    group : str, optional
        A UUID common to the audit entries.
    extra : callable, optional
        Adds further writes to the last transaction.
    whole : bool
        Whether everything must fit into one transaction. Otherwise, new documents that do not fit
        are written hidden and shown together (`staging`). Changes and deletions that do not fit
        take several transactions; if one is refused, the earlier ones are undone.

    Returns
    -------
    list of Document or None
        The stored documents; None for deleted ones.

    Raises
    ------
    Exists, Missing, Leaving
        If a key or a unique value is taken; if a record that they need does not exist, or is
        being deleted.
    ConditionFailed
        If others have changed a document since it was read: read and decide again.
    TooLarge
        If one transaction is required, but everything does not fit.
    """
    if not extra and not any(each.is_change for each in writes):
        return [each.before for each in writes]
    _check_apart(writes)
    parts = list(_parts(writes))
    if whole and len(parts) > 1:
        items = sum(each.items for each in writes)
        raise TooLarge(
            f"These are {items} items and more, of which {MOST_WRITES} are written all or none;"
            " send fewer at a time."
        )
    if len(parts) > 1 and all(each.before is None for each in writes):
        return list(_write_staged(parts, who, group, extra))
    done: list[tuple[Write, Document | None]] = []
    try:
        for part in parts:
            last = part is parts[-1]
            items_now = _write_part(part, who, group, extra if last else None)
            done += zip(part, items_now, strict=True)
    except Exception:
        for write, item in reversed(done):
            if write.is_change:
                with suppress(ConditionFailed), transaction(group) as back:
                    write.undone(item).add_to(back, who)
        raise
    return [item for _, item in done]


def _check_apart(writes: Iterable[Write]) -> None:
    """Refuse writes if two have the same key or the same unique value."""
    seen: set[tuple[str, str, str]] = set()
    for write in writes:
        if write.body is None:
            continue
        for field, value in [("key", write.key), *write.unique]:
            if (name := (write.kind, field, value)) in seen:
                raise Exists(
                    f"Two {write.kind}s of the list have the same {field}.", write.key, write.kind
                )
            seen.add(name)


def _parts(writes: Sequence[Write]) -> Iterator[list[Write]]:
    part: list[Write] = []
    needs: set[Name] = set()
    count = 0
    for write in writes:
        more = set(write.needs) - needs
        if part and count + write.items + len(more) > MOST_WRITES:
            yield part
            part, needs, count, more = [], set(), 0, set(write.needs)
        part.append(write)
        needs |= more
        count += write.items + len(more)
    yield part


def _write_part(
    part: Sequence[Write], who: str, group: str | None, extra: Extra | None
) -> list[Document | None]:
    own = {write.name for write in part}
    needs = sorted({need for write in part for need in write.needs} - own)
    try:
        made = sum(write.before is None for write in part)
        with transaction(group, of_many=made >= MANY) as writes:
            items = [write.add_to(writes, who) for write in part]
            hold(writes, needs)
            if extra:
                extra(writes)
        return items
    except ConditionFailed:
        _say_why(part, needs)
        raise


def _write_staged(
    parts: Sequence[Sequence[Write]], who: str, group: str | None, extra: Extra | None
) -> Iterator[Document]:
    """Write new documents that do not fit into one transaction, then show all at once.

    They share one audit entry.
    """
    every = [each for part in parts for each in part]
    items = {each.name: each._item() for each in every}
    guards: dict[Name, list[Pointer]] = {each.name: each._taken() for each in every}
    all_items: list[Document | Pointer] = [*items.values()]
    all_items += [guard for each in guards.values() for guard in each]
    own = {each.name for each in every}
    needs = sorted({need for each in every for need in each.needs} - own)
    note = staging.begin(all_items)
    part = parts[0]
    try:
        for part in parts:
            with transaction(group) as writes:
                for each in part:
                    for item in (items[each.name], *guards[each.name]):
                        writes.stage(item, condition=Record.pk.does_not_exist())
        with transaction(group) as writes:
            for each in every:
                writes.row(each.kind, each.key, each.version, each.body)
            writes.journal(all_items)
            staging.show(writes, note)
            hold(writes, needs)
            names: dict[str, list[str]] = {each.kind: [] for each in every}
            for each in every:
                names[each.kind].append(each.key)
            writes.audit(who, "create", every[0].kind, note.sk, None, names)
            if extra:
                extra(writes)
    except BaseException as error:
        staging.discard(note)
        if isinstance(error, ConditionFailed):
            _say_why(part, needs)
        raise
    yield from (items[each.name] for each in every)


def hold(writes: Transaction, names: Iterable[Name]) -> None:
    """Add the conditions that some records exist and are not being deleted."""
    for name in sorted(names):
        writes.check(Record, *leaving.place_of(*name), leaving.there())


def _say_why(part: Sequence[Write], needs: Sequence[Name]) -> None:
    """Raise the reason of a refused transaction, unless another try may succeed."""
    leaving.check_there(needs)
    for write in part:
        if write.body is not None and (taken := write.taken()):
            raise Exists(taken, write.key, write.kind) from None
