"""Signatures of values that clients send back: page tokens, addresses of cache tables.

The keys are in the table, where only the API reads them. A new key is made each day; former keys
stay valid for a while, so that recent signatures still hold.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from contextlib import suppress

from pynamodb.attributes import BinaryAttribute, NumberAttribute
from pynamodb.exceptions import PutError

from shared.records.table import Record, table_name

ROTATED = 24 * 3600
"""Seconds after which a new key signs."""

GOOD = 2 * ROTATED
"""Seconds for which a key's signatures are accepted."""

READ_AGAIN = 600
"""Seconds for which a process caches the keys."""

_PARTITION = "KEY#signing"


class SigningKey(Record, discriminator="SigningKey"):
    """A secret: ``KEY#signing`` / number of the day since 1970, made on first use."""

    secret = BinaryAttribute(legacy_encoding=False)
    expires = NumberAttribute()


_known: dict[str, tuple[float, dict[str, bytes]]] = {}
"""Cached keys by day with the time of reading, by table."""


def sign(purpose: str, text: str) -> str:
    """Return the signature of a text, 32 hexadecimal digits.

    Parameters
    ----------
    purpose : str
        Purpose of the signature; it is not valid for another one.
    text : str
    """
    today = _day(time.time())
    keys = _keys()
    if today not in keys:
        _make(today)
        keys = _keys(again=True)
    return _mac(keys[today], purpose, text)


def is_good(purpose: str, text: str, signature: str) -> bool:
    """Return whether a text was signed here recently."""
    claimed = signature.encode("utf-8", "replace")
    for again in (False, True):
        macs = [_mac(key, purpose, text).encode() for key in _keys(again=again).values()]
        if any(hmac.compare_digest(mac, claimed) for mac in macs):
            return True
        if time.time() - _known[table_name()][0] < 1:
            break  # the keys have just been read
    return False


def _mac(key: bytes, purpose: str, text: str) -> str:
    message = f"{purpose}\0{text}".encode("utf-8", "replace")
    return hmac.new(key, message, hashlib.sha256).hexdigest()[:32]


def _day(at: float) -> str:
    return f"{int(at // ROTATED):06d}"


def _make(day: str) -> None:
    expires = (int(day) + 1) * ROTATED + GOOD
    item = SigningKey(pk=_PARTITION, sk=day, secret=secrets.token_bytes(32), expires=expires)
    with suppress(PutError):  # another instance was first
        item.save(condition=Record.pk.does_not_exist())


def _keys(*, again: bool = False) -> dict[str, bytes]:
    """Return the keys whose signatures are accepted, by day."""
    table, now = table_name(), time.time()
    oldest = _day(now - GOOD)
    read_at, keys = _known.get(table, (0.0, {}))
    if again or now - read_at > READ_AGAIN or not keys:
        recent = SigningKey.query(_PARTITION, SigningKey.sk >= oldest, consistent_read=True)
        keys = {item.sk: bytes(item.secret) for item in recent}
        _known[table] = (now, keys)
    return {day: key for day, key in keys.items() if day >= oldest}


def forget() -> None:
    """Clear the cached keys; for tests."""
    _known.clear()
