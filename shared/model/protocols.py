"""What a task protocol is by its name.

Names are those of the IBL rigs of all versions: ``_iblrig_tasks_trainingChoiceWorld4.3.0``,
``ephysChoiceWorld``, ``_iblrig_tasks_ephysPassiveStimulation``; what stands around them is free.
"""

from __future__ import annotations

import re

WITHOUT_CHOICES = ("habituation", "passive")
"""Kinds of protocol in which no decisions are made."""


def protocol_of(task_protocol: str) -> str:
    """Return 'training', 'biased', 'ephys', 'habituation' or 'passive' of a protocol, else ''."""
    name = (task_protocol or "").casefold()
    for kind in WITHOUT_CHOICES:
        if kind in name:
            return kind
    found = re.search(r"training|biased|ephys", name)
    return found.group() if found else ""


def is_decision(task_protocol: str) -> bool:
    """Say whether a protocol is one of the decision task (``…ChoiceWorld…``, of any kind)."""
    return (
        protocol_of(task_protocol) not in WITHOUT_CHOICES
        and "choiceworld" in (task_protocol or "").casefold()
    )
