"""The pipeline of a session: which tasks its hardware and protocols ask for."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from shared.alf.layout import output_collection
from shared.tasks.declared.behaviour import TRIALS, WHEEL
from shared.tasks.description import task_collections
from shared.tasks.signature import Expected, Task, identifier

GRAPH = "behaviour"
"""Name of the pipeline (Alyx's ``graph``)."""


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


def canonical(arguments: Mapping[str, Any]) -> str:
    """Return arguments as canonical JSON: sorted keys, no spaces."""
    return json.dumps(arguments, sort_keys=True, separators=(",", ":"))


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
