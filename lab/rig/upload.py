"""Upload sessions from a rig: check, send, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from lab.client import RequestRefused
from lab.rig.identity import DifferentMice, agreed
from lab.rig.openephys_names import STRUCTURE, recorded
from lab.rig.preflight import Account, NotReady
from lab.rig.session import Found, shown
from lab.transfer import HashCache, Notice, Transfer, silent
from shared.model.upload import FileState, UploadState
from shared.science.errors import ExtractionError


@dataclass
class Report:
    """The result of one session.

    ``files`` are as the server (or the dry run) judged them; ``notes`` describe oddities of the
    session, which is uploaded all the same; ``page`` is where members of the lab see it.
    """

    session: str
    folder: str
    state: str
    eid: str | None = None
    upload: str | None = None
    page: str | None = None
    files: list[dict[str, Any]] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: str | None = None
    sent: int = 0
    exit_code: int = 0

    @property
    def refused(self) -> list[dict[str, Any]]:
        """The files that were refused."""
        return [
            file
            for file in self.files
            if file["state"] in (FileState.REJECTED, FileState.QUARANTINED)
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON: the event with which an upload ends."""
        return {
            "event": "ended",
            "session": self.session,
            "folder": shown(self.folder),
            "state": self.state,
            "eid": self.eid,
            "upload": self.upload,
            "page": self.page,
            "sent": self.sent,
            "files": self.files,
            "left_out": self.left_out,
            "notes": self.notes,
            "error": self.error,
        }


RECORDED = ("raw_*/*", "_ibl_experiment.description*.yaml")
"""The files that a rig records: raw collections and the hardware's description (ONE convention).

Tasks compute all other files of a session from these, and compute them again.
"""


def chosen(found: Found, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> list[str]:
    """Return the files of a session that a rig uploads: those that it has recorded.

    Parameters
    ----------
    found
        The session.
    include, exclude
        Globs of further files, and of files that are left out (``*`` also matches ``/``).
    """
    files = found.files()
    gui = set(recorded(files))
    return [
        path
        for path in files
        if any(fnmatchcase(path, glob) for glob in (*RECORDED, *include))
        and not any(fnmatchcase(path, glob) for glob in exclude)
        and path not in gui
    ]


def made_ready(found: Found) -> list[str]:
    """Write what a session's files need to have names in ONE; return notes for people.

    Raises
    ------
    ValueError
        A recording of Open Ephys cannot be understood.
    """
    if not any(path.rpartition("/")[2] == STRUCTURE for path in found.files()):
        return []
    from lab.rig.openephys import wrap  # needs numpy, which other rigs may not have

    try:
        written, others = wrap(found.folder)
    except ExtractionError as error:
        raise ValueError(str(error)) from None
    notes = [f"{name} of Open Ephys has no name in ONE: left out" for name in others]
    if written:
        notes.append(f"Open Ephys: written under ONE's names: {', '.join(sorted(written))}")
    return notes


def _nothing(left_out: Sequence[str]) -> str:
    """Say why there is nothing to upload."""
    if not left_out:
        return "the session has no files to upload"
    return (
        f"the session has no raw data: none of its {len(left_out)} files is in a folder raw_…; "
        "--include uploads others"
    )


@dataclass(frozen=True)
class Options:
    """How sessions are uploaded.

    Attributes
    ----------
    lab : str, optional
        The lab; by default that of the path, else the account's only one.
    trust : str, optional
        The right source if they name different mice: 'path', 'settings', 'description'.
    create_subject : bool
        Add subjects that the server does not know.
    again : bool
        Try files once more that were refused before.
    """

    lab: str | None = None
    trust: str | None = None
    create_subject: bool = False
    again: bool = False


def check(
    found: Found, paths: Sequence[str], account: Account | None, options: Options = Options()
) -> Report:
    """Check a session as an upload would, and send nothing.

    Parameters
    ----------
    found, paths
        The session and the files that would be sent.
    account : Account or None
        Account of the server; None if the server cannot be asked.
    """
    report = Report(found.name, str(found.folder), "good")
    _select(report, found, paths)
    problems, notes = found.problems(paths)
    report.files += [
        {"path": path, "state": "rejected", "code": bad.code, "reason": str(bad)}
        if (bad := problems.get(path))
        else {"path": path, "state": "good"} | ({"note": notes[path]} if path in notes else {})
        for path in paths
    ]
    if report.refused:
        report.state = "refused" if len(report.refused) == len(report.files) else "partial"
    report.exit_code = 1 if report.refused else 0
    if not paths:
        return _refuse(report, _nothing(report.left_out))
    try:
        path, differences = agreed(found.folder, found.path, options.trust)
        report.session, report.notes = path.short, differences
        if account is None:
            report.notes.append("lab and subject are not checked: the server could not be asked")
        else:
            _prepare(report, replace(found, path=path), account, options, dry=True)
    except (DifferentMice, NotReady, RequestRefused) as error:
        return _refuse(report, str(error))
    return report


def _select(report: Report, found: Found, paths: Sequence[str]) -> None:
    """Add notes about files left out, and about names that cannot be sent."""
    report.left_out = sorted(set(found.files()) - set(paths))
    report.files = [
        {
            "path": name,
            "state": "rejected",
            "code": "name_not_utf8",
            "reason": "the name is not UTF-8: rename the file",
        }
        for name in found.unreadable()
    ]


def _prepare(
    report: Report, found: Found, account: Account, options: Options, *, dry: bool = False
) -> dict[str, Any]:
    """Return the session as it is announced, after checking its facts with the server."""
    lab = account.lab_of(found.path, options.lab)
    create = options.create_subject
    report.notes += account.check_subject(found.path, lab, create=create, dry=dry)
    facts, notes = account.known_facts(found.facts())
    report.notes += notes
    return found.announced(lab, facts)


def _refuse(report: Report, why: str) -> Report:
    report.state, report.error, report.exit_code = "refused", why, 1
    return report


def upload(
    account: Account,
    found: Found,
    paths: Sequence[str],
    options: Options = Options(),
    *,
    notice: Notice = silent,
    hashes: HashCache | None = None,
) -> Report:
    """Upload files of a session; the report has the problems of the session itself.

    Raises
    ------
    Unreachable, LoginFailed, NotConfigured
        The server cannot be used for any session.
    """
    report = Report(found.name, str(found.folder), "refused")
    _select(report, found, paths)
    if not paths:
        return _refuse(report, _nothing(report.left_out))
    try:
        path, notes = agreed(found.folder, found.path, options.trust)
        report.session, report.notes = path.short, notes
        session = _prepare(report, replace(found, path=path), account, options)
        transfer = Transfer(account.client, found.folder, notice, hashes or HashCache())
        result = transfer.upload(session, paths, again=options.again)
    except (DifferentMice, NotReady, RequestRefused, OSError) as error:
        return _refuse(report, str(error))
    report.state, report.sent = result.state, result.sent
    report.files += result.answer["files"]
    report.eid, report.upload = result.answer["session"], result.answer["id"]
    report.page = result.answer.get("page")
    if report.state == UploadState.FAILED:
        report.error, report.exit_code = str(result.answer.get("reason")), 1
        return report
    if report.refused and report.state == "registered":
        report.state = "partial"
    report.exit_code = 1 if report.refused else 0
    return report
