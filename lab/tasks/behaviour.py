"""The tasks of a behaviour session."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def trials(session: Path, out: Path, arguments: Mapping[str, str]) -> list[Path]:
    """Extract the trials; without a readable wheel they come out all the same."""
    from shared.science.behaviour.trials import extract_trials, save

    outputs = extract_trials(session, arguments["collection"])
    return save(outputs, out / arguments["output_collection"])


def wheel(session: Path, out: Path, arguments: Mapping[str, str]) -> list[Path]:
    """Extract the wheel's position and movements."""
    from shared.science.behaviour.trials import save
    from shared.science.behaviour.wheel import extract_wheel

    outputs = extract_wheel(session, arguments["collection"])
    return save(outputs, out / arguments["output_collection"])
