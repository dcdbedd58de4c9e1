"""Run one task in a session folder, and keep a record from which the run can be repeated.

As a program (``python -m lab.tasks.run ORDER RESULT PARENT``) it reads a `RunOrder` and writes a
`RunResult`, both JSON files. The worker runs tasks this way, each in its own process
(``lab.tasks.warm``), which cannot leave its folder (``lab.tasks.sandbox``).
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any

import msgspec

from lab.tasks.outputs import Outputs
from lab.tasks.sandbox import confine
from lab.tasks.trouble import WITHOUT_A_RESULT, available_memory, trouble_of
from shared.model.task import RunFacts, RunFile, RunOrder, RunRecord, RunResult, Trouble
from shared.tasks import registry
from shared.tasks.description import DESCRIPTION_NAME
from shared.tasks.planning import plan
from shared.tasks.signature import Expected, TaskDeclaration, is_linked, missing, selected
from shared.tasks.states import Status

log = logging.getLogger(__name__)

GROUP = "fornix.tasks"

NAMED = "FORNIX_ENVIRONMENT"
"""Variable that names the environment of a task that does not run in the worker's."""

LIBRARIES = ("numpy", "scipy", "pandas", "pyarrow")
"""Packages whose versions a run record names, beside Python's and Fornix's."""

_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

Implementation = Callable[[Path, Path, Mapping[str, str]], list[Path] | None]


class UnknownTask(ValueError):
    """No task of that name is installed here."""


class InputsMissing(ValueError):
    """Required inputs are missing; the task would be held."""


@cache
def implementation(name: str) -> Implementation:
    """Return the implementation of a task.

    Raises
    ------
    UnknownTask
        There is none of that name.
    """
    for entry in entry_points(group=GROUP, name=name):
        return entry.load()
    installed = ", ".join(sorted(entry.name for entry in entry_points(group=GROUP)))
    raise UnknownTask(f"there is no task {name!r} here; there are {installed}")


def relative_paths(folder: Path) -> list[str]:
    """Return the paths of all files below a folder, with ``/``, sorted."""
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def orders(name: str, session: Path, given: Mapping[str, str]) -> list[TaskDeclaration]:
    """Return the filled declarations of a task for a session folder: one for each protocol.

    Parameters
    ----------
    name
        Name of the task.
    session
        The session's folder.
    given
        Arguments; they take precedence over those from the folder.

    Raises
    ------
    UnknownTask
        The task is not declared.
    """
    declared = registry.declared(name)
    if declared is None:
        raise UnknownTask(f"there is no task {name!r}; there are {', '.join(registry.names())}")
    if "collection" in given:
        return [declared.filled(dict(given))]
    planned = plan("0" * 32, relative_paths(session), description_of(session))
    filled = [
        declared.filled({**task.arguments, **given}) for task in planned if task.name == name
    ]
    return filled or [declared.filled(dict(given))]


def description_of(session: Path) -> dict[str, Any] | None:
    """Return a session's experiment description, if it has one."""
    path = session / DESCRIPTION_NAME
    if not path.exists():
        return None
    import yaml

    content = yaml.safe_load(path.read_bytes())
    return content if isinstance(content, dict) else None


def run(task: TaskDeclaration, session: Path, out: Path) -> RunResult:
    """Run a task; any error in it becomes an Errored result.

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
        absent = ", ".join(map(str, lacking))
        raise InputsMissing(f"{task.name} needs {absent}, which {session} does not have")
    version, libraries = environment()
    package = package_of(task.name)
    record = RunRecord(
        task=task.name,
        parameters=dict(task.arguments),
        command=" ".join(
            ["fornix task run", task.name, "SESSION --out OUT"]
            + [f"-a {name}={value}" for name, value in task.arguments]
        ),
        inputs=_fingerprints(session, selected(task.inputs, here), task.inputs),
        version=version,
        environment=libraries | package,
        code=" ".join(map(str, next(iter(package.items()), ("fornix", version)))),
        host=platform.node() or None,
        started=datetime.now(UTC).isoformat(),
    )
    began = time.monotonic()
    status, error, trouble = Status.COMPLETE.label, None, None
    written: list[Path] | Outputs | None = []
    facts: RunFacts | None = None
    outputs: tuple[RunFile, ...] = ()
    try:
        written = run_it(session, out, dict(task.arguments))
        if isinstance(written, Outputs):
            facts, written = written.facts, written.paths
        names = [path.relative_to(out).as_posix() for path in written or ()]
        outputs = _fingerprints(out, names)
    except Exception as raised:
        log.error("%s", "".join(traceback.format_exception(raised)))
        status, error = Status.ERRORED.label, f"{type(raised).__name__}: {raised}"
        trouble = _fault_of_the_computer(raised, task)
    elapsed = round(time.monotonic() - began, 3)
    if written is None:
        status = Status.EMPTY.label
    paths = tuple(each.path for each in outputs)
    if status == Status.COMPLETE.label and (short := missing(task.outputs, paths)):
        status = Status.INCOMPLETE.label
        error = f"outputs are missing: {', '.join(map(str, short))}"
    record = msgspec.structs.replace(record, outputs=outputs, elapsed=elapsed, status=status)
    return RunResult(status, paths, error, trouble, record, elapsed, facts)


def _fault_of_the_computer(error: Exception, task: TaskDeclaration) -> Trouble | None:
    """Return the missing resource; memory beyond a task's declared amount is the task's fault."""
    trouble = trouble_of(error)
    left = available_memory()
    if trouble == "memory" and left is not None and left > task.ram * 2**30:
        log.error("%s used more than the %d GB that it declares", task.name, task.ram)
        return None
    return trouble


@cache
def environment() -> tuple[str, dict[str, str | None]]:
    """Return the code version, libraries and machine that a result depends on."""
    return version("fornix"), {
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: _version(name) for name in LIBRARIES},
        **({"environment": apart} if (apart := os.environ.get(NAMED)) else {}),
    }


def package_of(name: str) -> dict[str, str | None]:
    """Return the version of a task's package and those of its requirements; Fornix's is known."""
    for entry in entry_points(group=GROUP, name=name):
        if entry.dist is None or entry.dist.name == "fornix":
            continue
        needed = {
            match[0] for each in entry.dist.requires or () if (match := _PACKAGE.match(each))
        }
        return {entry.dist.name: entry.dist.version} | {each: _version(each) for each in needed}
    return {}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _fingerprints(
    folder: Path, paths: Iterable[str], signature: Iterable[Expected] = ()
) -> tuple[RunFile, ...]:
    """Return size in bytes and SHA-256 of files; the worker knows that of linked inputs."""
    fingerprints, signature = [], list(signature)
    for path in paths:
        with (folder / path).open("rb") as file:
            whole = not is_linked(signature, path)
            digest = hashlib.file_digest(file, "sha256").hexdigest() if whole else ""
            fingerprints.append(RunFile(path, (folder / path).stat().st_size, digest))
    return tuple(fingerprints)


def _die_with(parent: int) -> None:
    """End this process when its parent is killed."""

    def watch() -> None:
        while os.name != "posix" or os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main(order_file: str, result_file: str, parent: str = "") -> int:
    """Carry out a `RunOrder`; write the `RunResult`. The process cannot leave the result's folder.

    With the id of the parent process, this process ends when the parent does.

    Returns
    -------
    int
        Exit code: `WITHOUT_A_RESULT` if the result could not be written.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    order = msgspec.json.decode(Path(order_file).read_bytes(), type=RunOrder)
    target = Path(result_file)
    if parent:
        _die_with(int(parent))
    try:
        if parent:
            computing = (order.time_out_secs or 0) * (os.cpu_count() or 1)
            confine(target.parent, ram=order.ram, cpu_seconds=computing or None)
        result = _carry_out(order)
        if result.error:
            log.error("%s", result.error)
        partial = target.with_suffix(".tmp")
        partial.write_bytes(msgspec.json.encode(result))
        os.replace(partial, target)
    except OSError as error:
        if trouble_of(error) is None:
            raise
        with suppress(OSError):
            log.error("%s", error)
        return WITHOUT_A_RESULT
    return 0


def _carry_out(order: RunOrder) -> RunResult:
    """Run the task of an order; the reason why it cannot run is a result, too."""
    session, out = Path(order.session), Path(order.out)
    try:
        (task,) = orders(order.task, session, order.arguments)
        return run(task, session, out)
    except InputsMissing as error:
        return RunResult(Status.ERRORED.label, error=str(error))
    except (UnknownTask, ImportError) as error:
        return RunResult(Status.ERRORED.label, error=str(error), trouble="environment")


def names() -> Iterable[str]:
    """Return the names of the tasks that are installed here."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
