r"""What names may be, by kind: one grammar for all ways in.

A name that is a folder or a file somewhere must be one on every system that meets it: Linux,
macOS and Windows, S3, a web address. So separators, control characters, ``..``, a dot or space at
the end and Windows' device names are refused everywhere.

Letters of any script are allowed where both the ONE convention (``\w``) and Alyx (``\w`` in its
validators of nicknames) allow them: an animal called ``größe_5`` in Alyx can be imported, so it
can be made here. They have one normal form, NFKC (Unicode Annex 15): a name that looks the same
is the same. Names of laboratories and of users are ASCII: those are parts of queues' and roles'
names in AWS, these tell people who somebody is.
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
"""Characters no file name of Windows has (Microsoft, "Naming Files")."""


class Kind(NamedTuple):
    """A kind of name: its pattern, the same in words, its greatest length."""

    pattern: str
    rule: str
    maximum: int


_ANY = r".+"
KINDS: dict[str, Kind] = {
    "lab": Kind(
        r"[a-zA-Z][a-zA-Z0-9_]*",
        "only ASCII letters, digits and underscores, beginning with a letter",
        41,  # a queue's name in SQS has 80 characters, with what is before and after
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
"""Kinds of names. A label is part of an address (tag, project, repository …); a term of a list
of words may have slashes (``Behavior training/tasks``)."""

FOLDERS = frozenset({"lab", "subject", "revision", "folder", "dataset"})
"""Kinds that are folders or files somewhere."""


def check(kind: str, text: str) -> None:
    """Refuse what is no name of a kind.

    Parameters
    ----------
    kind : str
        One of `KINDS`, or ``collection``: folders with slashes between them.
    text : str

    Raises
    ------
    ValueError
        That says what is wrong and what the rule is.
    """
    if kind == "collection":
        if len(text) > KINDS["folder"].maximum:
            raise ValueError(f"At most {KINDS['folder'].maximum} characters.")
        for folder in text.split("/"):
            check("folder", folder)
        return
    rule = KINDS[kind]
    shown = text[:60].encode("unicode_escape", "replace").decode() if text else "an empty name"
    if len(text) > rule.maximum:
        raise ValueError(f"At most {rule.maximum} characters.")
    if not text.isprintable() or not text.strip():
        raise ValueError(f"{shown}: a name has no control characters and is not empty.")
    if text != text.strip():
        raise ValueError(f"{text!r}: a name has no space at its beginning or end.")
    if kind != "term" and re.search(r"[/\\]", text):
        raise ValueError(f"{text!r}: a name has no slashes.")
    if unicodedata.normalize("NFKC", text) != text:
        normal = unicodedata.normalize("NFKC", text)
        raise ValueError(f"{shown}: write it in its normal form, {normal!r}.")
    if kind in FOLDERS:
        _check_folder(text)
    if not re.fullmatch(rule.pattern, text):
        raise ValueError(f"{text!r}: {rule.rule}.")


def _check_folder(text: str) -> None:
    if set(text) <= {"."} or text.endswith("."):
        raise ValueError(f"{text!r}: a name is not made of dots and does not end with one.")
    if found := set(text) & set(UNSAFE):
        raise ValueError(f"{text!r}: a file's name cannot have {' '.join(sorted(found))}.")
    if text.partition(".")[0].strip().casefold() in DEVICES:
        raise ValueError(f"{text!r}: Windows keeps this name for a device.")


def is_name(kind: str, text: str) -> bool:
    """Return whether a text is a name of a kind."""
    try:
        check(kind, text)
    except ValueError:
        return False
    return True


def look(text: str) -> str:
    """Return what a name looks like: two names of one look are taken for each other.

    Capitals do not tell folders apart on Windows and macOS.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


_ALIKE = (("0", "o"), ("1", "l"), ("i", "l"), ("rn", "m"), ("vv", "w"))


def look_of_user(username: str) -> str:
    """Return what a user's name looks like, in any font: 0 is o, 1 and i are l, rn is m."""
    shown = look(username)
    for one, other in _ALIKE:
        shown = shown.replace(one, other)
    return shown


def check_path(path: str) -> None:
    """Refuse a path below a session whose folders or file are no names.

    Parameters
    ----------
    path : str
        With ``/``; the last folder may be a revision between two ``#``.

    Raises
    ------
    ValueError
        That says which part is wrong.
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
    """Refuse arguments of a task whose folders are no collections: the worker writes there.

    Parameters
    ----------
    arguments : object
        A JSON value; what is below a key that ends in ``collection`` or ``revision`` is checked.

    Raises
    ------
    ValueError
        That names the argument.
    """
    if isinstance(arguments, dict):
        for key, value in arguments.items():
            kind = next((k for k in ("collection", "revision") if str(key).endswith(k)), None)
            for each in value if isinstance(value, list) else [value]:
                if kind and isinstance(each, str) and each:
                    try:
                        check(kind, each)
                    except ValueError as error:
                        raise ValueError(f"{key}: {error}") from None
                elif isinstance(each, (dict, list)):
                    check_arguments(each)
    elif isinstance(arguments, list):
        for each in arguments:
            check_arguments(each)
