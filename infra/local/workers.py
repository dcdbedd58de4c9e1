"""The labs' workers of the system on one computer, each a process as in a lab."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from infra.local.cloud import CloudError, spawn
from infra.local.home import Home
from infra.local.seed import LABS


class Workers:
    """One ``fornix worker`` process per lab.

    Parameters
    ----------
    home
        State folder of a running system.
    tasks
        Concurrent tasks of each worker.
    """

    def __init__(self, home: Home, tasks: int = 1) -> None:
        self.home = home
        self.tasks = tasks
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start them."""
        for lab in LABS:
            self._processes[lab] = spawn(
                [*FORNIX, "worker", "--tasks", str(self.tasks)],
                self.log(lab),
                cwd=self.home.path,
                env=environment(self.home, f"{lab}_worker"),
            )

    def log(self, lab: str) -> Path:
        """Return the log file of a lab's worker."""
        return self.home.logs / f"worker-{lab}.log"

    def check(self) -> None:
        """Raise if a worker has ended.

        Raises
        ------
        CloudError
            Naming the worker and its log.
        """
        for lab, process in self._processes.items():
            if process.poll() is not None:
                raise CloudError(
                    f"the worker of {lab} ended with code {process.returncode}: "
                    f"see {self.log(lab)}"
                )

    def stop(self) -> None:
        """Stop them; running tasks go back to their queue."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()


FORNIX = (sys.executable, "-m", "lab.cli")


def environment(home: Home, username: str) -> dict[str, str]:
    """Return the environment of a user's program, which has only the API's address."""
    user = home.read_credentials()["users"][username]
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "FORNIX_"))}
    return inherited | {
        "FORNIX_API_URL": home.api_url,
        "FORNIX_USER": user["username"],
        "FORNIX_PASSWORD": user["password"],
        "XDG_CONFIG_HOME": str(home.path / "config" / username),
    }
