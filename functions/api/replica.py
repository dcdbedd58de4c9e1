"""The replica: the labs' records that a device copies, and the form in which it gets them.

A device holds the living colony of its user's labs and the lists that all labs share. Records
about data (datasets, tasks, insertions, …) are fetched when they are shown. `visible_to` decides
who may see a row, as for lists; the declarations here choose the useful kinds.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import msgspec

from functions.api.call import Call
from functions.api.engine import show_values
from functions.api.engine.declarations import KINDS, Body, Field, Resource, Row
from functions.api.engine.standing import standing_of
from functions.api.engine.visible import may_list, visible_to
from shared import catalog
from shared.access.colony import may_write_record
from shared.model import moment
from shared.model.people import Role
from shared.records.where import Either, Test, Where

NOT_HELD = frozenset(
    {
        *("dataset", "file", "download", "task", "data-notice", "data-repository"),
        *("data-repository-type", "dataset-type", "data-format", "revision", "tag"),
        *("insertion", "chronic-insertion", "trajectory", "channel", "brain-region"),
        *("coordinate-system", "field-of-view", "fov-location", "imaging-stack", "imaging-type"),
        *("probe-model", "signature", "webhook"),
    }
)
"""Kinds of record about data rather than about the colony and its notebook."""


class HeldFor(msgspec.Struct, frozen=True):
    """How far back records are held, by a date or time field; records without it are held."""

    field: str
    days: int


WINDOWS = {
    "subject": HeldFor("death_date", 90),
    "weighing": HeldFor("date_time", 60),
    "watering": HeldFor("date_time", 60),
    "session": HeldFor("start_time", 60),
    "litter": HeldFor("birth_date", 365),
    "breeding-pair": HeldFor("end_date", 90),
    "note": HeldFor("date_time", 365),
    "notification": HeldFor("send_at", 60),
}


class HeldRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """The present version of a record; without a row it is no longer in the replica.

    ``closed`` says that the caller may not change it.
    """

    kind: str
    key: str
    version: int
    row: Body | None
    closed: bool = False


class HeldBlock(msgspec.Struct, frozen=True, omit_defaults=True):
    """Rows of a kind as columns; fields without any value are left out.

    Attributes
    ----------
    kind : str
    key : str
        Field whose values are the keys; it is not among the columns.
    keys, versions : list
        One for each row.
    fields : list of str
    columns : list of list
        Values of each field, one for each row.
    closed : list of int
        Indices of the rows that the caller may not change; left out if there are none.
    """

    kind: str
    key: str
    keys: list[str]
    versions: list[int]
    fields: list[str]
    columns: list[list[Any]]
    closed: list[int] = []


class Scope:
    """The content of one caller's replica.

    Parameters
    ----------
    call : Call
    kinds : sequence of str, optional
        Kinds to include; all by default.
    """

    def __init__(self, call: Call, kinds: Sequence[str] = ()) -> None:
        self.call = call
        self.kinds = [
            kind
            for kind in sorted(KINDS)
            if kind not in NOT_HELD and may_list(call.who, KINDS[kind])
            if not kinds or kind in kinds
        ]
        self.every_lab = call.who.role == Role.ADMINISTRATOR and not call.who.labs
        self._wheres: dict[str, list[Where]] = {}
        self._tests: dict[str, list[Test]] = {}

    @cached_property
    def today(self) -> dt.date:
        """The day of the request, from which the held periods are counted."""
        return moment.now().date()

    @cached_property
    def _parts(self) -> dict[str, list[str]]:
        """Kinds whose lab is found through another kind, by that kind."""
        kinds: dict[str, list[str]] = {}
        for kind in self.kinds:
            resource = KINDS[kind]
            if resource.lab not in ("", "lab") and kind != "lab":
                kinds.setdefault(resource.fields[resource.lab].to, []).append(kind)
        return kinds

    @cached_property
    def closed_labs(self) -> frozenset[str]:
        """The caller's labs that are not open to all their members."""
        rows = catalog.table("lab").select([Where("open_lab", "exact", False)])
        return frozenset(rows.values("name") & set(self.call.who.labs))

    def is_closed(self, kind: str, row: Row) -> bool:
        """Return whether the caller may not change a record, as its own route decides."""
        resource = KINDS[kind]
        if not self.closed_labs or not resource.lab or resource.own:
            return False
        return not may_write_record(self.call.who, standing_of(resource, row))

    def wheres(self, kind: str) -> list[Where]:
        """Return the conditions on the held records of a kind."""
        if kind not in self._wheres:
            resource = KINDS[kind]
            self._wheres[kind] = [
                *visible_to(self.call.who, resource),
                *self._of_labs(resource),
                *self._recent(kind),
            ]
        return self._wheres[kind]

    def _of_labs(self, resource: Resource) -> list[Where]:
        if not resource.lab or resource.kind == "lab" or self.every_lab:
            return []
        if resource.lab == "lab":
            own = Where("lab", "in", self.call.who.labs)
            return [Either(value=[own, Where("lab", "isnull", True)])]
        other = KINDS[resource.fields[resource.lab].to]
        owners = catalog.table(other.kind).select(self.wheres(other.kind))
        return [Where(resource.lab, "in", owners.values(other.key))]

    def _recent(self, kind: str) -> list[Where]:
        window = WINDOWS.get(kind)
        if window is None or window.field not in KINDS[kind].fields:
            return []
        first = (self.today - dt.timedelta(days=window.days)).isoformat()
        lasting = Where(window.field, "isnull", True)
        return [Either(value=[lasting, Where(window.field, "gte", first)])]

    def page(self, kind: str, after: str, limit: int) -> tuple[list[Row], bool]:
        """Return rows of a kind with keys after a given one, and whether there are more.

        Pages go by key, so that a deletion between two pages does not move the other rows. The
        rows of a page are in order of time, which compresses well.
        """
        key = KINDS[kind].key
        wheres = [*self.wheres(kind), *([Where(key, "gt", after)] if after else [])]
        selection = catalog.table(kind).select(wheres, order=(key,))
        rows: list[Row] = list(selection.page(0, limit))
        return rows, len(selection) > limit

    def has(self, kind: str, row: Row) -> bool:
        """Return whether the replica holds a row."""
        if kind not in self._tests:
            self._tests[kind] = [where.on_rows() for where in self.wheres(kind)]
        return all(test(row) for test in self._tests[kind])

    def now(self, kind: str, key: str, version: int) -> HeldRow:
        """Return the new state of a changed record in the replica."""
        record = catalog.table(kind).get(key)
        if record is not None:
            version = int(record["_version"])
        held = record is not None and self.has(kind, record)
        if not held or record is None:
            return HeldRow(kind, key, version, None)
        return HeldRow(kind, key, version, self.shown(kind, record), self.is_closed(kind, record))

    def shown(self, kind: str, row: Row) -> Body:
        """Return a row in the replica's form: its declared fields, as lists show them."""
        resource = KINDS[kind]
        fields = {name: spec for name, spec in resource.fields.items() if not spec.hidden}
        values = {name: self._value(spec, row.get(name)) for name, spec in fields.items()}
        return {"id": row.get("id"), **values}

    def _value(self, spec: Field, value: Any) -> Any:
        """Return a value as lists show it, but keep keys: they distinguish namesakes."""
        if spec.type == "ref" and spec.by == "name":
            return list(value or []) if spec.many else value
        return show_values.show_value(spec, value, self.call)

    def block(self, kind: str, rows: Sequence[Row]) -> HeldBlock:
        """Return rows as columns, oldest first if they have a time."""
        resource, window = KINDS[kind], WINDOWS.get(kind)
        if window:
            rows = sorted(rows, key=lambda row: str(row.get(window.field) or ""))
        names = {"id": Field("uuid"), **resource.fields}
        columns = {}
        for name, spec in names.items():
            if name == resource.key or spec.hidden:
                continue
            values = [row.get(name) for row in rows]
            if spec.many or spec.type in ("datetime", "choice", "ref"):
                values = [self._value(spec, value) for value in values]
            if any(value is not None for value in values):
                columns[name] = values
        return HeldBlock(
            kind,
            resource.key,
            [str(row[resource.key]) for row in rows],
            [int(row["_version"]) for row in rows],
            list(columns),
            list(columns.values()),
            [i for i, row in enumerate(rows) if self.is_closed(kind, row)],
        )

    def following(self, kind: str, key: str, before: Row | None) -> Iterator[HeldRow]:
        """Yield the records that enter or leave the replica with a record.

        Parameters
        ----------
        kind, key : str
            The record whose lab, or place in the replica, changes.
        before : mapping, optional
            The row that the device may have; None if unknown.
        """
        parts = self._parts.get(kind)
        now = catalog.table(kind).get(key) if parts else None
        if not parts or now is None:  # parts of a deleted record were deleted themselves
            return
        stays = before is not None and self.has(kind, before) == self.has(kind, now)
        if stays and (not self.closed_labs or _answers(before) == _answers(now)):
            return
        for other in parts:
            resource = KINDS[other]
            selection = catalog.table(other).select([Where(resource.lab, "exact", key)])
            for part in selection.all():
                yield self.now(other, str(part[resource.key]), int(part["_version"]))
                yield from self.following(other, str(part[resource.key]), None)


def _answers(row: Row | None) -> Any:
    """Return the responsible user of an animal, on whom the rights to its records depend."""
    return (row or {}).get("responsible_user")
