"""``fornix embargo``: until which day the public does not see a release, project, animal, session.

A session's own day, its animal's and its projects' are compared by `shared.access.visibility`,
as the server does: the last one counts.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

import click
import msgspec

from lab.client import Client, RecordMissing, RequestRefused, settings
from lab.commands.publish import named_session, reference
from shared.access.visibility import held_until, is_public, last_day
from shared.model import moment
from shared.model.visibility import Visibility

HolderKind = Literal["release", "project", "subject", "session"]

KINDS: tuple[HolderKind, ...] = ("release", "project", "subject", "session")

_what = click.argument("what", metavar="RELEASE|PROJECT|SUBJECT|SESSION")
_as = click.option(
    "--as", "kind", type=click.Choice(KINDS), help="What it is, where several have that name."
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_dry_run = click.option("--dry-run", is_flag=True, help="Tell what would be done; change nothing.")


class Holder(msgspec.Struct, frozen=True):
    """A record that may have an embargo, as the API shows it.

    Attributes
    ----------
    name : str
        Name for people.
    where : str
        Path below the API.
    row : dict
    """

    kind: HolderKind
    name: str
    where: str
    row: dict[str, Any]

    @property
    def until(self) -> str | None:
        """Its own first public day."""
        return self.row.get("embargo_until") or None


class EmbargoState(msgspec.Struct, frozen=True):
    """The embargoes that apply to a record.

    Attributes
    ----------
    until : str, optional
        The record's own day.
    counts : str, optional
        Effective day: the last of a session's own, its animal's and its projects'.
    of : dict of str
        All days, by the record that has them.
    ends : str, optional
        Time (UTC) at which the effective day begins.
    public : bool, optional
        Whether it is public now; None for animals and projects, whose sessions may differ.
    sessions : int, optional
        Number of its sessions.
    """

    kind: HolderKind
    name: str
    until: str | None
    counts: str | None
    of: dict[str, str] = {}
    ends: str | None = None
    public: bool | None = None
    sessions: int | None = None


@click.group()
def embargo() -> None:
    """Until which day the public does not see a release, a project, an animal or a session.

    The day is of the lab's calendar: it ends as that day begins there, in the same second for
    lists, files, tables, releases and exports. Of a session's own day, its animal's and its
    projects' the last one counts. What is not published stays hidden afterwards, too.

    Example: fornix embargo set my_project --until 2027-01-01
    """


@embargo.command("set")
@_what
@click.option(
    "--until",
    required=True,
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="First day on which the public sees it.",
)
@_as
@_dry_run
@_json
def set_embargo(
    what: str, until: datetime, kind: HolderKind | None, dry_run: bool, as_json: bool
) -> None:
    """Hold something back until a day. A manager of its labs may do this."""
    _change(what, kind, until.date().isoformat(), dry_run, as_json)


@embargo.command()
@_what
@_as
@_dry_run
@_json
def lift(what: str, kind: HolderKind | None, dry_run: bool, as_json: bool) -> None:
    """End an embargo now. What is not published stays hidden."""
    _change(what, kind, None, dry_run, as_json)


@embargo.command()
@_what
@_as
@_json
def show(what: str, kind: HolderKind | None, as_json: bool) -> None:
    """Tell what holds something back, until when, and whether anybody sees it now."""
    client = Client(settings())
    _tell(_state(client, _find(client, what, kind)), as_json)


def _change(
    what: str, kind: HolderKind | None, day: str | None, dry_run: bool, as_json: bool
) -> None:
    client = Client(settings())
    holder = _find(client, what, kind)
    if holder.kind == "release" and holder.row["state"] != "published":
        later = f" --embargo {day}" if day else ""
        raise click.ClickException(
            f"{holder.name} is not published, so nobody sees it: "
            f"`fornix release publish {holder.name}{later}`."
        )
    if not dry_run:
        body = {"embargo_until": day}
        if holder.kind == "release":
            client.post(f"{holder.where}/publish", body)
        else:
            client.patch(holder.where, body)
        holder = _find(client, what, holder.kind)
    else:
        holder = msgspec.structs.replace(holder, row={**holder.row, "embargo_until": day})
    _tell(_state(client, holder), as_json)


def _find(client: Client, what: str, kind: HolderKind | None) -> Holder:
    """Return the record of a name.

    Raises
    ------
    click.ClickException
        Nothing has that name, or several things have it.
    """
    kinds = [kind] if kind else KINDS
    holders = [holder for holder in (_FINDERS[entry](client, what) for entry in kinds) if holder]
    if not holders:
        raise click.ClickException(
            f"There is no {' or '.join(kinds)} {what}. Write a session as SUBJECT/2024-07-01/001."
        )
    if len(holders) > 1:
        kinds_found = " and a ".join(entry.kind for entry in holders)
        raise click.ClickException(f"{what} is a {kinds_found}: add --as {holders[0].kind}, say.")
    return holders[0]


def _release(client: Client, what: str) -> Holder | None:
    name, _, version = what.partition("@")
    if "/" in what:
        return None
    where = f"/releases/{quote(name, safe='')}/{quote(version, safe='') or 'latest'}"
    try:
        release = client.get(where)
    except RecordMissing:
        return None
    key = f"{release['name']}@{release['version']}"
    return Holder("release", key, f"/releases/{release['name']}/{release['version']}", release)


def _project(client: Client, what: str) -> Holder | None:
    return _listed(client, "project", "/projects", name=what)


def _subject(client: Client, what: str) -> Holder | None:
    return _listed(client, "subject", "/subjects", nickname=what)


def _listed(client: Client, kind: HolderKind, path: str, **name: str) -> Holder | None:
    (what,) = name.values()
    try:
        rows = client.get(path, limit=2, **name)["results"]
    except RequestRefused:  # the name is invalid
        return None
    if not rows:
        return None
    if len(rows) > 1:
        labs = sorted(record["lab"] for record in rows)
        raise click.ClickException(
            f"{' and '.join(labs)} have a {kind} {what}: write {what}@{labs[0]}."
        )
    return Holder(kind, what, f"{path}/{quote(what, safe='')}", rows[0])


def _session(client: Client, what: str) -> Holder | None:
    rows = named_session(client, what)
    if not rows:
        return None
    if len(rows) > 1:
        raise click.ClickException(
            f"{what} is a session of {len(rows)} labs: write LAB/{what}, or its id."
        )
    (row,) = rows
    where = f"/sessions/{row['id']}"
    return Holder("session", reference(row), where, client.get(where))


_FINDERS = {
    "release": _release,
    "project": _project,
    "subject": _subject,
    "session": _session,
}


def _state(client: Client, found: Holder) -> EmbargoState:
    days: dict[str, str | None] = {found.kind: found.until}
    zone, public, sessions = "UTC", None, None
    record = found.row
    if found.kind == "session":
        days["subject"] = _day(client, "/subjects", f"{record['subject']}@{record['lab']}")
        days |= {f"project {name}": _day(client, "/projects", name) for name in record["projects"]}
        zone = client.get(f"/labs/{quote(record['lab'], safe='')}").get("timezone") or "UTC"
        public = bool(record.get("public"))
    elif found.kind == "release":
        zone, public = record["embargo_zone"], record["state"] == "published"
    else:
        query = {"subject" if found.kind == "subject" else "projects": found.name}
        sessions = client.get("/sessions", limit=1, **query)["count"]
    counts = last_day(days.values())
    ends = None
    if public is not None:
        seen = Visibility(public, counts, zone)
        public, ends = is_public(seen, moment.now()), held_until(seen)
    return EmbargoState(
        found.kind,
        found.name,
        found.until,
        counts,
        {name: day for name, day in days.items() if day},
        ends.isoformat() if ends else None,
        public,
        sessions,
    )


def _day(client: Client, path: str, name: str) -> str | None:
    return client.get(f"{path}/{quote(name, safe='')}").get("embargo_until") or None


def _tell(state: EmbargoState, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(state)))
        return
    held = f"held until {state.counts}" if state.counts else "has no embargo"
    others = [(name, day) for name, day in state.of.items() if name != state.kind]
    whose = ", ".join(f"{day} of its {name}" for name, day in others)
    click.echo(f"{state.kind} {state.name}: {held}" + (f" ({whose})" if whose else ""))
    if state.ends:
        click.echo(f"it ends at {state.ends}")
    if state.sessions is not None:
        click.echo(f"{state.sessions:,} sessions; the last of all their days counts")
    if state.public is not None:
        click.echo("anybody sees it now" if state.public else "the public does not see it now")
