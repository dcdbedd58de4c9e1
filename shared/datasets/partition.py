"""A session's partition, as a registration reads it, and the flip that shows a large set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from shared.datasets.read import visible
from shared.records import keys
from shared.records.errors import NotFound
from shared.records.feed import first_version
from shared.records.items import Book, Dataset, Session
from shared.records.leaving import Name
from shared.records.table import Record
from shared.records.transactions import Transaction


class Partition(msgspec.Struct):
    """The registered datasets of a session, or of another record.

    ``belongs_to`` is the other record's kind and key, if datasets are added.
    """

    owner: str
    session: Session | None
    book: Book | None
    datasets: dict[str, Dataset]
    belongs_to: Name | None = None

    @property
    def pk(self) -> str:
        """Its partition key."""
        return keys.owner(self.owner)

    @property
    def folder(self) -> str:
        """Folder for the bytes of new datasets, below ``data/``."""
        return self.session.folder if self.session else self.owner.replace("#", "/")


def read_partition(owner: str) -> Partition:
    """Return the partition of an owner.

    Raises
    ------
    NotFound
        The session does not exist.
    """
    between = Record.sk.between("A", "D~")
    present = list(Record.query(keys.owner(owner), between, consistent_read=True))
    session = next((item for item in present if isinstance(item, Session)), None)
    if keys.is_session(keys.owner(owner)) and session is None:
        raise NotFound(f"There is no session {owner}.")
    book = next((item for item in present if isinstance(item, Book)), None)
    files = visible(book, [item for item in present if isinstance(item, Dataset)])
    return Partition(owner, session, book, {item.path: item for item in files})


def stage(added: Sequence[Dataset], token: str) -> None:
    """Write datasets that stay hidden until the flip."""
    with Dataset.batch_write() as batch:
        for item in added:
            item.batch = token
            batch.save(item)


def flip(writes: Transaction, partition: Partition, token: str | None = None) -> None:
    """Add the write of the book that makes a set visible; it also serialises default changes.

    Parameters
    ----------
    writes
        A transaction.
    partition
        The partition as it was read.
    token
        The set to show.
    """
    book = partition.book
    version = int(book.version) if book else first_version()
    sets = set(book.sets or ()) if book else set()
    fresh = Book(
        pk=partition.pk,
        sk="B",
        version=version + 1,
        sets=(sets | {token} if token else sets) or None,
    )
    writes.save(fresh, condition=_unflipped(book))


def check_unflipped(writes: Transaction, partition: Partition) -> None:
    """Add the condition that nothing was registered since the partition was read."""
    writes.check(Book, partition.pk, "B", _unflipped(partition.book))


def _unflipped(book: Book | None) -> Any:
    return (Book.version == int(book.version)) if book else Record.pk.does_not_exist()
