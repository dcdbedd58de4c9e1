r"""The ONE/ALF grammar as data, and the regular expressions built from it.

A full path is ``lab/Subjects/subject/date/number/collection/#revision#/filename`` and a file
name is ``_namespace_object.attribute_timescale.extra.extension``. ``PARTS`` holds one row per
part; ``TEMPLATES`` join the parts. No other module of Fornix knows the grammar.

Source: the ONE convention (Rossant et al., "Open Neurophysiology Environment"), as accepted by
ONE-api 3.6.1. That client's pattern matches unanchored, or up to a final newline; this one matches
the whole text or nothing. Folders named ``.``, ``..`` or nothing are refused, because they would
leave the session.
"""

from __future__ import annotations

import re
from functools import cache

import msgspec


class Part(msgspec.Struct, frozen=True):
    r"""One part of a path: its pattern, and the rule in words.

    Attributes
    ----------
    pattern : str
        Regular expression of the accepted text (Python ``re``; ``\w`` is Unicode).
    rule : str
        The pattern in words.
    example : str
        A valid value.
    description : str
        Meaning of the part.
    """

    pattern: str
    rule: str
    example: str
    description: str


# A folder of a collection: word characters, dots and dashes, but not the names "." and "..".
_FOLDER = r"(?!\.{1,2}(?:/|$))[\w.-]+"

PARTS: dict[str, Part] = {
    "lab": Part(
        r"\w+",
        "letters, digits and underscores, followed by the folder 'Subjects'",
        "cortexlab",
        "the laboratory's name",
    ),
    "subject": Part(
        _FOLDER,
        "letters, digits, underscores, dots and dashes",
        "SWC_054",
        "the animal's nickname",
    ),
    "date": Part(
        r"[0-9]{4}-[0-9]{2}-[0-9]{2}",
        "a calendar date written YYYY-MM-DD",
        "2020-03-23",
        "the local date on which the session started",
    ),
    "number": Part(
        r"[0-9]{1,3}",
        "one to three digits, written with three",
        "001",
        "the session's number on that day",
    ),
    "collection": Part(
        rf"{_FOLDER}(?:/{_FOLDER})*",
        "folders of letters, digits, underscores, dots and dashes, separated by '/'",
        "alf/probe00",
        "the folders that group a session's files, for example by probe or task",
    ),
    "revision": Part(
        r"[\w.-]+",
        "letters, digits, underscores, dots and dashes between two '#', as the last folder",
        "2024-05-06",
        "the version of a file that replaces an earlier one; compared as text",
    ),
    "namespace": Part(
        r"[a-zA-Z0-9]+",
        "ASCII letters and digits between two underscores",
        "ibl",
        "who defines the object, when it is not a community standard",
    ),
    "object": Part(
        r"\w+",
        "letters, digits and underscores",
        "trials",
        "the thing that the file's rows are; all files of an object have as many rows",
    ),
    "attribute": Part(
        r"(?:_[a-z]+_)?[a-zA-Z0-9]+(?:_(?:times|intervals)(?=[_.]|$))?",
        "ASCII letters and digits, optionally ending in '_times' or '_intervals'",
        "goCue_times",
        "what the file says about its object",
    ),
    "timescale": Part(
        r"\w+",
        "letters, digits and underscores",
        "bpod",
        "the clock of the times, when it is not the session's universal clock",
    ),
    "extra": Part(
        r"[\w.-]+",
        "letters, digits, underscores and dashes, in any number of parts joined by dots",
        "part01",
        "anything that makes the name unique, for example a UUID or a part number",
    ),
    "extension": Part(
        r"\w+",
        "letters, digits and underscores",
        "npy",
        "the file format",
    ),
}

TEMPLATES: dict[str, str] = {
    "session": "(?:{lab}/Subjects/)?{subject}/{date}/{number}",
    "folder": "(?:{collection}/)?(?:#{revision}#/)?",
    # A namespace needs underscores around it and an object after it.
    "file": r"(?:_{namespace}_)?{object}\.{attribute}(?:_{timescale})?(?:\.{extra})?\.{extension}",
}
TEMPLATES["dataset"] = TEMPLATES["folder"] + TEMPLATES["file"]
TEMPLATES["full"] = TEMPLATES["session"] + "/" + TEMPLATES["dataset"]


@cache
def regex(template: str) -> re.Pattern[str]:
    """Return the compiled expression of a template, one named group per part.

    Parameters
    ----------
    template : {'session', 'folder', 'file', 'dataset', 'full'}
        Kind of text to match; use the expression with ``fullmatch``.
    """
    groups = {name: f"(?P<{name}>{part.pattern})" for name, part in PARTS.items()}
    # Not str.format: the parts' patterns contain braces, as in "{4}".
    text = re.sub(r"\{([a-z]+)\}", lambda m: groups[m[1]], TEMPLATES[template])
    return re.compile(text)


@cache
def part_regex(part: str) -> re.Pattern[str]:
    """Return the compiled expression of one part alone; use it with ``fullmatch``."""
    return re.compile(PARTS[part].pattern)


def describe() -> str:
    """Return the grammar as a table in plain text: part, rule, example, meaning."""
    return "\n".join(
        f"{name:<11} {part.example:<12} {part.description} ({part.rule})"
        for name, part in PARTS.items()
    )
