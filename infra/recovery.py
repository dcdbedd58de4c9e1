"""``fornix restore`` and ``fornix backup``: bringing a deployment's table back from its journal.

They work on the bucket and the table with the deployment's AWS credentials, as ``make deploy``
does; no account of the (perhaps lost) table is needed. Which deployment: the standard AWS
environment with ``--outputs``, the file of the stack's outputs, or ``--home``, the folder of a
system on one computer.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from lab.commands.output import AS_JSON, tell
from shared.datasets.freed import RECIPE
from shared.model import moment

VARIABLES = {"FORNIX_TABLE": "TableName", "FORNIX_DATA_BUCKET": "DataBucket"}
"""Variable → output of the stack."""


def deployment(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose the deployment to a command."""
    command = click.option(
        "--outputs",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="File of the stack's outputs, as `make deploy` writes it.",
    )(command)
    return click.option(
        "--home",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="State folder of a running `fornix up`.",
    )(command)


def _reach(outputs: Path | None, home: Path | None) -> None:
    """Set the environment of a deployment.

    Raises
    ------
    click.UsageError
        If the deployment is not given.
    """
    if home:
        from infra.local.home import Home
        from infra.local.system import System

        os.environ.update(System(Home(home)).environment())
    elif outputs:
        (stack,) = json.loads(outputs.read_text()).values()
        os.environ.update({name: stack[output] for name, output in VARIABLES.items()})
    elif missing := sorted(VARIABLES.keys() - os.environ.keys()):
        raise click.UsageError(
            f"Which deployment? Give --outputs FILE or --home FOLDER, or set {', '.join(missing)}."
        )


@click.command()
@click.option("--to", help="The moment, e.g. 2026-11-30T12:00 (UTC, or with its own offset).")
@click.option("--replace", is_flag=True, help="Also if the table has records; later ones go.")
@click.option("--dry-run", is_flag=True, help="Say what would be restored; write nothing.")
@deployment
@AS_JSON
def restore(
    to: str | None,
    replace: bool,
    dry_run: bool,
    outputs: Path | None,
    home: Path | None,
    as_json: bool,
) -> None:
    """Make the table what the journal says it was, now or at a moment.

    Stop what writes to the system before. A restore that was interrupted goes on when it is begun
    again. Sessions, datasets, colony, notes, tasks, users, their passwords and the audit trail
    come back; nobody stays logged in. Raw recordings that were freed after the moment stay, and
    those that have expired are named with the file that has their content.

    Exit codes: 0 restored, 1 refused or files are missing in the bucket.
    """
    _reach(outputs, home)
    import msgspec

    from functions.journal.restore import NotEmpty, OtherRestore
    from functions.journal.restore import restore as run

    def say(text: str) -> None:
        tell(as_json, text, event="step", message=text)

    try:
        report = run(_stamp(to), replace=replace, dry_run=dry_run, say=say)
    except (NotEmpty, OtherRestore, LookupError) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(
            json.dumps({"event": "done", "dry_run": dry_run, **msgspec.to_builtins(report)})
        )
        sys.exit(1 if report.missing or report.expired else 0)
    verb = "would be restored" if dry_run else "restored"
    for kind, n in report.items.items():
        click.echo(f"{n:8d} {kind}")
    click.echo(f"{sum(report.items.values())} items {verb} as of {report.to} UTC.")
    if report.deleted:
        click.echo(f"{report.deleted} later items deleted.")
    stay = "would stay" if dry_run else "stays"
    for key in report.kept:
        click.echo(f"freed after that moment, {stay} now: {key}")
    for key, copy in report.expired.items():
        click.echo(
            f"expired after it was freed: {key}; `{RECIPE}` writes it again from {copy}", err=True
        )
    for key in report.missing:
        click.echo(f"missing in the bucket: {key}", err=True)
    sys.exit(1 if report.missing or report.expired else 0)


def _stamp(text: str | None) -> str | None:
    """Return a user's moment in the journal's format."""
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no time; write it as 2026-11-30T12:00.", param_hint="--to"
        ) from None
    return moment.stamp(when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC))


@click.group()
def backup() -> None:
    """Look after the journal, from which `fornix restore` works."""


@backup.command()
@click.option("--json", "as_json", is_flag=True, help="The whole report as JSON.")
@deployment
def verify(as_json: bool, outputs: Path | None, home: Path | None) -> None:
    """Compare the table with the journal, item by item.

    Exit codes: 0 they agree, 1 they differ.
    """
    _reach(outputs, home)
    import msgspec

    from functions.journal.verify import SHOWN
    from functions.journal.verify import verify as run

    report = run()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
        sys.exit(0 if report.good else 1)
    for kind, n in report.same.items():
        click.echo(f"{n:8d} {kind}")
    for difference in report.differences[:SHOWN]:
        click.echo(
            f"differs: {difference.kind} {difference.pk} {difference.sk}: {difference.what}",
            err=True,
        )
    if (more := len(report.differences) - SHOWN) > 0:
        click.echo(f"… and {more} more.", err=True)
    agree = "agree" if report.good else f"differ in {len(report.differences)} items"
    click.echo(f"Table and journal {agree} (chunk {report.chunk}).")
    sys.exit(0 if report.good else 1)


@backup.command()
@deployment
@AS_JSON
def now(outputs: Path | None, home: Path | None, as_json: bool) -> None:
    """Journal at once what was written since the last minute."""
    _reach(outputs, home)
    from functions.journal.append import append

    count = append()
    tell(as_json, f"{count} transactions journaled.", transactions=count)
