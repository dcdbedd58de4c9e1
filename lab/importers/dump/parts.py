"""Conversions of single fields of an Alyx model to fields of a resource."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from lab.importers.alyx_rows import RowUnfit
from lab.importers.carrier import Row
from lab.importers.dump.shelf import Shelf, Shelved

EMPTY: tuple[Any, ...] = (None, "", [], {})
"""Values that count as empty."""


class DumpContext(Protocol):
    """The part of the running import that conversions use."""

    shelf: Shelf

    def reference(self, model: str, value: Any) -> str:
        """Return the name here of the row that a reference points to."""

    def identity(self, row: Shelved) -> str:
        """Return a row's UUID: its primary key, else one derived from it."""

    def instant(self, text: str) -> str:
        """Return a time of the server's clock with the server's zone, if known."""

    def canonical(self, model: str) -> str:
        """Return the name of a model, also for a proxy."""

    def note(self, text: str, n: int = 1) -> None:
        """Add a remark to the report."""


Read = Callable[[DumpContext, Shelved, Any], Any]


@dataclass(frozen=True)
class CarriedField:
    """One field of a model that is carried.

    Attributes
    ----------
    field, to : str
        Its name in Alyx, and here.
    read : callable, optional
        Returns the value to send; by default the value is unchanged.
    always : bool
        Whether an empty value is sent too, because the server would fill in another.
    model : str
        Model that the field refers to.
    is_list : bool
        Whether it is a list of references.
    codes : dict, optional
        Numbers of Alyx that stand for words.
    kind : str
        ``time``, ``day``, ``number`` or empty.
    """

    field: str
    to: str
    read: Read | None = None
    always: bool = False
    model: str = ""
    is_list: bool = False
    codes: Mapping[Any, str] | None = None
    kind: str = ""


def same(*names: str) -> tuple[CarriedField, ...]:
    """Return fields that are carried unchanged; ``old>new`` changes the name."""
    pairs = (name.partition(">") for text in names for name in text.split())
    return tuple(CarriedField(old, new or old) for old, _, new in pairs)


class Lost(Exception):
    """The target of a reference does not exist here; the message says why."""


class PartOf(Exception):
    """The row becomes a part of another one.

    Parameters
    ----------
    name : str
        Name of that row here.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _is_empty(field: str, value: Any, *, needed: bool) -> bool:
    """Return whether there is no value; raise if a ``needed`` value is missing."""
    if value in EMPTY and needed:
        raise RowUnfit(f"it has no {field.replace('_', ' ')}")
    return value in EMPTY


def one(
    field: str, model: str, *, to: str = "", needed: bool = False, always: bool = False
) -> CarriedField:
    """Return a reference; a row without a ``needed`` reference is unfit."""

    def read(job: DumpContext, row: Shelved, value: Any) -> str | None:
        if _is_empty(field, value, needed=needed):
            return None
        try:
            return job.reference(model, value)
        except Lost as problem:
            if needed:
                raise RowUnfit(f"its {field.replace('_', ' ')} {problem}") from None
            job.note(f"{row.model}: {field} left empty, since it {problem}")
            return None

    return CarriedField(field, to or field, read, always, model)


def many(field: str, model: str, *, to: str = "", always: bool = False) -> CarriedField:
    """Return a list of references, without missing targets."""

    def read(job: DumpContext, row: Shelved, value: Any) -> list[str]:
        if not isinstance(value or [], list):
            raise RowUnfit(f"its {field.replace('_', ' ')} are not a list")
        names = []
        for reference in value or []:
            try:
                names.append(job.reference(model, reference))
            except Lost as problem:
                job.note(f"{row.model}: one of {field} left out, since it {problem}")
        return names

    return CarriedField(field, to or field, read, always, model, is_list=True)


def time(field: str, *, to: str = "", needed: bool = False, server: bool = False) -> CarriedField:
    """Return a time; ``server``: by the server's clock, not the lab's."""

    def read(job: DumpContext, row: Shelved, value: Any) -> str | None:
        if _is_empty(field, value, needed=needed):
            return None
        try:
            dt.datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise RowUnfit(f"its {field.replace('_', ' ')} is no time") from None
        return job.instant(value) if server else value

    return CarriedField(field, to or field, read, kind="time")


def day(field: str, *, to: str = "", needed: bool = False) -> CarriedField:
    """Return a date."""

    def read(job: DumpContext, row: Shelved, value: Any) -> str | None:
        if _is_empty(field, value, needed=needed):
            return None
        try:
            return dt.date.fromisoformat(value[:10]).isoformat()
        except (TypeError, ValueError):
            raise RowUnfit(f"its {field.replace('_', ' ')} is no date") from None

    return CarriedField(field, to or field, read, kind="day")


def number(field: str, *, to: str = "", whole: bool = False) -> CarriedField:
    """Return a number."""

    def read(job: DumpContext, row: Shelved, value: Any) -> float | int | None:
        if value in EMPTY:
            return None
        try:
            if isinstance(value, bool):
                raise ValueError
            return int(value) if whole else value if type(value) is int else float(value)
        except (TypeError, ValueError, OverflowError):
            raise RowUnfit(f"its {field.replace('_', ' ')} is no number") from None

    return CarriedField(field, to or field, read, kind="number")


def coded(field: str, codes: dict[Any, str], *, to: str = "") -> CarriedField:
    """Return a number that stands for a word."""

    def read(job: DumpContext, row: Shelved, value: Any) -> str | None:
        if value in EMPTY:
            return None
        try:
            return codes[value]
        except (KeyError, TypeError):
            raise RowUnfit(f"its {field.replace('_', ' ')} is not one that Alyx has") from None

    return CarriedField(field, to or field, read, codes=codes)


def is_uuid(text: Any) -> bool:
    """Return whether a text is a UUID."""
    try:
        return str(UUID(str(text))) == str(text).lower()
    except ValueError:
        return False


Finish = Callable[[DumpContext, Shelved, Row], None]
"""Changes a row before it is sent; raises :class:`RowUnfit`."""
