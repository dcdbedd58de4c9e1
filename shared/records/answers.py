"""Answers to requests that a client may repeat, so that each group of writes is done once.

``GRP#group`` / ``A`` is the answer to the whole group, written in the group's transaction. A group
of several transactions also has ``GRP#group`` / ``W#007`` for each of its writes.
"""

from __future__ import annotations

import hashlib
import time
import zlib
from typing import Any

import msgspec
from pynamodb.attributes import BinaryAttribute, NumberAttribute, UnicodeAttribute

from shared.records.table import Record

KEPT = 30 * 24 * 3600
"""Seconds for which a group's answer is kept."""

WHOLE = "A"


class Answer(Record, discriminator="Answer"):
    """The answer to a group, or to one write of it.

    Attributes
    ----------
    who : str
        User name of the sender.
    asked : str
        Digest of the request; it reveals another request with the same group.
    what : str
        Name of the change, in words.
    packed : bytes
        The answer.
    """

    who = UnicodeAttribute()
    asked = UnicodeAttribute()
    what = UnicodeAttribute(null=True)
    packed = BinaryAttribute(legacy_encoding=False)
    expires = NumberAttribute()

    @property
    def value(self) -> Any:
        """The answer."""
        return msgspec.json.decode(zlib.decompress(self.packed))


def digest(asked: Any) -> str:
    """Return the digest of a request."""
    return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()[:32]


def answer(group: str, part: str, who: str, asked: str, value: Any, what: str = "") -> Answer:
    """Return the item of an answer; save it on the condition that none exists."""
    return Answer(
        pk=f"GRP#{group}",
        sk=part,
        who=who,
        asked=asked,
        what=what or None,
        packed=zlib.compress(msgspec.json.encode(value)),
        expires=int(time.time() + KEPT),
    )


def of_group(group: str) -> dict[str, Answer]:
    """Return the answers of a group by part, read with strong consistency."""
    answers = Answer.query(f"GRP#{group}", consistent_read=True)
    return {item.sk: item for item in answers if item.expires > time.time()}
