"""A manifest becomes datasets; the same again is no change."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from shared.datasets.register import register_datasets
from shared.model.quality import QC
from shared.model.upload import Manifest, PlacedFile
from shared.records.errors import Missing, TooLarge
from shared.records.items import Dataset
from shared.sessions import store as sessions
from shared.tasks.description import DESCRIPTION_FIELD


def register(manifest: Manifest, key: str) -> None:
    """Make a manifest's datasets in the table.

    Parameters
    ----------
    manifest, key
        The manifest, and where it is.
    """
    session = manifest.target.id
    if session is None or not manifest.datasets:
        return
    if manifest.description:
        field = {DESCRIPTION_FIELD: manifest.description}

        def edit(now: dict[str, Any]) -> dict[str, Any]:
            return {"json": {**(now.get("json") or {}), **field}}

        with suppress(TooLarge):  # the session notes too much already; the file itself is kept
            sessions.update(session, edit, who=manifest.by)
    new = [_dataset(session, manifest, placed) for placed in manifest.datasets]
    try:
        register_datasets(session, new, manifest=key, who=manifest.by)
    except Missing as missing:
        if missing.kind != "user":
            raise
        for username in new:  # the account was deleted since the upload was opened
            username.created_by = None
        register_datasets(session, new, manifest=key, who=manifest.by)


def _dataset(session: str, manifest: Manifest, placed: PlacedFile) -> Dataset:
    run = manifest.task
    provenance: dict[str, Any] = {"upload": manifest.upload}
    if run:
        provenance |= {"task": run.id, "attempt": run.attempt}
    file = placed.file
    return Dataset.of(
        session,
        placed.dataset_path,
        id=placed.id,
        created=manifest.finalised,
        dataset_type=file.dataset_type,
        data_format=file.data_format,
        file_size=file.size,
        hash=file.md5,
        sha256=file.sha256,
        rows=file.rows,
        stored_in=placed.folder,
        qc=QC[file.qc],
        created_by=manifest.by,
        provenance=provenance,
        version=run.code if run else None,
    )
