"""``fornix task``: the tasks on the server, one or many at a time; and those installed here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import click

from lab.commands.output import AS_JSON
from lab.rig.preflight import Account, NotReady
from lab.tasks.cli import task
from shared.tasks.states import LABELS, Status

PAGE = 250

COLUMNS = ("status", "name", "session", "datetime", "id")

NAMED = 100
"""Most sessions of a list whose names are asked for, each by a request; others show their id."""


def _client() -> Any:
    from lab.client import Client, settings

    return Client(settings())


def chosen(many: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select tasks."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("--log", "log_text", metavar="TEXT", help="Whose log has this text."),
        click.option(
            "--session", help="Of this session: its id, or [LAB/]SUBJECT/2024-07-01/001."
        ),
        click.option("--lab", help="Of this lab; by default the account's."),
        click.option("--name", help="Of this name, as task.trials."),
        click.option(
            "--status", type=click.Choice(LABELS, case_sensitive=False), help="In this status."
        ),
    ):
        many = option(many)
    return many


def find(
    client: Any, ids: tuple[str, ...], wanted: dict[str, str | None]
) -> Iterator[dict[str, Any]]:
    """Yield the named tasks, or else those that fulfil all conditions."""
    text = wanted.get("log_text")
    if ids:
        for task_id in ids:
            yield client.get(f"/tasks/{task_id}")
        return
    if lab := wanted.get("lab"):
        try:
            Account(client).check_lab(lab)
        except NotReady as error:
            raise click.ClickException(str(error)) from None
    elif not wanted.get("session"):
        wanted = wanted | {"lab": next(iter(client.me().get("labs") or ()), None)}
    if session := wanted.get("session"):
        wanted = wanted | {"session": session_id(client, session)}
    query = {name: value for name, value in wanted.items() if value and name != "log_text"}
    start = 0
    while True:
        page = client.get("/tasks", limit=PAGE, offset=start, **query)
        for task_row in page["results"]:
            if text is None or text in (task_row.get("log") or ""):
                yield task_row
        start += PAGE
        if not page.get("next"):
            return


def session_id(client: Any, what: str) -> str:
    """Return the id of a session that is named by it, or by subject, day and number.

    Raises
    ------
    click.ClickException
        There is no such session, or several labs have one.
    """
    from lab.commands.publish import find_sessions, named_session

    if named_session(client, what) is None:
        raise click.ClickException(f"{what} names no session: write SUBJECT/2024-07-01/001.")
    (session,) = find_sessions(client, what)
    return str(session["url"]).rpartition("/")[2]


def session_names(client: Any, rows: list[dict[str, Any]]) -> dict[str, str]:
    """Return lab, subject, day and number of the sessions of tasks, by the session's address."""
    from lab.client import RecordMissing
    from lab.commands.publish import reference

    names = {}
    for address in list(dict.fromkeys(str(row["session"]) for row in rows))[:NAMED]:
        try:
            session = client.get(f"/sessions/{address.rpartition('/')[2]}")
        except RecordMissing:
            continue
        names[address] = f"{session['lab']}/{reference(session)}"
    return names


def show_rows(client: Any, rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print tasks with their session; of those that wait or failed the reason first."""
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    names = session_names(client, rows)
    for row in rows:
        address = str(row["session"])
        told = row | {"session": names.get(address, address.rpartition("/")[2])}
        lines = (row.get("hold") or row.get("log") or "").strip().splitlines()
        columns = [str(told.get(column) or "") for column in COLUMNS]
        if lines and row.get("status") in ("Errored", "Held"):
            click.echo(f"{columns[0]}  {lines[-1].removeprefix('Held: ')[:200]}")
            columns[0] = "  "
        click.echo("  ".join(columns))
    if not rows:
        click.echo("no such tasks", err=True)


@task.command("list")
@chosen
def list_tasks(as_json: bool, **wanted: str | None) -> None:
    """List the server's tasks, by status, name, session or a text of their log."""
    client = _client()
    show_rows(client, list(find(client, (), wanted)), as_json)


@task.command()
@click.argument("task_id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(task_id: str, as_json: bool) -> None:
    """Show one task, with what its session should have and has."""
    client = _client()
    shown_task = client.get(f"/tasks/{task_id}")
    board = client.get(f"/board/{str(shown_task['session']).rpartition('/')[2]}")
    if as_json:
        click.echo(json.dumps({**shown_task, "board": board}, indent=1))
        return
    click.echo(f"{shown_task['name']} of {board['name']}: {shown_task['status']}")
    if shown_task.get("hold"):
        click.echo(f"held: {shown_task['hold']}")
    for board_task in board["tasks"]:
        click.echo(
            f"  {board_task['name']}: {board_task['status']}, attempt {board_task['attempt']}"
        )
        for output in board_task["expected"]:
            mark = "there" if output["present"] else "missing"
            note = "" if output["required"] else " (optional)"
            click.echo(f"    {mark:8}{output['path']}{note}")
    for missing in board["not_processed"]:
        click.echo(f"  {missing}")


@task.command()
@click.argument("task_id")
@AS_JSON
def log(task_id: str, as_json: bool) -> None:
    """Print the log of a task; of a running one, what it has written so far."""
    logged_task = _client().get(f"/tasks/{task_id}")
    if as_json:
        summary = {name: logged_task.get(name) for name in ("id", "name", "status")}
        click.echo(json.dumps(summary | {"log": logged_task.get("log") or ""}))
        return
    click.echo(logged_task.get("log") or "", nl=False)


def _change(
    verb: str,
    body: dict[str, Any],
    ids: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    wanted: dict[str, str | None],
) -> None:
    """Change the selected tasks; report the result of each."""
    from lab.client import RequestRefused

    if not ids and not any(wanted.values()):
        raise click.UsageError("Name tasks, or choose them by --status, --name, --session, --log.")
    client = _client()
    rows, failed = [], 0
    for task_row in find(client, ids, wanted):
        said: dict[str, Any] = {
            "id": task_row["id"],
            "name": task_row["name"],
            "was": task_row["status"],
        }
        if not dry_run:
            try:
                said["status"] = client.patch(f"/tasks/{task_row['id']}", body)["status"]
            except RequestRefused as error:
                said["error"], failed = str(error), failed + 1
        rows.append(said)
        if not as_json:
            what = said.get("error") or (f"would be {verb}" if dry_run else said["status"])
            click.echo(f"{said['id']}  {said['name']}  {said['was']} → {what}")
    if as_json:
        click.echo(json.dumps(rows, indent=1))
    elif not rows:
        click.echo("no such tasks", err=True)
    if failed:
        raise click.exceptions.Exit(1)


def changes(many: Callable[..., Any]) -> Callable[..., Any]:
    """Add the common parts of the commands that change tasks."""
    many = click.option("--dry-run", is_flag=True, help="Say what would be done.")(chosen(many))
    return click.argument("ids", nargs=-1)(many)


@task.command()
@changes
def retry(ids: tuple[str, ...], dry_run: bool, as_json: bool, **wanted: str | None) -> None:
    """Let tasks run again: the named ones, or those that the options choose."""
    _change("retried", {"status": Status.WAITING.label}, ids, dry_run, as_json, wanted)


@task.command()
@changes
def cancel(ids: tuple[str, ...], dry_run: bool, as_json: bool, **wanted: str | None) -> None:
    """Give tasks up; one that runs is stopped by its worker at the next heartbeat."""
    _change("abandoned", {"status": Status.ABANDONED.label}, ids, dry_run, as_json, wanted)


@task.command()
@changes
@click.option("--reason", required=True, help="Why; it is shown on the board.")
def hold(
    ids: tuple[str, ...], dry_run: bool, as_json: bool, reason: str, **wanted: str | None
) -> None:
    """Keep tasks from running until they are retried."""
    body = {"status": Status.HELD.label, "hold": reason}
    _change("held", body, ids, dry_run, as_json, wanted)
