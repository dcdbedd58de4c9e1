"""``fornix rig``: upload and watch, on an experiment's computer."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import click

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


class RigCommands(click.Group):
    """Commands of the rig; the simulators are imported only when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted([*super().list_commands(ctx), "simulate", "simulate-cohort"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command."""
        try:
            if cmd_name == "simulate":
                from lab.commands.simulate import simulate

                return simulate
            if cmd_name == "simulate-cohort":
                from lab.commands.simulate_cohort import simulate_cohort

                return simulate_cohort
        except ImportError as error:
            from lab.cli import unavailable

            return unavailable("rig", error, cmd_name)
        return super().get_command(ctx, cmd_name)


@click.group(cls=RigCommands)
def rig() -> None:
    """Upload sessions from an experiment's computer."""


def _client() -> Any:
    from lab.client import Client, settings

    return Client(settings())


def _trust(command: Any) -> Any:
    return click.option(
        "--trust",
        type=click.Choice(["path", "settings", "description"]),
        help="Which is right where they name different mice.",
    )(command)


@rig.command()
@click.argument("folder", type=FOLDER)
@click.option("--lab", help="Lab of the sessions; by default the account's, or the path's.")
@click.option("--subject", help="Subject, where neither path nor settings say it.")
@click.option("--date", metavar="YYYY-MM-DD", help="Day of the session, likewise.")
@click.option("--number", type=click.IntRange(0, 999), help="Number of the session, likewise.")
@_trust
@click.option("--create-subject", is_flag=True, help="Add subjects the server does not know.")
@click.option("--include", multiple=True, metavar="GLOB", help="Also files like this, as 'alf/*'.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="No files like this.")
@click.option("--dry-run", is_flag=True, help="Check all files, lab and subject; send nothing.")
@click.option("--again", is_flag=True, help="Try files once more that were refused before.")
@click.option("--follow", is_flag=True, help="Wait for the sessions' tasks, and tell of each.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per event.")
@click.option("--verbose", "-v", is_flag=True, help="List all files, not only refused ones.")
def upload(
    folder: Path,
    lab: str | None,
    subject: str | None,
    date: str | None,
    number: int | None,
    trust: str | None,
    create_subject: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    dry_run: bool,
    again: bool,
    follow: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    r"""Upload the session FOLDER, or all sessions below it.

    What the rig recorded is uploaded: the folders raw_*, and the experiment description. Anything
    else in the folder is left out, and said so; --include adds it.

    Whatever stops it, run the same command again: only what is missing is sent. Refused files are
    shown with the reason; the others of their session are registered all the same.

    \b
    Example: fornix rig upload D:\iblrigv8_data --follow

    With --json each line is an object with an "event": progress (bytes hashed, sent, and skipped
    since the server has them), server (what it does), ended (what became of the session), task
    (with --follow: a task's new status).

    Exit codes: 0 all is registered, 1 something was refused, 3 server not reached, 4 no login.
    """
    from rich.console import Console

    from lab.rig import show
    from lab.rig.preflight import Account
    from lab.rig.queue import default_path
    from lab.rig.session import NoSession, find
    from lab.rig.upload import Options, Report, check, chosen, made_ready
    from lab.rig.upload import upload as send
    from lab.transfer import HashCache

    console = Console(stderr=as_json)
    try:
        sessions = find(folder, subject=subject, date=date, number=number)
    except NoSession as error:
        raise click.ClickException(str(error)) from None
    trust = trust or ("path" if subject else None)
    options = Options(lab, trust, create_subject, again)
    account = _account_to_ask() if dry_run else Account(_client())
    hashes = None if dry_run else HashCache(default_path())
    worst, ids = 0, {}
    for session in sessions:
        try:
            ready = [] if dry_run else made_ready(session)
            paths = chosen(session, include, exclude)
            if dry_run or account is None:
                report = check(session, paths, account, options)
            else:
                size = session.size(paths)
                bars = show.lines(session.name, size, click.echo) if as_json else None
                with bars or show.bars(console, session.name, size) as notice:
                    report = send(account, session, paths, options, notice=notice, hashes=hashes)
            report.notes += ready
        except (OSError, ValueError) as error:
            # One bad session never stops the others.
            report = Report(session.name, str(session.folder), "refused", error=str(error))
            report.exit_code = 1
        if as_json:
            click.echo(json.dumps(report.as_dict()))
        else:
            show.print_report(console, report, verbose=verbose)
        worst = max(worst, report.exit_code)
        if report.eid and not dry_run:
            ids[report.eid] = report.session
    if follow:
        _follow(ids, as_json=as_json)
    raise click.exceptions.Exit(worst)


def _follow(sessions: dict[str, str], *, as_json: bool) -> None:
    """Report the tasks of sessions, by id, until they have ended."""
    from lab.rig.follow import follow

    client = _client()
    for eid, name in sessions.items():
        any_task = False
        for seen in follow(client, eid):
            any_task = True
            if as_json:
                fields = {"task": seen.task, "status": seen.status, "reason": seen.reason}
                click.echo(json.dumps({"event": "task", "session": name, **fields}))
            else:
                reason = f": {seen.reason}" if seen.reason else ""
                click.echo(f"{name}  {seen.task}  {seen.status}{reason}")
        if not any_task and not as_json:
            click.echo(f"{name}  has no tasks: nothing here processes what it recorded")


def _account_to_ask() -> Any:
    """Return the account if the server answers and accepts it, else None."""
    from lab.client import Client, ClientError, settings
    from lab.rig.preflight import Account

    try:
        account = Account(Client(settings(), sleep=lambda seconds: None))
        account.me()
    except ClientError as error:
        click.echo(f"The server is not asked: {error}", err=True)
        return None
    return account


@rig.command()
@click.argument("folder", type=FOLDER)
@click.option("--lab", help="Lab of the sessions; by default the account's, or the path's.")
@_trust
@click.option("--create-subject", is_flag=True, help="Add subjects the server does not know.")
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
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines while it runs.")
def watch(
    folder: Path,
    lab: str | None,
    trust: str | None,
    create_subject: bool,
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
    queue on disk and tried again, also after a restart. It tells what it waits for whenever that
    changes; `fornix rig queue` shows it at any time.
    """
    import logging

    from rich.console import Console

    from lab.rig import show
    from lab.rig.queue import Queue
    from lab.rig.upload import Options, Report, chosen
    from lab.rig.watch import EVERY_SECONDS, Watch

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # the error is reported once
    console = Console(stderr=as_json)

    def tell(report: Report) -> None:
        if as_json:
            click.echo(json.dumps(report.as_dict()))
        else:
            show.print_report(console, report)

    def say(lines: list[str]) -> None:
        if as_json:
            click.echo(json.dumps({"event": "waiting", "waiting": lines}))
            return
        for line in lines or ["all finished sessions are uploaded; waiting for the next"]:
            click.echo(line)

    agent = Watch(
        folder,
        _client(),
        Queue(),
        quiet=quiet,
        flags_only=flags_only,
        options=Options(lab, trust, create_subject),
        tell=tell,
        show=lambda name, size: (
            show.lines(name, size, click.echo) if as_json else show.bars(console, name, size)
        ),
        choose=lambda found: chosen(found, include, exclude),
    )
    if once:
        agent.once()
        left = [entry for entry in agent.queue.entries() if entry.state != "done"]
        raise click.exceptions.Exit(1 if left else 0)
    if not as_json:
        click.echo(f"Looking through {folder} every {EVERY_SECONDS:.0f} s, until Ctrl-C.")
    signal.signal(signal.SIGTERM, lambda *_: agent.stopped.set())
    try:
        agent.forever(say=say)
    except KeyboardInterrupt:
        click.echo("Stopped; the queue is kept.", err=True)


@rig.command()
@click.option("--retry", "action", flag_value="retry", help="Try at once what is not done.")
@click.option("--forget", "action", flag_value="forget", help="Forget what is done or refused.")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def queue(action: str | None, folder: Path | None, as_json: bool) -> None:
    """Show the sessions that the watch has queued, uploaded or failed to upload.

    With --retry or --forget: those of all sessions, or of the session FOLDER only.
    """
    import datetime
    import time

    from lab.rig.queue import Queue
    from lab.rig.watch import span

    rig_queue = Queue()
    if action:
        place = str(folder.resolve()) if folder else None
        count = rig_queue.retry(place) if action == "retry" else rig_queue.forget(place)
        if place and not count:
            raise click.ClickException(f"{place} is not in the queue")
        if not as_json:
            done = "tried at the next look" if action == "retry" else "forgotten"
            click.echo(f"{count} sessions are {done}.")
    rows = rig_queue.entries()
    if as_json:
        fields = ("folder", "state", "tries", "next_try", "message", "changed")
        click.echo(json.dumps([{name: getattr(entry, name) for name in fields} for entry in rows]))
        return
    for entry in rows:
        at = datetime.datetime.fromtimestamp(entry.changed).strftime("%Y-%m-%d %H:%M")
        next_ = ""
        if entry.state == "waiting":
            when = entry.next_try - time.time()
            tries = f", tried {entry.tries} times" if entry.tries else ""
            next_ = f"  next try {'now' if when <= 0 else f'in {span(when)}'}{tries}"
        message = f"  {entry.message}" if entry.message else ""
        click.echo(f"{entry.state:8} {at}  {entry.folder}{next_}{message}")
    if not rows and not action:
        click.echo("The queue is empty: `fornix rig watch FOLDER` fills it.")


@rig.command()
@click.argument("folder", type=FOLDER, required=False)
@click.option("--lab", help="Lab of the sessions, as for upload.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per finding.")
def doctor(folder: Path | None, lab: str | None, as_json: bool) -> None:
    """Look for what keeps this computer from uploading the sessions below FOLDER."""
    from dataclasses import asdict

    from lab.rig.doctor import examine

    bad = 0
    for finding in examine(folder, lab):
        bad += not finding.ok
        if as_json:
            click.echo(json.dumps(asdict(finding) | {"ok": finding.ok}))
            continue
        mark = click.style("✓", fg="green") if finding.ok else click.style("✗", fg="red")
        click.echo(f"{mark} {finding.what}: {finding.found}")
        if finding.fix:
            click.echo(f"  {finding.fix}")
    raise click.exceptions.Exit(1 if bad else 0)
