"""The one way into a running system: real servers on loopback, deployed and seeded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from infra.local.deploy import client
from infra.local.home import Home, Ports
from infra.local.system import System


class Cloud:
    """A running Fornix in a folder of its own.

    Attributes
    ----------
    home
        State folder.
    api_url, site_url
        Addresses of the API and of the site.
    env
        Environment of a program that is to reach this system (root credentials in it).
    credentials
        Users by name: ``{"username", "password"}``.
    """

    def __init__(self, home: Path) -> None:
        self._home = Home(home, Ports.free())
        self.system = System(self._home)

    def start(self) -> None:
        """Bring the system up, or back."""
        self.system.start()

    def stop(self) -> None:
        """Stop as Ctrl-C does."""
        self.system.stop()

    def kill(self) -> None:
        """End all processes as ``kill -9`` does."""
        self.system.cloud.kill()

    def restart(self) -> None:
        """Kill everything and bring it back."""
        self.kill()
        self.start()

    @property
    def home(self) -> Path:
        """State folder."""
        return self._home.path

    @property
    def api_url(self) -> str:
        """Address of the API."""
        return self._home.api_url

    @property
    def site_url(self) -> str:
        """Address of the results site."""
        return self._home.site_url

    @property
    def env(self) -> dict[str, str]:
        """Environment of a program that is to reach this system."""
        return dict(os.environ) | self.system.environment()

    @property
    def credentials(self) -> dict[str, dict[str, str]]:
        """Seeded users by name."""
        users: dict[str, dict[str, str]] = self._home.read_credentials()["users"]
        return users

    def user_env(self, username: str) -> dict[str, str]:
        """Environment of a program run by a user: the API's address and the user's password."""
        user = self.credentials[username]
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "FORNIX_"))}
        return kept | {
            "FORNIX_API_URL": self.api_url,
            "FORNIX_USER": user["username"],
            "FORNIX_PASSWORD": user["password"],
            "XDG_CONFIG_HOME": str(self.home / "config"),
        }

    def client(self, service: str) -> Any:
        """AWS client with the embedded account's root credentials."""
        return client(self._home, service)

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        """Invoke a function, as a schedule does."""
        return self.system.invoke(function, event)
