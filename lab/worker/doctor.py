"""``fornix worker doctor``: check everything that a worker needs before it is needed."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple

from lab.client import ClientError
from lab.tasks import histology
from lab.tasks.trouble import MachineTrouble
from lab.worker.health import Computer, about, graphics_cards
from shared.model.task import Capabilities
from shared.tasks.signature import TaskDeclaration

MOST_SKEW = 60
"""Most seconds that the clock may be off: S3 refuses addresses signed minutes off."""


class WorkerFinding(NamedTuple):
    """One check: whether it passed, and its result."""

    what: str
    well: bool
    found: str


def examine(client: Callable[[], Any], folder: Path) -> Iterator[WorkerFinding]:
    """Yield the results of the checks, one at a time; nothing is changed.

    Parameters
    ----------
    client
        Makes a client of the API with the worker's account.
    folder
        Where tasks would run.
    """
    host, version = about()
    yield WorkerFinding(
        "computer", True, f"{host}, Fornix {version}, Python {sys.version.split()[0]}"
    )
    there = _folder(folder)
    yield there
    if there.well:
        yield from _tasks(folder)
    yield from _environments()
    yield _sandbox()
    yield from _server(client)


def _folder(folder: Path) -> WorkerFinding:
    computer = Computer(folder)
    try:
        computer.check()
    except MachineTrouble as trouble:
        return WorkerFinding("disk and memory", False, str(trouble))
    offers = computer.capabilities(())
    text = (
        f"{folder}: {offers.disk / 2**30:.1f} GB; {offers.ram} GB of memory, "
        f"{offers.cpu} cores, {offers.gpu} graphics cards"
    )
    return WorkerFinding("disk and memory", True, text)


def _tasks(folder: Path) -> Iterator[WorkerFinding]:
    """Check whether each installed task can be loaded."""
    from lab.tasks.run import implementation, names
    from shared.tasks import registry

    offers = Computer(folder).capabilities(())
    for name in names():
        try:
            implementation(name)
        except Exception as error:
            yield WorkerFinding(name, False, f"{type(error).__name__}: {error}")
            continue
        declared = registry.declared(name)
        if declared is None:
            yield WorkerFinding(name, False, "is installed, but no pipeline declares it")
            continue
        if not histology.can_run(name):
            text = (
                f"goes to computers with an atlas: {histology.ATLAS} names its volume of regions"
            )
            yield WorkerFinding(name, True, f"can be loaded; {text}")
            continue
        yield WorkerFinding(name, True, _offer(declared, offers))


def _offer(declared: TaskDeclaration, offers: Capabilities) -> str:
    """Return whether the server gives a task to this computer, and what is missing if not."""
    if declared.gpu > offers.gpu:
        return "can be loaded; goes to computers with a graphics card"
    if declared.ram > max(4.0, offers.ram):
        return f"can be loaded; goes to computers with {declared.ram} GB of memory"
    return "can be loaded"


def _environments() -> Iterator[WorkerFinding]:
    """Check whether the environments of tasks with their own libraries are built."""
    from lab.worker.environments import Environments, needed

    here = Environments()
    for name in needed(graphics_cards()):
        try:
            built = here.built(name)
        except MachineTrouble as trouble:
            yield WorkerFinding(name, False, str(trouble))
            continue
        text = f"is built in {here.folder}"
        if not built:
            text = (
                f"is built when a task needs it (before: fornix worker build-environments {name})"
            )
        yield WorkerFinding(f"environment {name}", True, text)


def _sandbox() -> WorkerFinding:
    if sys.platform != "linux":
        text = (
            f"{platform.system()} does not keep tasks to their folder: use an account of its own"
        )
        return WorkerFinding("sandbox", True, text)
    listed = Path("/sys/kernel/security/lsm")
    modules = listed.read_text() if os.access(listed, os.R_OK) else ""
    text = "tasks are kept to their folder by Landlock"
    if modules and "landlock" not in modules:
        text = "the kernel is without Landlock: run the worker by an account of its own"
    return WorkerFinding("sandbox", True, text)


def _server(client: Callable[[], Any]) -> Iterator[WorkerFinding]:
    try:
        api = client()
        who = api.me()
    except ClientError as error:
        yield WorkerFinding("server", False, str(error))
        return
    role, labs = who.get("role"), who.get("labs") or []
    well = role == "worker" and len(labs) == 1
    text = f"{api.settings.url} as {who['username']} ({role} of {', '.join(labs) or 'no lab'})"
    yield WorkerFinding("server", well, text if well else f"{text}: a worker of one lab is needed")
    try:
        lent = api.post("/workers/credentials")
    except ClientError as error:
        yield WorkerFinding("work queue", False, str(error))
        return
    yield WorkerFinding("work queue", True, lent["queue_url"])
    yield _clock(lent["queue_url"])


def _clock(url: str) -> WorkerFinding:
    """Compare this computer's clock with that of AWS."""
    import requests

    try:
        date = requests.head(url, timeout=10).headers.get("Date")
    except requests.RequestException as error:
        return WorkerFinding("clock", False, f"{url} does not answer ({type(error).__name__})")
    if not date:
        return WorkerFinding("clock", True, "the server tells no time")
    off = abs((datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds())
    return WorkerFinding("clock", off <= MOST_SKEW, f"{off:.0f} s off")
