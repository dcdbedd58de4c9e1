"""What the implementation of a task may return beside the files it has written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shared.model.task import RunFacts


@dataclass(frozen=True)
class Outputs:
    """Files, and what was found out about the session."""

    paths: list[Path]
    facts: RunFacts | None = None
