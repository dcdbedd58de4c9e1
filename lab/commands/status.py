"""``fornix status``: what is going on in a lab, on one screen."""

from __future__ import annotations

import json
from typing import Any

import click

from shared.tasks.states import ACTIVE, Status

ERRORS, UPLOADS = 5, 10
"""Failed tasks and uploads that are listed."""


def collect(client: Any, lab: str | None) -> dict[str, Any]:
    """Ask the server how it is, and what a lab's tasks and uploads do."""
    who = client.get("/me")
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
    }


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
    shown = [(name, n) for name, n in state["tasks"].items() if n]
    of = f" of {state['lab']}" if state["lab"] else ""
    click.echo(f"tasks{of}: " + (", ".join(f"{n} {name}" for name, n in shown) or "none"))
    if not any(state["tasks"][one.label] for one in ACTIVE - {Status.HELD}) and shown:
        click.echo("nothing is waiting or running")
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
