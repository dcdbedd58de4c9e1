"""Identities: ids made from content, and the paths of datasets."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from shared.model.prefixes import DATA

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def is_uuid(text: Any) -> bool:
    """Return whether a value is a UUID as ids are stored: lower case, with dashes."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


BESIDE = "~"
"""Separates, in an animal's key, the nickname from the digits that make the key unique. No
nickname contains it (`shared.alf.names`)."""


def animal_key(nickname: str, identity: str) -> str:
    """Return the key of an animal whose nickname is already another animal's key.

    The key of the first animal of a nickname is the nickname. Animals of other labs with the same
    nickname add the first eight digits of their ids. Records name an animal by its key, so
    records of two animals never mix.
    """
    return f"{nickname}{BESIDE}{identity[:8]}"


def nickname_of(key: str) -> str:
    """Return the nickname in an animal's key."""
    return key.partition(BESIDE)[0]


class SessionKey(msgspec.Struct, frozen=True):
    """The natural key of a session; ``date`` is ``YYYY-MM-DD`` on the lab's clock.

    ``subject`` is the nickname (unique within the lab) or the animal's key.
    """

    lab: str
    subject: str
    date: str
    number: int

    @property
    def folder(self) -> str:
        """``lab/Subjects/subject/date/NNN``, the folder below a repository."""
        return f"{self.lab}/Subjects/{self.short}"

    @property
    def short(self) -> str:
        """``subject/date/NNN``."""
        return f"{nickname_of(self.subject)}/{self.date}/{int(self.number):03d}"


def dataset_path(collection: str | None, revision: str | None, name: str) -> str:
    """Return a dataset's path below its session: ``collection/#revision#/name``."""
    parts = [collection or "", f"#{revision}#" if revision else "", name]
    return "/".join(part for part in parts if part)


@lru_cache(8192)
def split_path(path: str) -> tuple[str, str | None, str]:
    """Return the (collection, revision, name) of a dataset's path."""
    folder, _, name = path.rpartition("/")
    parent, _, last = folder.rpartition("/")
    if len(last) > 2 and last.startswith("#") and last.endswith("#"):
        return parent, last[1:-1], name
    return folder, None, name


@lru_cache(8192)  # a page shows each id several times
def dashed(digits: str) -> str:
    """Return 32 hexadecimal digits as a UUID with dashes."""
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def uuid4_from(prefix: str, *parts: str) -> str:
    """Return a UUID in the form of version 4 that depends only on the arguments.

    Parameters
    ----------
    prefix : str
        Up to 12 hexadecimal digits that it starts with (those of the session's id, so that a
        dataset's id leads to its session without an index).
    *parts : str
        Texts that identify the thing.
    """
    digits = (prefix + hashlib.sha256("\x1f".join(parts).encode()).hexdigest())[:32]
    variant = "89ab"[int(digits[16], 16) & 3]
    return dashed(f"{digits[:12]}4{digits[13:16]}{variant}{digits[17:]}")


def dataset_id(session: str, path: str) -> str:
    """Return the id of a session's dataset, made from its path.

    It is a UUID in the form of version 4. Its first 12 digits are those of the session's id.
    """
    prefix = "" if "#" in session else session.replace("-", "")[:12]
    return uuid4_from(prefix, session, path)


def row_id(row: Mapping[str, Any]) -> str:
    """Return the id of a dataset by its row of the search index."""
    return row.get("foreign_id") or dataset_id(row["session"], row["path"])


def data_key(folder: str, path: str, identity: str) -> str:
    """Return the key of a dataset's bytes in the data bucket.

    Parameters
    ----------
    folder : str
        The session's folder at registration. For an aggregate, the folder of its record.
    path, identity : str
        The dataset's path below the folder, and its id.
    """
    return f"{DATA}{folder}/{with_uuid(path, identity)}"


def with_uuid(path: str, identity: str) -> str:
    """Return a path with a dataset's id before the extension, as files are stored."""
    stem, dot, extension = path.rpartition(".")
    return f"{stem}.{identity}.{extension}" if dot else f"{path}.{identity}"
