"""NWB files of releases: the tasks of sessions that write them, and who may see the files.

The files are datasets of their session with their own tag (`nwb_tag`), which is visible together
with the release's. The content of the release itself does not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.datasets.edit import update_dataset
from shared.datasets.read import content_hashes
from shared.datasets.readable import readable
from shared.model.messages import ReleaseChanged
from shared.model.release import nwb_collection, nwb_tag
from shared.records import documents, queues
from shared.records.errors import NotFound
from shared.records.items import Dataset
from shared.tasks.declared.release import TASKS
from shared.tasks.planning import Planned, plan_nwb
from shared.tasks.readiness import outdated
from shared.tasks.registry import declaration
from shared.tasks.signature import missing
from shared.tasks.states import Status
from shared.work.item import SYSTEM, Task

EXPORTS = frozenset(task.name for task in TASKS)

GATHER = 30
"""Seconds for which finished files of a release are collected before its page is updated."""


def planned_exports(eid: str, datasets: Sequence[Dataset]) -> list[Planned]:
    """Return the tasks that write a session as NWB for its releases."""
    tags = sorted({tag for item in datasets for tag in item.tags or ()})
    marked = {tag: documents.find("tag", nwb_tag(tag)) for tag in tags}
    return [
        export
        for tag, mark in marked.items()
        if mark is not None
        for export in plan_nwb(eid, tag, nwb_collection(tag), copies=_with_copies(mark.body))
        if not missing(export.declaration.inputs, contents_of(export, datasets))
    ]


def _with_copies(mark: Mapping[str, Any]) -> bool:
    """Return whether a release's raw recordings are copied into NWB, as was said to publish it."""
    return (mark.get("json") or {}).get("raw") == "copy"


def contents_of(task: Planned | Task, datasets: Sequence[Dataset]) -> dict[str, str]:
    """Return the hashes of the datasets that a task may read, by path."""
    if isinstance(task, Planned):
        return content_hashes(readable(task.declaration, datasets))
    return content_hashes(readable(declaration(task.executable, task.arguments), datasets))


def show_exports(eid: str, datasets: Sequence[Dataset], tasks: Iterable[Task]) -> None:
    """Tag the files that a session's tasks made for releases, so that they are visible.

    A file made from datasets that the release no longer has is hidden until the task runs again.
    """
    for task in tasks:
        if task.executable not in EXPORTS:
            continue
        declared = declaration(task.executable, task.arguments)
        if declared is None:
            continue
        arguments = dict(declared.arguments)
        tag = nwb_tag(arguments["tag"])
        good = Status.parse(task.status) is Status.COMPLETE and not outdated(
            task, contents_of(task, datasets)
        )
        changed = False
        for item in datasets:
            # Both tasks write into one collection; each answers for its own file.
            path = f"{item.collection}/{item.name}"
            if not any(output.matches(path) for output in declared.outputs):
                continue
            is_shown = good and item.default
            if is_shown != (tag in (item.tags or ())):
                changed |= _set_tag(eid, item.path, tag, is_shown)
        marked = documents.find("tag", tag) if changed else None
        if marked is not None:
            name = (marked.body.get("json") or {}).get("release")
            queues.notify("analysis", ReleaseChanged(str(name)), GATHER)


def _set_tag(eid: str, path: str, tag: str, shown: bool) -> bool:
    def edit(item: Dataset) -> None:
        rest = [other for other in item.tags or () if other != tag]
        item.tags = sorted([*rest, tag]) if shown else rest

    try:
        update_dataset(eid, path, edit, who=SYSTEM)
    except NotFound:
        return False
    return True
