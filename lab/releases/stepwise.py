"""Work of a server in several requests, each short enough for one answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lab.client import Client


def until_done(client: Client, path: str, body: Any, told: Callable[[str], object]) -> Any:
    """Send a request repeatedly until nothing is left to do; return the last answer.

    The server keeps its progress, so a killed command continues when it is called again.

    Parameters
    ----------
    client : Client
    path : str
    body
    told : callable
        Called with a line after each step but the last.
    """
    while True:
        answer = client.post(path, body)
        if left := answer.get("left"):
            told(f"{left:,} files are left")
        elif "of" in answer:
            told(f"{answer['done']:,} of {answer['of']:,} sessions read")
        else:
            return answer
