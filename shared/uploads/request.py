"""What a client asks to upload, and how the body of ``POST /uploads`` is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

from shared.alf import SessionPath
from shared.alf.errors import ALFError
from shared.model.quality import QC
from shared.records.errors import NotFound, RecordError

MAX_FILES = 5000
"""Files of one upload; the request must pass API Gateway (10 MB)."""


METADATA = frozenset(
    {"task_protocol", "projects", "procedures", "users", "start_time", "end_time", "location"}
    | {"json", "narrative", "type", "synthetic"}
)
"""Optional fields of a new session that an upload may give."""


class InvalidUpload(RecordError):
    """A request that cannot be understood; ``errors`` has the messages by field."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{name}: {' '.join(text)}" for name, text in errors.items()))


@dataclass(frozen=True)
class File:
    """One file of a request; ``path`` is relative to the session."""

    path: str
    size: int
    sha256: str
    md5: str | None = None
    qc: str = "NOT_SET"


@dataclass(frozen=True)
class TaskRun:
    """The run of a task that produced the files."""

    id: str
    attempt: int
    run_record: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """What a client asks to upload."""

    session: dict[str, Any]
    files: tuple[File, ...]
    task: TaskRun | None = None
    again: bool = False


@dataclass(frozen=True)
class Target:
    """The session an upload goes to; ``id`` is None while it does not exist."""

    lab: str
    subject: str
    date: str
    number: int
    id: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """``lab/Subjects/subject/date/NNN``."""
        return f"{self.lab}/Subjects/{self.subject}/{self.date}/{self.number:03d}"


_SHA256 = re.compile(r"[0-9a-f]{64}")


_MD5 = re.compile(r"[0-9a-f]{32}")


def parse(body: Any) -> Request:
    """Read the body of ``POST /uploads``.

    Raises
    ------
    InvalidUpload
        With a message for each field that cannot be understood. Names that break the grammar are
        no such error: those files are refused one by one, the others are welcome.
    """
    if not isinstance(body, dict):
        raise InvalidUpload({"detail": ["Send a JSON object with 'session' and 'files'."]})
    errors: dict[str, list[str]] = {}
    known = {"session", "files", "task", "again"}
    for name in sorted(set(body) - known):
        errors[name] = [f"Unknown field; an upload has {', '.join(sorted(known))}."]
    session = _session(body.get("session"), errors)
    files = _files(body.get("files"), errors)
    task = _task(body.get("task"), errors)
    if errors:
        raise InvalidUpload(errors)
    return Request(session, files, task, body.get("again") is True)


def _session(value: Any, errors: dict[str, list[str]]) -> dict[str, Any]:
    """Check which session is meant."""
    if not isinstance(value, dict):
        errors["session"] = ["Give the session as {lab, subject, date, number} or {id}."]
        return {}
    if "id" in value:
        try:
            return {"id": str(UUID(str(value["id"])))}
        except ValueError:
            errors["session"] = [f"“{value['id']}” is not a valid UUID."]
            return {}
    problems = []
    unknown = set(value) - METADATA - {"lab", "subject", "date", "number"}
    if unknown:
        problems.append(f"Unknown field(s) {', '.join(sorted(unknown))}.")
    try:
        where = SessionPath(
            str(value["lab"]),
            str(value["subject"]),
            date.fromisoformat(str(value["date"])),
            int(value["number"]),
        )
        session = {
            **{name: value[name] for name in METADATA if value.get(name) not in (None, "")},
            "lab": where.lab,
            "subject": where.subject,
            "date": where.date.isoformat(),
            "number": where.number,
        }
    except KeyError as missing:
        problems.append(f"{missing.args[0]}: This field is required.")
    except (ALFError, ValueError, TypeError) as error:
        problems.append(str(error))
    if problems:
        errors["session"] = problems
        return {}
    return session


def _files(value: Any, errors: dict[str, list[str]]) -> tuple[File, ...]:
    """Check the list of files."""
    if not isinstance(value, list) or not value:
        errors["files"] = ["Give a list of {path, size, sha256}."]
        return ()
    if len(value) > MAX_FILES:
        errors["files"] = [f"{len(value)} files are too many for one upload (most {MAX_FILES})."]
        return ()
    files, problems, seen = [], [], set()
    for i, entry in enumerate(value):
        try:
            file = File(
                path=entry["path"],
                size=entry["size"],
                sha256=entry["sha256"],
                md5=entry.get("md5") or None,
                qc=entry.get("qc") or "NOT_SET",
            )
        except (KeyError, TypeError, AttributeError):
            problems.append(f"files[{i}]: path, size and sha256 are required.")
            continue
        if not isinstance(file.path, str) or not file.path or len(file.path.encode()) > 700:
            problems.append(f"files[{i}]: path must be text of 1 to 700 bytes.")
        elif file.path in seen:
            problems.append(f"files[{i}]: {file.path} is listed twice.")
        elif isinstance(file.size, bool) or not isinstance(file.size, int) or file.size < 0:
            problems.append(f"{file.path}: size must be a number of bytes.")
        elif not _SHA256.fullmatch(str(file.sha256)):
            problems.append(f"{file.path}: sha256 must be 64 lower-case hexadecimal digits.")
        elif file.md5 and not _MD5.fullmatch(str(file.md5)):
            problems.append(f"{file.path}: md5 must be 32 lower-case hexadecimal digits.")
        elif file.qc not in QC:
            problems.append(f"{file.path}: qc must be one of {', '.join(QC)}.")
        else:
            seen.add(file.path)
            files.append(file)
    if problems:
        errors["files"] = problems[:20]
    return tuple(files)


def _task(value: Any, errors: dict[str, list[str]]) -> TaskRun | None:
    """Check which run produced the files."""
    if value is None:
        return None
    try:
        record = value.get("run_record") or {}
        if not isinstance(record, dict):
            raise TypeError
        return TaskRun(str(UUID(value["id"])), int(value["attempt"]), record)
    except (KeyError, ValueError, TypeError, AttributeError):
        errors["task"] = ["Give the task as {id, attempt, run_record}."]
        return None


def requested(document: Mapping[str, Any]) -> list[File]:
    """Return the files of a stored request."""
    return [File(**file) for file in document["files"]]


def file_of(document: Mapping[str, Any], path: Any) -> File:
    """Return one file of a stored request.

    Raises
    ------
    NotFound
        The upload has no such file.
    """
    for file in requested(document):
        if file.path == path:
            return file
    raise NotFound(f"the upload has no file {path}")
