r"""Valid names, by kind: one grammar for all inputs.

A name of a folder or file must be valid on every system: Linux, macOS and Windows, S3, web
addresses. So separators, control characters, ``..``, a dot or space at the end and Windows' device
names are refused everywhere.

Letters of any script are allowed if both the ONE convention (``\w``) and Alyx (``\w`` in its
validators of nicknames) allow them: an animal called ``größe_5`` in Alyx can be imported, so it
can be made here. Names have one normal form, NFKC (Unicode Annex 15), so that names that look the
same are the same. Names of laboratories and users are ASCII: the former are parts of names of
queues and roles in AWS, the latter must identify people.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

DEVICES = frozenset({"con", "prn", "aux", "nul"}) | {
    f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³"
}
"""Names that are devices on Windows, with any extension (Microsoft, "Naming Files")."""

UNSAFE = '<>:"/\\|?*'
"""Characters that file names of Windows cannot have (Microsoft, "Naming Files")."""


class Kind(NamedTuple):
    """A kind of name: its pattern, the rule in words, its greatest length."""

    pattern: str
    rule: str
    maximum: int


_ANY = r".+"
KINDS: dict[str, Kind] = {
    "lab": Kind(
        r"[a-zA-Z][a-zA-Z0-9_]*",
        "only ASCII letters, digits and underscores, beginning with a letter",
        41,  # a queue's name in SQS has at most 80 characters, with prefix and suffix
    ),
    "user": Kind(
        r"[a-zA-Z0-9_][a-zA-Z0-9_.@+-]*",
        "only ASCII letters, digits and @ . + - _, beginning with a letter, digit or _",
        150,
    ),
    "subject": Kind(r"[\w.-]+", "only letters, digits, dots, hyphens and underscores", 64),
    "revision": Kind(r"[\w.-]+", "only letters, digits, dots, hyphens and underscores", 255),
    "folder": Kind(r"[\w.-]+", "only letters, digits, dots, hyphens and underscores", 255),
    "dataset": Kind(_ANY, "a file's name", 255),
    "label": Kind(_ANY, "printable characters", 255),
    "term": Kind(_ANY, "printable characters", 255),
}
"""Kinds of names. A label is part of an address (tag, project, repository …). A term is an entry
of a list of words and may have slashes (``Behavior training/tasks``)."""

FOLDERS = frozenset({"lab", "subject", "revision", "folder", "dataset"})
"""Kinds that name folders or files."""


def check(kind: str, text: str) -> None:
    """Refuse a text that is no valid name of a kind.

    Parameters
    ----------
    kind : str
        One of `KINDS`, or ``collection``: folders with slashes between them.
    text : str

    Raises
    ------
    ValueError
        With the fault and the rule.
    """
    if kind == "collection":
        if len(text) > KINDS["folder"].maximum:
            raise ValueError(f"At most {KINDS['folder'].maximum} characters.")
        for folder in text.split("/"):
            check("folder", folder)
        return
    rule = KINDS[kind]
    quoted = text[:60].encode("unicode_escape", "replace").decode() if text else "an empty name"
    if len(text) > rule.maximum:
        raise ValueError(f"At most {rule.maximum} characters.")
    if not text.isprintable() or not text.strip():
        raise ValueError(f"{quoted}: a name has no control characters and is not empty.")
    if text != text.strip():
        raise ValueError(f"{text!r}: a name has no space at its beginning or end.")
    if kind != "term" and re.search(r"[/\\]", text):
        raise ValueError(f"{text!r}: a name has no slashes.")
    if unicodedata.normalize("NFKC", text) != text:
        normal = unicodedata.normalize("NFKC", text)
        raise ValueError(f"{quoted}: write it in its normal form, {normal!r}.")
    if kind in FOLDERS:
        _check_folder(text)
    if not re.fullmatch(rule.pattern, text):
        raise ValueError(f"{text!r}: {rule.rule}.")


def _check_folder(text: str) -> None:
    if set(text) <= {"."} or text.endswith("."):
        raise ValueError(f"{text!r}: a name is not made of dots and does not end with one.")
    if invalid := set(text) & set(UNSAFE):
        raise ValueError(f"{text!r}: a file's name cannot have {' '.join(sorted(invalid))}.")
    if text.partition(".")[0].strip().casefold() in DEVICES:
        raise ValueError(f"{text!r}: Windows keeps this name for a device.")


def is_name(kind: str, text: str) -> bool:
    """Return whether a text is a valid name of a kind."""
    try:
        check(kind, text)
    except ValueError:
        return False
    return True


def look(text: str) -> str:
    """Return the look of a name; names with equal looks are mistaken for each other.

    Windows and macOS ignore the case of folder names.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


_ALIKE = (("0", "o"), ("1", "l"), ("i", "l"), ("rn", "m"), ("vv", "w"))


def look_of_user(username: str) -> str:
    """Return the look of a user's name in any font: 0 is o, 1 and i are l, rn is m."""
    name_look = look(username)
    for part, other in _ALIKE:
        name_look = name_look.replace(part, other)
    return name_look


def check_path(path: str) -> None:
    """Refuse a path below a session with an invalid folder or file name.

    Parameters
    ----------
    path : str
        With ``/``; the last folder may be a revision between two ``#``.

    Raises
    ------
    ValueError
        With the invalid part.
    """
    *folders, name = path.split("/")
    for i, folder in enumerate(folders):
        last = i == len(folders) - 1
        if last and len(folder) > 2 and folder[0] == folder[-1] == "#":
            check("revision", folder[1:-1])
        else:
            check("folder", folder)
    check("dataset", name)


def check_arguments(arguments: object) -> None:
    """Refuse arguments of a task with invalid collections, because the worker writes there.

    Parameters
    ----------
    arguments : object
        A JSON value; values of keys that end in ``collection`` or ``revision`` are checked.

    Raises
    ------
    ValueError
        With the name of the argument.
    """
    if isinstance(arguments, dict):
        for key, value in arguments.items():
            kind = next((k for k in ("collection", "revision") if str(key).endswith(k)), None)
            for item in value if isinstance(value, list) else [value]:
                if kind and isinstance(item, str) and item:
                    try:
                        check(kind, item)
                    except ValueError as error:
                        raise ValueError(f"{key}: {error}") from None
                elif isinstance(item, (dict, list)):
                    check_arguments(item)
    elif isinstance(arguments, list):
        for item in arguments:
            check_arguments(item)
