"""Sessions on a rig's disk: whose they are, what belongs to them, whether they are finished."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.alf import ALFError, SessionPath, parse_session_path
from shared.alf.acceptance import check_contents, check_names

SETTINGS = "_iblrig_taskSettings.raw.json"

FLAGS = ("transfer_me.flag", "raw_session.flag", "upload_me.flag")
"""Files by which acquisition software says that a session is finished."""

IGNORED = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


class NoSession(ValueError):
    """A folder is no session, or it is not clear whose."""


@dataclass(frozen=True)
class Found:
    """A session on disk."""

    folder: Path
    path: SessionPath

    @property
    def name(self) -> str:
        """``subject/date/number``."""
        return self.path.short

    def files(self) -> list[str]:
        """Return what belongs to the session, relative to it: no flags, no hidden files."""
        return sorted(
            path.relative_to(self.folder).as_posix()
            for path in self.folder.rglob("*")
            if path.is_file()
            and path.suffix != ".flag"
            and path.name not in IGNORED
            and not any(part.startswith(".") for part in path.relative_to(self.folder).parts)
        )

    def flags(self) -> list[Path]:
        """Return the files that say that the session is finished."""
        return [self.folder / name for name in FLAGS if (self.folder / name).exists()]

    def announced(self, lab: str) -> dict[str, Any]:
        """Return the session as ``POST /uploads`` takes it."""
        return {
            "lab": lab,
            "subject": self.path.subject,
            "date": self.path.date.isoformat(),
            "number": self.path.number,
            **metadata(settings(self.folder), self.path),
        }

    def problems(self) -> dict[str, ALFError]:
        """Check all files as the server will; return what is wrong with which."""
        files = self.files()
        bad = check_names(files)

        def opener(path: Path) -> Any:
            return lambda: path.open("rb")

        _, more = check_contents(
            {
                path: (opener(self.folder / path), (self.folder / path).stat().st_size)
                for path in files
                if path not in bad
            }
        )
        return {**bad, **more}


def settings(folder: Path) -> dict[str, Any]:
    """Return the rig's settings of a session, empty if there are none that can be read."""
    for path in sorted(folder.glob(f"raw_*/{SETTINGS}")):
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError):
            continue
        if isinstance(content, dict):
            return content
    return {}


def metadata(found: Mapping[str, Any], path: SessionPath) -> dict[str, Any]:
    """Return what a rig's settings say of a session, as fields of the session."""
    start = found.get("SESSION_START_TIME") or found.get("SESSION_DATETIME")
    about = {
        "task_protocol": found.get("PYBPOD_PROTOCOL"),
        "start_time": start if str(start or "").startswith(path.date.isoformat()) else None,
        "end_time": found.get("SESSION_END_TIME"),
        "synthetic": True if found.get("SYNTHETIC") is True else None,
    }
    version = found.get("IBLRIG_VERSION") or found.get("IBLRIG_VERSION_TAG")
    if about["task_protocol"] and version:
        about["task_protocol"] = f"{about['task_protocol']}{version}"
    if not about["start_time"]:
        about["end_time"] = None
    return {name: value for name, value in about.items() if value}


def find(
    folder: Path,
    *,
    subject: str | None = None,
    date: str | None = None,
    number: int | None = None,
) -> list[Found]:
    """Return the sessions in a folder: itself one, or a tree of ``subject/date/number``.

    Parameters
    ----------
    folder
        The folder.
    subject, date, number
        Whose session the folder is, where neither its path nor the rig's settings say so.

    Raises
    ------
    NoSession
        There is none, or it is not clear whose it is.
    """
    folder = folder.resolve()
    if subject or date or number is not None:
        return [Found(folder, _identity(folder, subject, date, number))]
    if (path := session_path(folder)) is not None:
        return [Found(folder, path)]
    below = list(walk(folder))
    if below:
        return below
    if any(folder.glob("raw_*")):
        return [Found(folder, _identity(folder, None, None, None))]
    raise NoSession(
        f"there is no session in {folder}: sessions are folders subject/YYYY-MM-DD/NNN, or have "
        f"raw data with {SETTINGS}"
    )


def walk(folder: Path) -> Iterator[Found]:
    """Yield the sessions below a folder, in order of their paths."""
    for where, folders, _ in os.walk(folder):
        folders.sort()
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(where)
        if here != folder and (path := session_path(here)) is not None:
            folders.clear()
            yield Found(here, path)


def session_path(folder: Path) -> SessionPath | None:
    """Return the session that a folder is by its path, None if it is none."""
    for depth in (5, 3):
        try:
            path = parse_session_path("/".join(folder.parts[-depth:]))
        except ALFError:
            continue
        if (path.lab is None) == (depth == 3):
            return path
    return None


def _identity(
    folder: Path, subject: str | None, date: str | None, number: int | None
) -> SessionPath:
    """Return whose session a folder is, from what is given and the rig's settings."""
    said = settings(folder)
    subject = subject or said.get("SUBJECT_NAME")
    date = date or said.get("SESSION_DATE") or str(said.get("SESSION_START_TIME") or "")[:10]
    given = number if number is not None else said.get("SESSION_NUMBER")
    if not subject or not date or given is None:
        raise NoSession(
            f"{folder}: neither the path nor the rig's settings say whose session it is; "
            "give --subject, --date and --number"
        )
    try:
        return parse_session_path(f"{subject}/{date}/{int(given):03d}")
    except (ALFError, ValueError) as error:
        raise NoSession(f"{folder}: {error}") from None
