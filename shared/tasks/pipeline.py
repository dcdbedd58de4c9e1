"""The pipeline of a session: which tasks its hardware asks for, and which of them may run."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from shared.tasks.behaviour import BUILT_IN, TRIALS, WHEEL
from shared.tasks.states import ACTIVE, ENDED, SATISFIED, Status
from shared.tasks.task import Expected, Task, digest, identifier, missing

GRAPH = "behaviour"
"""Name of the pipeline (Alyx's ``graph``)."""

DESCRIPTION_NAME = "_ibl_experiment.description.yaml"
"""Where a session says what hardware recorded it (experiment description 1.0.0)."""

DESCRIPTION_FIELD = "experiment_description"
"""Where ingest keeps the parsed description in the session's JSON."""

_PROTOCOL_COLLECTION = re.compile(r"raw_task_data_(\d{2})")


class BadDescription(ValueError):
    """An experiment description that cannot be read."""


@dataclass(frozen=True)
class Planned:
    """A task that a session's pipeline has."""

    id: str
    name: str
    graph: str
    level: int
    arguments: dict[str, str]
    parents: tuple[str, ...]
    declaration: Task


class Known(Protocol):
    """What is asked of a stored task to decide whether it may run."""

    id: str
    executable: str
    status: str
    parents: list[str]
    arguments: str

    @property
    def inputs(self) -> str | None:
        """Digest of what the last run has read, if that is known."""


def canonical(arguments: Mapping[str, Any]) -> str:
    """Return arguments as canonical JSON: sorted keys, no spaces."""
    return json.dumps(arguments, sort_keys=True, separators=(",", ":"))


def task_collections(paths: Iterable[str], description: Mapping[str, Any] | None) -> list[str]:
    """Return the raw collections of the task protocols that a session ran, in protocol order.

    The experiment description says so where there is one; otherwise the folders do:
    ``raw_behavior_data`` (one protocol) or ``raw_task_data_NN`` (protocol NN).

    Raises
    ------
    BadDescription
        The description's ``tasks`` are not a list of {protocol: {collection: …}}.
    """
    if description and description.get("tasks"):
        try:
            return [
                str(devices["collection"])
                for protocol in description["tasks"]
                for devices in protocol.values()
                if devices.get("collection")
            ]
        except (AttributeError, TypeError):
            raise BadDescription(
                f"{DESCRIPTION_NAME}: tasks must be a list of {{protocol: {{collection: …}}}}"
            ) from None
    found = {path.partition("/")[0] for path in paths if "/" in path}
    return sorted(
        name for name in found if name == "raw_behavior_data" or _PROTOCOL_COLLECTION.match(name)
    )


def output_collection(collection: str) -> str:
    """Return where a protocol's results belong: ``alf``, or ``alf/task_NN`` for protocol NN."""
    numbered = _PROTOCOL_COLLECTION.fullmatch(collection)
    return f"alf/task_{numbered[1]}" if numbered else "alf"


def plan(
    session: str, paths: Collection[str], description: Mapping[str, Any] | None = None
) -> list[Planned]:
    """Return the tasks that a session's data ask for, parents before children.

    A task is planned where the data that only it needs are there: task.trials with task data,
    task.wheel with either of the rotary encoder's files (the other may yet come: until then the
    task is held).

    Parameters
    ----------
    session
        The session's UUID.
    paths
        Its visible datasets, relative to the session, without revision folders.
    description
        The parsed experiment description, if the session has one.
    """
    planned: list[Planned] = []
    for collection in task_collections(paths, description):
        arguments = {"collection": collection, "output_collection": output_collection(collection)}
        level_of: dict[str, tuple[str, int]] = {}
        for declared, evidence in (
            (TRIALS, ("*taskData.raw*",)),
            (WHEEL, ("*encoder[EP]*.raw*",)),
        ):
            if not any(
                Expected(pattern, collection).matches(path)
                for pattern in evidence
                for path in paths
            ):
                continue
            parents = [level_of[name] for name in declared.parents if name in level_of]
            task_id = identifier(session, GRAPH, declared.name, canonical(arguments))
            level = max((level + 1 for _, level in parents), default=0)
            level_of[declared.name] = (task_id, level)
            planned.append(
                Planned(
                    id=task_id,
                    name=declared.name,
                    graph=GRAPH,
                    level=level,
                    arguments=arguments,
                    parents=tuple(parent for parent, _ in parents),
                    declaration=declared.filled(arguments),
                )
            )
    return planned


def declaration(executable: str, arguments: str) -> Task | None:
    """Return the filled declaration of a stored task, or None where it is not a built-in one."""
    declared = BUILT_IN.get(executable)
    return declared.filled(json.loads(arguments or "{}")) if declared else None


def obstacles(task: Known, tasks: Iterable[Known], paths: Collection[str]) -> list[str]:
    """Say what keeps a task from running; nothing means it may run.

    Parameters
    ----------
    task
        The task in question.
    tasks
        All tasks of its session.
    paths
        The session's visible datasets, relative to it, without revision folders.
    """
    by_id = {other.id: other for other in tasks}
    found = [
        f"parent {by_id[parent].executable if parent in by_id else parent} is "
        + (by_id[parent].status if parent in by_id else "gone")
        for parent in task.parents
        if parent not in by_id or Status.parse(by_id[parent].status) not in SATISFIED
    ]
    declared = declaration(task.executable, task.arguments)
    if declared:
        found += [f"input {expected} is missing" for expected in missing(declared.inputs, paths)]
    return found


def outdated(task: Known, contents: Mapping[str, str]) -> bool:
    """Tell whether a task has run, but on other inputs than the session has now.

    Parameters
    ----------
    task
        The task; what it ran on is known only if a worker claimed it.
    contents
        Hash of the content of the session's visible datasets, by path without revision folder.
    """
    if task.inputs is None or Status.parse(task.status) not in ENDED:
        return False
    declared = declaration(task.executable, task.arguments)
    return declared is not None and digest(declared.inputs, contents) != task.inputs


def settled(tasks: Iterable[Known]) -> bool:
    """Tell whether a session's work is done: nothing is waiting or running.

    Held tasks do not count: they wait for a parent that failed or for data that never came.
    """
    return all(Status.parse(task.status) not in ACTIVE - {Status.HELD} for task in tasks)
