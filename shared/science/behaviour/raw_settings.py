"""Read the settings that a behaviour rig writes beside a task's data. Imports no library."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.science.errors import RawFileInvalid

SETTINGS = "_iblrig_taskSettings.raw.json"

NEWEST = (100, 0, 0)
"""Version of settings that give none: newer than any rule."""


def read_settings(path: Path) -> dict[str, Any]:
    """Return the settings of one task run.

    Some rigs wrote the JSON as text within JSON, which is read as well.

    Raises
    ------
    RawFileInvalid
        The file is not JSON, or not an object.
    """
    try:
        settings = json.loads(path.read_bytes())
        if isinstance(settings, str):
            settings = json.loads(settings)
    except ValueError as error:
        raise RawFileInvalid(
            path.name, f"not JSON: {error}", "copy it again from the rig"
        ) from error
    if not isinstance(settings, dict):
        kind = {list: "a list", str: "a text", type(None): "empty"}.get(type(settings), "a number")
        raise RawFileInvalid(
            path.name,
            f"{kind}, where the settings of a rig are an object of names and values",
            "copy it again from the rig; if it is so there, write the settings by hand: "
            "PYBPOD_PROTOCOL and IBLRIG_VERSION are needed",
        )
    return settings


EARLIER = re.compile(r"[-_.]?(dev|alpha|beta|preview|pre|rc|a|b|c)", re.IGNORECASE)
"""What follows the numbers of a version before its release (Python's PEP 440)."""


def rig_version(settings: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return the rig's version from its settings.

    ``IBLRIG_VERSION`` counts, else ``IBLRIG_VERSION_TAG``, and of a text the leading numbers.
    ``'8.2.1-dev'`` comes before 8.2.1: its last number is one less. Settings without a version
    are taken as the newest.
    """
    for key in ("IBLRIG_VERSION", "IBLRIG_VERSION_TAG"):
        if match := re.match(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?", str(settings.get(key) or "")):
            major, minor, patch = (int(number or 0) for number in match.groups())
            before = EARLIER.match(match.string, match.end())
            return major, minor, patch - bool(before)
    return NEWEST
