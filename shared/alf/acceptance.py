"""What a file must fulfil to enter a session: the same rules on the rig and on the server.

The rig's dry run opens local files, the server reads ranges of uploaded objects; both call the
functions below, so that what passes here passes there. Each problem is an
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
"""Returns what a file says of itself, by its path, how to open it, and its size in bytes."""


def look_here(path: str, opened: Opener, size: int) -> Header:
    """Return what a file says of itself, read in this process.

    Raises
    ------
    FileInvalid
        It is no whole file of its kind.
    """
    with opened() as file:
        return header(file, parse_dataset_path(path).extension, size=size, name=path)


def check_name(path: str) -> DatasetPath:
    """Check a path relative to its session: the grammar, and a known data format.

    Raises
    ------
    ALFInvalid
        The path does not follow the grammar, or has a name that some system does not take.
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
    """Return what is wrong with each path that :func:`check_name` refuses."""
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
        By path relative to the session (its name already checked): how to open it, its size in
        bytes.
    registered
        Headers of what the session already has. A file of the same name is replaced by the new
        one and so does not count.
    look
        Looks into a file: the server does so in a process apart.
    unreachable
        What is raised when a file cannot be read at all for the moment; this is no fault of the
        file and is passed on. Any other error in the check of a file is that file's problem.

    Returns
    -------
    headers
        What each good file says of itself, by path.
    problems
        What is wrong with each other file, by path.
    """
    headers: dict[str, Header] = {}
    problems: dict[str, ALFError] = {}
    for path, (opened, size) in files.items():
        try:
            headers[path] = look(path, opened, size)
        except ALFError as error:
            problems[path] = error
        except ModuleNotFoundError as error:
            # A rig's install has no libraries of arrays and tables: the server looks into them.
            note = f"not looked into here, as {error.name} is not installed; the server does"
            headers[path] = Header(notes=(note,))
        except unreachable:
            raise
        except Exception as error:  # whatever a parser does: one bad file stops no other
            problems[path] = FileInvalid(
                path,
                "content",
                type(error).__name__,
                f"the file cannot be read: {str(error)[:200]}",
                "open it on the rig; if it is damaged there too, leave it out",
            )
    for unequal in _unequal_rows(headers, registered or {}):
        problems[unequal.where] = unequal
    return {path: found for path, found in headers.items() if path not in problems}, problems


def _unequal_rows(
    new: Mapping[str, Header], registered: Mapping[str, Header]
) -> list[RowsInconsistent]:
    """Return a problem for each new file that does not go with the rest of its object."""
    problems = {problem.where: problem for problem in check_rows(new)}
    good = {path: found for path, found in new.items() if path not in problems}
    names = {parse_dataset_path(path).without_revision for path in good}
    kept = {
        path: found
        for path, found in registered.items()
        if parse_dataset_path(without_uuid(path)).without_revision not in names
    }
    # What is registered is right by definition: where the two disagree, the new files go.
    for clash in check_rows({**kept, **good}):
        table = _table(clash.where)
        blamed = [clash.where] if clash.where in good else list(good)
        for path in blamed:
            rows = good[path].rows
            if _table(path) == table and rows not in (None, 1):
                problems[path] = RowsInconsistent(path, "rows", str(rows), clash.rule, clash.fix)
    return list(problems.values())


def _table(path: str) -> tuple[str, str, str | None, tuple[str, ...] | None]:
    """Return what tells one table of a session from another."""
    parsed = parse_dataset_path(without_uuid(path))
    expected = dimensions(parsed.filename)
    return parsed.collection, parsed.object, parsed.extra, expected and expected[:1]
