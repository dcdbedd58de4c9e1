"""Sessions on a rig's disk: their identity, their files, and whether they are finished."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from lab.rig.settings import day_in, metadata, settings_of
from shared.alf import ALFError, SessionPath, parse_session_path
from shared.alf.acceptance import check_contents, check_names
from shared.science.behaviour.raw_settings import SETTINGS

FLAGS = ("transfer_me.flag", "raw_session.flag", "upload_me.flag")
"""Files that acquisition software writes when a session is finished."""

IGNORED = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})


class NoSession(ValueError):
    """A folder is no session, or its identity is unclear."""


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
        """Return the session's files, relative to its folder: no flags, no hidden files."""
        return sorted(name for name in self._names() if is_text(name))

    def unreadable(self) -> list[str]:
        """Return the files whose names are not UTF-8, written so that they can be shown."""
        return sorted(shown(name) for name in self._names() if not is_text(name))

    def _names(self) -> Iterator[str]:
        for path in self.folder.rglob("*"):
            relative = path.relative_to(self.folder)
            if (
                path.is_file()
                and path.suffix != ".flag"
                and path.name not in IGNORED
                and not any(part.startswith(".") for part in relative.parts)
            ):
                yield relative.as_posix()

    def flags(self) -> list[Path]:
        """Return the files that mark the session as finished."""
        return [self.folder / name for name in FLAGS if (self.folder / name).exists()]

    def size(self, paths: Iterable[str]) -> int:
        """Return the bytes of some files; missing files count nothing."""
        files = (self.folder / path for path in paths)
        return sum(path.stat().st_size for path in files if path.is_file())

    def announced(self, lab: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return the session as ``POST /uploads`` takes it."""
        return {
            "lab": lab,
            "subject": self.path.subject,
            "date": self.path.date.isoformat(),
            "number": self.path.number,
            **facts,
        }

    def facts(self) -> dict[str, Any]:
        """Return the fields of the session that the rig's settings fill."""
        return metadata(settings_of(self.folder), self.path)

    def problems(self, paths: Iterable[str]) -> tuple[dict[str, ALFError], dict[str, str]]:
        """Check files as the server will; return the errors and the notes, by path."""
        files = list(paths)
        bad = check_names(files)

        def opener(path: Path) -> Any:
            return lambda: path.open("rb")

        headers, more = check_contents(
            {
                path: (opener(self.folder / path), (self.folder / path).stat().st_size)
                for path in files
                if path not in bad
            }
        )
        notes = {path: "; ".join(header.notes) for path, header in headers.items() if header.notes}
        return {**bad, **more}, notes


def is_text(name: str) -> bool:
    """Tell whether a file's name is UTF-8, so that it can be sent."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(name: str) -> str:
    """Return a name with bytes that are not UTF-8 written as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


GENERIC = re.compile(r"(?i:ibl(?:rig)?(?:v?\d+)?_?data|(?:local_?)?data|subjects|sessions)")
"""Folder names of rigs that appear in place of a lab: ``iblrigv8_data/Subjects``."""


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
        The session's identity, if neither its path nor the rig's settings have it.

    Raises
    ------
    NoSession
        There is none, or its identity is unclear.
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
    """Return the session that a folder's path names, None if it names none."""
    for depth in (5, 3):
        try:
            path = parse_session_path("/".join(folder.parts[-depth:]))
        except ALFError:
            continue
        if (path.lab is None) == (depth == 3):
            generic = path.lab is not None and GENERIC.fullmatch(path.lab)
            return msgspec.structs.replace(path, lab=None) if generic else path
    return None


def _identity(
    folder: Path, subject: str | None, date: str | None, number: int | None
) -> SessionPath:
    """Return a session's identity from the given values and the rig's settings."""
    said = settings_of(folder)
    subject = subject or said.get("SUBJECT_NAME")
    date = date or day_in(said)
    session_number = number if number is not None else said.get("SESSION_NUMBER")
    if not subject or not date or session_number is None:
        raise NoSession(
            f"{folder}: neither the path nor the rig's settings say whose session it is; "
            "give --subject, --date and --number"
        )
    try:
        return parse_session_path(f"{subject}/{date}/{int(session_number):03d}")
    except (ALFError, ValueError) as error:
        raise NoSession(f"{folder}: {error}") from None
