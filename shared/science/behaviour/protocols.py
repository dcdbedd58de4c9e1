"""Which protocols have trials that can be extracted, and which repeat trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.model.protocols import protocol_of
from shared.science.errors import TaskUnsupported

_OTHERS = {
    "habituation": (
        "habituation has no choices, so it has no trials of the decision task",
        "task.habituation extracts it",
    ),
    "passive": (
        "a passive protocol replays stimuli and has no trials of the decision task",
        "nothing is missing: the raw files are kept, and this task can be left out",
    ),
}


def protocol_in(settings: Mapping[str, Any]) -> str:
    """Return the name of the task protocol that a rig's settings give; empty if none."""
    return str(settings.get("PYBPOD_PROTOCOL") or settings.get("_PROTOCOL") or "")


def is_training(protocol: str) -> bool:
    """Say whether a protocol repeats trials after errors (``repNum``) or not (``included``)."""
    names = ("trainingChoiceWorld", "trainingPhaseChoiceWorld", "advancedChoiceWorld")
    return any(name in protocol for name in (*names, "neuromodulatorChoiceWorld"))


def check_decision(protocol: str) -> None:
    """Refuse protocols known not to be the decision task.

    Raises
    ------
    TaskUnsupported
        Habituation, or a passive protocol.
    """
    if found := _OTHERS.get(protocol_of(protocol)):
        why, fix = found
        raise TaskUnsupported(protocol, f"not supported: {why}", fix)
