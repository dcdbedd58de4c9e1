"""Credentials of an account: the hash of its password, and the generation of its tokens."""

from __future__ import annotations

from typing import NamedTuple

from pynamodb.attributes import BinaryAttribute, NumberAttribute

from shared.records.optimistic import retried
from shared.records.table import Record
from shared.records.transactions import Transaction, transaction


class Password(Record, discriminator="Password"):
    """The hash of a user's password: ``CRED#username`` / A; apart from the user's record.

    ``generation`` counts how often all tokens of the account were revoked. Without a password the
    hash is empty, and no password matches it.
    """

    salt = BinaryAttribute(legacy_encoding=False)
    hashed = BinaryAttribute(legacy_encoding=False)
    generation = NumberAttribute(default=0)


def of_user(username: str) -> Password:
    """Return the credentials of an account; without a hash if it has none."""
    none = Password(pk=f"CRED#{username}", sk="A", salt=b"\0" * 16, hashed=b"", generation=0)
    if not 0 < len(username.encode("utf-8", "replace")) <= 1000:
        return none
    try:
        return Password.get(none.pk, "A", consistent_read=True)
    except Password.DoesNotExist:
        return none


class Renewal(NamedTuple):
    """A new generation of an account's tokens, with a new password if given."""

    username: str
    salt: bytes | None = None
    hashed: bytes | None = None

    def add_to(self, writes: Transaction) -> None:
        """Add it to a transaction, which fails if the generation has changed meanwhile."""
        item = of_user(self.username)
        before = int(item.generation or 0)
        item.generation = before + 1
        if self.salt is not None and self.hashed is not None:
            item.salt, item.hashed = self.salt, self.hashed
        unchanged = Record.pk.does_not_exist() | (Password.generation == before)
        if before == 0:
            unchanged |= Password.generation.does_not_exist()
        writes.save(item, condition=unchanged)


def replace(username: str, salt: bytes | None = None, hashed: bytes | None = None) -> None:
    """Begin a new generation of an account's tokens; see `Renewal`.

    Raises
    ------
    Conflict
        If others keep changing the credentials.
    """

    def step() -> None:
        with transaction() as writes:
            Renewal(username, salt, hashed).add_to(writes)

    message = f"The credentials of {username} are being changed by others; try again."
    retried(step, message)
