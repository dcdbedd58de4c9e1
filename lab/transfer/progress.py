"""Progress of an upload while it runs, and its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from msgspec import Struct

from shared.model.upload import FileState


class TransferStep(Struct, frozen=True):
    """A step of an upload.

    Attributes
    ----------
    event
        ``hashed``, ``sent`` or ``skipped`` (the server has it): so many bytes of a file.
        ``server``: the server's present work on the upload.
    path, bytes
        The file, and how many of its bytes.
    state
        State of the upload at the server: ``open``, ``validating``, ``registered``, …
    """

    event: Literal["hashed", "sent", "skipped", "server"]
    path: str = ""
    bytes: int = 0
    state: str = ""


Notice = Callable[[TransferStep], None]
"""Called at each step, from several threads."""


def silent(step: TransferStep) -> None:
    """Report nothing."""


@dataclass
class Result:
    """The server's final answer to an upload, as JSON: ``state`` and one entry per file."""

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
            if file["state"] in (FileState.REJECTED, FileState.QUARANTINED)
        }
