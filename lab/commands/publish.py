"""``fornix publish`` and ``fornix withdraw``: who may see sessions, said in one command."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from uuid import UUID

import click

PAGE = 250
"""Rows of one request (the most that a list answers)."""

_NAME = re.compile(
    r"(?:(?P<lab>[^/]+)/(?:Subjects/)?)?"
    r"(?P<subject>[^/]+)/(?P<date>\d{4}-\d{2}-\d{2})/(?P<number>\d{1,3})"
)


def find_sessions(client: Any, what: str) -> list[dict[str, Any]]:
    """Return the sessions of a name.

    Parameters
    ----------
    client
        API client.
    what
        A session's id or ``[LAB/]SUBJECT/DATE/NUMBER``, a subject's nickname, or a project's name.

    Raises
    ------
    click.ClickException
        If nothing has that name, or both a subject and a project have it.
    """
    named = named_session(client, what)
    if named is not None:
        if not named:
            raise click.ClickException(
                f"There is no session {what}. `fornix status` lists uploads."
            )
        if len(named) > 1:
            labs = sorted(record["lab"] for record in named)
            raise click.ClickException(
                f"{' and '.join(labs)} have a session {what}: write {labs[0]}/{what}."
            )
        return named
    subjects = client.get("/subjects", nickname=what, limit=2)["results"]
    projects = client.get("/projects", name=what, limit=2)["results"]
    if len(subjects) > 1:
        labs = sorted(record["lab"] for record in subjects)
        raise click.ClickException(
            f"{' and '.join(labs)} have a subject {what}: write {what}@{labs[0]}."
        )
    if subjects and projects:
        raise click.ClickException(f"{what} is a subject and a project; give session ids instead.")
    if not subjects and not projects:
        raise click.ClickException(
            f"There is no session, subject or project {what}. "
            "Write a session as SUBJECT/2024-07-01/001."
        )
    return list(_rows(client, subject=what) if subjects else _rows(client, projects=what))


def named_session(client: Any, what: str) -> list[dict[str, Any]] | None:
    """Return the sessions of an id or ``[LAB/]SUBJECT/DATE/NUMBER``; None for other names.

    Several labs may share a nickname, so several sessions may match.
    """
    from lab.client import RecordMissing

    try:
        return [client.get(f"/sessions/{UUID(what)}")]
    except ValueError:
        pass
    except RecordMissing:
        return []
    named = _NAME.fullmatch(what)
    if named is None:
        return None
    query = {"subject": named["subject"], "date_range": f"{named['date']},{named['date']}"}
    if named["lab"]:
        query["lab"] = named["lab"]
    return list(_rows(client, number=int(named["number"]), **query))


def reference(session: dict[str, Any]) -> str:
    """Return ``SUBJECT/DATE/NUMBER`` of a session, by which `named_session` finds it."""
    day = str(session["start_time"])[:10]
    return f"{session['subject']}/{day}/{int(session['number']):03d}"


def _rows(client: Any, **query: Any) -> Iterator[dict[str, Any]]:
    offset = 0
    while True:
        page = client.get("/sessions", limit=PAGE, offset=offset, **query)["results"]
        yield from page
        if len(page) < PAGE:
            return
        offset += PAGE


def set_visibility(client: Any, what: str, change: dict[str, Any], how: _How) -> None:
    """Change the visibility of the sessions of a name, and report it line by line.

    Raises
    ------
    click.exceptions.Exit
        With 1 if a session was refused; the others are changed.
    """
    from lab.client import RequestRefused

    refused = 0
    for session in find_sessions(client, what):
        line = {
            "session": session["id"],
            "name": reference(session),
            "done": not how.dry_run,
        }
        if not how.dry_run:
            try:
                client.patch(f"/sessions/{session['id']}", change)
            except RequestRefused as error:
                refused += 1
                line |= {"done": False, "reason": str(error)}
        how.tell(line)
    if refused:
        raise click.exceptions.Exit(1)


class _How:
    """Output format of a command."""

    def __init__(self, word: str, dry_run: bool, as_json: bool) -> None:
        self.word = word
        self.dry_run = dry_run
        self.as_json = as_json

    def tell(self, line: dict[str, Any]) -> None:
        if self.as_json:
            click.echo(json.dumps(line))
        elif "reason" in line:
            click.echo(f"refused    {line['name']}  {line['reason']}")
        else:
            word = f"would be {self.word}" if self.dry_run else self.word
            click.echo(f"{word:10} {line['name']}  {line['session']}")


@click.command()
@click.argument("what", metavar="SESSION|SUBJECT|PROJECT")
@click.option(
    "--embargo",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Public from this day on (the lab's midnight), not before.",
)
@click.option("--dry-run", is_flag=True, help="Name the sessions, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per session.")
def publish(what: str, embargo: datetime | None, dry_run: bool, as_json: bool) -> None:
    """Show sessions to the public: on the results site, by ONE without account, in its tables.

    Give a session's id or SUBJECT/DATE/NUMBER, a subject's nickname (all its sessions), or a
    project's name (all of its sessions). A manager's account of the lab may do this. The pages
    follow within a minute.
    """
    from lab.client import Client, settings

    day: date | None = embargo.date() if embargo else None
    change = {"public": True, "embargo_until": day.isoformat() if day else None}
    word = f"public from {day}" if day else "public"
    set_visibility(Client(settings()), what, change, _How(word, dry_run, as_json))


@click.command()
@click.argument("what", metavar="SESSION|SUBJECT|PROJECT")
@click.option("--dry-run", is_flag=True, help="Name the sessions, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per session.")
def withdraw(what: str, dry_run: bool, as_json: bool) -> None:
    """Hide sessions from the public again; their pages are removed."""
    from lab.client import Client, settings

    change = {"public": False, "embargo_until": None}
    set_visibility(Client(settings()), what, change, _How("withdrawn", dry_run, as_json))
