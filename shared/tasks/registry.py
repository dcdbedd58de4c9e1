"""The tasks there are, by name."""

from __future__ import annotations

import json

from shared.tasks.declared import behaviour
from shared.tasks.signature import Task

BUILT_IN = {task.name: task for task in behaviour.TASKS}


def declaration(executable: str, arguments: str) -> Task | None:
    """Return the filled declaration of a stored task, or None where it is not a built-in one."""
    declared = BUILT_IN.get(executable)
    return declared.filled(json.loads(arguments or "{}")) if declared else None
