"""The tasks of a behaviour session."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab.tasks.outputs import Outputs
from shared.model.task import RunFacts


def trials(session: Path, out: Path, arguments: Mapping[str, str]) -> Outputs:
    """Extract the trials; without a readable wheel they come out all the same."""
    from shared.science.behaviour.facts import session_facts
    from shared.science.behaviour.raw_task import find_collection, settings_in
    from shared.science.behaviour.trials import extract_trials, save

    outputs = extract_trials(session, arguments["collection"])
    settings = settings_in(find_collection(session, arguments["collection"]))
    table: Any = outputs["_ibl_trials.table.pqt"]
    facts = RunFacts(**session_facts(table, settings))
    return Outputs(save(outputs, out / arguments["output_collection"]), facts)


def wheel(session: Path, out: Path, arguments: Mapping[str, str]) -> list[Path]:
    """Extract the wheel's position and movements."""
    from shared.science.behaviour.trials import save
    from shared.science.behaviour.wheel import extract_wheel

    outputs = extract_wheel(session, arguments["collection"])
    return save(outputs, out / arguments["output_collection"])
