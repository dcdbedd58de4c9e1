"""Where the objects of an upload lie in the data bucket."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from shared.model.images import ARRIVING

_ARRIVED = re.compile(rf"incoming/({ARRIVING})?([0-9a-fA-F]{{8}}(?:-[0-9a-fA-F]{{4,12}}){{4}})/")


class Arrived(NamedTuple):
    """What an object below ``incoming/`` is of: an upload or an image, by its id."""

    id: str
    is_image: bool


def arrivals_in(message: Mapping[str, Any]) -> Iterator[Arrived]:
    """Yield what the events of a message of S3 are about; of other objects nothing is to do."""
    for record in message.get("Records", ()):
        if found := _ARRIVED.match(unquote_plus(record["s3"]["object"]["key"])):
            yield Arrived(found[2], bool(found[1]))


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
