"""Watch a rig's data folder: upload sessions as they finish, now or when the network is back."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from lab.client import Client, ClientError
from lab.rig.queue import Queue, fingerprint
from lab.rig.session import Found, walk
from lab.rig.upload import Report, upload
from lab.transfer import HashCache

log = logging.getLogger(__name__)

QUIET_SECONDS = 600.0
"""A session without a flag counts as finished when nothing in it has changed for so long."""

EVERY_SECONDS = 20.0
"""How often the folder is looked through."""


@dataclass
class Watch:
    """Looks for finished sessions, and uploads what is in the queue.

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
    lab
        Lab of sessions whose path does not say it.
    tell
        Told of each session that was uploaded or refused.
    """

    folder: Path
    client: Client
    queue: Queue
    quiet: float = QUIET_SECONDS
    flags_only: bool = False
    lab: str | None = None
    tell: Callable[[Report], object] = lambda report: None
    choose: Callable[[Found], list[str]] = Found.files
    now: Callable[[], float] = time.time
    stopped: threading.Event = field(default_factory=threading.Event)

    def forever(self, every: float = EVERY_SECONDS) -> None:
        """Go round until stopped."""
        while not self.stopped.is_set():
            self.once()
            self.stopped.wait(every)

    def once(self) -> None:
        """Queue what is finished, upload what is due."""
        sessions = {str(found.folder): found for found in walk(self.folder.resolve())}
        for found in sessions.values():
            self._look(found)
        for entry in self.queue.due(self.now()):
            if self.stopped.is_set():
                return
            session = sessions.get(entry.folder)
            if session is None:
                self.queue.settle(entry, "refused", "the folder is gone")
                continue
            try:
                report = upload(
                    self.client,
                    session,
                    lab=self.lab,
                    hashes=HashCache(self.queue.path),
                    choose=self.choose,
                )
            except (ClientError, OSError) as error:
                wait = self.queue.postpone(entry, str(error), self.now())
                log.warning("%s: %s; again in %.0f s", session.name, error, wait)
                continue
            if report.upload is None:
                self.queue.postpone(entry, report.error or "refused", self.now())
            else:
                self._done(session, entry.fingerprint)
                self.queue.settle(entry, "refused" if report.refused else "done", report.state)
            self.tell(report)

    def _look(self, found: Found) -> None:
        """Queue a session if it is finished."""
        try:
            files = self.choose(found)
            mark, latest = fingerprint(found.folder, files)
        except OSError:  # a file has just been moved: next time
            return
        if not files:
            return
        quiet = self.now() - latest >= self.quiet and not self.flags_only
        if (found.flags() or quiet) and self.queue.put(found.folder, mark):
            log.info("%s is finished: %d files queued", found.name, len(files))

    def _done(self, found: Found, mark: str) -> None:
        """Take the flags away, as the acquisition software expects, unless the files changed."""
        if fingerprint(found.folder, self.choose(found))[0] == mark:
            for flag in found.flags():
                flag.unlink(missing_ok=True)
