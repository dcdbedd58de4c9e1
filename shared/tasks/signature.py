"""A task's declaration: its input and output signatures, resources, time-out and parents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from hashlib import sha256
from uuid import UUID, uuid5

import msgspec


class Expected(msgspec.Struct, frozen=True):
    """One expected dataset, or family of datasets, of a signature.

    Parameters
    ----------
    name
        Glob of the file name, as ``_iblrig_taskData.raw.*``.
    collection
        Glob of the collection; in both, ``{collection}``, or another of the task's arguments, is
        filled in.
    required
        Without a required input a task is held; a missing required output makes it Incomplete.
    linked
        An input that stays where it is: the task gets its address, and a hollow file in its
        place (`lab.worker.inputs`).
    """

    name: str
    collection: str
    required: bool = True
    linked: bool = False

    def fill(self, arguments: dict[str, str]) -> Expected:
        """Return this expectation with its ``{argument}`` placeholders filled in."""
        name, collection = (text.format(**arguments) for text in (self.name, self.collection))
        return msgspec.structs.replace(self, name=name, collection=collection)

    def matches(self, path: str) -> bool:
        """Tell whether a path relative to its session, without revision folder, is expected."""
        collection, _, name = path.rpartition("/")
        return fnmatchcase(collection, self.collection) and fnmatchcase(name, self.name)

    def __str__(self) -> str:
        return f"{self.collection}/{self.name}" if self.collection else self.name


class TaskDeclaration(msgspec.Struct, frozen=True):
    """Declaration of a task; its implementation has the same name (see ``lab.tasks``).

    Parameters
    ----------
    name
        Name and executable, as ``task.trials``.
    inputs, outputs
        Signatures. A pipeline has the task only where one of its required inputs is present.
    arguments
        Defaults of the arguments that fill the signatures.
    parents
        Names of the tasks that must be Complete or Incomplete before this one runs.
    cpu, gpu, ram, io_charge
        Resources: cores, graphics cards, GB, percent of a disk (ibllib's defaults).
    priority
        Higher runs first.
    time_out_secs
        The run is stopped after so many seconds.
    environment
        Name of the environment whose Python runs it (``lab.worker.environments``); empty: the
        worker's own.
    stands_for
        Name of the task that this one replaces in a session; it takes over its children.
    of_release
        Whether it reads only datasets with the tag of its argument ``tag`` and gets the facts of
        the session; nothing waits for it.
    """

    name: str
    inputs: tuple[Expected, ...]
    outputs: tuple[Expected, ...]
    arguments: tuple[tuple[str, str], ...] = ()
    parents: tuple[str, ...] = ()
    cpu: int = 1
    gpu: int = 0
    ram: int = 4
    io_charge: int = 5
    priority: int = 30
    time_out_secs: int = 7200
    stands_for: str = ""
    of_release: bool = False
    environment: str = ""

    def filled(self, arguments: dict[str, str]) -> TaskDeclaration:
        """Return the declaration with its signatures filled in from arguments."""
        values = dict(self.arguments) | arguments
        return msgspec.structs.replace(
            self,
            inputs=tuple(expected.fill(values) for expected in self.inputs),
            outputs=tuple(expected.fill(values) for expected in self.outputs),
            arguments=tuple(sorted(values.items())),
        )


def missing(signature: Iterable[Expected], paths: Iterable[str]) -> list[Expected]:
    """Return the required expectations that no path meets.

    Parameters
    ----------
    signature
        Filled expectations.
    paths
        Paths relative to the session, without revision folders.
    """
    all_paths = list(paths)
    return [
        expected
        for expected in signature
        if expected.required and not any(map(expected.matches, all_paths))
    ]


def selected(signature: Iterable[Expected], paths: Iterable[str]) -> list[str]:
    """Return the paths that meet any expectation, required or not, in their own order."""
    signature = list(signature)
    return [path for path in paths if any(expected.matches(path) for expected in signature)]


def is_linked(signature: Iterable[Expected], path: str) -> bool:
    """Tell whether an input stays where it is: what first expects it says so."""
    return next((expected.linked for expected in signature if expected.matches(path)), False)


def digest(signature: Iterable[Expected], contents: Mapping[str, str]) -> str:
    """Return a digest of a task's inputs: it depends on their names and content only.

    Parameters
    ----------
    signature
        Filled expectations of the inputs.
    contents
        Hash of the content by path relative to the session, without revision folders.
    """
    chosen = sorted(selected(signature, contents))
    text = json.dumps([[path, contents[path]] for path in chosen])
    return sha256(text.encode()).hexdigest()[:32]


_NAMESPACE = UUID("3f0c5a54-9a53-4d0b-9f4c-5d1f0a7f6b11")


def identifier(session: str, graph: str, name: str, arguments: str) -> str:
    """Return the id of the one task of a session with this graph, name and arguments.

    The id has the form of a UUID version 4 (all that the ONE client accepts); its first twelve
    hexadecimal digits are the session's own, so that a task is found without an index.

    Parameters
    ----------
    session
        The session's UUID.
    graph, name
        The pipeline and the task.
    arguments
        Canonical JSON.
    """
    digest = uuid5(_NAMESPACE, "\0".join((session, graph, name, arguments))).hex
    return str(UUID(hex=session.replace("-", "")[:12] + "4" + digest[13:16] + "8" + digest[17:]))
