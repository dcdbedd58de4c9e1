"""One upload at a time is added to a session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import DeleteError, PutError

from shared.records.errors import Conflict, NotFound
from shared.records.table import Record
from shared.uploads.state import FINAL, get_upload

LOCKED = timedelta(minutes=6)
"""A lock on a session ends after this time, longer than ingest may run."""


class Lock(Record, discriminator="Lock"):
    """Held while datasets are added to a session, so that two uploads cannot claim one place."""

    holder = UnicodeAttribute()
    until = UnicodeAttribute()
    expires = NumberAttribute()


class Busy(Conflict):
    """Another upload is being added to this session; come back in a moment."""


@contextmanager
def only_writer(folder: str, upload: str) -> Iterator[None]:
    """Let one upload at a time be added to a session; the same upload may come in again.

    Raises
    ------
    Busy
        Another upload is being added.
    """
    now = datetime.now(UTC)
    lock = Lock(
        pk=f"LOCK#{folder}",
        sk="A",
        holder=upload,
        until=(now + LOCKED).isoformat(),
        expires=int((now + timedelta(days=1)).timestamp()),
    )
    free = Lock.pk.does_not_exist() | (Lock.until <= now.isoformat()) | (Lock.holder == upload)
    try:
        lock.save(free)
    except PutError as error:
        if error.cause_response_code != "ConditionalCheckFailedException":
            raise
        _take_over(lock, folder)
    try:
        yield
    finally:  # the lock of a killed process expires
        with suppress(DeleteError):
            lock.delete(Lock.holder == upload)


def _take_over(lock: Lock, folder: str) -> None:
    """Take the lock of an ended upload whose process was killed before it released it.

    Raises
    ------
    Busy
        The holder has not ended, or somebody else was faster.
    """
    try:
        held = Lock.get(lock.pk, lock.sk, consistent_read=True)
        if get_upload(held.holder).state in FINAL:
            lock.save(Lock.holder == held.holder)
            return
    except (Lock.DoesNotExist, NotFound, PutError):
        pass
    raise Busy(f"another upload is being added to {folder}")
