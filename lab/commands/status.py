"""``fornix status``: the present activity of a lab, on one screen."""

from __future__ import annotations

import json
from typing import Any

import click

from shared.tasks.states import ACTIVE, Status

ERRORS, UPLOADS = 5, 10
"""Largest number of failed tasks and uploads in the list."""


def collect(client: Any, lab: str | None) -> dict[str, Any]:
    """Request the server's health, and a lab's tasks and uploads."""
    who = client.me()
    lab = lab or next(iter(who.get("labs") or ()), None)
    scope = {"lab": lab} if lab else {}
    counts = {
        status.label: client.get("/tasks", status=status.label, limit=1, **scope)["count"]
        for status in Status
    }
    failed = client.get("/tasks", status=Status.ERRORED.label, limit=ERRORS, **scope)["results"]
    uploads = client.get("/uploads", limit=UPLOADS, lab=lab)["results"] if lab else []
    return {
        "url": client.settings.url,
        "user": who["username"],
        "role": who.get("role"),
        "lab": lab,
        "health": client.get("/health").get("status"),
        "tasks": counts,
        "errored": [
            {name: task.get(name) for name in ("id", "name", "session", "datetime")}
            for task in failed
        ],
        "uploads": uploads,
        "board": client.get("/board", lab=lab) if lab else None,
    }


def show_board(board: dict[str, Any]) -> None:
    """Print the state of a lab's workers and queue."""
    for seen in board["workers"]:
        report = seen["report"]
        offers = report.get("capabilities") or {}
        disk = f", {offers['disk'] / 2**30:.1f} GB free" if offers else ""
        why = f": {report['reason']}" if report.get("reason") else ""
        click.echo(
            f"  worker {report['worker']}  {report['state']}{why}  "
            f"(Fornix {report['version']}{disk}, seen {seen['at'][:19]})"
        )
    if board["oldest_waiting"]:
        click.echo(f"  the longest wait of a task is {board['oldest_waiting']} s")
    if board["queue"]["dead"]:
        click.echo(f"  {board['queue']['dead']} messages could not be handled: fornix queues show")
    for task in board["held"]:
        click.echo(f"  held {task['name']} of {task['session']}: {task['reason']}")


@click.command()
@click.option("--lab", help="Lab to look at; by default the account's.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(lab: str | None, as_json: bool) -> None:
    """Show how the server is, and what a lab's tasks and uploads do."""
    from lab.client import Client, settings

    state = collect(Client(settings()), lab)
    if as_json:
        click.echo(json.dumps(state, indent=1))
        return
    click.echo(f"{state['url']}  {state['health']}  as {state['user']} ({state['role']})")
    counts = [(name, n) for name, n in state["tasks"].items() if n]
    of = f" of {state['lab']}" if state["lab"] else ""
    click.echo(f"tasks{of}: " + (", ".join(f"{n} {name}" for name, n in counts) or "none"))
    if not any(state["tasks"][active.label] for active in ACTIVE - {Status.HELD}) and counts:
        click.echo("nothing is waiting or running")
    if board := state["board"]:
        show_board(board)
    for task in state["errored"]:
        click.echo(f"  errored {task['name']}  {task['id']}  session {task['session']}")
    if state["uploads"]:
        click.echo("latest uploads:")
    for upload in state["uploads"]:
        megabytes = upload["size"] / 1e6
        click.echo(
            f"  {upload['state']:10} {upload['folder']}  {upload['files']} files, "
            f"{megabytes:.1f} MB, by {upload['by']} at {upload['created'][:16]}"
        )
