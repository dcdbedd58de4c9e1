"""``fornix one-setup``: write the parameter files of ONE-api, so that ``ONE()`` needs no setup.

ONE keeps two kinds of files in ``~/.one``. ``.caches`` lists the known servers, their download
folders and the default of ``ONE()``; one file for each server holds its address, login and data
server (ONE convention, client parameters).
"""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

import click

from lab.client import (
    Client,
    LoginFailed,
    RecordMissing,
    RequestRefused,
    WrongAddress,
    settings,
)


class WouldOverwrite(click.ClickException):
    """The command would overwrite the user's own settings."""


def parameter_folder() -> Path:
    """Return the folder of ONE's parameter files on this system."""
    if sys.platform in ("win32", "cygwin"):
        return Path(os.environ["APPDATA"]) / ".one"
    return Path.home() / ".one"


def server_key(url: str) -> str:
    """Return ONE's name of a server: ``http://127.0.0.1:8000`` → ``127.0.0.1_8000``."""
    name = re.sub(r"^https?://", "", unicodedata.normalize("NFKC", url)).strip("/").lower()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^.\w\s-]", "_", name))


def parameters(url: str, user: str, token: str) -> dict[str, Any]:
    """Return ONE's parameters of a server.

    The data server requires Basic authentication for private data: the user and the token.
    """
    return {
        "ALYX_URL": url,
        "ALYX_LOGIN": user,
        "HTTP_DATA_SERVER": f"{url}/data",
        "HTTP_DATA_SERVER_LOGIN": user,
        "HTTP_DATA_SERVER_PWD": token,
        "TOKEN": {user: {"token": token}},
    }


def write_parameters(
    folder: Path,
    wanted: dict[str, Any],
    *,
    cache_dir: Path | None = None,
    default: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Write the two files; return their content.

    Parameters
    ----------
    folder : Path
        See :func:`parameter_folder`.
    wanted : dict
        See :func:`parameters`.
    cache_dir : Path, optional
        Folder of downloads; by default the present one, or ``~/Downloads/ONE/<server>``.
    default : bool
        Make this the server of ``ONE()`` even if there is another.
    force : bool
        Replace the existing parameters of this server.

    Returns
    -------
    dict
        ``file``, ``cache_dir``, ``default`` (whether ``ONE()`` means this server).

    Raises
    ------
    WouldOverwrite
        The server has other parameters, or its downloads would mix with another server's.
    """
    key = server_key(wanted["ALYX_URL"])
    caches = _read(folder / ".caches") or {"CLIENT_MAP": {}}
    file = folder / f".{key}"
    existing = _read(file)
    if existing is not None and not force and existing | wanted != existing:
        raise WouldOverwrite(f"{file} exists with other parameters; --force replaces it")
    map_ = caches.setdefault("CLIENT_MAP", {})
    place = str(cache_dir or map_.get(key) or Path.home() / "Downloads" / "ONE" / key)
    if map_.get(key, place) != place and not force:
        raise WouldOverwrite(f"downloads of this server go to {map_[key]}; --force changes that")
    if other := next((k for k, v in map_.items() if v == place and k != key), None):
        raise WouldOverwrite(f"{place} holds the downloads of {other}: choose another --cache-dir")
    map_[key] = place
    if default or not caches.get("DEFAULT"):
        caches["DEFAULT"] = key
    Path(place).mkdir(parents=True, exist_ok=True)
    if not folder.exists():
        folder.mkdir(mode=0o700)
    # The server's own file first: ONE asks questions about a server in .caches without one.
    _write(file, (existing or {}) | wanted)
    _write(folder / ".caches", caches)
    return {"file": str(file), "cache_dir": place, "default": caches["DEFAULT"] == key}


def _read(file: Path) -> dict[str, Any] | None:
    """Return a parameter file's content; None if there is no such file."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise WouldOverwrite(f"{file} is not JSON: repair it or move it away ({error})") from error
    if not isinstance(content, dict):
        raise WouldOverwrite(f"{file} holds no parameters: move it away")
    return content


def _write(file: Path, content: dict[str, Any]) -> None:
    """Replace a file at once, readable by its owner only: it holds a token."""
    partial = file.with_name(file.name + ".part")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        json.dump(content, stream, indent=4)
    os.replace(partial, file)


def owner(client: Client, user: str | None) -> str:
    """Return the owner of the token, as the server confirms.

    Raises
    ------
    LoginFailed
        The token is invalid, or belongs to another user.
    """
    try:
        name = client.get("/me")["username"]
    except RecordMissing:
        name = user
    except WrongAddress:
        raise
    except RequestRefused as error:
        raise LoginFailed(f"the server does not accept the token: {error}") from error
    if not name:
        raise LoginFailed("the server does not say whose token it is: give --user")
    if user and name != user:
        raise LoginFailed(f"the token is that of {name}, not of {user}")
    return name


@click.command("one-setup")
@click.option("--url", help="Server. [default: that of `fornix login`]")
@click.option("--user", help="User name. [default: that of `fornix login`]")
@click.option("--cache-dir", type=click.Path(path_type=Path), help="Where downloads go.")
@click.option("--default", is_flag=True, help="Make it the server that ONE() means.")
@click.option("--force", is_flag=True, help="Replace what ONE knows about this server.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def one_setup(
    url: str | None,
    user: str | None,
    cache_dir: Path | None,
    default: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write ONE-api's parameter files, so that ONE() connects here without a question.

    Uses the account of `fornix login`, or FORNIX_USER with FORNIX_PASSWORD or FORNIX_TOKEN.
    """
    account = settings(url, user)
    # Alyx has no route /me, and answers with a page; then the user must be named.
    client = Client(account, plain_missing=bool(user))
    token = account.token or client.login()
    name = owner(client, account.user)
    result = write_parameters(
        parameter_folder(),
        parameters(account.url, name, token),
        cache_dir=cache_dir and cache_dir.absolute(),
        default=default,
        force=force,
    )
    if as_json:
        click.echo(json.dumps({"url": account.url, "user": name} | result))
        return
    call = "ONE()" if result["default"] else f"ONE(base_url={account.url!r})"
    click.echo(f"{name} at {account.url}: from one.api import ONE; {call}")
    click.echo(f"Downloads go to {result['cache_dir']}.")
