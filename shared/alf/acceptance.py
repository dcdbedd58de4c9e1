"""Rules for files that enter a session, the same on the rig and on the server.

The rig's dry run opens local files; the server reads ranges of uploaded objects. Both call the
functions below, so a file that passes on the rig passes on the server. Each problem is an
:class:`~shared.alf.errors.ALFError` that names the rule and the fix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import BinaryIO

from . import names
from .dataset_types import data_format, dimensions
from .errors import ALFError, ALFInvalid, FileInvalid, RowsInconsistent
from .path import DatasetPath, parse_dataset_path, without_uuid
from .validate import Header, check_rows, header

Opener = Callable[[], BinaryIO]
"""Opens a file for reading; a seekable binary stream."""

Look = Callable[[str, Opener, int], Header]
"""Takes a file's path, its opener and its size in bytes; returns its header."""


def look_here(path: str, opened: Opener, size: int) -> Header:
    """Return the header of a file, read in this process.

    Raises
    ------
    FileInvalid
        It is incomplete, or not of its kind.
    """
    with opened() as file:
        return header(file, parse_dataset_path(path).extension, size=size, name=path)


def check_name(path: str) -> DatasetPath:
    """Check a path relative to its session: the grammar, and a known data format.

    Raises
    ------
    ALFInvalid
        The path does not follow the grammar, or has a name that is invalid on some system.
    DataFormatNotFound
        The extension is not one of the data formats.
    """
    parsed = parse_dataset_path(path)
    try:
        names.check_path(path)
    except ValueError as error:
        fix = "rename it so that every computer takes it"
        raise ALFInvalid(path, "path", path, str(error), fix) from None
    data_format(parsed.filename)
    return parsed


def check_names(paths: Iterable[str]) -> dict[str, ALFError]:
    """Return the problem of each path that :func:`check_name` refuses."""
    problems: dict[str, ALFError] = {}
    for path in paths:
        try:
            check_name(path)
        except ALFError as error:
            problems[path] = error
    return problems


def check_contents(
    files: Mapping[str, tuple[Opener, int]],
    registered: Mapping[str, Header] | None = None,
    *,
    look: Look = look_here,
    unreachable: tuple[type[Exception], ...] = (),
) -> tuple[dict[str, Header], dict[str, ALFError]]:
    """Check the headers of files and the row counts of their objects.

    Parameters
    ----------
    files
        Opener and size in bytes of each file, by path relative to the session. The names must
        have been checked.
    registered
        Headers of the session's existing files. A file that a new one of the same name replaces
        does not count.
    look
        Reads a file's header; the server does so in a separate process.
    unreachable
        Exceptions for files that cannot be read at present. They are no fault of the file and
        are passed on. Any other exception in the check of a file is that file's problem.

    Returns
    -------
    headers
        Headers of the accepted files, by path.
    problems
        Problems of the other files, by path.
    """
    headers: dict[str, Header] = {}
    problems: dict[str, ALFError] = {}
    for path, (opened, size) in files.items():
        try:
            headers[path] = look(path, opened, size)
        except ALFError as error:
            problems[path] = error
        except ModuleNotFoundError as error:
            # A rig's installation lacks the libraries for arrays and tables; the server checks.
            note = f"not looked into here, as {error.name} is not installed; the server does"
            headers[path] = Header(notes=(note,))
        except unreachable:
            raise
        except Exception as error:  # a parser may raise anything; one bad file stops no other
            problems[path] = FileInvalid(
                path,
                "content",
                type(error).__name__,
                f"the file cannot be read: {str(error)[:200]}",
                "open it on the rig; if it is damaged there too, leave it out",
            )
    for unequal in _unequal_rows(headers, registered or {}):
        problems[unequal.where] = unequal
    return {path: header for path, header in headers.items() if path not in problems}, problems


def _unequal_rows(
    new: Mapping[str, Header], registered: Mapping[str, Header]
) -> list[RowsInconsistent]:
    """Return a problem for each new file that does not fit the rest of its object."""
    problems = {problem.where: problem for problem in check_rows(new)}
    good = {path: header for path, header in new.items() if path not in problems}
    names = {parse_dataset_path(path).without_revision for path in good}
    remaining = {
        path: header
        for path, header in registered.items()
        if parse_dataset_path(without_uuid(path)).without_revision not in names
    }
    # Registered files are right by definition: if the two disagree, the new files are refused.
    for clash in check_rows({**remaining, **good}):
        table = _table(clash.where)
        blamed = [clash.where] if clash.where in good else list(good)
        for path in blamed:
            rows = good[path].rows
            if _table(path) == table and rows not in (None, 1):
                problems[path] = RowsInconsistent(path, "rows", str(rows), clash.rule, clash.fix)
    return list(problems.values())


def _table(path: str) -> tuple[str, str, str | None, tuple[str, ...] | None]:
    """Return the key of a file's table within its session."""
    parsed = parse_dataset_path(without_uuid(path))
    expected = dimensions(parsed.filename)
    return parsed.collection, parsed.object, parsed.extra, expected and expected[:1]
