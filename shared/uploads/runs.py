"""How a dataset was made: the record of its run, kept for ever in its upload's manifest."""

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

    A task keeps only the record of its latest run; an older revision keeps its own record.
    """
    made = item.provenance or {}
    if not made.get("task") or not made.get("upload"):
        return None
    # The manifest lies under the name that the session had then, as the bytes do.
    folders = dict.fromkeys(name for name in (item.stored_in, session.folder) if name)
    for folder in folders:
        key = manifest_key(folder, str(made["upload"]))
        manifest = read_object(key, Manifest)
        if manifest is None or manifest.task is None:
            continue
        with suppress(msgspec.ValidationError):
            return msgspec.convert(manifest.task.run_record, RunRecord)
    return None
