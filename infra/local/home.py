"""The state folder of the system on one computer: its layout and its ports."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO, Any

DEFAULT_HOME = ".fornix"


@dataclass(frozen=True)
class Ports:
    """The system's ports on loopback."""

    api: int = 8000
    site: int = 8001
    gateway: int = 4566
    dynamodb: int = 4567

    @classmethod
    def from_environment(cls) -> Ports:
        """Return the ports from ``FORNIX_API_PORT`` and its like, else the default ones."""
        usual = asdict(cls())
        return cls(
            **{
                name: int(os.environ.get(f"FORNIX_{name.upper()}_PORT", port))
                for name, port in usual.items()
            }
        )

    @classmethod
    def free(cls) -> Ports:
        """Return ports that nothing listens on."""
        with_sockets = [socket.socket() for _ in fields(cls)]
        try:
            for sock in with_sockets:
                sock.bind(("127.0.0.1", 0))
            return cls(*(sock.getsockname()[1] for sock in with_sockets))
        finally:
            for sock in with_sockets:
                sock.close()

    def busy(self) -> dict[str, int]:
        """Return the ports in use by other programs, by name."""
        return {name: port for name, port in asdict(self).items() if not _bindable(port)}


def _bindable(port: int) -> bool:
    """Return whether this process could listen on a loopback port."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Home:
    """A state folder. All data of the system on one computer are below it.

    Parameters
    ----------
    path
        The folder; created, for its owner only, if it does not exist.
    ports
        Ports to use from now on; by default those used last.
    """

    def __init__(self, path: str | Path, ports: Ports | None = None) -> None:
        self.path = Path(path).absolute()
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._ports_file = self.path / "ports.json"
        self._wanted = ports
        self._lock: IO[bytes] | None = None

    def claim(self) -> bool:
        """Take the folder for this process; return False if another runs a system in it.

        Two systems would save their states over each other's. The claim ends with the process, or
        by :meth:`release`.
        """
        import fcntl  # POSIX's alone: other platforms may still read a folder

        if self._lock is None:
            lock = (self.path / "lock").open("ab")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                return False
            self._lock = lock
        if self._wanted is not None:
            self._ports_file.write_text(json.dumps(asdict(self._wanted)))
        return True

    def release(self) -> None:
        """Leave the folder to others."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def ports(self) -> Ports:
        """The ports in use, or those to be used."""
        if self._wanted is not None:
            return self._wanted
        if self._ports_file.exists():
            return Ports(**json.loads(self._ports_file.read_text()))
        return Ports.from_environment()

    @property
    def deployed(self) -> Path:
        """File with the stack's outputs; absent until the first deployment is complete."""
        return self.path / "deployed.json"

    def discard_unfinished(self) -> None:
        """Remove the leftovers of a first deployment that was killed before it was complete.

        Until then the folder has no user data, and the buckets of a partial stack would block the
        next attempt.
        """
        if not self.deployed.exists():
            shutil.rmtree(self.path / "cloud", ignore_errors=True)
            for file in self.path.glob(f"{self.database.name}*"):
                file.unlink()

    @property
    def database(self) -> Path:
        """File of the DynamoDB table."""
        return self.path / "dynamodb.sqlite"

    @property
    def logs(self) -> Path:
        """Folder of the processes' logs."""
        folder = self.path / "logs"
        folder.mkdir(exist_ok=True)
        return folder

    @property
    def api_url(self) -> str:
        """Public address of the API."""
        return f"http://127.0.0.1:{self.ports.api}"

    @property
    def site_url(self) -> str:
        """Public address of the results site."""
        return f"http://127.0.0.1:{self.ports.site}"

    @property
    def gateway_url(self) -> str:
        """Address of the embedded AWS."""
        return f"http://127.0.0.1:{self.ports.gateway}"

    def root_credentials(self) -> tuple[str, str]:
        """Return the embedded account's root key and secret, made on first use."""
        credentials = self.read_credentials()
        if "aws" not in credentials:
            credentials["aws"] = {
                "access_key_id": "AKIA" + secrets.token_hex(8).upper(),
                "secret_access_key": secrets.token_urlsafe(30),
            }
            self.write_credentials(credentials)
        root = credentials["aws"]
        return root["access_key_id"], root["secret_access_key"]

    @property
    def credentials_file(self) -> Path:
        """File with the passwords of the seed's users; readable by its owner only."""
        return self.path / "credentials.json"

    def read_credentials(self) -> dict[str, Any]:
        """Return the stored credentials; empty if there are none yet."""
        if not self.credentials_file.exists():
            return {}
        loaded: dict[str, Any] = json.loads(self.credentials_file.read_text())
        return loaded

    def write_credentials(self, credentials: dict[str, Any]) -> None:
        """Store credentials atomically: a reader sees the old or the new ones."""
        partial = self.credentials_file.with_suffix(".part")
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(credentials, file, indent=2)
        partial.replace(self.credentials_file)
