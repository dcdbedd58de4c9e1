"""The task that finds where a probe's sites lie, as soon as histology has decided.

The records are those of Alyx: the insertion with the picked track, and its aligned trajectory. A
later decision changes the one task of the probe, which then runs again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from shared.model.histology import ALIGNED, resolved
from shared.records import documents, keys
from shared.records.items import Document
from shared.tasks.planning import Planned, canonical, plan_sites
from shared.tasks.signature import missing
from shared.tasks.states import Status
from shared.work import patch, read
from shared.work.item import Task


def planned_sites(
    eid: str, insertions: Sequence[Document], paths: Collection[str]
) -> list[Planned]:
    """Return the tasks for the probes of a session about which histology has decided.

    A probe whose places came with the session, made elsewhere, keeps them.

    Parameters
    ----------
    eid : str
        The session's id.
    insertions : sequence of Document
        Its insertions.
    paths : collection of str
        Its visible datasets, without revision folders.
    """
    wanted = [task for each in insertions if (task := _planned(eid, each.body))]
    wanted = [task for task in wanted if not missing(task.declaration.inputs, paths)]
    if not wanted:
        return []
    known = {task.id: task for task in read.of_session(eid)}
    return [
        task for task in wanted if task.id in known or missing(task.declaration.outputs, paths)
    ]


def follow(planned: Sequence[Planned]) -> list[Task]:
    """Let tasks run again whose probes have been decided about anew; return them.

    One that is running goes on with what it has; its end leads here again.
    """
    stored = [(read.get_task(task.id), canonical(task.arguments)) for task in planned]
    return [
        task
        for task, wanted in stored
        if task.arguments != wanted
        and task.state is not Status.STARTED
        and patch.restate(task, wanted)
    ]


def _planned(eid: str, insertion: Mapping[str, Any]) -> Planned | None:
    about = insertion.get("json")
    if not isinstance(about, Mapping) or not about.get("extended_qc"):
        return None
    filed = documents.children(*keys.trajectories_of(str(insertion["id"]), ALIGNED))
    alignments = next((each.body.get("json") for each in filed), None)
    record = resolved(about, alignments)
    if record is None:
        return None
    return plan_sites(eid, str(insertion["name"]), msgspec.json.encode(record).decode())
