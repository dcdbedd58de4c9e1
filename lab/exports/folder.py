"""A session of a folder ``LAB/Subjects/SUBJECT/DATE/NNN``, without any server."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from lab.exports.session import ExportError, ExportFacts, ExportSession, SubjectFacts
from lab.rig.settings import metadata, settings_of
from shared.alf import SessionPath, is_valid, parse_session_path
from shared.alf.errors import ALFInvalid
from shared.model import moment

SUBJECTS = "subjects.json"
"""File beside the labs' folders with facts of animals, by nickname (see `fornix analyse`), or by
``lab/nickname`` if two labs share a nickname."""


class FolderSession(ExportSession):
    """A session in a folder.

    Parameters
    ----------
    folder : path
    known : mapping, optional
        Facts that the folder lacks or has wrong: ``session_id``, ``institution``, ``timezone``,
        and fields of `SubjectFacts`.

    Raises
    ------
    ExportError
        The path is no session's, or a fact is unknown.
    """

    def __init__(self, folder: Path, known: Mapping[str, Any] | None = None) -> None:
        self.folder = folder.resolve()
        if not self.folder.is_dir():
            raise ExportError(f"{folder} is not a folder")
        try:
            place = parse_session_path("/".join(_session_parts(self.folder)))
        except ALFInvalid as error:
            raise ExportError(
                f"{folder} is no session's folder, LAB/Subjects/SUBJECT/DATE/NNN: {error}"
            ) from error
        self.paths = tuple(self._datasets())
        self.facts = self._facts(place, dict(known or {}))

    def local(self, path: str) -> Path:
        """Return the file itself."""
        return self.folder / path

    def address(self, path: str) -> str:
        """Return the absolute path of the file."""
        return str(self.folder / path)

    def _datasets(self) -> list[str]:
        paths = (
            path.relative_to(self.folder).as_posix()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        )
        return [path for path in paths if is_valid(path)]

    def _facts(self, place: SessionPath, known: dict[str, Any]) -> ExportFacts:
        settings = settings_of(self.folder)
        fields = metadata(settings, place)
        lab = place.lab or str(known.get("lab") or "lab")
        zone = str(known.get("timezone") or "UTC")
        start = fields.get("start_time") or f"{place.date}T00:00:00"
        identity = known.get("session_id") or settings.get("SESSION_UUID")
        whole = SessionPath(lab, place.subject, place.date, place.number).build()
        return ExportFacts(
            id=str(identity or uuid.uuid5(uuid.NAMESPACE_URL, whole)),
            lab=lab,
            subject=subject_facts(place.subject, self._known_of(lab, place.subject) | known),
            date=place.date.isoformat(),
            number=place.number,
            start=dt.datetime.fromisoformat(moment.instant(start, zone)),
            protocol=fields.get("task_protocol", ""),
            institution=str(known.get("institution") or ""),
            projects=tuple(fields.get("projects", ())),
            synthetic=bool(fields.get("synthetic")),
        )

    def _known_of(self, lab: str, subject: str) -> dict[str, Any]:
        """Return the facts of an animal from subjects.json, above the lab's folder."""
        for above in list(self.folder.parents)[2:6]:
            if (above / SUBJECTS).is_file():
                try:
                    facts = json.loads((above / SUBJECTS).read_text())
                    return dict(facts.get(f"{lab}/{subject}", facts.get(subject, {})))
                except (ValueError, TypeError, AttributeError) as error:
                    raise ExportError(f"{above / SUBJECTS} is no object by nickname") from error
        return {}


def _session_parts(folder: Path) -> tuple[str, ...]:
    """Return the end of a path that identifies the session: with its lab, if any."""
    parts = folder.parts
    return parts[-5:] if parts[-4:-3] == ("Subjects",) else parts[-3:]


def subject_facts(nickname: str, known: Mapping[str, Any]) -> SubjectFacts:
    """Return the facts of an animal that a mapping has.

    Raises
    ------
    ExportError
        A value has another type.
    """
    names = SubjectFacts.__struct_fields__
    facts = {name: known[name] for name in names if known.get(name) not in (None, "")}
    try:
        return msgspec.convert(facts | {"nickname": nickname}, SubjectFacts, strict=False)
    except msgspec.ValidationError as error:
        raise ExportError(f"the facts of subject {nickname}: {error}") from error
