"""Common parts of all imports on the command line: options, journal, progress, report."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from lab.client import Client, ClientError, settings
from lab.importers import report as reports
from lab.importers.carrier import Carrier
from lab.importers.journal import Journal, JournalInUse
from lab.importers.sessions import RepositoryTaken
from lab.transfer import HashCache

if TYPE_CHECKING:
    from lab.importers.bytes import Uploader

NOT_ALL_CARRIED = 1
"""Exit code of a finished import that could not carry everything."""


def common(command: Callable[..., None]) -> Callable[..., None]:
    """Add the common options of imports."""
    options = [
        click.option("--dry-run", is_flag=True, help="Read everything, send nothing, report."),
        click.option(
            "--json",
            "as_json",
            is_flag=True,
            help="Print the report as JSON, and progress as JSON lines on standard error.",
        ),
        click.option(
            "--report",
            "report_path",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Where the whole report goes. [default: beside the journal]",
        ),
        click.option(
            "--journal",
            "journal_path",
            type=click.Path(dir_okay=False, path_type=Path),
            help="File that remembers what is done. [default: one for each source and server]",
        ),
        click.option("--restart", is_flag=True, help="Forget the journal: begin at the start."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def run_import(
    job: Callable[[Carrier], None],
    source: str,
    *,
    dry_run: bool,
    as_json: bool,
    report_path: Path | None,
    journal_path: Path | None,
    restart: bool,
) -> None:
    """Run an import with its journal, progress bars and report; exit with its code."""
    target = settings()
    journal_path = journal_path or state_folder() / f"{_short(source, target.url)}.sqlite"
    report_path = report_path or journal_path.with_suffix(".json")
    console = Console(stderr=True)
    try:
        journal = Journal(None if dry_run else journal_path)
    except JournalInUse as error:
        raise click.ClickException(str(error)) from error
    try:
        _open_chapter(journal, source, target.url, restart)
        with _progress(console, quiet=as_json) as progress:
            carrier = Carrier(Client(target), journal, dry_run=dry_run, progress=progress)
            job(carrier)
            carrier.end()
        journal.set("finished", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        report = _save_report(journal, report_path, dry_run)
    except RepositoryTaken as error:
        raise click.ClickException(f"{error}: choose another --repository") from error
    except (ClientError, KeyboardInterrupt):
        console.print("The import has stopped. The same command goes on where it stopped.")
        raise
    finally:
        journal.close()
    if as_json:
        click.echo(json.dumps(report, indent=1))
    else:
        reports.show(report, report_path, console)
    raise SystemExit(0 if reports.complete(report) else NOT_ALL_CARRIED)


def _open_chapter(journal: Journal, source: str, target: str, restart: bool) -> None:
    """Continue an unfinished import, or start a new one."""
    endpoints = {"source": source, "target": target}
    if journal.get("about") not in (None, endpoints):
        raise click.ClickException(f"{journal.path} is the journal of another import")
    if restart or journal.get("finished"):
        journal.clear()
    if journal.get("about") is None:
        journal.set("about", endpoints)
        journal.set("started", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))


def _save_report(journal: Journal, path: Path, dry_run: bool) -> dict[str, Any]:
    endpoints = journal.get("about")
    report = reports.summary(
        journal,
        **endpoints,
        dry_run=dry_run,
        started=journal.get("started"),
        finished=journal.get("finished"),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    reports.save(report, journal, path)
    return report | {"report": str(path)}


@contextmanager
def _progress(console: Console, quiet: bool) -> Iterator[Callable[[str, int, int | None], None]]:
    """Show a bar for each list being carried; ``quiet``: a JSON line at each step."""
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bars = Progress(*columns, console=console, disable=quiet or not console.is_terminal)
    tasks: dict[str, Any] = {}

    def show(what: str, done: int, total: int | None) -> None:
        if quiet:
            click.echo(json.dumps({"carrying": what, "done": done, "of": total}), err=True)
            return
        if what not in tasks:
            tasks[what] = bars.add_task(what, total=total)
        bars.update(tasks[what], completed=done, total=total)

    with bars:
        yield show


def state_folder() -> Path:
    """Return the folder of journals."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "fornix" / "imports"


def _short(*texts: str) -> str:
    """Return a file name for a source and a target."""
    return texts[0].split()[0] + "-" + hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def uploader(carrier: Carrier) -> Uploader:
    """Return an uploader that caches checksums beside the journal."""
    from lab.importers.bytes import Uploader

    path = carrier.journal.path
    cache = HashCache(path and path.with_suffix(".checksums"))
    return Uploader(Client(settings()), carrier, cache)


def make_release(folder: Path) -> None:
    """Make the release that a folder is a copy of, after its files are on the server."""
    from lab.releases.takeup import NotTakenUp, take_up

    try:
        record = take_up(Client(settings()), folder, lambda line: click.echo(line, err=True))
    except NotTakenUp as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{record.key}: {record.n_files:,} files", err=True)


def scratch(journal: Journal) -> Path:
    """Return the folder of temporary downloads."""
    return (journal.path or state_folder() / "dry-run").with_suffix(".bytes")
