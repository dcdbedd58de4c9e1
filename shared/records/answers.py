"""What was answered to a request that its sender may send again: each group is done once.

``GRP#group`` / ``A`` is the answer to the whole, written in the transaction of what it did. A
group of several transactions has ``GRP#group`` / ``W#007`` for each of its writes beside.
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
    """What was answered to a group, or to one write of it.

    Attributes
    ----------
    who : str
        User name of the sender.
    asked : str
        Digest of what was asked, which tells another request with the same group.
    what : str
        What it is called, in words.
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
    """Return what tells a request from others."""
    return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()[:32]


def answer(group: str, part: str, who: str, asked: str, value: Any, what: str = "") -> Answer:
    """Return the item of an answer; save it on the condition that there is none."""
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
    """Return what is known of a group, by part, read strongly."""
    found = Answer.query(f"GRP#{group}", consistent_read=True)
    return {each.sk: each for each in found if each.expires > time.time()}
