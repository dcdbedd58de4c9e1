"""Results that the implementation of a task may return beside its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from shared.model.task import RunFacts


@dataclass(frozen=True)
class Outputs:
    """Files, and facts about the session."""

    paths: list[Path]
    facts: RunFacts | None = None
