"""``fornix rig doctor``: obstacles to a rig's uploads, each with its fix."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path

import requests

from lab.client import Client, ClientError, settings
from lab.rig.preflight import Account, NotReady
from lab.rig.queue import Queue, default_path
from lab.rig.session import walk

CLOCK_SLACK = 300.0
"""Seconds by which the clock may differ: S3 refuses signed addresses from 15 minutes on."""

FREE_BYTES = 10**9
"""The doctor warns about disks with less free space."""


@dataclass(frozen=True)
class RigFinding:
    """One check of a rig; ``fix`` is empty if the check passed."""

    what: str
    found: str
    fix: str = ""

    @property
    def ok(self) -> bool:
        """Whether the check passed."""
        return not self.fix


def examine(folder: Path | None, lab: str | None) -> Iterator[RigFinding]:
    """Check the conditions of an upload; yield a finding for each.

    Parameters
    ----------
    folder : Path, optional
        Tree of sessions to look through.
    lab : str, optional
        As given to ``rig upload``.
    """
    yield from _state()
    try:
        client = Client(settings(), sleep=lambda seconds: None)
    except ClientError as error:
        yield RigFinding("server", str(error), "run `fornix login`")
        return
    try:
        account = Account(client)
        me = account.me()
    except ClientError as error:
        yield RigFinding("server", str(error), "check address, network and login: `fornix login`")
        return
    labs = ", ".join(me.get("labs") or ()) or "no lab"
    yield RigFinding(
        "server", f"{client.settings.url}, as {me['username']} ({me['role']} of {labs})"
    )
    yield from _clock(client.settings.url)
    if folder is None:
        return
    sessions = list(walk(folder.resolve()))
    fix = "" if sessions else "give the folder above subject/YYYY-MM-DD/NNN, often …/Subjects"
    yield RigFinding("sessions", f"{len(sessions)} below {folder}", fix)
    for session in sessions[-1:]:
        try:
            theirs = account.lab_of(session.path, lab)
            notes = account.check_subject(session.path, theirs, create=False, dry=True)
            yield RigFinding("latest session", f"{session.name} of {theirs}", "; ".join(notes))
        except (NotReady, ClientError) as error:
            yield RigFinding("latest session", session.name, str(error))


def _state() -> Iterator[RigFinding]:
    """Check the queue's folder and the free space of its disk."""
    path = default_path()
    try:
        waiting = [entry for entry in Queue(path).entries() if entry.state == "waiting"]
    except Exception as error:
        yield RigFinding(
            "queue", f"{path}: {error}", "set FORNIX_RIG_STATE to a file you may write"
        )
        return
    yield RigFinding("queue", f"{path}, {len(waiting)} waiting")
    free = shutil.disk_usage(path.parent).free
    fix = "" if free > FREE_BYTES else "make room on the disk"
    yield RigFinding("disk", f"{free / 1e9:.1f} GB free at {os.fspath(path.parent)}", fix)


def _clock(url: str) -> Iterator[RigFinding]:
    """Compare the computer's clock with the server's."""
    try:
        said = requests.get(f"{url}/health", timeout=10).headers.get("Date", "")
        off = time.time() - parsedate_to_datetime(said).timestamp()
    except (requests.RequestException, TypeError, ValueError):
        return
    fix = "" if abs(off) < CLOCK_SLACK else "set the clock: S3 would refuse the uploads"
    side = "ahead of" if off > 0 else "behind"
    yield RigFinding("clock", f"{abs(off):.0f} s {side} the server", fix)
