"""What kind of session a task protocol names."""

from __future__ import annotations

import re


def protocol_of(task_protocol: str) -> str:
    """Return 'training', 'biased', 'ephys' or 'habituation' of a task protocol, else ''."""
    found = re.search(r"habituation|training|biased|ephys", task_protocol or "", re.IGNORECASE)
    return found.group().lower() if found else ""
