"""All tasks by name: the built-in ones, and those of pipelines that labs have installed.

A lab's package offers a pipeline by an entry point of group ``fornix.pipelines``, which gives the
path of a TOML file. Entry points of group ``fornix.tasks`` implement its tasks::

    [[task]]
    name = "lick.rate"            # its entry point of group fornix.tasks
    per = "protocol"              # or "session"
    protocol = "*ChoiceWorld*"    # which protocols it is for; all by default
    evidence = ["*lickPiezo.raw*"]  # files without which there is nothing to do
    inputs = [{ name = "_lab_lickPiezo.raw.npy", collection = "{collection}" }]
    outputs = [{ name = "licks.times.npy", collection = "{output_collection}" }]
    parents = ["task.trials"]
    covers = ["microphone"]       # devices of the description that it sees to
    replaces = ["task.trials"]    # built-in tasks that its protocols then do without
    environment = "lick-rate"     # of group fornix.environments; by default the worker's own

A task with an argument ``extractors`` gets the names that the description asks for.

Both sides need the package: the workers to run its tasks, the deployment to plan them.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from shared.tasks.declared import (
    audio,
    behaviour,
    ephys,
    histology,
    release,
    sync,
    video,
)
from shared.tasks.signature import Expected, TaskDeclaration

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

GROUP = "fornix.pipelines"

BUILT_IN = {
    task.name: task
    for task in (
        *behaviour.TASKS,
        *sync.TASKS,
        *ephys.TASKS,
        *video.TASKS,
        *audio.TASKS,
        *histology.TASKS,
        *release.TASKS,
    )
}


class BadPipeline(ValueError):
    """An unusable pipeline file; the message names the file and the fault."""


class PipelineTask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A task of a lab's pipeline: its declaration, and the sessions that have it."""

    name: str
    inputs: tuple[Expected, ...]
    outputs: tuple[Expected, ...]
    per: Literal["protocol", "session"] = "session"
    protocol: str = "*"
    evidence: tuple[str, ...] = ("*",)
    arguments: dict[str, str] = {}
    parents: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()
    cpu: int = 1
    gpu: int = 0
    ram: int = 4
    priority: int = 30
    time_out_secs: int = 7200
    environment: str = ""

    @property
    def declaration(self) -> TaskDeclaration:
        """The task's declaration."""
        defaults = dict(behaviour.ARGUMENTS) if self.per == "protocol" else {}
        return TaskDeclaration(
            name=self.name,
            inputs=self.inputs,
            outputs=self.outputs,
            arguments=tuple(sorted((defaults | self.arguments).items())),
            parents=self.parents,
            cpu=self.cpu,
            gpu=self.gpu,
            ram=self.ram,
            priority=self.priority,
            time_out_secs=self.time_out_secs,
            environment=self.environment,
        )


class Pipeline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A lab's pipeline."""

    task: tuple[PipelineTask, ...]
    name: str = ""


def read_pipeline(path: Path) -> Pipeline:
    """Return the pipeline of a file.

    Raises
    ------
    BadPipeline
        The file cannot be read, or its content is not valid.
    """
    import tomllib  # as below: the API plans the built-in tasks without it

    try:
        pipeline = msgspec.convert(tomllib.loads(path.read_text()), Pipeline)
    except (OSError, ValueError) as error:
        raise BadPipeline(f"{path}: {error}") from None
    names = [task.name for task in pipeline.task]
    if taken := sorted({name for name in names if name in BUILT_IN or names.count(name) > 1}):
        raise BadPipeline(f"{path}: there is a task of that name already: {', '.join(taken)}")
    return pipeline


@cache
def pipelines() -> dict[str, Pipeline]:
    """Return the installed pipelines by name; a faulty one is logged and left out."""
    from importlib.metadata import entry_points  # here because these are slow to import
    from pathlib import Path

    pipelines_by_name: dict[str, Pipeline] = {}
    for entry in entry_points(group=GROUP):
        try:
            pipelines_by_name[entry.name] = read_pipeline(Path(entry.load()))
        except BadPipeline as error:
            log.error("the pipeline %s is left out: %s", entry.name, error)
        except (Exception, SystemExit):  # a lab's package: its faults must not stop all others
            log.exception("the pipeline %s is left out: its package cannot be used", entry.name)
    return pipelines_by_name


def declared(name: str) -> TaskDeclaration | None:
    """Return the declaration of a task, None for an undeclared task."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    for pipeline in pipelines().values():
        for task in pipeline.task:
            if task.name == name:
                return task.declaration
    return None


def names() -> list[str]:
    """Return the names of all declared tasks."""
    return [*BUILT_IN, *(task.name for pipeline in pipelines().values() for task in pipeline.task)]


def declaration(executable: str, arguments: str) -> TaskDeclaration | None:
    """Return the filled declaration of a stored task, None for an undeclared task."""
    declared_task = declared(executable)
    return declared_task.filled(_texts(json.loads(arguments or "{}"))) if declared_task else None


def _texts(arguments: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in arguments.items()}
