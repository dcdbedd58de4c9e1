"""Run one task in a session folder, and keep a record with which it can be run again.

As a program (``python -m lab.tasks.run ORDER RESULT``) it reads an order and writes a result, both
JSON files: that is how the worker runs tasks, each in a process of its own (``lab.tasks.warm``).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any

from shared.tasks.description import DESCRIPTION_NAME
from shared.tasks.planning import plan
from shared.tasks.registry import BUILT_IN
from shared.tasks.signature import Task, missing, selected
from shared.tasks.states import Status

log = logging.getLogger(__name__)

GROUP = "fornix.tasks"

LIBRARIES = ("numpy", "scipy", "pandas", "pyarrow")
"""Packages whose versions a run record names, beside Python's and Fornix's."""

Implementation = Callable[[Path, Path, Mapping[str, str]], list[Path] | None]


class UnknownTask(ValueError):
    """No task of that name is installed here."""


class InputsMissing(ValueError):
    """Required inputs are not there; the task would be held."""


@dataclass
class Outcome:
    """How a run ended: one of the result statuses, outputs relative to ``out``, its record."""

    status: str
    outputs: list[str] = field(default_factory=list)
    error: str | None = None
    record: dict[str, Any] = field(default_factory=dict)
    elapsed: float = 0.0


@cache
def implementation(name: str) -> Implementation:
    """Return what runs a task.

    Raises
    ------
    UnknownTask
        There is nothing of that name.
    """
    for entry in entry_points(group=GROUP, name=name):
        return entry.load()
    known = ", ".join(sorted(entry.name for entry in entry_points(group=GROUP)))
    raise UnknownTask(f"there is no task {name!r} here; there are {known}")


def relative_paths(folder: Path) -> list[str]:
    """Return the paths of all files below a folder, with ``/``, sorted."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def orders(name: str, session: Path, given: Mapping[str, str]) -> list[Task]:
    """Return the task as a session folder asks for it: once per protocol that was run.

    Parameters
    ----------
    name
        Name of the task.
    session
        The session's folder.
    given
        Arguments; those named here are not taken from the folder.

    Raises
    ------
    UnknownTask
        The task is not declared.
    """
    if name not in BUILT_IN:
        raise UnknownTask(f"there is no task {name!r}; there are {', '.join(BUILT_IN)}")
    if "collection" in given:
        return [BUILT_IN[name].filled(dict(given))]
    planned = plan("0" * 32, relative_paths(session), _description(session))
    found = [
        BUILT_IN[name].filled({**one.arguments, **given}) for one in planned if one.name == name
    ]
    return found or [BUILT_IN[name].filled(dict(given))]


def _description(session: Path) -> dict[str, Any] | None:
    """Return a session's experiment description, if it has one."""
    path = session / DESCRIPTION_NAME
    if not path.exists():
        return None
    import yaml

    content = yaml.safe_load(path.read_bytes())
    return content if isinstance(content, dict) else None


def run(task: Task, session: Path, out: Path) -> Outcome:
    """Run a task; whatever goes wrong in it becomes an Errored outcome.

    Parameters
    ----------
    task
        The filled declaration.
    session
        Folder with the inputs.
    out
        Folder for the outputs, below their collections.

    Raises
    ------
    UnknownTask, InputsMissing
        It cannot be run at all.
    """
    run_it = implementation(task.name)
    here = relative_paths(session)
    lacking = missing(task.inputs, here)
    if lacking:
        names = ", ".join(map(str, lacking))
        raise InputsMissing(f"{task.name} needs {names}, which {session} does not have")
    inputs = selected(task.inputs, here)
    record = {
        "task": task.name,
        "parameters": dict(task.arguments),
        "command": " ".join(
            ["fornix task run", task.name, "SESSION --out OUT"]
            + [f"-a {name}={value}" for name, value in task.arguments]
        ),
        "inputs": [{"path": path, **_fingerprint(session / path)} for path in inputs],
        **environment(),
        "started": datetime.now(UTC).isoformat(),
    }
    began = time.monotonic()
    outcome = Outcome(Status.COMPLETE.label, record=record)
    try:
        written = run_it(session, out, dict(task.arguments))
    except Exception as error:
        log.error("%s", "".join(traceback.format_exception(error)))
        outcome.status, outcome.error = Status.ERRORED.label, f"{type(error).__name__}: {error}"
        written = []
    outcome.elapsed = round(time.monotonic() - began, 3)
    if written is None:
        outcome.status = Status.EMPTY.label
    outcome.outputs = [path.relative_to(out).as_posix() for path in written or ()]
    if outcome.status == Status.COMPLETE.label and (
        short := missing(task.outputs, outcome.outputs)
    ):
        outcome.status = Status.INCOMPLETE.label
        outcome.error = f"outputs are missing: {', '.join(map(str, short))}"
    record["outputs"] = [{"path": path, **_fingerprint(out / path)} for path in outcome.outputs]
    record["elapsed"], record["status"] = outcome.elapsed, outcome.status
    return outcome


@cache
def environment() -> dict[str, Any]:
    """Return what a result depends on beside its inputs: code, libraries, machine."""
    return {
        "version": version("fornix"),
        "environment": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            **{name: _version(name) for name in LIBRARIES},
        },
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _fingerprint(path: Path) -> dict[str, Any]:
    """Return size in bytes and SHA-256 of a file."""
    with path.open("rb") as file:
        return {
            "size": path.stat().st_size,
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
        }


def _die_with(parent: int) -> None:
    """End this process when the one that started it is killed."""

    def watch() -> None:
        while os.name != "posix" or os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main(order_file: str, result_file: str, parent: str = "") -> None:
    """Carry out an order: ``{"task", "arguments", "session", "out"}``; write the outcome.

    With the id of the parent process, this process ends when that one does.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    order = json.loads(Path(order_file).read_text())
    if parent:
        _die_with(int(parent))
    session, out = Path(order["session"]), Path(order["out"])
    (task,) = orders(order["task"], session, order["arguments"])
    try:
        outcome = run(task, session, out)
    except (UnknownTask, InputsMissing) as error:
        outcome = Outcome(Status.ERRORED.label, error=str(error))
    if outcome.error:
        log.error("%s", outcome.error)
    partial = Path(result_file).with_suffix(".tmp")
    partial.write_text(json.dumps(asdict(outcome)))
    os.replace(partial, result_file)


def names() -> Iterable[str]:
    """Return the names of the tasks that are installed here."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


if __name__ == "__main__":
    main(*sys.argv[1:])
