"""``fornix rig``: upload and watch, on an experiment's computer."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import click

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


class RigCommands(click.Group):
    """Commands of the rig; the simulators are imported only when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted([*super().list_commands(ctx), "simulate", "simulate-cohort"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command."""
        if cmd_name == "simulate":
            from lab.commands.simulate import simulate

            return simulate
        if cmd_name == "simulate-cohort":
            from lab.commands.simulate_cohort import simulate_cohort

            return simulate_cohort
        return super().get_command(ctx, cmd_name)


@click.group(cls=RigCommands)
def rig() -> None:
    """Upload sessions from an experiment's computer."""


def _client() -> Any:
    from lab.client import Client, settings

    return Client(settings())


@rig.command()
@click.argument("folder", type=FOLDER)
@click.option("--lab", help="Lab of the sessions, where neither path nor account say it.")
@click.option("--subject", help="Subject, where neither path nor settings say it.")
@click.option("--date", metavar="YYYY-MM-DD", help="Day of the session, likewise.")
@click.option("--number", type=click.IntRange(0, 999), help="Number of the session, likewise.")
@click.option("--include", multiple=True, metavar="GLOB", help="Also files like this, as 'alf/*'.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="No files like this.")
@click.option("--dry-run", is_flag=True, help="Check all files as the server would; send nothing.")
@click.option("--again", is_flag=True, help="Try files once more that were refused before.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per session.")
@click.option("--verbose", "-v", is_flag=True, help="List all files, not only refused ones.")
def upload(
    folder: Path,
    lab: str | None,
    subject: str | None,
    date: str | None,
    number: int | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    dry_run: bool,
    again: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Upload the session FOLDER, or all sessions below it.

    What the rig recorded is uploaded: the folders raw_*, and the experiment description. Anything
    else in the folder is left out, and said so; --include adds it.

    Whatever stops it, run the same command again: only what is missing is sent. Refused files are
    shown with the reason; the others of their session are registered all the same.

    Exit codes: 0 all is registered, 1 something was refused, 3 server not reached, 4 no login.
    """
    from rich.console import Console

    from lab.rig import show
    from lab.rig.queue import default_path
    from lab.rig.session import NoSession, find
    from lab.rig.upload import check, chosen
    from lab.rig.upload import upload as send
    from lab.transfer import HashCache

    console = Console(stderr=as_json)
    try:
        sessions = find(folder, subject=subject, date=date, number=number)
    except NoSession as error:
        raise click.ClickException(str(error)) from None
    client, hashes = (None, None) if dry_run else (_client(), HashCache(default_path()))
    worst = 0
    for found in sessions:
        paths = chosen(found, include, exclude)
        if client is None:
            report = check(found, paths)
        else:
            size = sum((found.folder / path).stat().st_size for path in paths)
            with show.bars(console, found.name, size, hidden=as_json) as notice:
                report = send(
                    client,
                    found,
                    lab=lab,
                    again=again,
                    notice=notice,
                    hashes=hashes,
                    choose=lambda _, paths=paths: paths,  # type: ignore[misc]
                )
        if as_json:
            click.echo(json.dumps(report.as_dict()))
        else:
            show.print_report(console, report, verbose=verbose)
        worst = max(worst, report.exit_code)
    raise click.exceptions.Exit(worst)


@rig.command()
@click.argument("folder", type=FOLDER)
@click.option("--lab", help="Lab of the sessions, where neither path nor account say it.")
@click.option(
    "--quiet",
    type=click.FloatRange(0),
    default=600.0,
    show_default=True,
    help="Seconds without change after which a session without flag file is finished.",
)
@click.option("--flags-only", is_flag=True, help="Only sessions with a flag file are finished.")
@click.option("--include", multiple=True, metavar="GLOB", help="Also files like this, as 'alf/*'.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="No files like this.")
@click.option("--once", is_flag=True, help="Look once, upload what is due, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per session.")
def watch(
    folder: Path,
    lab: str | None,
    quiet: float,
    flags_only: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    once: bool,
    as_json: bool,
) -> None:
    """Upload the sessions below FOLDER as they finish, until Ctrl-C.

    A session is finished when it has a file transfer_me.flag, raw_session.flag or upload_me.flag
    (which is removed after the upload), or when nothing in it has changed for a while. As with
    upload, only raw data are sent, and what --include adds. What cannot be sent now is kept in a
    queue on disk and tried again, also after a restart.
    """
    import logging

    from rich.console import Console

    from lab.rig import show
    from lab.rig.queue import Queue
    from lab.rig.upload import Report, chosen
    from lab.rig.watch import Watch

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    console = Console(stderr=as_json)

    def tell(report: Report) -> None:
        if as_json:
            click.echo(json.dumps(report.as_dict()))
        else:
            show.print_report(console, report)

    agent = Watch(
        folder,
        _client(),
        Queue(),
        quiet=quiet,
        flags_only=flags_only,
        lab=lab,
        tell=tell,
        choose=lambda found: chosen(found, include, exclude),
    )
    if once:
        agent.once()
        left = [entry for entry in agent.queue.entries() if entry.state != "done"]
        raise click.exceptions.Exit(1 if left else 0)
    signal.signal(signal.SIGTERM, lambda *_: agent.stopped.set())
    try:
        agent.forever()
    except KeyboardInterrupt:
        click.echo("Stopped; the queue is kept.", err=True)


@rig.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def queue(as_json: bool) -> None:
    """Show the sessions that the watch has queued, uploaded or failed to upload."""
    from lab.rig.queue import Queue

    rows = Queue().entries()
    if as_json:
        fields = ("folder", "state", "tries", "next_try", "message")
        click.echo(json.dumps([{name: getattr(row, name) for name in fields} for row in rows]))
        return
    for row in rows:
        click.echo(f"{row.state:8} {row.folder}" + (f"  {row.message}" if row.message else ""))
