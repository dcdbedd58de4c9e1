"""Manifests of imports: what was taken over from elsewhere, from which the table can be rebuilt.

Each batch of an import leaves one in S3, written once under the hash of its rows. It holds the
records as they were stored, and those that they cannot be rebuilt without: the laboratory and
subject of a session, the data repository (with its address) that has a dataset's bytes.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from json import dumps
from typing import Any

from shared.datasets.read import datasets_of
from shared.datasets.register import register_datasets
from shared.model import json, moment
from shared.model.dataset import FileRecord
from shared.records import documents
from shared.records.errors import Exists, RecordError
from shared.records.items import Dataset, Session
from shared.records.objects import write_once
from shared.records.table import Record
from shared.sessions import store as sessions

log = logging.getLogger(__name__)

PREFIX = "manifests/-imports/"
"""Where they lie: before the laboratories' manifests of uploads, which may add to the sessions."""

KINDS = ("documents", "sessions", "datasets")
"""Parts of a manifest, in the order in which they refer to each other."""

Entry = dict[str, Any]


def _own(model: type[Record], *without: str) -> list[str]:
    return sorted(set(model.get_attributes()) - set(Record.get_attributes()) - set(without))


SESSION = _own(Session, "date", "version")
DATASET = _own(Dataset, "batch", "edition")


def document_entry(
    kind: str,
    key: str,
    body: Mapping[str, Any],
    *,
    unique: Sequence[tuple[str, str]] = (),
    parent: tuple[str, str] | None = None,
    place: tuple[str, str] | None = None,
) -> Entry:
    """Return what `documents.create` needs to make a document again."""
    return {
        "kind": kind, "key": key, "body": dict(body),
        "unique": list(unique), "parent": parent, "place": place,
    }  # fmt: skip


def session_entry(item: Session) -> Entry:
    """Return what `sessions.create` needs to make a session again."""
    return {name: value for name in SESSION if (value := getattr(item, name)) is not None}


def dataset_entry(item: Dataset) -> Entry:
    """Return what makes a dataset again: its place and its attributes."""
    values = {name: value for name in DATASET if (value := getattr(item, name)) is not None}
    return {"owner": item.owner, "path": item.path, **json.plain(values)}


def write(
    resource: str, rows: Sequence[Any], entries: Mapping[str, Sequence[Entry]], *, who: str
) -> str:
    """Write the manifest of a batch, unless the same batch has one; return its key.

    Parameters
    ----------
    resource : str
        What was imported.
    rows : sequence
        The batch as it was sent, by which it is known again.
    entries : mapping
        Entries by `KINDS`.
    who : str
        User name.
    """
    canonical = dumps(rows, sort_keys=True, separators=(",", ":"))
    rank = max(KINDS.index(kind) for kind in KINDS if entries.get(kind))
    key = f"{PREFIX}{rank}-{resource}/{hashlib.sha256(canonical.encode()).hexdigest()}.json"
    write_once(key, {"import": resource, "by": who, **entries})
    return key


def restore(manifest: Mapping[str, Any], key: str) -> int:
    """Make again what a manifest names and is not there; return how many records it names.

    One that cannot be made does not keep the others.
    """
    by = manifest["by"]
    for entry in manifest.get("documents", ()):
        with _logged(key, f"{entry['kind']} {entry['key']}"), suppress(Exists):
            documents.create(**entry, who=by)
            _raise_protocol(entry["kind"], entry["body"], by)
    for entry in manifest.get("sessions", ()):
        with _logged(key, f"session {entry['id']}"):
            _restore_session(entry, by)
    by_owner: dict[str, list[Entry]] = defaultdict(list)
    for entry in manifest.get("datasets", ()):
        by_owner[entry["owner"]].append(entry)
    for owner, group in by_owner.items():
        with _logged(key, f"datasets of {owner}"):
            there = {item.path for item in datasets_of(owner)}
            items = [_dataset(entry) for entry in group if entry["path"] not in there]
            register(owner, items, manifest=f"{key} {owner}", who=by)
    return sum(len(manifest.get(kind, ())) for kind in KINDS)


def register(owner: str, items: Sequence[Dataset], *, manifest: str, who: str) -> None:
    """Register imported datasets of one owner, with what finds their file records by id."""
    if items:
        register_datasets(owner, items, manifest=manifest, who=who)


def _raise_protocol(kind: str, body: Mapping[str, Any], by: str) -> None:
    """Give a subject the protocol number that comes with a record of it.

    Its own entry was written when it was imported, before its surgeries and restrictions were.
    """
    ended = (body.get("end_time") or "9") <= moment.now().isoformat()
    least = {"surgery": "2", "water-restriction": "1" if ended else "3"}.get(kind)
    if least is not None and documents.find("subject", body["subject"]):

        def edit(subject: Entry) -> Entry:
            number = max(str(subject.get("protocol_number") or "1"), least)
            return {**subject, "protocol_number": number}

        documents.update("subject", body["subject"], edit, who=by)


def _restore_session(entry: Entry, by: str) -> None:
    """Make a session again, unless it is there."""
    try:
        sessions.create(**entry, who=by)
    except Exists as exists:
        if exists.key != entry["id"]:
            raise


def _dataset(entry: Entry) -> Dataset:
    """Return the dataset of an entry, not yet stored."""
    values = {name: value for name, value in entry.items() if name not in ("owner", "path")}
    item = Dataset.of(entry["owner"], entry["path"], default="default_at" in values)
    values["records"] = json.read(values.get("records") or [], list[FileRecord])
    for name, value in values.items():
        setattr(item, name, value)
    return item


@contextmanager
def _logged(key: str, what: str) -> Iterator[None]:
    """Log what of a manifest could not be made."""
    try:
        yield
    except (RecordError, TypeError, ValueError):
        log.exception("%s of manifest %s could not be restored", what, key)
