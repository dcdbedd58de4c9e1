"""Places of a dataset's file: one answer for lists, downloads, workers, analyses and tables.

The installation's own store is a repository like any other, under a reserved name. No Alyx has a
repository of this name, and clients do not take it for a bucket of theirs (the ONE client reads
files of repositories named ``aws…`` straight from the bucket that ``aws_cortexlab`` names).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shared.model.dataset import FileRecord
from shared.model.prefixes import DATA

OWN = "fornix"
"""Reserved name of the own store among data repositories."""

Repository = Mapping[str, Any]
Records = Iterable[FileRecord]


def own_repository() -> dict[str, Any]:
    """Return the own store as a data repository."""
    return {
        "name": OWN,
        "repository_type": None,
        "hostname": "",
        "data_url": "/data/",  # below the API's own address
        "globus_path": DATA,  # the key of a file in the bucket begins so
        "globus_is_personal": False,
        "globus_endpoint_id": None,
        "timezone": "UTC",
        "json": None,
    }


def existing(records: Records | None) -> list[str]:
    """Return the repositories that have the file."""
    return [record.repository for record in records or () if record.exists]


def in_own_store(records: Records | None) -> bool:
    """Return whether the own store has the file."""
    return OWN in existing(records)


def for_everybody(repositories: Iterable[str], personal: Iterable[str]) -> bool:
    """Return whether a repository that has a file is not a personal one.

    Parameters
    ----------
    repositories
        Names of the repositories that have the file (`existing`).
    personal
        Names of personal repositories, whose files are not for everybody.
    """
    return not set(repositories) <= set(personal)


def maybe_for_everybody(records: Records | None, personal: Iterable[str]) -> bool:
    """Return whether a repository for everybody has the file or may have it (exists None)."""
    hidden = set(personal)
    return any(
        record.exists is not False and record.repository not in hidden for record in records or ()
    )


def merged(old: Records | None, new: Records | None) -> list[FileRecord]:
    """Return the old and new records of a dataset merged, one for each repository.

    A repository keeps its id and notes. It keeps ``exists`` if the new record does not say
    (None).
    """
    by_repository = {record.repository: record for record in old or ()}
    for record in new or ():
        before = by_repository.get(record.repository)
        if before is None:
            by_repository[record.repository] = record
            continue
        by_repository[record.repository] = FileRecord(
            record.repository,
            before.exists if record.exists is None else record.exists,
            record.path or before.path,
            before.json if record.json is None else record.json,
            before.id or record.id,
        )
    return list(by_repository.values())
