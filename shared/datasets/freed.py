"""Raw recordings whose bytes were freed: their content is in a proved, compressed copy.

The record stays, with its hash: it says that the own store no longer has the file, and where its
content is. So the content counts as known (a task that has read it is not run again), and the
file as absent (nobody is sent to bytes that will be gone).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from shared.model.copies import OWN
from shared.model.dataset import FileRecord
from shared.records.items import Dataset

NOTE = "freed"
"""Name of the note in the own store's file record."""

RAW, COPY, INDEX = ".bin", ".ebin", ".eh"
"""Suffixes of a raw recording, of its compressed copy and of the copy's index."""

RECIPE = "fornix codec decompress"
"""Command that writes the raw file again, byte for byte, from the compressed one."""


class Freed(msgspec.Struct, frozen=True, kw_only=True):
    """Where the content of a freed file is.

    Attributes
    ----------
    when
        Time at which it was freed, UTC.
    copy, index
        Paths of the compressed recording and of its index, in the same session.
    copy_id
        Id of the compressed recording.
    task, sha256
        Id of the task that proved the copy sample by sample, and the raw file's SHA-256.
    marked
        Whether the object is marked, so that the bucket lets it expire.
    """

    when: str
    copy: str
    copy_id: str
    index: str
    task: str
    sha256: str
    marked: bool = False

    def told(self, path: str) -> str:
        """Return what to tell somebody who asks for the file."""
        name = path.rpartition("/")[2]
        return (
            f"{path} was freed on {self.when[:10]}: {self.copy} has the same samples, proved one "
            f"by one. Load it instead, or get it with its index ({self.index}) and run "
            f"`{RECIPE}`, which writes {name} again (SHA-256 {self.sha256})."
        )


def freed(item: Dataset) -> Freed | None:
    """Return where a dataset's content is if its bytes were freed, else None."""
    for record in item.records:
        if record.repository == OWN and not record.exists and isinstance(record.json, dict):
            note = record.json.get(NOTE)
            return msgspec.convert(note, Freed) if note else None
    return None


def set_freed(item: Dataset, note: Freed) -> None:
    """Write into a dataset's record that the own store no longer has its bytes."""
    item.records = [
        FileRecord(
            record.repository,
            False,
            record.path,
            {**(record.json or {}), NOTE: msgspec.to_builtins(note)},
            record.id,
        )
        if record.repository == OWN
        else record
        for record in item.records
    ]


def relying_on(path: str, datasets: Iterable[Dataset]) -> Dataset | None:
    """Return a freed dataset whose content is in the file at a path; None if there is none."""
    for item in datasets:
        note = freed(item)
        if note is not None and path in (note.copy, note.index):
            return item
    return None
