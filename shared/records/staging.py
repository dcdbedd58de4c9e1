"""Sets of new documents too large for one transaction: written hidden, then shown at once.

A note names the items of a set that is being written. The documents carry the set's name; while
the note exists, nobody sees them. The last transaction adds all of them to the feed and deletes
the note, which shows them all at once. The next writer that meets the remains of a killed writer
deletes them (`discard`), and so does the reconciler (`sweep`).
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
"""Longest time for writing a set; a request ends after 29 seconds."""

NOTE_BYTES = 300_000
"""Longest list of a set's items, compressed; an item of the table takes 400 kB."""

_shown: set[str] = set()
"""Sets that this process knows to be complete."""


class StagedSet(Record, discriminator="StagedSet"):
    """A set that is being written: its start, and the keys of its items."""

    since = UnicodeAttribute()
    keys = BinaryAttribute(legacy_encoding=False)


def begin(items: Iterable[Document | Pointer]) -> StagedSet:
    """Write the note of a new set; give its items the set's name.

    Raises
    ------
    TooLarge
        If there are more items than a note can name.
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
    """Add to a transaction the deletion of the note, which shows the set."""
    writes.delete(note, condition=StagedSet.pk.exists())


def is_hidden(item: Document | Pointer) -> bool:
    """Return whether an item belongs to an incomplete set."""
    token = item.batch
    if token is None or token in _shown:
        return False
    if is_under_way(token):
        return True
    _shown.add(token)
    return False


def is_under_way(token: str) -> bool:
    """Return whether a set is being written, so that its items are hidden."""
    return _note(token) is not None


def is_left_over(item: Document | Pointer) -> bool:
    """Return whether a killed writer left an item; delete its set then."""
    note = _note(item.batch) if item.batch else None
    if note is None or not _is_old(note):
        return False
    discard(note)
    return True


def visible(items: Iterable[Document]) -> list[Document]:
    """Return the documents that are not hidden."""
    return [item for item in items if not is_hidden(item)]


def discard(note: StagedSet) -> None:
    """Delete the written items of a set; repeating this is harmless."""
    for pk, sk, kind in json.loads(zlib.decompress(note.keys)):
        model: type[Document | Pointer] = Document if kind == "Doc" else Pointer
        with suppress(ConditionFailed), conditional():
            model(pk=pk, sk=sk).delete(model.batch == note.sk)
    with suppress(ConditionFailed), conditional():
        note.delete()


def sweep() -> int:
    """Delete the sets that killed writers left; return their number."""
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
