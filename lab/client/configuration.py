"""Address and account of the API: from the environment, or as `fornix login` saved them."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from lab.client.errors import NotConfigured

EXAMPLE = "give one like https://api.example.org/v1 (`fornix login`, or FORNIX_API_URL)"
"""Advice for an invalid address."""


@dataclass(frozen=True)
class Settings:
    """Address and account of the API."""

    url: str
    user: str | None = None
    password: str | None = None
    token: str | None = None

    def __repr__(self) -> str:
        return f"Settings(url={self.url!r}, user={self.user!r})"


def config_path() -> Path:
    """Return the file that ``fornix login`` writes, readable by its owner only.

    Each profile (``fornix --profile NAME``, ``FORNIX_PROFILE``) has a file of its own.
    """
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    profile = os.environ.get("FORNIX_PROFILE") or ""
    if profile and not re.fullmatch(r"[\w-]+", profile):
        raise NotConfigured(f"profile {profile!r}: use letters, digits, _ and - only")
    return Path(base) / "fornix" / (f"config-{profile}.json" if profile else "config.json")


def address(url: str) -> str:
    """Return an address in its normal form: with a scheme, without a slash at its end.

    Addresses of this computer get http, all others https.

    Raises
    ------
    NotConfigured
        The address names no server, or has another scheme than HTTP.

    Examples
    --------
    >>> address("api.example.org/v1/"), address("localhost:8000")
    ('https://api.example.org/v1', 'http://localhost:8000')
    """
    url = url.strip().rstrip("/")
    scheme, named, host = url.partition("://")
    if re.search(r"\s", url) or not url or url.endswith(":") or (named and not host):
        raise NotConfigured(f"{url!r} is no address of a server: {EXAMPLE}")
    if named:
        if scheme.lower() not in ("http", "https"):
            raise NotConfigured(
                f"{url} begins with {scheme}://, the API's with https://: {EXAMPLE}"
            )
        return url
    here = re.match(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(?=[:/]|$)", url)
    return f"http://{url}" if here else f"https://{url}"


def settings(url: str | None = None, user: str | None = None) -> Settings:
    """Read the settings from the environment, or else from the file of ``fornix login``.

    A given address or user takes precedence.

    Raises
    ------
    NotConfigured
        No address of an API is set.
    """
    env = os.environ.get
    saved: dict[str, str] = {}
    if config_path().exists():
        try:
            saved = dict(json.loads(config_path().read_text()))
        except (ValueError, TypeError):
            raise NotConfigured(f"{config_path()} is broken: run `fornix login` again") from None
    url = url or env("FORNIX_API_URL") or saved.get("url")
    if not url:
        raise NotConfigured("no server is known: run `fornix login` or set FORNIX_API_URL")
    url = address(url)
    same = url == saved.get("url")
    user = user or env("FORNIX_USER")
    token = env("FORNIX_TOKEN")
    if not token and same and (not user or user == saved.get("user")):
        token, user = saved.get("token"), user or saved.get("user")
    return Settings(url, user, env("FORNIX_PASSWORD"), token)


def save_settings(url: str, user: str, token: str) -> Path:
    """Store an address and token for later commands (mode 0600)."""
    path = config_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".tmp")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"url": address(url), "user": user, "token": token}, file, indent=1)
    os.replace(partial, path)
    return path
