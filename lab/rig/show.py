"""Terminal output of the rig's commands: bars while working, a plain report at the end."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
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
from lab.transfer import Notice, TransferStep, silent

MARKS = {
    "registered": "[green]✓[/]",
    "good": "[green]✓[/]",
    "present": "[dim]=[/]",
    "rejected": "[red]✗[/]",
    "quarantined": "[red]✗[/]",
}


AT_MOST_EVERY = 1.0
"""Seconds between two lines of progress."""

SERVER = {
    "open": "waits for the files",
    "validating": "checks what has arrived",
    "registered": "has registered all files",
    "partial": "has registered the good files",
    "rejected": "has refused all files",
    "failed": "has given up",
}
"""The server's work in words, by the state of an upload."""


@contextmanager
def bars(console: Console, title: str, size: int) -> Iterator[Notice]:
    """Show bars of hashing and of sending, and the server's work; yield the steps' listener."""
    if not console.is_terminal:
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

        def notice(step: TransferStep) -> None:
            with lock:
                if step.event == "server":
                    state = SERVER.get(step.state, step.state)
                    progress.console.print(f"[dim]{escape(title)}: the server {state}[/]")
                else:
                    done = "sent" if step.event == "skipped" else step.event
                    progress.advance(tasks[done], step.bytes)

        yield notice


@contextmanager
def lines(
    session: str,
    size: int,
    write: Callable[[str], object],
    now: Callable[[], float] = time.monotonic,
) -> Iterator[Notice]:
    """Write a line of JSON for each event; yield the steps' listener.

    ``progress`` counts bytes, at most once in :data:`AT_MOST_EVERY` and whenever all are hashed
    or all are sent; ``server`` names the server's work on the upload.
    """
    lock = threading.Lock()
    done = {"hashed": 0, "sent": 0, "skipped": 0}
    written = -AT_MOST_EVERY

    def line(event: str, **about: object) -> None:
        write(json.dumps({"event": event, "session": session, **about}))

    def notice(step: TransferStep) -> None:
        nonlocal written
        with lock:
            if step.event == "server":
                line("server", state=step.state)
                return
            done[step.event] += step.bytes
            whole = size in (done["hashed"], done["sent"] + done["skipped"])
            if whole or now() - written >= AT_MOST_EVERY:
                written = now()
                line("progress", **done, bytes=size)

    yield notice


def print_report(console: Console, report: Report, *, verbose: bool = False) -> None:
    """Print the result of a session; each refused file with its reason."""
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
