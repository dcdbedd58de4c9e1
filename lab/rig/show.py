"""What the rig's commands show on the terminal: bars while working, a plain report at the end."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from lab.rig.upload import Report
from lab.transfer import Notice, silent

MARKS = {
    "registered": "[green]✓[/]",
    "good": "[green]✓[/]",
    "present": "[dim]=[/]",
    "rejected": "[red]✗[/]",
    "quarantined": "[red]✗[/]",
}


@contextmanager
def bars(console: Console, title: str, size: int, *, hidden: bool = False) -> Iterator[Notice]:
    """Show two bars, of hashing and of sending; yield what to tell of progress."""
    if hidden or not console.is_terminal:
        yield silent
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    lock = threading.Lock()
    with Progress(*columns, console=console, transient=True) as progress:
        tasks = {
            "hashed": progress.add_task(f"{escape(title)} checksums", total=size),
            "sent": progress.add_task(f"{escape(title)} upload", total=size),
        }

        def notice(event: str, path: str, count: int) -> None:
            with lock:
                progress.advance(tasks["sent" if event == "skipped" else event], count)

        yield notice


def print_report(console: Console, report: Report, *, verbose: bool = False) -> None:
    """Print what became of a session; each refused file with its reason."""
    color = {"registered": "green", "good": "green", "partial": "yellow"}.get(report.state, "red")
    counts: dict[str, int] = {}
    for file in report.files:
        counts[file["state"]] = counts.get(file["state"], 0) + 1
    summary = ", ".join(f"{n} {state}" for state, n in sorted(counts.items()))
    tail = f"  [dim]{report.eid}[/]" if report.eid else ""
    console.print(
        f"[{color}]{report.state}[/]  {escape(report.session)}  {summary}{tail}",
        highlight=False,
        soft_wrap=True,
    )
    if report.error:
        console.print(f"  [red]{escape(report.error)}[/]", highlight=False, soft_wrap=True)
    if report.page:
        console.print(
            f"  its page, for members of the lab: {escape(report.page)}",
            highlight=False,
            soft_wrap=True,
        )
    for note in report.notes:
        console.print(f"  [yellow]{escape(note)}[/]", highlight=False, soft_wrap=True)
    if report.left_out:
        folders = Counter(path.rpartition("/")[0] or "." for path in report.left_out)
        where = ", ".join(f"{n} in {escape(name)}" for name, n in sorted(folders.items()))
        console.print(
            f"  [dim]left out, as no raw data: {where} (--include 'alf/*' uploads such files)[/]",
            highlight=False,
            soft_wrap=True,
        )
    for file in report.files:
        if verbose or "reason" in file or "note" in file:
            mark = MARKS.get(file["state"], " ")
            console.print(f"  {mark} {escape(file['path'])}", highlight=False, soft_wrap=True)
            if "reason" in file:
                text = escape(file["reason"])
                console.print(f"      {text}", highlight=False, soft_wrap=True)
            if "note" in file:
                text = escape(file["note"])
                console.print(f"      [yellow]{text}[/]", highlight=False, soft_wrap=True)
