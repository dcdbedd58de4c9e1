"""Lists of new documents that do not fit into one transaction: written unseen, shown at once.

A note says that a set is being written, and what its items are. The documents carry the set's
name: as long as the note is there nobody sees them. The last transaction tells the feed of all of
them and deletes the note, which shows them all at once. What a killed writer left is deleted by
whoever meets it (`discard`), and by the reconciler (`sweep`).
"""

from __future__ import annotations

import json
import uuid
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta

from pynamodb.attributes import BinaryAttribute, UnicodeAttribute

from shared.model import moment
from shared.records.errors import TooLarge
from shared.records.items import Document, Pointer
from shared.records.table import Record
from shared.records.transactions import ConditionFailed, Transaction, conditional

SETS = "SETS"
"""Partition of the notes."""

LASTS = timedelta(seconds=60)
"""How long a set may be under way; a request ends after 29 seconds."""

NOTE_BYTES = 300_000
"""Longest list of a set's items, compressed; an item of the table takes 400 kB."""

_shown: set[str] = set()
"""Sets of which this process knows that they are whole."""


class StagedSet(Record, discriminator="StagedSet"):
    """A set that is being written: since when, and the keys of its items."""

    since = UnicodeAttribute()
    keys = BinaryAttribute(legacy_encoding=False)


def begin(items: Iterable[Document | Pointer]) -> StagedSet:
    """Note that a set is written from now on; give its items the set's name.

    Raises
    ------
    TooLarge
        If there are more than a note can name.
    """
    token = uuid.uuid4().hex
    keys = []
    for item in items:
        item.batch = token
        keys.append([item.pk, item.sk, type(item).stored_kind()])
    packed = zlib.compress(json.dumps(keys, separators=(",", ":")).encode())
    if len(packed) > NOTE_BYTES:
        raise TooLarge(f"These are {len(keys)} items, too many at once; send fewer at a time.")
    note = StagedSet(pk=SETS, sk=token, since=moment.stamp(), keys=packed)
    note.save(StagedSet.pk.does_not_exist())
    return note


def show(writes: Transaction, note: StagedSet) -> None:
    """Add to a transaction that a set is whole."""
    writes.delete(note, condition=StagedSet.pk.exists())


def is_hidden(item: Document | Pointer) -> bool:
    """Return whether an item is of a set that is not whole."""
    token = item.batch
    if token is None or token in _shown:
        return False
    if is_under_way(token):
        return True
    _shown.add(token)
    return False


def is_under_way(token: str) -> bool:
    """Return whether a set is being written, so that nobody sees its items yet."""
    return _note(token) is not None


def is_left_over(item: Document | Pointer) -> bool:
    """Return whether an item is what a killed writer left; it is deleted then."""
    note = _note(item.batch) if item.batch else None
    if note is None or not _is_old(note):
        return False
    discard(note)
    return True


def visible(items: Iterable[Document]) -> list[Document]:
    """Return the documents that are no part of a set under way."""
    return [item for item in items if not is_hidden(item)]


def discard(note: StagedSet) -> None:
    """Delete what was written of a set; again is no change."""
    for pk, sk, kind in json.loads(zlib.decompress(note.keys)):
        model: type[Document | Pointer] = Document if kind == "Doc" else Pointer
        with suppress(ConditionFailed), conditional():
            model(pk=pk, sk=sk).delete(model.batch == note.sk)
    with suppress(ConditionFailed), conditional():
        note.delete()


def sweep() -> int:
    """Delete what killed writers left; return of how many sets."""
    notes: Sequence[StagedSet] = [
        note for note in StagedSet.query(SETS, consistent_read=True) if _is_old(note)
    ]
    for note in notes:
        discard(note)
    return len(notes)


def _is_old(note: StagedSet) -> bool:
    return note.since < moment.stamp(moment.now() - LASTS)


def _note(token: str) -> StagedSet | None:
    try:
        return StagedSet.get(SETS, token, consistent_read=True)
    except StagedSet.DoesNotExist:
        return None
