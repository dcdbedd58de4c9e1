"""A folder of sessions as a source: ``<lab>/Subjects/<subject>/<date>/<number>/alf/…``.

Facts that the folder names do not give are read from ``session.json`` in a session folder and
``subject.json`` in a subject folder, if these exist. A folder is its owner's: its sessions are
public unless ``session.json`` says otherwise.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from datetime import date
from glob import escape
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pandas as pd

from shared.alf.layout import RAW_EPHYS
from shared.model.identity import animal_key, nickname_of
from shared.results.reading import load_sorting, load_trials
from shared.results.source import Lab, SiteSession, Sorting, SourceFile, Subject
from shared.results.store import tag

RECORDED = (".ebin", ".eh", ".rms.npy")
"""Files of compressed raw recordings; the site does not use other raw files."""

NUMBER = re.compile(r"[0-9]{1,3}")
"""Names of session folders; those with fewer than three digits are read, with a remark."""


class Tree:
    """Sessions in a local folder (ONE convention)."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def _folders(self, nickname: str | None = None) -> dict[str, list[Path]]:
        """Return the folders of all sessions, or of those of a nickname, by their animal's key.

        The nickname is the key of the animal of the first lab that has one of that nickname.
        """
        name = "*" if nickname is None else escape(nickname)
        by_animal: dict[tuple[str, str], list[Path]] = {}
        for folder, names, _ in os.walk(self.folder):
            if "Subjects" in names:
                for path in sorted(Path(folder, "Subjects").glob(f"{name}/????-??-??/*/")):
                    if NUMBER.fullmatch(path.name):
                        by_animal.setdefault((path.parts[-3], path.parts[-5]), []).append(path)
                names.remove("Subjects")  # sessions contain no labs: skip them
        keys: dict[str, list[Path]] = {}
        for (called, lab), paths in sorted(by_animal.items()):
            identity = str(uuid5(NAMESPACE_URL, f"{lab}/{called}"))
            keys[called if called not in keys else animal_key(called, identity)] = paths
        return keys

    def subjects(self) -> Iterable[str]:
        """Return the keys of all subjects with sessions."""
        return set(self._folders())

    def subject(self, nickname: str) -> Subject:
        """Return the facts in the subject's folder."""
        folders = self._folders(nickname_of(nickname)).get(nickname)
        lab = folders[0].parts[-5] if folders else ""
        content = _json(folders[0].parents[1] / "subject.json") if folders else {}
        facts = {name: content[name] for name in Subject.__dataclass_fields__ if name in content}
        facts["projects"] = tuple(facts.get("projects", ()))
        return Subject(**{"lab": lab, **facts, "nickname": nickname})

    def sessions(self, subject: str) -> list[SiteSession]:
        """Return the subject's sessions."""
        folders = self._folders(nickname_of(subject)).get(subject, ())
        return [self._session(path, subject) for path in folders]

    def labs(self) -> list[Lab]:
        """Return the labs that have sessions."""
        names = sorted({path.parts[-5] for paths in self._folders().values() for path in paths})
        content_by_lab = {n: _json(self.folder / n / "lab.json") for n in names}
        return [Lab(**{"name": name, **content_by_lab[name]}) for name in names]

    def trials(self, session: SiteSession) -> pd.DataFrame | None:
        """Return the session's trials table."""
        return load_trials(session, _open)

    def sorting(self, session: SiteSession, collection: str) -> Sorting | None:
        """Return the sorted spikes in a collection."""
        return load_sorting(session, collection, _open)

    def _session(self, path: Path, subject: str) -> SiteSession:
        *_, lab_name, _, _, day, folder = path.parts
        number = f"{int(folder):03d}"
        # Its id is that of the name that every session gets in the end.
        name = "/".join([*path.parts[-5:-1], number])
        facts: dict[str, Any] = {
            "id": str(uuid5(NAMESPACE_URL, name)),
            "lab": lab_name,
            "subject": subject,
            "date": day,
            "number": int(folder),
        }
        if folder != number and path.with_name(number).is_dir():
            return SiteSession(
                **facts, refused=f"Folder {folder} is left out: {number} is there too."
            )
        remarks = [] if folder == number else [f"Folder {folder} is read as {number}."]
        try:
            return SiteSession(**facts | self._described(path), remarks=tuple(remarks))
        except (ValueError, TypeError, AttributeError) as error:
            # It is then unknown whether the session is public.
            reason = f"session.json cannot be read, so the session is left out: {error}"
            return SiteSession(**facts, refused=reason)

    def _described(self, path: Path) -> dict[str, Any]:
        """Return a session's facts from its own file, its lab's and its datasets."""
        content = _json(path / "session.json")
        lab = _json(self.folder / path.parts[-5] / "lab.json")
        embargo = content.get("embargo_until")
        return {
            "public": True,
            "timezone": lab.get("timezone", "UTC"),
            **content,
            "embargo_until": date.fromisoformat(embargo) if embargo else None,
            "projects": tuple(content.get("projects", ())),
            "datasets": tuple(self._datasets(path)),
        }

    def _datasets(self, session: Path) -> Iterable[SourceFile]:
        raw = [path for end in RECORDED for path in (session / RAW_EPHYS).rglob(f"*{end}")]
        films = (session / "raw_video_data").rglob("*.mp4")
        for path in sorted([*(session / "alf").rglob("*.*"), *raw, *films]):
            if path.is_file():
                relative = path.relative_to(session)
                parts = relative.parent.parts
                revision = next((p.strip("#") for p in parts if p.startswith("#")), "")
                collection = "/".join(p for p in parts if not p.startswith("#"))
                # A recording is not read to find out whether it has changed.
                status = path.stat()
                large = path.suffix in (".ebin", ".mp4")
                state = f"{status.st_size} {status.st_mtime_ns}".encode()
                yield SourceFile(
                    str(uuid5(NAMESPACE_URL, path.relative_to(session.parents[3]).as_posix())),
                    path.name,
                    collection,
                    revision,
                    tag(state if large else path.read_bytes()),
                    location=str(path),
                )


def _open(dataset: SourceFile) -> BytesIO:
    return BytesIO(Path(dataset.location).read_bytes())


def _json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}
