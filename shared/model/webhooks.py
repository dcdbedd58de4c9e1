"""What webhooks tell of, how far a delivery is, and how one is signed."""

from __future__ import annotations

import hashlib
import hmac
from enum import StrEnum

import msgspec


class Happening(StrEnum):
    """What a webhook may be told of."""

    DATASET = "dataset.registered"
    TASK = "task.failed"
    RELEASE = "release.published"
    NOTICE = "notice.sent"


TEST = "test"
"""Type of the delivery that somebody asks for, to try a webhook."""


class DeliveryState(StrEnum):
    """How far a delivery is: *stopped* when its webhook was turned off or deleted."""

    WAITS = "waiting"
    DONE = "delivered"
    FAILED = "failed"
    STOPPED = "stopped"


class HookEvent(msgspec.Struct, frozen=True):
    """Something that happened.

    Attributes
    ----------
    id : str
        The same however often it is read from the feed.
    type : str
        A `Happening`.
    at : str
        When it was committed, UTC.
    labs : tuple of str
        Whose it is.
    data : dict
        Ids and names; no data.
    """

    id: str
    type: str
    at: str
    labs: tuple[str, ...]
    data: dict[str, object]


class HookTry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One try: when, the status it was answered with, what kept it from an answer."""

    at: str
    status: int | None = None
    error: str = ""


def signature(secret: str, at: int, body: bytes) -> str:
    """Return the header ``Fornix-Signature`` of a delivery.

    Parameters
    ----------
    secret : str
    at : int
        Seconds since 1970; receivers refuse what is old.
    body : bytes
        As it is sent.

    Returns
    -------
    str
        ``t=<at>,v1=<HMAC-SHA256 of "<at>.<body>", hexadecimal>``.
    """
    signed = hmac.new(secret.encode(), str(at).encode() + b"." + body, hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"
