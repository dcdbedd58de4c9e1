"""Watch a rig's data folder: upload sessions as they finish, now or when the network is back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from lab.client import Client, ClientError
from lab.rig.openephys_names import PREFIX, recorded
from lab.rig.preflight import Account
from lab.rig.queue import Queue, fingerprint
from lab.rig.session import Found, walk
from lab.rig.upload import Options, Report, made_ready, upload
from lab.transfer import HashCache, Notice, silent

log = logging.getLogger(__name__)

QUIET_SECONDS = 600.0
"""A session without a flag is finished when nothing in it has changed for this long (s)."""

EVERY_SECONDS = 20.0
"""Seconds between two looks through the folder."""


def span(seconds: float) -> str:
    """Return a span of time in words.

    Examples
    --------
    >>> span(45), span(600), span(7200)
    ('45 s', '10 min', '2 h')
    """
    if seconds < 90:
        return f"{max(0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.0f} h"


@dataclass
class Watch:
    """Looks for finished sessions, and uploads the queued ones.

    Parameters
    ----------
    folder
        The tree of sessions.
    client
        The API.
    queue
        The memory on disk.
    quiet
        Seconds without change after which a session is finished.
    flags_only
        Wait for a flag file, however quiet a session is.
    options
        How sessions are uploaded.
    tell
        Called with the report of each session that was uploaded or refused.
    show
        Returns the listener for an upload's steps, from the session's name and its bytes.
    """

    folder: Path
    client: Client
    queue: Queue
    quiet: float = QUIET_SECONDS
    flags_only: bool = False
    options: Options = field(default_factory=Options)
    tell: Callable[[Report], object] = lambda report: None
    show: Callable[[str, int], AbstractContextManager[Notice]] = lambda name, size: nullcontext(
        silent
    )
    choose: Callable[[Found], list[str]] = Found.files
    now: Callable[[], float] = time.time
    stopped: threading.Event = field(default_factory=threading.Event)
    waiting: dict[str, str] = field(default_factory=dict)

    def forever(
        self,
        every: float = EVERY_SECONDS,
        say: Callable[[list[str]], object] = lambda lines: None,
    ) -> None:
        """Run until stopped; call ``say`` with the state whenever the waiting sessions change."""
        before: set[str] | None = None
        while not self.stopped.is_set():
            self.once()
            lines = self.state()
            names = {line.partition(":")[0] for line in lines}
            if names != before:
                say(lines)
                before = names
            self.stopped.wait(every)

    def once(self) -> None:
        """Queue the finished sessions and upload those that are due."""
        sessions = {str(candidate.folder): candidate for candidate in walk(self.folder.resolve())}
        self.waiting = {}
        for candidate in sessions.values():
            self._look(candidate)
        account = Account(self.client)
        for entry in self.queue.due(self.now()):
            if self.stopped.is_set():
                return
            session = sessions.get(entry.folder)
            if session is None:
                self.queue.settle(entry, "refused", "the folder is gone")
                continue
            try:
                report = self._upload(account, session)
            except (ClientError, OSError, ValueError) as error:
                wait = self.queue.postpone(entry, str(error), self.now())
                log.warning("%s: %s; again in %.0f s", session.name, error, wait)
                continue
            if report.upload is None:
                self.queue.postpone(entry, report.error or "refused", self.now())
            else:
                self._done(session, entry.fingerprint)
                self.queue.settle(entry, "refused" if report.refused else "done", report.state)
            self.tell(report)

    def _upload(self, account: Account, session: Found) -> Report:
        ready = made_ready(session)
        paths, cache = self.choose(session), HashCache(self.queue.path)
        size = session.size(paths)
        with self.show(session.name, size) as notice:
            report = upload(account, session, paths, self.options, notice=notice, hashes=cache)
        report.notes += ready
        return report

    def state(self) -> list[str]:
        """Describe the sessions that wait and the next step; times count from now."""
        now = self.now()
        lines = [f"{name}: {why}" for name, why in sorted(self.waiting.items())]
        for entry in self.queue.entries():
            if entry.state == "waiting":
                when = max(0.0, entry.next_try - now)
                why = f" ({entry.message})" if entry.message else ""
                lines.append(f"{entry.folder}: uploads in {span(when)}{why}")
        return lines

    def _look(self, found: Found) -> None:
        """Queue a session if it is finished."""
        try:
            files = self._watched(found)
            mark, latest = fingerprint(found.folder, files)
        except OSError:  # a file has just been moved: next time
            return
        if not files:
            return
        still = self.now() - latest
        if found.flags() or (still >= self.quiet and not self.flags_only):
            if self.queue.put(found.folder, mark):
                log.info("%s is finished: %d files queued", found.name, len(files))
        elif self.queue.mark_of(found.folder) != mark:
            until = "" if self.flags_only else f", or in {span(self.quiet - still)} without change"
            self.waiting[found.name] = f"not finished; it is with a flag file{until}"

    def _watched(self, found: Found) -> list[str]:
        """Return the files that say whether a session is finished, or has changed since.

        Of a recording of Open Ephys these are the GUI's own, not what the rig makes of them.
        """
        own = [
            path for path in self.choose(found) if not path.rpartition("/")[2].startswith(PREFIX)
        ]
        return sorted({*own, *recorded(found.files())})

    def _done(self, found: Found, mark: str) -> None:
        """Take the flags away, as the acquisition software expects, unless the files changed."""
        if fingerprint(found.folder, self._watched(found))[0] == mark:
            for flag in found.flags():
                flag.unlink(missing_ok=True)
