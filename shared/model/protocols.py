"""Kinds of task protocols, by name.

The names are those of all versions of the IBL rigs: ``_iblrig_tasks_trainingChoiceWorld4.3.0``,
``ephysChoiceWorld``, ``_iblrig_tasks_ephysPassiveStimulation``. Any text may stand around them.
"""

from __future__ import annotations

import re

WITHOUT_CHOICES = ("habituation", "passive")
"""Kinds of protocol without decisions."""

PASSIVE_PROTOCOL = "passiveChoiceWorld"
"""Name of the passive protocol, where only its folder tells that it was run."""


def protocol_of(task_protocol: str) -> str:
    """Return a protocol's kind: training, biased, ephys, habituation or passive; else ''."""
    name = (task_protocol or "").casefold()
    for kind in WITHOUT_CHOICES:
        if kind in name:
            return kind
    match = re.search(r"training|biased|ephys", name)
    return match.group() if match else ""


def is_decision(task_protocol: str) -> bool:
    """Return whether a protocol is a decision task (``…ChoiceWorld…``, of any kind)."""
    return (
        protocol_of(task_protocol) not in WITHOUT_CHOICES
        and "choiceworld" in (task_protocol or "").casefold()
    )
