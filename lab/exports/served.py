"""A session of the running API: facts from its records, files by download, recordings by range."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import requests

from lab.client import Client, Conflicting, RecordMissing, Unreachable
from lab.exports.folder import subject_facts
from lab.exports.session import ExportError, ExportFacts, ExportSession
from shared.alf import without_uuid
from shared.model import moment
from shared.model.identity import dataset_path

BLOCK = 2**20
TIMEOUT = (10, 120)


class ServedFile(msgspec.Struct, frozen=True):
    """A dataset as the API shows it in its session."""

    name: str
    data_url: str
    file_size: int = 0
    hash: str | None = None
    collection: str | None = None
    revision: str | None = None
    default_revision: str = "True"

    @property
    def path(self) -> str:
        """Its path within the session."""
        return dataset_path(self.collection, self.revision, without_uuid(self.name))


class ServedSession(ExportSession):
    """A session of the API.

    Parameters
    ----------
    client : Client
    record : mapping
        The session as ``GET /sessions/{id}`` returns it.
    cache : path
        Folder of downloads; a file that exists with the right size and hash is not fetched again.
    known : mapping, optional
        Facts that the records lack, as for `FolderSession`.
    """

    def __init__(
        self,
        client: Client,
        record: Mapping[str, Any],
        cache: Path,
        known: Mapping[str, Any] | None = None,
    ) -> None:
        self.client, self.cache = client, cache / record["id"]
        datasets = msgspec.convert(record["data_dataset_session_related"], list[ServedFile])
        self.files = {file.path: file for file in datasets}
        self.paths = tuple(sorted(self.files))
        defaults = (p for p, file in self.files.items() if file.default_revision == "True")
        self.preferred = frozenset(defaults)
        self.facts = self._facts(record, dict(known or {}))

    def local(self, path: str) -> Path:
        """Return the downloaded file.

        Raises
        ------
        ExportError
            The downloaded bytes differ from the registered ones.
        """
        file, target = self.files[path], self.cache / path
        if _is_whole(target, file):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.partial")
        try:
            with requests.get(self.address(path), stream=True, timeout=TIMEOUT) as answer:
                if answer.status_code >= 400:
                    raise ExportError(f"{path} does not come: answer {answer.status_code}")
                with partial.open("wb") as out:
                    for block in answer.iter_content(BLOCK):
                        out.write(block)
        except (requests.ConnectionError, requests.Timeout) as error:
            raise Unreachable(f"{path} does not come ({type(error).__name__})") from None
        if not _is_whole(partial, file):
            size = partial.stat().st_size
            partial.unlink()
            raise ExportError(
                f"{path} came with {size} bytes that are not the {file.file_size} registered: "
                "try again; if it stays so, register the file again"
            )
        os.replace(partial, target)
        return target

    def address(self, path: str) -> str:
        """Return a presigned address of the bytes, valid for an hour."""
        return self.client.location(self.files[path].data_url)

    def lasting_address(self, path: str) -> str:
        """Return the API's own address, which leads to the bytes of what is public."""
        return self.files[path].data_url

    def _animal(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return the session's animal, of the session's lab if several share the nickname."""
        path = f"/subjects/{record['subject']}"
        with suppress(RecordMissing):
            try:
                return dict(self.client.get(path))
            except Conflicting:
                return dict(self.client.get(path, lab=record["lab"]))
        return {}

    def _facts(self, record: Mapping[str, Any], known: dict[str, Any]) -> ExportFacts:
        animal = self._animal(record)
        lab = self.client.get(f"/labs/{record['lab']}")
        genotype = [
            " ".join(str(part) for part in (allele.get("allele"), allele.get("zygosity")) if part)
            for allele in animal.get("genotype") or []
            if isinstance(allele, dict)
        ]
        facts = animal | {"genotype": ", ".join(genotype)} | known
        zone = str(known.get("timezone") or lab.get("timezone") or "UTC")
        return ExportFacts(
            id=record["id"],
            lab=record["lab"],
            subject=subject_facts(record["subject"], facts),
            date=record["start_time"][:10],
            number=int(record["number"]),
            start=dt.datetime.fromisoformat(moment.instant(record["start_time"], zone)),
            protocol=record.get("task_protocol") or "",
            institution=str(known.get("institution") or lab.get("institution") or ""),
            projects=tuple(record.get("projects") or ()),
            narrative=record.get("narrative") or "",
            synthetic=bool(record.get("synthetic")),
        )


def _is_whole(path: Path, file: ServedFile) -> bool:
    """Return whether a file has the registered size and hash of a dataset."""
    if not path.is_file() or (file.file_size and path.stat().st_size != file.file_size):
        return False
    kind = {32: "md5", 64: "sha256"}.get(len(file.hash or ""))
    if kind is None:
        return bool(file.file_size)
    with path.open("rb") as content:
        return hashlib.file_digest(content, kind).hexdigest() == file.hash
