"""Where the objects of an upload lie in the data bucket."""

from __future__ import annotations


def request_key(upload: str) -> str:
    """Where an unfinished upload's request lies."""
    return f"incoming/{upload}.json"


def incoming_key(upload: str, path: str) -> str:
    """Where a client puts a file."""
    return f"incoming/{upload}/{path}"


def quarantine_key(upload: str, path: str) -> str:
    """Where a refused file is kept."""
    return f"quarantine/{upload}/{path}"


def manifest_key(folder: str, upload: str) -> str:
    """Where the outcome of an upload is written; ``folder`` is the session's."""
    return f"manifests/{folder.replace('/Subjects/', '/', 1)}/{upload}.json"
