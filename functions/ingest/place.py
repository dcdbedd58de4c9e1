"""Give the good files of an upload their places: revision, id and key. No reads, no writes."""

from __future__ import annotations

from collections.abc import Sequence

from shared.alf import parse_dataset_path
from shared.datasets.read import default_datasets
from shared.model.dataset import Checksums
from shared.model.identity import dataset_id, dataset_path
from shared.model.revisions import next_revision
from shared.model.upload import AcceptedFile, PlacedFile, Refusal
from shared.records.items import Dataset, Session


def place(
    accepted: Sequence[AcceptedFile], session: Session, datasets: Sequence[Dataset], day: str
) -> tuple[list[PlacedFile], list[Refusal]]:
    """Give each good file its revision, id and key.

    New content under an old name becomes a new revision; an upload has one revision for all its
    files. A dataset registered without bytes (by reference to another store) gets them and keeps
    its place and id, unless its content is known to differ.

    Parameters
    ----------
    accepted
        The good files.
    session, datasets
        The session of the files, and its datasets.
    day
        Date of the upload, ``YYYY-MM-DD``.
    """
    existing = {item.path: item for item in datasets}
    defaults = set(default_datasets(datasets))
    revision = next_revision(day, {item.revision or "" for item in datasets})
    placed, refused = [], []
    for file in accepted:
        path = parse_dataset_path(file.path)
        chosen = path.revision or (revision if path.without_revision in defaults else None)
        awaiting = existing.get(file.path)
        if awaiting is not None and lacks_bytes(awaiting, file):
            chosen = path.revision or None
        else:
            awaiting = None
        where = dataset_path(path.collection, chosen, path.filename)
        if not awaiting and where in existing and existing[where].sha256 != file.sha256:
            text = (
                f"{file.path}: revision {chosen} has other content already, and what is "
                f"registered is never overwritten. To fix: upload it under a new revision."
            )
            refused.append(Refusal(file.path, "revision_exists", text))
            continue
        identity = awaiting.uuid if awaiting else dataset_id(session.id, where)
        placed.append(PlacedFile(file, where, chosen, identity, session.folder))
    return placed, refused


def lacks_bytes(item: Dataset, file: AcceptedFile) -> bool:
    """Return whether a dataset is registered without bytes, and the file may be its content."""
    other = item.checksums.differ(Checksums(file.sha256, file.md5))
    return item.sha256 is None and not other
