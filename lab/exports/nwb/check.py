"""The gate: a file is valid NWB, and DANDI's inspector has nothing above suggestions."""

from __future__ import annotations

from pathlib import Path

from nwbinspector import Importance, inspect_nwbfile_object, load_config
from pynwb import validate

from lab.exports.nwb.backends import Backend
from lab.exports.session import ExportError

REFUSED = frozenset(
    {
        Importance.PYNWB_VALIDATION,
        Importance.CRITICAL,
        Importance.BEST_PRACTICE_VIOLATION,
    }
)
"""Findings of the inspector that keep a file from being published."""


def check(path: Path, backend: Backend) -> list[str]:
    """Check a file; return the inspector's suggestions.

    Raises
    ------
    ExportError
        The file is not valid, or would not be taken by DANDI; the message lists why.
    """
    with backend.read(path) as file:
        # By its path the namespaces are checked that the file itself holds, extensions included.
        found = validate(path=str(path)) if path.is_file() else validate(io=file)
        faults = [str(error) for error in found]
        suggestions = []
        for each in inspect_nwbfile_object(file.read(), config=load_config("dandi")):
            line = f"{each.object_name or each.object_type}: {each.message}"
            if each.importance is Importance.ERROR:  # the inspector failed, not the file
                why = each.message.strip().rpartition("\n")[2].strip()
                suggestions.append(f"{each.check_function_name} could not be made: {why}")
            elif each.importance in REFUSED:
                faults.append(f"{each.importance.name}: {line}")
            else:
                suggestions.append(line)
    if faults:
        raise ExportError(
            f"{path.name} would not be taken by an archive:\n  " + "\n  ".join(faults)
        )
    return suggestions
