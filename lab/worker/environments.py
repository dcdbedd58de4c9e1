"""Environments of tasks whose libraries clash with the worker's, each built once from a lock.

A task's declaration names its environment. A lock of that name, in pip's format, pins every
package by its hash: ``lab/environments/NAME.lock``, or the path that an entry point of group
``fornix.environments`` gives. Environments are kept by the lock's hash, so that a new lock never
changes the libraries of a running task. Fornix itself is not installed there: the process of a
task takes it from the worker (``lab.tasks.apart``).
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
import venv
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import distribution, entry_points
from importlib.util import find_spec
from pathlib import Path

from lab.tasks import histology
from lab.tasks.run import NAMED, names
from lab.tasks.trouble import MachineTrouble
from shared.tasks import registry

log = logging.getLogger(__name__)

GROUP = "fornix.environments"

LOCKS = Path(__file__).resolve().parents[1] / "environments"

BUILD_SECONDS = 3600
"""Longest time for a build: a silent package index must not block the worker for ever."""

LEFT_SECONDS = 86_400
"""Age at which the remains of a killed build are removed."""

_REQUIREMENT = re.compile(r"^[A-Za-z0-9]", re.MULTILINE)


def state_folder() -> Path:
    """Return the default folder of environments."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home())
    else:
        base = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return base / "fornix" / "environments"


@cache
def lock_of(name: str) -> Path:
    """Return the lock of an environment.

    Raises
    ------
    MachineTrouble
        There is no lock of that name here.
    """
    built_in = LOCKS / f"{name}.lock"
    if built_in.is_file():
        return built_in
    for entry in entry_points(group=GROUP, name=name):
        return Path(entry.load())
    raise MachineTrouble("environment", f"there is no lock of the environment {name!r} here")


def environment_of(executable: str) -> str:
    """Return the environment that a task declares, empty if the task runs in the worker's."""
    declared_task = registry.declared(executable)
    return declared_task.environment if declared_task else ""


@dataclass(frozen=True)
class Environments:
    """The environments of a computer.

    Parameters
    ----------
    folder
        Folder of the environments.
    build
        Whether a missing environment is built when a task needs it.
    tell
        Called with a message about each build.
    """

    folder: Path = field(default_factory=state_folder)
    build: bool = True
    tell: Callable[[str], object] = log.info

    def built(self, name: str) -> bool:
        """Tell whether an environment is ready.

        Raises
        ------
        MachineTrouble
            No lock names its packages.
        """
        return _python(self._place(name)).exists()

    def variables(self, executable: str) -> dict[str, str]:
        """Return the variables that name a task's environment: ``NAME sha256:LOCK``."""
        name = environment_of(executable)
        return {NAMED: f"{name} sha256:{_digest(lock_of(name))}"} if name else {}

    def command(self, executable: str) -> list[str] | None:
        """Return the command that starts a task's process, None if the worker's Python runs it.

        The environment is built if it is missing.

        Raises
        ------
        MachineTrouble
            It cannot be built, or must not be.
        """
        name = environment_of(executable)
        if not name:
            return None
        if not self.built(name):
            if not self.build:
                raise MachineTrouble(
                    "environment",
                    f"{executable} needs the environment {name}, which is not built here: "
                    f"fornix worker build-environments {name}",
                )
            self.make(name)
        apart = find_spec("lab.tasks.apart")
        assert apart is not None  # noqa: S101 - part of Fornix
        assert apart.origin is not None  # noqa: S101
        where = distribution("fornix").locate_file("")
        return [str(_python(self._place(name))), "-P", apart.origin, str(where)]

    def make(self, name: str) -> Path:
        """Build a missing environment; return its folder.

        It appears complete or not at all: an unfinished one has another name. Two builders at once
        do no harm; the work of the second one is thrown away.

        Raises
        ------
        MachineTrouble
            The build failed; the message says why.
        """
        place, lock = self._place(name), lock_of(name)
        if self.built(name):
            return place
        self.folder.mkdir(parents=True, exist_ok=True)
        self._remove_left()
        count = len(_REQUIREMENT.findall(lock.read_text()))
        self.tell(f"building the environment {name} of {count} packages in {place}")
        began = time.monotonic()
        partial = place.with_name(f"{place.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.partial")
        try:
            venv.EnvBuilder(symlinks=os.name != "nt", with_pip=False).create(partial)
            _install(name, lock, _python(partial))
            try:
                partial.rename(place)
            except OSError:
                if not self.built(name):  # else another builder was first
                    raise
        except OSError as error:
            raise MachineTrouble("disk", f"the environment {name}: {error}") from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        self.tell(f"built the environment {name} in {time.monotonic() - began:.0f} s")
        return place

    def _place(self, name: str) -> Path:
        return self.folder / f"{name}-{_digest(lock_of(name))[:16]}"

    def _remove_left(self) -> None:
        for left in self.folder.glob("*.partial"):
            if time.time() - left.stat().st_mtime > LEFT_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def offers(environments: Environments | None, executable: str) -> bool:
    """Tell whether this computer has what a task needs beside its code.

    That is its environment, which may also be built now, and the atlas.
    """
    if not histology.can_run(executable):
        return False
    name = environment_of(executable)
    if not name:
        return True
    try:
        return environments is not None and (environments.built(name) or environments.build)
    except MachineTrouble:
        return False


def needed(gpu: int) -> list[str]:
    """Return the environments of the installed tasks that can run here, sorted.

    Parameters
    ----------
    gpu
        Graphics cards of this computer; without one, environments that need one are left out.
    """
    declared_tasks = [registry.declared(name) for name in names()]
    return sorted({task.environment for task in declared_tasks if task and task.gpu <= gpu} - {""})


def _install(name: str, lock: Path, python: Path) -> None:
    """Install the packages of a lock, no more and no less, as wheels with its hashes."""
    command = [*_installer(python), "--require-hashes", "--no-deps", "--only-binary", ":all:"]
    try:
        done = subprocess.run(
            [*command, "-r", str(lock)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        text = f"the environment {name} is not built after {BUILD_SECONDS} s"
        raise MachineTrouble("environment", text) from None
    if done.returncode:
        said = done.stdout.decode(errors="replace").strip().splitlines()[-6:]
        text = f"the environment {name} cannot be built from {lock.name}: {' | '.join(said)}"
        raise MachineTrouble("environment", text)


def _installer(python: Path) -> list[str]:
    """Return the command that installs into an environment: uv's, else pip's.

    Raises
    ------
    MachineTrouble
        Neither is installed here.
    """
    if find_spec("uv"):
        return [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python)]
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", str(python)]
    if find_spec("pip"):
        pip = [sys.executable, "-m", "pip", "--python", str(python)]
        return [*pip, "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    text = "neither uv nor pip is here to build environments with: install uv beside the worker"
    raise MachineTrouble("environment", text)


def _python(place: Path) -> Path:
    return place / "Scripts" / "python.exe" if os.name == "nt" else place / "bin" / "python"


def _digest(lock: Path) -> str:
    """Return the SHA-256 of a lock without regard to line ends, which Git changes."""
    return hashlib.sha256(lock.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
