"""Upload sessions from a rig: check, send, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from lab.client import Client, Refused
from lab.rig.session import Found
from lab.transfer import HashCache, Notice, Transfer, silent
from shared.alf import ALFError


@dataclass
class Report:
    """What became of one session: ``files`` as the server (or the dry run) judged them."""

    session: str
    folder: str
    state: str
    eid: str | None = None
    upload: str | None = None
    files: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    error: str | None = None
    sent: int = 0
    exit_code: int = 0

    @property
    def refused(self) -> list[dict[str, Any]]:
        """The files that were refused."""
        return [file for file in self.files if file["state"] in ("rejected", "quarantined")]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {
            "session": self.session,
            "folder": self.folder,
            "state": self.state,
            "eid": self.eid,
            "upload": self.upload,
            "sent": self.sent,
            "files": self.files,
            "left_out": self.left_out,
            "error": self.error,
        }


RECORDED = ("raw_*/*", "_ibl_experiment.description*.yaml")
"""What a rig records: raw collections, and the description of the hardware (ONE convention).

Anything else in a session's folder was computed from that, and is computed again by the tasks.
"""


def chosen(found: Found, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> list[str]:
    """Return the files of a session that a rig uploads: what it has recorded.

    Parameters
    ----------
    found
        The session.
    include, exclude
        Globs of further files, and of files that are left out (``*`` also matches ``/``).
    """
    return [
        path
        for path in found.files()
        if any(fnmatchcase(path, glob) for glob in (*RECORDED, *include))
        and not any(fnmatchcase(path, glob) for glob in exclude)
    ]


def _nothing(left_out: Sequence[str]) -> str:
    """Say why there is nothing to upload."""
    if not left_out:
        return "the session has no files to upload"
    return (
        f"the session has no raw data: none of its {len(left_out)} files is in a folder raw_…; "
        "--include uploads others"
    )


def check(found: Found, paths: Sequence[str]) -> Report:
    """Check a session's files as the server will, and send nothing."""
    wanted = set(paths)
    problems: dict[str, ALFError] = {
        path: problem for path, problem in found.problems().items() if path in wanted
    }
    files: list[dict[str, Any]] = [
        {"path": path, "state": "rejected", "code": bad.code, "reason": str(bad)}
        if (bad := problems.get(path))
        else {"path": path, "state": "good"}
        for path in paths
    ]
    state = "refused" if not paths or len(problems) == len(paths) else "good"
    state = "partial" if problems and state == "good" else state
    left_out = sorted(set(found.files()) - wanted)
    report = Report(found.name, str(found.folder), state, files=files, left_out=left_out)
    report.error = None if paths else _nothing(left_out)
    report.exit_code = 1 if problems or not paths else 0
    return report


def lab_of(client: Client, found: Found, given: str | None) -> str:
    """Return the lab a session is of: as given, as its path says, or the account's only one.

    Raises
    ------
    Refused
        It is not clear which.
    """
    if given or found.path.lab:
        return given or str(found.path.lab)
    labs = client.get("/me").get("labs") or []
    if len(labs) == 1:
        return labs[0]
    raise Refused(400, {"detail": "which lab? Give --lab"}, f"session {found.name}")


def upload(
    client: Client,
    found: Found,
    *,
    lab: str | None = None,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    again: bool = False,
    notice: Notice = silent,
    hashes: HashCache | None = None,
    choose: Callable[[Found], list[str]] | None = None,
) -> Report:
    """Upload a session; what goes wrong with it is in the report.

    Raises
    ------
    Unreachable, LoginFailed, NotConfigured
        The server cannot be used at all: the same for every session.
    """
    report = Report(found.name, str(found.folder), "refused")
    paths = choose(found) if choose else chosen(found, include, exclude)
    report.left_out = sorted(set(found.files()) - set(paths))
    if not paths:
        report.error, report.exit_code = _nothing(report.left_out), 1
        return report
    transfer = Transfer(client, found.folder, notice, hashes or HashCache())
    try:
        session = found.announced(lab_of(client, found, lab))
        result = transfer.upload(session, paths, again=again)
    except Refused as error:
        report.error, report.exit_code = str(error), 1
        return report
    report.state, report.sent = result.state, result.sent
    report.files = result.answer["files"]
    report.eid, report.upload = result.answer["session"], result.answer["id"]
    report.exit_code = 1 if report.refused else 0
    return report
