"""How a dataset was made: the record of its run, as its upload's manifest keeps it for ever."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from shared.model.task import RunRecord
from shared.model.upload import Manifest
from shared.records.items import Dataset, Session
from shared.records.objects import read_object
from shared.uploads.keys import manifest_key


def run_of(session: Session, item: Dataset) -> RunRecord | None:
    """Return the record of the run that made a dataset; None where no task here made it.

    A task's own record is that of its latest run; an older revision keeps the one of its own.
    """
    made = item.provenance or {}
    if not made.get("task") or not made.get("upload"):
        return None
    # The manifest lies by the name that the session had then, as the bytes do.
    folders = dict.fromkeys(each for each in (item.stored_in, session.folder) if each)
    for folder in folders:
        key = manifest_key(folder, str(made["upload"]))
        manifest = read_object(key, Manifest)
        if manifest is None or manifest.task is None:
            continue
        with suppress(msgspec.ValidationError):
            return msgspec.convert(manifest.task.run_record, RunRecord)
    return None
