"""What kind of session a task protocol names, and which kinds have trials that can be extracted.

Names are those of the IBL rigs of all versions: ``_iblrig_tasks_trainingChoiceWorld4.3.0``,
``ephysChoiceWorld``, ``_iblrig_tasks_ephysPassiveStimulation``; what stands around them is free.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from shared.science.errors import TaskUnsupported

_UNSUPPORTED = {
    "habituation": "habituation has no choices, so it has no trials of the decision task",
    "passive": "a passive protocol replays stimuli and has no trials of the decision task",
}


def protocol_of(task_protocol: str) -> str:
    """Return 'training', 'biased', 'ephys', 'habituation' or 'passive' of a protocol, else ''."""
    name = (task_protocol or "").casefold()
    for kind in _UNSUPPORTED:
        if kind in name:
            return kind
    found = re.search(r"training|biased|ephys", name)
    return found.group() if found else ""


def protocol_in(settings: Mapping[str, Any]) -> str:
    """Return the name of the task protocol that a rig's settings give; empty if none."""
    return str(settings.get("PYBPOD_PROTOCOL") or settings.get("_PROTOCOL") or "")


def is_training(protocol: str) -> bool:
    """Say whether a protocol repeats trials after errors (``repNum``) or not (``included``)."""
    names = ("trainingChoiceWorld", "trainingPhaseChoiceWorld", "advancedChoiceWorld")
    return any(name in protocol for name in (*names, "neuromodulatorChoiceWorld"))


def check_supported(protocol: str) -> None:
    """Refuse the protocols without trials of the decision task.

    Raises
    ------
    TaskUnsupported
        Habituation, or a passive protocol.
    """
    if why := _UNSUPPORTED.get(protocol_of(protocol)):
        raise TaskUnsupported(
            protocol,
            f"not supported: {why}",
            "nothing is missing: the raw files are kept, and this task can be left out",
        )
