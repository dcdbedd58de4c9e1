"""A private MariaDB server on this computer, in a folder."""

from __future__ import annotations

import getpass
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import msgspec

from lab.exports.datajoint.database import Database, DatabaseAccount
from lab.exports.session import ExportError

PORT = 3306
WAIT_SECONDS = 90.0
"""Seconds that a server may take to start."""

DATAJOINT_MODE = (
    "set sql_mode='NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,STRICT_ALL_TABLES,"
    "NO_ENGINE_SUBSTITUTION'"
)
"""Option for DataJoint. Its own ONLY_FULL_GROUP_BY lets MySQL infer that an attribute depends on
the key, but makes MariaDB refuse every `aggr` with further attributes (error 1055)."""

WRITER, READER = "fornix", "datajoint"
"""The account that writes the tables, and the account for people. The latter reads and references
these tables, and has its own databases, `user_…`, for tables that it declares."""


class LocalServer:
    """A server in a folder.

    Parameters
    ----------
    folder : path
        Folder of data, log, and the accounts (for its owner only).
    port : int
        Port on loopback.
    """

    def __init__(self, folder: Path, port: int = PORT) -> None:
        self.folder, self.port = folder.resolve(), port
        self.accounts = self.folder / "accounts.json"
        self.log = self.folder / "mariadb.log"
        self._pid = self.folder / "mariadb.pid"

    def start(self) -> None:
        """Start the server, created if it is missing; return when it answers.

        Raises
        ------
        ExportError
            MariaDB is not installed, or does not start; the message names its log.
        """
        if self.running():
            return
        program = shutil.which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None or shutil.which("mariadb-install-db") is None:
            raise ExportError(
                "MariaDB is not installed: `apt install mariadb-server`, or give the address of "
                "a server in FORNIX_DATAJOINT_URL"
            )
        if _taken(self.port):
            raise ExportError(f"port {self.port} is taken by another program: give --port")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        first = not self.accounts.exists()
        if first:
            self._install()
        options = self._options()
        if first:
            options.append(f"--init-file={self.folder / 'accounts.sql'}")
        pid = self._spawn([program, "--no-defaults", *options])
        end = time.monotonic() + WAIT_SECONDS
        while not self._answers():
            if not _alive(pid) or time.monotonic() > end:
                raise ExportError(f"MariaDB did not start; {self.log} says why")
            time.sleep(0.05)
        (self.folder / "accounts.sql").unlink(missing_ok=True)

    def stop(self) -> bool:
        """Stop the server cleanly; return whether it ran."""
        pid = self._process()
        if pid is None:
            return False
        os.kill(pid, signal.SIGTERM)
        while _alive(pid):
            time.sleep(0.05)
        return True

    def running(self) -> bool:
        """Return whether the server runs."""
        return self._process() is not None

    def account(self, user: str = WRITER) -> DatabaseAccount:
        """Return an account of the server.

        Raises
        ------
        ExportError
            There is no server in the folder.
        """
        if not self.accounts.exists():
            raise ExportError(f"{self.folder} has no database: `fornix datajoint up` makes one")
        passwords = msgspec.json.decode(self.accounts.read_bytes(), type=dict[str, str])
        return DatabaseAccount("127.0.0.1", self.port, user, passwords[user], tls=False)

    def settings(self) -> dict[str, object]:
        """Return the settings for DataJoint 0.14 (`dj.config.update`)."""
        account = self.account(READER)
        return {
            "database.host": account.host,
            "database.port": account.port,
            "database.user": account.user,
            "database.password": account.password,
            "database.use_tls": False,
            "connection.init_function": DATAJOINT_MODE,
        }

    def _spawn(self, command: list[str]) -> int:
        """Start a program that outlives this process; return its process id."""
        with self.log.open("ab") as log, Path(os.devnull).open("rb") as nothing:
            return os.posix_spawn(
                command[0],
                command,
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, nothing.fileno(), 0),
                    (os.POSIX_SPAWN_DUP2, log.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, log.fileno(), 2),
                ],
                setsid=True,
            )

    def _answers(self) -> bool:
        """Return whether the server accepts its writer's account, the last step of its start."""
        try:
            Database(self.account()).close()
        except ExportError:
            return False
        return True

    def _options(self) -> list[str]:
        # In a container root is the only account; elsewhere the server runs as the caller.
        return [
            f"--datadir={self.folder / 'data'}",
            f"--socket={self.folder / 's'}",
            f"--pid-file={self._pid}",
            f"--port={self.port}",
            f"--user={getpass.getuser()}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--local-infile=OFF",
            "--innodb-buffer-pool-size=128M",
            "--max-allowed-packet=1G",
        ]

    def _install(self) -> None:
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        done = subprocess.run(
            [
                shutil.which("mariadb-install-db") or "mariadb-install-db",
                "--no-defaults",
                f"--datadir={self.folder / 'data'}",
                f"--user={getpass.getuser()}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ExportError(
                f"MariaDB could not be set up: {(done.stderr or done.stdout)[-400:]}"
            )
        passwords = {user: secrets.token_urlsafe(24) for user in ("root", WRITER, READER)}
        statements = [
            f"ALTER USER root@localhost IDENTIFIED BY '{passwords['root']}';",
            # A new installation has accounts without passwords, open to all local users.
            "DELETE FROM mysql.global_priv "
            "WHERE User = '' OR (User = 'root' AND Host <> 'localhost');",
            f"CREATE USER {WRITER}@'127.0.0.1' IDENTIFIED BY '{passwords[WRITER]}';",
            f"GRANT ALL ON *.* TO {WRITER}@'127.0.0.1';",
            f"CREATE USER {READER}@'127.0.0.1' IDENTIFIED BY '{passwords[READER]}';",
            f"GRANT SELECT, REFERENCES ON `ibl\\_%`.* TO {READER}@'127.0.0.1';",
            f"GRANT ALL ON `user\\_%`.* TO {READER}@'127.0.0.1';",
            "FLUSH PRIVILEGES;",
        ]
        _write_private(self.folder / "accounts.sql", "\n".join(statements) + "\n")
        _write_private(self.accounts, json.dumps(passwords))

    def _process(self) -> int | None:
        try:
            pid = int(self._pid.read_text())
        except (OSError, ValueError):
            return None
        return pid if _alive(pid) else None


def _alive(pid: int) -> bool:
    """Return whether a process runs, and is a database's."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return False
    return "mariadbd" in status[0] and not status[2].strip().startswith("Z")


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
