"""Where the objects of an upload lie in the data bucket."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from shared.model.images import ARRIVING
from shared.model.prefixes import INCOMING, MANIFESTS, QUARANTINE

_ARRIVED = rf"{INCOMING}({ARRIVING})?([0-9a-fA-F]{{8}}(?:-[0-9a-fA-F]{{4,12}}){{4}})/"


class Arrived(NamedTuple):
    """An object below ``incoming/``: of an upload or an image, by its id."""

    id: str
    is_image: bool


def arrivals_in(message: Mapping[str, Any]) -> Iterator[Arrived]:
    """Yield the arrivals in the events of an S3 message; other objects need no action."""
    for record in message.get("Records", ()):
        if match := re.match(_ARRIVED, unquote_plus(record["s3"]["object"]["key"])):
            yield Arrived(match[2], bool(match[1]))


def request_key(upload: str) -> str:
    """Where an unfinished upload's request lies."""
    return f"{INCOMING}{upload}.json"


def incoming_key(upload: str, path: str) -> str:
    """Where a client puts a file."""
    return f"{INCOMING}{upload}/{path}"


def quarantine_key(upload: str, path: str) -> str:
    """Where a refused file is kept."""
    return f"{QUARANTINE}{upload}/{path}"


def manifest_key(folder: str, upload: str) -> str:
    """Where the outcome of an upload is written; ``folder`` is the session's."""
    return f"{MANIFESTS}{folder.replace('/Subjects/', '/', 1)}/{upload}.json"
