"""Check that path, settings and description of a folder name the same session.

A session whose sources name different mice is refused until the user names the right source:
data of one mouse must never land under another. Other days and numbers are only reported, because
sessions are moved and renumbered.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lab.rig.settings import all_settings, day_in
from shared.alf import SessionPath
from shared.alf.errors import ALFInvalid

SOURCES = ("path", "settings", "description")

TEST_SUBJECT = re.compile(r"_iblrig_test|(?i:test_subject|test_mouse)")
"""Names that rigs use for a run without a mouse; they never contradict another name."""

_SAID = re.compile(
    r"^(subject|date|number)(?:_name)?\s*:\s*['\"]?([^'\"#\r\n]+?)['\"]?\s*(?:#.*)?$"
)


class DifferentMice(ValueError):
    """The sources name different mice; the message says which, and how to go on."""


@dataclass(frozen=True)
class Naming:
    """The session that one source names.

    Attributes
    ----------
    source : str
        'path', 'settings' or 'description'.
    where : str
        File or folder of the source.
    subject, date, number : str or None
    """

    source: str
    where: str
    subject: str | None
    date: str | None = None
    number: str | None = None


def claims(folder: Path, path: SessionPath) -> Iterator[Naming]:
    """Yield the session that each source names for a folder."""
    yield Naming("path", "the folder", path.subject, path.date.isoformat(), str(path.number))
    for where, settings in all_settings(folder).items():
        number = settings.get("SESSION_NUMBER")
        yield Naming(
            "settings",
            where,
            _text(settings.get("SUBJECT_NAME")),
            day_in(settings),
            None if number is None else str(number),
        )
    for file in sorted(folder.glob("_ibl_experiment.description*.yaml")):
        # Its other fields are nested; these stand at the start of a line.
        said: dict[str, str] = {
            match[1]: match[2]
            for line in file.read_text("utf-8", errors="replace").splitlines()
            if (match := _SAID.match(line))
        }
        if said:
            yield Naming(
                "description", file.name, said.get("subject"), said.get("date"), said.get("number")
            )


def agreed(
    folder: Path, path: SessionPath, trust: str | None = None
) -> tuple[SessionPath, list[str]]:
    """Return the session of a folder, and the notes for the report.

    Parameters
    ----------
    folder : Path
    path : SessionPath
        From the folder's path, or as the user gave it.
    trust : str, optional
        The source to follow if the sources name different mice.

    Raises
    ------
    DifferentMice
        The sources name different mice, and none is trusted.
    """
    all_claims = list(claims(folder, path))
    notes = []
    mice: dict[str, Naming] = {}
    for claim in all_claims:
        if claim.subject is None:
            continue
        if claim.source != "path" and TEST_SUBJECT.match(claim.subject):
            if claim.subject != path.subject:
                notes.append(f"{claim.where} names the rig's test subject {claim.subject}")
            continue
        mice.setdefault(claim.subject, claim)
    if len(mice) > 1:
        right = next((c for c in all_claims if c.source == trust and c.subject in mice), None)
        listed = ", ".join(f"{claim.where} says {name}" for name, claim in mice.items())
        if right is None or right.subject is None:
            raise DifferentMice(
                f"different mice: {listed}; say which is right: --trust path or --trust settings"
            )
        notes.append(
            f"different mice: {listed}; {right.subject} is taken, as --trust {trust} says"
        )
        try:
            path = msgspec.structs.replace(path, subject=right.subject)
        except ALFInvalid as error:
            raise DifferentMice(str(error)) from None
    return path, [*notes, *_differences(path, all_claims)]


def _differences(path: SessionPath, all_claims: list[Naming]) -> Iterator[str]:
    """Yield where the sources differ in day or number, and impossible days."""
    for claim in all_claims:
        if claim.date and claim.date != path.date.isoformat():
            yield f"{claim.where} says the day {claim.date}, the session is {path.short}"
        if claim.number and _number(claim.number) not in (None, path.number):
            yield f"{claim.where} says the number {claim.number}, the session is {path.short}"
    # A rig on the other side of the date line may be a day ahead.
    if path.date > datetime.date.today() + datetime.timedelta(days=1):
        yield f"the day {path.date} is in the future; is the rig's clock right?"


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
