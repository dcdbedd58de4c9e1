"""Errors about records; each carries a message that a person can act on."""

from __future__ import annotations


class RecordError(Exception):
    """Base of the errors below."""


class NotFound(RecordError):
    """The record does not exist."""


class Missing(RecordError):
    """A record that another one needs no longer exists.

    Parameters
    ----------
    message : str
        Sentence about the missing record.
    kind : str
        Its kind.
    """

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class Exists(RecordError):
    """A record with this identity already exists.

    Parameters
    ----------
    message : str
        Sentence about the existing record.
    key : str, optional
        Identity of the record that exists, e.g. the session's id.
    kind : str
        Its kind, if it is a document.
    """

    def __init__(self, message: str, key: str | None = None, kind: str = "") -> None:
        super().__init__(message)
        self.key = key
        self.kind = kind


class Conflict(RecordError):
    """The record changed while it was being written, again and again; try once more."""


class TooLarge(RecordError):
    """The record, or the feed's entry about it, is larger than an item of the table may be."""


class Kept(RecordError):
    """The record's content may not be replaced."""


class Stale(RecordError):
    """A late writer with an old attempt number was refused (fencing)."""


class Leaving(Conflict):
    """A record that another one names is being deleted; try once more."""
