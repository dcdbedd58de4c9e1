"""The check before a file is kept: valid NWB, and only suggestions from DANDI's inspector."""

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
"""Levels of the inspector's findings that prevent publication."""


def check(path: Path, backend: Backend) -> list[str]:
    """Check a file; return the inspector's suggestions.

    Raises
    ------
    ExportError
        The file is invalid, or DANDI would refuse it; the message lists the reasons.
    """
    with backend.read(path) as file:
        # Validation by path uses the namespaces in the file itself, extensions included.
        errors = validate(path=str(path)) if path.is_file() else validate(io=file)
        faults = [str(error) for error in errors]
        suggestions = []
        for finding in inspect_nwbfile_object(file.read(), config=load_config("dandi")):
            line = f"{finding.object_name or finding.object_type}: {finding.message}"
            if finding.importance is Importance.ERROR:  # the inspector failed, not the file
                why = finding.message.strip().rpartition("\n")[2].strip()
                suggestions.append(f"{finding.check_function_name} could not be made: {why}")
            elif finding.importance in REFUSED:
                faults.append(f"{finding.importance.name}: {line}")
            else:
                suggestions.append(line)
    if faults:
        raise ExportError(
            f"{path.name} would not be taken by an archive:\n  " + "\n  ".join(faults)
        )
    return suggestions
