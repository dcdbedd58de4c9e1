"""Raw recordings are freed once a task has proved their compressed copy.

A file is freed only while all of this holds: it is the default revision, and no tag names it or
ever did (a release, whose versions stay, or protection); the latest run of ``ephys.compress`` is
Complete, and its record has this file's hash as input and its copy and index as outputs; both are
the defaults, made by this task, and their bytes are in the bucket; every other task that reads
the file has ended well.

The record changes first, then the object is marked; the bucket's own rule deletes marked objects
(``infra.storage``), no function can. Repeating all this after a crash gives the same result.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from shared.datasets.edit import update_dataset
from shared.datasets.freed import COPY, INDEX, RAW, Freed, freed, set_freed
from shared.datasets.read import datasets_of, default_datasets
from shared.model import moment
from shared.model.task import RunFile, RunRecord
from shared.records import audit, env, objects
from shared.records.errors import NotFound
from shared.records.items import Dataset
from shared.tasks.declared.ephys import COMPRESS
from shared.tasks.registry import declaration
from shared.tasks.states import SATISFIED, Status
from shared.work.item import SYSTEM, Task

log = logging.getLogger(__name__)


class _StillWanted(Exception):
    """The file must not be freed after all."""


def free_proved(eid: str, datasets: Sequence[Dataset], tasks: Sequence[Task]) -> None:
    """Free the raw recordings of a session that are proved, and mark their objects.

    Parameters
    ----------
    eid
        The session's id.
    datasets, tasks
        Its datasets and tasks.
    """
    if not env.frees_raw():
        return
    for raw in datasets:
        note = freed(raw)
        if note is None and raw.in_own_store and proof(raw, datasets, tasks) is not None:
            note = _free(eid, raw, tasks)
        if note is not None and not note.marked:
            _mark(eid, raw, note)


def proof(raw: Dataset, datasets: Sequence[Dataset], tasks: Sequence[Task]) -> Freed | None:
    """Return where a raw recording's content is, if the file may be freed; else None."""
    if not raw.default or raw.tags or not raw.name.endswith(RAW) or not raw.stored_key:
        return None
    path = f"{raw.collection}/{raw.name}"
    defaults = default_datasets(datasets)
    for task in tasks:
        if task.executable != COMPRESS.name or task.state is not Status.COMPLETE:
            continue
        record = _record(task)
        inputs, outputs = _by_path(record.inputs), _by_path(record.outputs)
        read = inputs.get(path)
        if read is None or read.sha256 != raw.sha256 or read.id != raw.uuid:
            continue
        stem = path.removesuffix(RAW)
        parts = [_made(task, stem + suffix, outputs, defaults) for suffix in (COPY, INDEX)]
        if None in parts or _wanted(path, task, tasks):
            continue
        copy, index = (part for part in parts if part is not None)
        return Freed(
            when=moment.now().isoformat(timespec="seconds"),
            copy=copy.path,
            copy_id=copy.uuid,
            index=index.path,
            task=task.id,
            sha256=raw.sha256 or "",
        )
    return None


def _record(task: Task) -> RunRecord:
    """Return the record of a task's latest run; an empty one if it cannot be read."""
    try:
        return msgspec.json.decode(task.run_record or "{}", type=RunRecord)
    except msgspec.MsgspecError:
        return RunRecord()


def _by_path(files: Iterable[RunFile]) -> dict[str, RunFile]:
    return {file.path: file for file in files}


def _made(
    task: Task, path: str, outputs: Mapping[str, RunFile], defaults: Mapping[str, Dataset]
) -> Dataset | None:
    """Return the dataset that a task's run wrote, if the session still has this very file."""
    written, item = outputs.get(path), defaults.get(path)
    if written is None or item is None or item.sha256 != written.sha256:
        return None
    by = (item.provenance or {}).get("task")
    return item if by == task.id and item.in_own_store and item.stored_key else None


def _wanted(path: str, by: Task, tasks: Iterable[Task]) -> bool:
    """Return whether another task has yet to read a file."""
    for task in tasks:
        if task.id == by.id or task.state in SATISFIED:
            continue
        declared = declaration(task.executable, task.arguments)
        if declared and any(expected.matches(path) for expected in declared.inputs):
            return True
    return False


def _free(eid: str, raw: Dataset, tasks: Sequence[Task]) -> Freed | None:
    """Write that a file is freed, unless anything has changed meanwhile."""

    def edit(item: Dataset) -> None:
        if freed(item):
            return
        now = datasets_of(eid)
        found = proof(item, now, tasks)
        if found is None or not all(_there(now, path) for path in (found.copy, found.index)):
            raise _StillWanted
        if _ever_tagged(item):
            raise _StillWanted
        set_freed(item, found)

    try:
        item = update_dataset(eid, raw.path, edit, who=SYSTEM, alone=True)
    except (_StillWanted, NotFound):
        return None
    log.info("session %s: %s is freed", eid, raw.path)
    return freed(item)


def _ever_tagged(item: Dataset) -> bool:
    """Return whether a dataset ever had a tag: a release's earlier version may name it."""
    return any(
        (side or {}).get("tags")
        for entry in audit.history("dataset", item.uuid)
        for side in (entry.before, entry.after)
    )


def _there(datasets: Iterable[Dataset], path: str) -> bool:
    """Return whether the bucket has a dataset's bytes, by their size."""
    (item,) = (item for item in datasets if item.path == path)
    key = item.stored_key or ""
    return objects.sizes(key).get(key) == int(item.file_size or -1)


def _mark(eid: str, raw: Dataset, note: Freed) -> None:
    """Mark a freed file's object, and write that it is marked."""
    if raw.stored_key:
        objects.mark_freed(raw.stored_key)

    def edit(item: Dataset) -> None:
        set_freed(item, msgspec.structs.replace(note, marked=True))

    try:
        update_dataset(eid, raw.path, edit, who=SYSTEM)
    except NotFound:
        log.info("session %s: the record of %s is gone", eid, raw.path)
