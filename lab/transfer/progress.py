"""What is told of an upload while it runs, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FINAL = frozenset({"registered", "partial", "rejected", "expired"})

Notice = Callable[[str, str, int], None]
"""Told of progress: ``("hashed" | "sent" | "skipped", path, bytes)``."""


def silent(event: str, path: str, size: int) -> None:
    """Tell nobody."""


@dataclass
class Result:
    """The server's last word on an upload, as JSON: ``state`` and one entry per file."""

    answer: dict[str, Any]
    sent: int = 0

    @property
    def state(self) -> str:
        """The upload's state."""
        return self.answer["state"]

    @property
    def refused(self) -> dict[str, str]:
        """Why files were refused, by path."""
        return {
            file["path"]: file.get("reason", "")
            for file in self.answer["files"]
            if file["state"] in ("rejected", "quarantined")
        }
