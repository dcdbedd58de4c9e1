"""Heartbeats of a running task, and its log while it runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from lab.client import ClientError, Conflicting, RecordMissing
from lab.worker.attempt import Attempt
from shared.model.task import Heartbeat, LogText

log = logging.getLogger(__name__)


@contextmanager
def heartbeats(attempt: Attempt, lease: int) -> Iterator[None]:
    """Send heartbeats and the log in the background, three times in a lease.

    ``attempt.lost`` is set when another worker has the task.
    """
    over = threading.Event()
    client, claim = attempt.client, attempt.claim
    beat = msgspec.to_builtins(Heartbeat(claim.attempt, lease))

    def live() -> None:
        sent = 0
        while not over.wait(lease / 3):
            try:
                client.post(f"/tasks/{claim.task.id}/heartbeat", beat)
                text = attempt.log()
                if len(text) > sent:
                    more = msgspec.to_builtins(LogText(claim.attempt, text[sent:]))
                    client.post(f"/tasks/{claim.task.id}/log", more)
                    sent = len(text)
            except (Conflicting, RecordMissing):
                attempt.lost.set()
                return
            except ClientError as error:
                log.warning("heartbeat: %s", error)

    thread = threading.Thread(target=live, daemon=True, name="heartbeat")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(1)
