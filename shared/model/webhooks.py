"""Webhooks: their events, the states of a delivery, and its signature."""

from __future__ import annotations

import hashlib
import hmac
from enum import StrEnum

import msgspec


class Happening(StrEnum):
    """Events that a webhook may subscribe to."""

    DATASET = "dataset.registered"
    TASK = "task.failed"
    RELEASE = "release.published"
    NOTICE = "notice.sent"


TEST = "test"
"""Type of a delivery on request, to try a webhook."""


class DeliveryState(StrEnum):
    """State of a delivery; *stopped* if its webhook was turned off or deleted."""

    WAITS = "waiting"
    DONE = "delivered"
    FAILED = "failed"
    STOPPED = "stopped"


class HookEvent(msgspec.Struct, frozen=True):
    """Something that happened.

    Attributes
    ----------
    id : str
        Stable: the same at every reading of the feed.
    type : str
        A `Happening`.
    at : str
        Time of the commit, UTC.
    labs : tuple of str
        Labs it belongs to.
    data : dict
        Ids and names only.
    """

    id: str
    type: str
    at: str
    labs: tuple[str, ...]
    data: dict[str, object]


class HookTry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One try: its time, the HTTP status of the answer, or the error without one."""

    at: str
    status: int | None = None
    error: str = ""


def signature(secret: str, at: int, body: bytes) -> str:
    """Return the header ``Fornix-Signature`` of a delivery.

    Parameters
    ----------
    secret : str
    at : int
        Seconds since 1970; receivers refuse old signatures.
    body : bytes
        Body as sent.

    Returns
    -------
    str
        ``t=<at>,v1=<HMAC-SHA256 of "<at>.<body>", hexadecimal>``.
    """
    signed = hmac.new(secret.encode(), str(at).encode() + b"." + body, hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"
