"""Read the body of ``POST /uploads``: typed and bounded; every fault is reported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any
from uuid import UUID

from shared.alf import SessionPath
from shared.alf.errors import ALFError
from shared.model import json
from shared.model.identity import SessionKey
from shared.model.limits import UPLOAD_FILES
from shared.model.quality import QC
from shared.model.session import SessionMetadata
from shared.model.upload import FileRequest, TaskRun, UploadRequest
from shared.records.errors import RecordError

METADATA = frozenset(SessionMetadata.__struct_fields__)
"""Optional fields of a new session that an upload may give."""

RUN_RECORD_BYTES = 2**20
"""Longest record of a run; it goes into the manifest."""

PATHS_BYTES = 1_000_000
"""Paths of one upload together; one transaction (4 MB) names them twice."""

FAULTS = 20
"""Most files whose faults one answer lists."""

RULES: Mapping[str, str] = {
    "path": "path must be text of 1 to 700 bytes.",
    "size": "size must be a number of bytes.",
    "sha256": "sha256 must be 64 lower-case hexadecimal digits.",
    "md5": "md5 must be 32 lower-case hexadecimal digits.",
    "qc": f"qc must be one of {', '.join(QC)}.",
}


class InvalidUpload(RecordError):
    """A request that cannot be understood; ``errors`` has the messages by field."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{name}: {' '.join(text)}" for name, text in errors.items()))


def parse(body: Any) -> UploadRequest:
    """Read the body of ``POST /uploads``.

    Raises
    ------
    InvalidUpload
        With a message for each field that cannot be understood. Names that break the grammar are
        not such an error: those files are refused one by one, the others are accepted.
    """
    if not isinstance(body, dict):
        raise InvalidUpload({"detail": ["Send a JSON object with 'session' and 'files'."]})
    errors: dict[str, list[str]] = {}
    fields = {"session", "files", "task", "again"}
    for name in sorted(set(body) - fields):
        errors[name] = [f"Unknown field; an upload has {', '.join(sorted(fields))}."]
    session, key, metadata = _session(body.get("session"), errors)
    files = _files(body.get("files"), errors)
    task = _task(body.get("task"), errors)
    if errors:
        raise InvalidUpload(errors)
    return UploadRequest(files, key, session, metadata, task, body.get("again") is True)


def _session(
    value: Any, errors: dict[str, list[str]]
) -> tuple[str | None, SessionKey | None, SessionMetadata]:
    """Read which session is meant, by its id or by its key, and the metadata of a new one."""
    nothing = SessionMetadata()
    if not isinstance(value, dict):
        errors["session"] = ["Give the session as {lab, subject, date, number} or {id}."]
        return None, None, nothing
    if "id" in value:
        try:
            return str(UUID(str(value["id"]))), None, nothing
        except ValueError:
            errors["session"] = [f"“{value['id']}” is not a valid UUID."]
            return None, None, nothing
    problems = []
    if unknown := set(value) - METADATA - {"lab", "subject", "date", "number"}:
        problems.append(f"Unknown field(s) {', '.join(sorted(map(str, unknown)))}.")
    missing = [name for name in ("lab", "subject", "date", "number") if name not in value]
    problems += [f"{name}: This field is required." for name in missing]
    key, metadata = None, nothing
    try:
        number = value["number"]
        digits = not isinstance(number, str) or re.fullmatch(r"[0-9]{1,3}", number)
        if isinstance(number, bool | float) or not digits:
            raise ValueError(f"number: {number!r} is not a whole number.")
        where = SessionPath(
            str(value["lab"]),
            str(value["subject"]),
            date.fromisoformat(str(value["date"])),
            int(number),
        )
        key = SessionKey(str(where.lab), where.subject, where.date.isoformat(), where.number)
    except KeyError:
        pass  # named above
    except (ALFError, ValueError, TypeError) as error:
        problems.append(str(error))
    said = {name: value[name] for name in METADATA if value.get(name) not in (None, "")}
    try:
        metadata = json.read(said, SessionMetadata)
        json.bounded(said)
    except json.Faulty as error:
        problems += [f"{name}: {' '.join(text)}" for name, text in error.fields.items()]
    except ValueError as error:
        problems.append(str(error))
    if problems:
        errors["session"] = problems
    return None, key, metadata


def _files(value: Any, errors: dict[str, list[str]]) -> tuple[FileRequest, ...]:
    """Read the list of files, each by itself, so that one answer lists all faults."""
    if not isinstance(value, list) or not value:
        errors["files"] = ["Give a list of {path, size, sha256}."]
        return ()
    if len(value) > UPLOAD_FILES:
        errors["files"] = [
            f"{len(value)} files are too many for one upload (most {UPLOAD_FILES})."
        ]
        return ()
    files: dict[str, FileRequest] = {}
    problems: list[str] = []
    for i, entry in enumerate(value):
        try:
            file = json.read(_without_blanks(entry), FileRequest)
            json.bounded(file.path, size=2 * 700)
        except json.Faulty as error:
            problems.append(_fault(i, entry, error))
        except ValueError as error:
            problems.append(f"files[{i}]: path: {error}")
        else:
            if len(file.path.encode()) > 700:
                problems.append(f"files[{i}]: {RULES['path']}")
            elif file.path in files:
                problems.append(f"files[{i}]: {file.path} is listed twice.")
            files[file.path] = file
    if not problems and (size := sum(len(path.encode()) for path in files)) > PATHS_BYTES:
        problems.append(f"The paths have {size} bytes together; send them in several uploads.")
    if problems:
        errors["files"] = problems[:FAULTS]
    return tuple(files.values())


def _without_blanks(entry: Any) -> Any:
    """Return the entry of a file without optional fields that are blank."""
    if not isinstance(entry, dict):
        return entry
    return {n: v for n, v in entry.items() if n not in ("md5", "qc") or v not in (None, "")}


def _fault(i: int, entry: Any, error: json.Faulty) -> str:
    """Return what is wrong with the entry of a file."""
    name, (text, *_) = next(iter(error.fields.items()))
    if name not in RULES or "required" in text:
        return f"files[{i}]: path, size and sha256 are required."
    path = entry.get("path")
    label = path if name != "path" and isinstance(path, str) else f"files[{i}]"
    return f"{label[:100]}: {RULES[name]}"


def _task(value: Any, errors: dict[str, list[str]]) -> TaskRun | None:
    """Read the task run that made the files."""
    if value is None:
        return None
    try:
        record = value.get("run_record") or {}
        if not isinstance(record, dict):
            raise TypeError
        json.bounded(record, size=RUN_RECORD_BYTES)
        attempt = int(value["attempt"])
        if not 0 < attempt < 2**31:
            raise ValueError
        return TaskRun(str(UUID(value["id"])), attempt, record)
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError):
        errors["task"] = ["Give the task as {id, attempt, run_record}."]
        return None
