"""A session's fields as the rig's settings give them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.alf import SessionPath
from shared.science.behaviour.protocols import protocol_in
from shared.science.behaviour.raw_settings import SETTINGS, read_settings
from shared.science.errors import ExtractionError


def all_settings(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the settings of each task of a session, by path, without unreadable files."""
    settings_by_path = {}
    for path in sorted(folder.glob(f"raw_*/{SETTINGS}")):
        try:
            settings_by_path[path.relative_to(folder).as_posix()] = read_settings(path)
        except (OSError, ExtractionError):
            continue
    return settings_by_path


def settings_of(folder: Path) -> dict[str, Any]:
    """Return the settings of a session's first task, empty if none are readable."""
    return next(iter(all_settings(folder).values()), {})


def day_in(settings: Mapping[str, Any]) -> str | None:
    """Return the day that settings name (ISO), by whichever key their version has."""
    for key in ("SESSION_DATE", "SESSION_START_TIME", "SESSION_DATETIME"):
        if text := str(settings.get(key) or ""):
            return text[:10]
    return None


def metadata(settings: Mapping[str, Any], path: SessionPath) -> dict[str, Any]:
    """Return the fields of the session that its settings fill.

    Rigs since version 8 write projects, procedures and the user; older ones their creator.
    """
    start = settings.get("SESSION_START_TIME") or settings.get("SESSION_DATETIME")
    protocol = protocol_in(settings)
    version = settings.get("IBLRIG_VERSION") or settings.get("IBLRIG_VERSION_TAG")
    fields: dict[str, Any] = {
        "task_protocol": f"{protocol}{version}" if protocol and version else protocol,
        "start_time": start if str(start or "").startswith(path.date.isoformat()) else None,
        "end_time": settings.get("SESSION_END_TIME"),
        "synthetic": True if settings.get("SYNTHETIC") is True else None,
        "projects": _names(settings.get("PROJECTS") or settings.get("SUBJECT_PROJECTS")),
        "procedures": _names(settings.get("PROCEDURES")),
        "users": _names(settings.get("ALYX_USER")),
    }
    if not fields["start_time"]:
        fields["end_time"] = None
    return {name: value for name, value in fields.items() if value}


def _names(value: Any) -> list[str]:
    """Return one name or several as a list; other values give an empty list."""
    values = value if isinstance(value, list) else [value]
    return [name for name in values if isinstance(name, str) and name]
