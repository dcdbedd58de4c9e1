"""Parse, build and validate the paths of sessions and datasets.

Parsing a valid path and building it again gives the same text. An invalid path raises
:class:`~shared.alf.errors.ALFInvalid`, which names the part and the fix.
"""

from __future__ import annotations

import datetime
from typing import NoReturn
from uuid import UUID

import msgspec

from .errors import ALFInvalid
from .spec import PARTS, part_regex, regex

MAX_NAME_BYTES = 255
"""Longest file or folder name of common file systems, in bytes of UTF-8."""


class SessionPath(msgspec.Struct, frozen=True, order=True):
    """A session: one subject, one day, one number.

    Attributes
    ----------
    lab : str or None
        Laboratory, if the path has the ``lab/Subjects/`` form.
    subject : str
        Nickname of the subject.
    date : datetime.date
        Local date of the session's start.
    number : int
        Number of the session on that day, 0 to 999.

    Raises
    ------
    ALFInvalid
        A part does not follow the grammar.
    """

    lab: str | None
    subject: str
    date: datetime.date
    number: int

    def __post_init__(self) -> None:
        where = self.build()
        if self.lab is not None:
            _check("lab", self.lab, where)
        _check("subject", self.subject, where)
        if not 0 <= self.number <= 999:
            _refuse(where, "number", str(self.number), "use a number from 0 to 999")

    def build(self) -> str:
        """Return the canonical path: three-digit number, lab with its ``Subjects`` folder."""
        prefix = "" if self.lab is None else f"{self.lab}/Subjects/"
        return f"{prefix}{self.subject}/{self.date.isoformat()}/{self.number:03d}"

    __str__ = build

    @property
    def short(self) -> str:
        """The path without the laboratory: ``subject/date/number``."""
        return msgspec.structs.replace(self, lab=None).build()


class DatasetPath(msgspec.Struct, frozen=True):
    """A dataset's path within its session, in parts.

    Attributes
    ----------
    collection : str
        Folders, joined by ``/``; empty for none.
    revision : str
        Revision without its ``#``; empty for none.
    namespace, timescale, extra : str or None
        Optional parts of the name.
    object, attribute, extension : str
        Required parts of the name.

    Raises
    ------
    ALFInvalid
        A part does not follow the grammar, or the path would be parsed into other parts.
    """

    collection: str = ""
    revision: str = ""
    namespace: str | None = None
    object: str = ""
    attribute: str = ""
    timescale: str | None = None
    extra: str | None = None
    extension: str = ""

    def __post_init__(self) -> None:
        where = self.build()
        for part in ("collection", "revision", "namespace", "timescale", "extra"):
            if text := getattr(self, part):
                _check(part, text, where)
            elif part in ("namespace", "timescale", "extra") and text is not None:
                _refuse(where, part, text, f"leave the {part} out by giving None")
        for part in ("object", "attribute", "extension"):
            _check(part, getattr(self, part), where)
        self._check_lengths(where)
        match = regex("dataset").fullmatch(where)
        read = match.groupdict() if match else {}
        for part in ("namespace", "object", "attribute", "timescale", "extra", "extension"):
            if read.get(part) != getattr(self, part):
                text = getattr(self, part) or ""
                _refuse(where, part, text, f"choose parts that read back: {where} does not")

    def _check_lengths(self, where: str) -> None:
        for name in where.split("/"):
            if len(name.encode()) > MAX_NAME_BYTES:
                raise ALFInvalid(
                    where,
                    "name",
                    name,
                    f"longer than {MAX_NAME_BYTES} bytes",
                    "shorten the name",
                )

    @property
    def filename(self) -> str:
        """The file's name without folders."""
        namespace = "" if self.namespace is None else f"_{self.namespace}_"
        timescale = "" if self.timescale is None else f"_{self.timescale}"
        extra = "" if self.extra is None else f".{self.extra}"
        return f"{namespace}{self.object}.{self.attribute}{timescale}{extra}.{self.extension}"

    def build(self) -> str:
        """Return the path relative to the session's folder."""
        collection = f"{self.collection}/" if self.collection else ""
        revision = f"#{self.revision}#/" if self.revision else ""
        return collection + revision + self.filename

    __str__ = build

    @property
    def without_revision(self) -> str:
        """The path without its revision folder, common to all revisions of a dataset."""
        return msgspec.structs.replace(self, revision="").build()


def parse_session_path(path: str) -> SessionPath:
    """Read ``[lab/Subjects/]subject/YYYY-MM-DD/number``.

    A number written with fewer than three digits is accepted and padded by ``build``.

    Raises
    ------
    ALFInvalid
        The text as a whole is not a session path; the date is not in the calendar.
    """
    match = regex("session").fullmatch(path)
    if match is None:
        _explain_session(path)
    try:
        date = datetime.date.fromisoformat(match["date"])
    except ValueError:
        _refuse(path, "date", match["date"], "use a date that is in the calendar")
    return SessionPath(match["lab"], match["subject"], date, int(match["number"]))


def parse_dataset_path(relative_path: str) -> DatasetPath:
    """Read ``[collection/][#revision#/]name``, a path relative to a session.

    Raises
    ------
    ALFInvalid
        The text as a whole is not a dataset's path.
    """
    match = regex("dataset").fullmatch(relative_path)
    if match is None:
        _explain_dataset(relative_path)
    parts = match.groupdict()
    parts["collection"] = parts["collection"] or ""
    parts["revision"] = parts["revision"] or ""
    return DatasetPath(**parts)


def split_session(path: str) -> tuple[SessionPath, str]:
    """Split a path into its session and the path of the dataset within it.

    Parameters
    ----------
    path : str
        ``[lab/Subjects/]subject/date/number/relative/path``, without anything before.

    Returns
    -------
    session : SessionPath
        The session.
    relative_path : str
        The rest, not validated, without its leading ``/``; empty if nothing follows.
    """
    folders = path.split("/")
    depth = 5 if len(folders) > 1 and folders[1] == "Subjects" else 3
    return parse_session_path("/".join(folders[:depth])), "/".join(folders[depth:])


def is_valid(path: str, template: str = "dataset") -> bool:
    """Return whether a text is a valid path.

    Parameters
    ----------
    path : str
        The text.
    template : {'session', 'file', 'dataset', 'full'}
        Kind of path.
    """
    try:
        if template == "session":
            parse_session_path(path)
        elif template == "full":
            parse_dataset_path(split_session(path)[1])
        else:
            parsed = parse_dataset_path(path)
            return template == "dataset" or parsed.filename == path
    except ALFInvalid:
        return False
    return True


def is_uuid(text: str) -> bool:
    """Return whether a text is a canonical UUID that ONE clients accept (version 3, 4, 5)."""
    try:
        uuid = UUID(text)
    except ValueError:
        return False
    return str(uuid) == text and uuid.version in (3, 4, 5)


def with_uuid(name: str, uuid: UUID | str) -> str:
    """Put a dataset's UUID before the extension; an existing UUID is replaced.

    Parameters
    ----------
    name : str
        File name, or a path that ends in one: ``alf/spikes.times.npy``.
    uuid : UUID or str
        The dataset's identifier.

    Returns
    -------
    str
        ``alf/spikes.times.<uuid>.npy``

    Raises
    ------
    ALFInvalid
        The name has no extension, or the identifier is not a UUID of version 3, 4 or 5.
    """
    if not is_uuid(str(uuid)):
        raise ALFInvalid(
            name,
            "extra",
            str(uuid),
            "not a UUID of version 3, 4 or 5 in canonical form",
            "use the dataset's identifier",
        )
    stem, dot, extension = without_uuid(name).rpartition(".")
    if not dot or not stem or "/" in extension:
        _refuse(name, "extension", "", "end the name in an extension, e.g. '.npy'")
    return f"{stem}.{uuid}.{extension}"


def without_uuid(name: str) -> str:
    """Return a file name or path without the dataset's UUID; other names stay as they are."""
    stem, dot, extension = name.rpartition(".")
    rest, dot, uuid = stem.rpartition(".")
    return f"{rest}.{extension}" if dot and rest and is_uuid(uuid) else name


def uuid_in(name: str) -> UUID | None:
    """Return the UUID before the extension of a file name; None if there is none."""
    text = name.rpartition(".")[0].rpartition(".")[2]
    return UUID(text) if is_uuid(text) else None


def _check(part: str, text: str, where: str) -> None:
    """Raise unless the text is a valid value of the part."""
    if part_regex(part).fullmatch(text) is None:
        _refuse(where, part, text)


def _refuse(where: str, part: str, text: str, fix: str | None = None) -> NoReturn:
    """Raise the error about one part of a path; the fix defaults to an example of the part."""
    rule = f"{part} is {PARTS[part].rule}"
    raise ALFInvalid(where, part, text, rule, fix or f"rename it, for example {_example(part)}")


def _example(part: str) -> str:
    return repr(PARTS[part].example)


def _explain_session(path: str) -> NoReturn:
    """Raise the error about the first invalid part of a session path."""
    if "\\" in path:
        _refuse(path, "subject", path, "separate folders by '/'")
    folders = path.split("/")
    if len(folders) == 5 and folders[1] != "Subjects":
        _refuse(path, "lab", folders[1], "name the folder under the lab 'Subjects'")
    if len(folders) == 5:
        _check("lab", folders[0], path)
        folders = folders[2:]
    if len(folders) != 3:
        missing = ("subject", "date", "number")[min(len(folders), 2)]
        _refuse(path, missing, path, "write [lab/Subjects/]subject/YYYY-MM-DD/NNN and no more")
    for part, text in zip(("subject", "date", "number"), folders, strict=True):
        _check(part, text, path)
    raise AssertionError(f"the grammar refuses {path!r} but each part is valid")


def _explain_dataset(path: str) -> NoReturn:
    """Raise the error about the first invalid part of a dataset's path."""
    if "\\" in path:
        _refuse(path, "collection", path, "separate folders by '/'")
    *folders, name = path.split("/")
    for i, folder in enumerate(folders):
        if folder.startswith("#") or folder.endswith("#"):
            if i != len(folders) - 1:
                _refuse(path, "revision", folder, "put the revision last, just before the file")
            if len(folder) < 3 or folder[0] != "#" or folder[-1] != "#":
                _refuse(path, "revision", folder)
            _check("revision", folder[1:-1], path)
        else:
            _check("collection", folder, path)
    _explain_filename(path, name)


def _explain_filename(path: str, name: str) -> NoReturn:
    """Raise the error about the first invalid part of a file name."""
    if name.startswith("."):
        fix = "leave hidden files and macOS '._' files out of the session"
        _refuse(path, "object", name, fix)
    dots = name.split(".")
    if len(dots) < 3:
        part = "attribute" if len(dots) == 2 else "extension"
        fix = "name it object.attribute.extension, for example 'trials.intervals.npy'"
        _refuse(path, part, name, fix)
    first, second, *extra, extension = dots
    _check("object", first, path)
    _check("extension", extension, path)
    if extra:
        _check("extra", ".".join(extra) or ".", path)
    attribute, _, timescale = second.partition("_")
    if second.endswith("_") and timescale.strip("_") == "":
        _refuse(path, "timescale", "", "leave the last underscore out")
    _check("attribute", attribute or second, path)
    _refuse(path, "attribute", second)
