"""``fornix datajoint``: the tables of IBL-pipeline in a MariaDB or MySQL server."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pymysql  # noqa: F401 - so that the command line says at once which extra brings it

from lab.commands.output import AS_JSON, SESSIONS_FOLDER, tell

if TYPE_CHECKING:
    from lab.exports.datajoint.database import DatabaseAccount
    from lab.exports.datajoint.server import LocalServer

FOLDER = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".fornix/datajoint"),
    show_default=True,
    help="Folder of the server on this computer.",
)
PORT = click.option(
    "--port", default=3306, show_default=True, type=click.IntRange(1, 65535), help="Its port."
)


@click.group()
def datajoint() -> None:
    """Keep a database for DataJoint in step with the sessions.

    Without FORNIX_DATAJOINT_URL (mysql://USER:PASSWORD@HOST:3306, of RDS say) the commands use
    the server that `up` starts on this computer.
    """


@datajoint.command()
@FOLDER
@PORT
@AS_JSON
def up(folder: Path, port: int, as_json: bool) -> None:
    """Start a MariaDB server in a folder, and say how DataJoint connects to it.

    Example: fornix datajoint up && fornix datajoint sync
    """
    server = _server(folder, port)
    _run(server.start)
    settings = server.settings()
    if as_json:
        click.echo(json.dumps(settings))
        return
    click.echo(f"MariaDB answers on 127.0.0.1:{port}; its data are in {server.folder}")
    click.echo("In Python: dj.config.update(" + json.dumps(settings, indent=1) + ")")


@datajoint.command()
@FOLDER
@AS_JSON
def down(folder: Path, as_json: bool) -> None:
    """Stop the server of a folder; its data stay."""
    stopped = _server(folder, 3306).stop()
    tell(as_json, "stopped" if stopped else "was not running", stopped=bool(stopped))


@datajoint.command()
@FOLDER
@PORT
@SESSIONS_FOLDER
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".fornix/datajoint-cache"),
    show_default=True,
    help="Folder that keeps what is downloaded.",
)
@click.option("--keep", is_flag=True, help="Animals that are gone upstream stay.")
@click.option("--follow", type=click.IntRange(1), metavar="SECONDS", help="Look again, forever.")
@click.option("--dry-run", is_flag=True, help="Name the animals that would be written.")
@AS_JSON
def sync(
    folder: Path,
    port: int,
    sessions: Path | None,
    cache: Path,
    keep: bool,
    follow: int | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Bring the tables in step with the API, or with a folder of sessions.

    Of the API only what its feed of changes names is read: each animal's rows are written in one
    transaction that notes what they were made from. Stopped at any moment, the next run goes on.
    Rows that tables of users refer to are never removed under them; they are named.

    Example: fornix datajoint sync --follow 60
    """
    account = _account(folder, port)
    while True:
        refused = _sync_once(account, sessions, cache, keep, dry_run, as_json)
        if not follow:
            break
        time.sleep(follow)
    if refused:
        raise click.exceptions.Exit(1)


@datajoint.command()
@FOLDER
@PORT
@AS_JSON
def status(folder: Path, port: int, as_json: bool) -> None:
    """Say how many rows each table has, and which animals are there."""
    from lab.exports.datajoint.database import Database

    def look() -> tuple[dict[str, int], int]:
        with Database(_account(folder, port)) as database:
            database.create()
            return database.counts(), len(database.known())

    counts, animals = _run(look)
    if as_json:
        click.echo(json.dumps({"subjects": animals, "rows": counts}))
        return
    click.echo(f"{animals} animals")
    for name, rows in counts.items():
        click.echo(f"{rows:10}  {name}")


def _sync_once(
    account: DatabaseAccount,
    sessions: Path | None,
    cache: Path,
    keep: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Synchronise everything once; return the number of refused animals."""
    from lab.client import Client, settings
    from lab.exports.datajoint.database import Database
    from lab.exports.datajoint.follow import follow
    from lab.exports.datajoint.served import served_subjects
    from lab.exports.datajoint.sources import folder_subjects
    from lab.exports.datajoint.sync import sync as bring_in_step

    client = None if sessions else Client(settings())
    subjects = _run(lambda: folder_subjects(sessions)) if sessions else []
    refused = 0
    with _run(lambda: Database(account)) as database:
        if dry_run:
            database.create()
            existing = database.known()
            for animal in served_subjects(client, cache) if client else subjects:
                if existing.get(animal.id) != animal.made_from:
                    click.echo(animal.nickname)
            return 0
        steps = (
            follow(database, client, cache, forget=not keep)
            if client
            else bring_in_step(database, subjects, forget=not keep)
        )
        for step in steps:
            refused += step.did == "refused"
            if as_json:
                line: dict[str, Any] = {
                    "subject": step.subject,
                    "did": step.did,
                    "why": step.why,
                }
                line |= {"written": step.change.written, "removed": step.change.removed}
                click.echo(json.dumps(line | {"held": step.change.held}))
            elif step.did != "unchanged":
                outcome = step.why or f"{step.change.written} rows, {step.change.removed} removed"
                click.echo(f"{step.did:9} {step.subject}  {outcome}")
                for row in step.change.held:
                    click.echo(f"  stays, for a table of users refers to it: {row}", err=True)
    return refused


def _server(folder: Path, port: int) -> LocalServer:
    from lab.exports.datajoint.server import LocalServer

    return LocalServer(folder, port)


def _account(folder: Path, port: int) -> DatabaseAccount:
    from lab.exports.datajoint.database import DatabaseAccount

    url = os.environ.get("FORNIX_DATAJOINT_URL")
    return _run(lambda: DatabaseAccount.of(url) if url else _server(folder, port).account())


def _run(action: Any) -> Any:
    """Run an action, and report its refusal as one line."""
    from lab.exports.session import ExportError

    try:
        return action()
    except ExportError as error:
        raise click.ClickException(str(error)) from error
