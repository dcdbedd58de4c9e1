"""What a server does in several requests, each as long as an answer may take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lab.client import Client


def until_done(client: Client, path: str, body: Any, told: Callable[[str], object]) -> Any:
    """Send a request again and again until nothing is left to do; return the last answer.

    The server keeps what it has done: a command that was killed goes on when it is called again.

    Parameters
    ----------
    client : Client
    path : str
    body
    told : callable
        Is given a line after each step but the last.
    """
    while True:
        answer = client.post(path, body)
        if left := answer.get("left"):
            told(f"{left:,} files are left")
        elif "of" in answer:
            told(f"{answer['done']:,} of {answer['of']:,} sessions read")
        else:
            return answer
