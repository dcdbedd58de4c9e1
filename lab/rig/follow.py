"""Follow the tasks of an uploaded session until they have ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from msgspec import Struct

from lab.client import Client
from shared.tasks.states import TERMINAL, Status

EVERY = 1.0
"""Seconds between two requests."""

STEADY = 5
"""Rounds without news after which a session without running tasks is done: a waiting task is
promoted a moment after the task before it has ended."""


AT_REST = TERMINAL | {Status.HELD}


class Seen(Struct, frozen=True):
    """The present state of a task: name, status, and why it is held or has failed."""

    task: str
    status: str
    reason: str = ""


def follow(
    client: Client, session: str, sleep: Callable[[float], object] = time.sleep
) -> Iterator[Seen]:
    """Yield each task of a session whenever its status changes, until all tasks have ended.

    Parameters
    ----------
    client
        The API.
    session
        The session's id.
    sleep
        Waits the given number of seconds.
    """
    statuses: dict[str, str] = {}
    steady = 0
    while steady < STEADY:
        rows = client.get("/tasks", session=session)["results"]
        news = [task for task in rows if statuses.get(task["id"]) != task["status"]]
        for task in news:
            statuses[task["id"]] = task["status"]
            yield Seen(task["name"], task["status"], _reason(task))
        at_rest = all(Status.parse(status) in AT_REST for status in statuses.values())
        steady = steady + 1 if at_rest and not news else 0
        sleep(EVERY)


def _reason(row: dict[str, str]) -> str:
    """Return the last line of the log of a task that is held or has failed."""
    if row["status"] not in (Status.HELD.label, Status.ERRORED.label, Status.INCOMPLETE.label):
        return ""
    return next(reversed((row.get("log") or "").strip().splitlines()), "")
