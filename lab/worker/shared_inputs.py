"""Inputs shared by several tasks of a session: fetched once, kept in the worker's folder.

They are kept by their SHA-256. Each task gets its own copy, checked while it is made: if another
task has changed the kept file, that file is fetched again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from lab.worker.inside import create
from shared.model.task import TaskInput

log = logging.getLogger(__name__)

FOLDER = "fornix-inputs"
"""Name in the worker's folder; workers that share the folder share their inputs."""

SHARE = 0.1
"""Share of the free disk for inputs that no task uses at present."""

KEPT_SECONDS = 6 * 3600
"""Time without a use after which an input is removed: its session is done."""

BLOCK = 2**20


@dataclass(frozen=True)
class SharedInputs:
    """The kept inputs of a worker's folder.

    Parameters
    ----------
    worker
        The worker's folder.
    """

    worker: Path

    @property
    def folder(self) -> Path:
        """Folder of the inputs."""
        return self.worker / FOLDER

    def take(self, one: TaskInput, target: Path) -> bool:
        """Copy an input to its place; return whether it was kept and undamaged."""
        if not one.sha256:
            return False
        stored = self.folder / one.sha256
        sha256 = hashlib.sha256()
        try:
            with stored.open("rb") as source, os.fdopen(create(target), "wb") as file:
                while block := source.read(BLOCK):
                    sha256.update(block)
                    file.write(block)
            os.utime(stored)
        except FileNotFoundError:
            return False
        if sha256.hexdigest() == one.sha256:
            return True
        log.warning("%s has changed where it was kept: it is fetched anew", one.path)
        for path in (stored, target):
            path.unlink(missing_ok=True)
        return False

    def keep(self, one: TaskInput, target: Path) -> None:
        """Keep a fetched and checked input if there is space; it never fails."""
        if not one.sha256:
            return
        try:
            self._remove_old()
            size = target.stat().st_size
            if size > SHARE * shutil.disk_usage(self.worker).free - self._taken():
                return
            self.folder.mkdir(mode=0o700, exist_ok=True)
            partial = self.folder / f"{one.sha256}.{uuid.uuid4().hex[:8]}"
            shutil.copyfile(target, partial)
            partial.replace(self.folder / one.sha256)
        except OSError as error:
            log.warning("%s is not kept for other tasks: %s", one.path, error)

    def _taken(self) -> int:
        return sum(path.stat().st_size for path in self.folder.glob("*"))

    def _remove_old(self) -> None:
        for path in self.folder.glob("*"):
            if time.time() - path.stat().st_mtime > KEPT_SECONDS:
                path.unlink(missing_ok=True)
