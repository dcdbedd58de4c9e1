"""Which files of a session are of a recording of the Open Ephys GUI."""

from __future__ import annotations

import re
from collections.abc import Iterable

STRUCTURE = "structure.oebin"
"""The file that describes a recording."""


PREFIX = "_openephys_"
"""Begin of the names that its files get in ONE."""


def recorded(files: Iterable[str]) -> list[str]:
    """Return the files of a session, relative to it, that the GUI wrote."""
    paths = list(files)
    folders = [path.rpartition("/")[0] for path in paths if path.endswith(f"/{STRUCTURE}")]
    return [path for path in paths if any(belongs(path, folder) for folder in folders)]


def belongs(path: str, recording: str) -> bool:
    """Return whether a file is of a recording: in its folder, or in those above it of the GUI.

    Parameters
    ----------
    path, recording
        A file and the recording's folder, both relative to the session.
    """
    parts = recording.split("/")
    nodes = [n for n, part in enumerate(parts) if re.match(r"Record ?Node", part, re.IGNORECASE)]
    above = "/".join(parts[: nodes[0] + 1]) if nodes else recording
    return path.startswith(f"{above}/")
