"""Starts, watches and stops the embedded cloud: dynoxide and the server process."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from infra.local.home import Home
from infra.settings import ROOT

START_SECONDS = 60
"""Seconds that a process may take until it answers; a busy machine needs several."""


class CloudError(Exception):
    """The embedded cloud cannot start or has stopped; the message says what to do."""


def dynoxide() -> Path | None:
    """Return DynamoDB's binary, or None if there is no build for this machine."""
    binary = ROOT / "node_modules" / "@dynoxide" / "linux-x64" / "dynoxide"
    fits = platform.system() == "Linux" and platform.machine() == "x86_64"
    return binary if fits and binary.exists() else None


class EmbeddedCloud:
    """The processes of the embedded cloud.

    Parameters
    ----------
    home
        State folder, with the ports to use.
    own_dynamodb
        Use ministack's DynamoDB even where dynoxide could run.
    """

    def __init__(self, home: Home, *, own_dynamodb: bool = False) -> None:
        self.home = home
        self.binary = None if own_dynamodb else dynoxide()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start the processes and wait until they answer.

        Raises
        ------
        CloudError
            If a port is taken, or a process ends or does not answer.
        """
        self.claim()
        try:
            self._check_ports()
            self._check_database()
        except CloudError:
            self.home.release()
            raise
        # Work folders of killed functions.
        shutil.rmtree(self.home.path / "cloud" / "tmp", ignore_errors=True)
        ports = self.home.ports
        address = None
        if self.binary is not None:
            address = f"http://127.0.0.1:{ports.dynamodb}"
            self._spawn(
                "dynamodb",
                [
                    str(self.binary), "serve", "--host", "127.0.0.1",
                    "--port", str(ports.dynamodb), "--db-path", str(self.home.database),
                ],
            )  # fmt: skip
        command = [sys.executable, "-m", "infra.local.server", "--home", str(self.home.path)]
        if address is not None:
            command += ["--dynamodb", address]
        self._spawn("server", command)
        try:
            if address is not None:
                self._wait("dynamodb", address)
            self._wait("server", f"{self.home.gateway_url}/_fornix/ready")
        except CloudError:
            self.kill()
            raise

    def claim(self) -> None:
        """Take the state folder.

        Raises
        ------
        CloudError
            If another system runs in it.
        """
        if not self.home.claim():
            raise CloudError(
                f"another `fornix up` is running in {self.home.path}: stop it first, or choose "
                "another folder with --home"
            )

    def control(self, command: str) -> None:
        """Tell the server to ``hold`` or to ``release`` saving."""
        with urllib.request.urlopen(f"{self.home.gateway_url}/_fornix/{command}", timeout=60):  # noqa: S310
            pass

    def check(self) -> None:
        """Raise if a process has ended.

        Raises
        ------
        CloudError
            Naming the process and its log.
        """
        for name, process in self._processes.items():
            code = process.poll()
            if code is not None:
                raise CloudError(
                    f"the {name} process ended with code {code}: see {self._log(name)}\n"
                    + _last_lines(self._log(name))
                )

    def stop(self) -> None:
        """Stop the processes cleanly; the server saves its state first."""
        for name in ("server", "dynamodb"):
            process = self._processes.pop(name, None)
            if process is None:
                continue
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            # A running function would continue to search for stopped services.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        self.home.release()

    def kill(self) -> None:
        """End the processes as ``kill -9`` does."""
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._processes.clear()
        self.home.release()

    def pids(self) -> dict[str, int]:
        """Return the processes' ids by name."""
        return {name: process.pid for name, process in self._processes.items()}

    def _check_ports(self) -> None:
        """Refuse to start if another program uses a port."""
        busy = self.home.ports.busy()
        if self.binary is None:
            busy.pop("dynamodb", None)
        if busy:
            name, port = next(iter(busy.items()))
            raise CloudError(
                f"port {port} ({name}) is in use by another program: stop it, or choose another "
                f"port with --{name}-port or the variable FORNIX_{name.upper()}_PORT"
            )

    def _check_database(self) -> None:
        """Refuse to start if the table is stored by the other DynamoDB."""
        marker = self.home.path / "dynamodb.engine"
        engine = "dynoxide" if self.binary else "ministack"
        if marker.exists() and marker.read_text() != engine:
            raise CloudError(
                f"the table in {self.home.path} was made with {marker.read_text()}, which is not "
                f"available now ({engine} is): use another folder (--home), or install the "
                "packages of package-lock.json with 'npm ci'"
            )
        marker.write_text(engine)

    def _log(self, name: str) -> Path:
        """Return the log file of a process."""
        return self.home.logs / f"{name}.log"

    def _spawn(self, name: str, command: list[str]) -> None:
        """Start one of the processes."""
        self._processes[name] = spawn(command, self._log(name), cwd=ROOT)

    def _wait(self, name: str, address: str) -> None:
        """Wait until a process answers."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            self.check()
            try:
                urllib.request.urlopen(address, timeout=5).close()  # noqa: S310
                return
            except urllib.error.HTTPError:
                return  # it answers, even if with an error
            except OSError as error:
                if time.monotonic() > deadline:
                    raise CloudError(
                        f"the {name} process has not answered within {START_SECONDS} s: "
                        f"see {self._log(name)}"
                    ) from error
                time.sleep(0.05)


def spawn(
    command: Sequence[str], log: Path, *, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a background process that ends with this one, however this one ends.

    Parameters
    ----------
    command
        Program and arguments.
    log
        File that its output is appended to.
    cwd, env
        Working folder and environment.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C reaches only this process, which then stops the others in order.
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )


_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _end_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies, even by ``kill -9``."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _last_lines(path: Path, count: int = 15) -> str:
    """Return the end of a log."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-count:])
