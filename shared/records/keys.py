"""The partition keys of the table; only this module builds them."""

from __future__ import annotations

_SESSION, _DOCUMENT, _EXTERNAL, _WEBHOOK = "SES#", "DOC#", "DSID#", "HOOK#"

ID_DIGITS = 12
"""Hex digits that the id of a session shares with the ids of its records."""


def session(session_id: str) -> str:
    """Return the partition of a session and all its records."""
    return f"{_SESSION}{session_id}"


def is_session(key: str) -> bool:
    """Return whether a partition is a session's."""
    return key.startswith(_SESSION)


def session_of(key: str) -> str:
    """Return the session whose partition it is."""
    return key.removeprefix(_SESSION)


def owner(owner_id: str) -> str:
    """Return the partition of an owner's datasets: a session's, or that of a ``type#id``."""
    return f"AGG#{owner_id}" if "#" in owner_id else session(owner_id)


def prefix(identity: str) -> str:
    """Return the partition that leads from the beginning of an id to its session.

    ``identity`` may lack its hyphens.
    """
    return f"EID#{identity.replace('-', '')[:ID_DIGITS]}"


def external(identity: str) -> str:
    """Return the partition that leads to the dataset with an external id."""
    return f"{_EXTERNAL}{identity}"


def external_of(key: str) -> str:
    """Return the external id whose partition it is."""
    return key.removeprefix(_EXTERNAL)


def document(kind: str, key: str) -> str:
    """Return the partition of a document."""
    return f"{_DOCUMENT}{kind}#{key}"


def is_document(key: str) -> bool:
    """Return whether a partition is a document's own, not that of its owner."""
    return key.startswith(_DOCUMENT)


def document_of(key: str) -> str:
    """Return the key of the document whose partition it is."""
    return key.split("#", 2)[2]


def unique(kind: str, field: str, value: str) -> str:
    """Return the partition that keeps a value of a field unique among the records of a kind."""
    return f"UNIQ#{kind}#{field}#{value}"


def unique_session(subject: str, date: str, number: int) -> str:
    """Return the partition that keeps subject, day and number of a session unique."""
    return f"UNIQ#{subject}#{date}#{int(number)}"


def of_subject(subject: str) -> str:
    """Return the index partition of an animal's records."""
    return f"SUBJ#{subject}"


def of_lab(lab: str, year: str) -> str:
    """Return the index partition of a lab's sessions of a year."""
    return f"LAB#{lab}#{year}"


def trajectories_of(insertion: str, provenance: object = "") -> tuple[str, str]:
    """Return the partition and sort key of a probe's trajectories in gsi1, by provenance."""
    return f"INSERTION#{insertion}", f"trajectory#{provenance}"


def tasks_of(lab: str, status: str) -> str:
    """Return the index partition of a lab's tasks in a status."""
    return f"TASK#{lab}#{status}"


def upload(upload_id: str) -> str:
    """Return the partition of an upload."""
    return f"UPL#{upload_id}"


def uploads_of(lab: str) -> str:
    """Return the index partition of a lab's uploads."""
    return f"UPLOADS#{lab}"


def tokens_of(username: str) -> str:
    """Return the index partition of a user's tokens."""
    return f"TOKENS#{username}"


def webhook(webhook_id: str) -> str:
    """Return the partition of a webhook's deliveries, and that of the index."""
    return f"{_WEBHOOK}{webhook_id}"


def webhook_of(key: str) -> str:
    """Return the webhook whose partition it is."""
    return key.removeprefix(_WEBHOOK)
