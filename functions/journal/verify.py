"""Compare the table with the journal, item by item."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from functions.journal.append import append, as_journaled, item_at, items_of_table
from shared.records import journal
from shared.records.journal import Item, Line, State, StateSource
from shared.records.transactions import NOT_JOURNALED

MAY_BE_GONE: Mapping[str, str] = {
    "Due": "deleted when its session has been brought forward, again and again if need be",
}
"""Kinds whose deletion is not journaled, and why; deleting them twice is harmless."""

SHOWN = 20
"""Most differences in a report."""

TRIES = 3
"""Times a difference is checked again, because writes continue during the comparison."""


class Difference(msgspec.Struct, frozen=True):
    """An item that differs between table and journal; ``what``: missing, extra or the fields."""

    kind: str
    pk: str
    sk: str
    what: str


class Comparison(msgspec.Struct, frozen=True):
    """Outcome of a comparison.

    Attributes
    ----------
    same : dict
        Kind → number of equal items.
    differences : list of Difference
    chunk : int
        Number of the last chunk that was read.
    """

    same: dict[str, int]
    differences: list[Difference]
    chunk: int

    @property
    def good(self) -> bool:
        """Whether table and journal agree."""
        return not self.differences


def verify() -> Comparison:
    """Update the journal, then compare every item of the table with it."""
    append()
    source = StateSource.find()
    same: Counter[str] = Counter()
    suspects: dict[tuple[str, str], Line] = {}
    for part, state in source.states():
        expected = {key: line for key, line in state.items() if line.item is not None}
        for item in _part_of_table(part, source.snapshot.parts):
            key = item["pk"]["S"], item["sk"]["S"]
            line = expected.pop(key, None)
            if line is None or difference(line.item, item):
                suspects[key] = line or Line("", None, *key, None)
            else:
                same[item["_k"]["S"]] += 1
        suspects.update(expected)
    differences = _looked_at_again(suspects, source.last, same) if suspects else []
    return Comparison(dict(sorted(same.items())), differences, source.last)


def _part_of_table(part: int, parts: int) -> Iterator[Item]:
    for item in items_of_table():
        if journal.part_of(item["pk"]["S"], parts) == part:
            yield item


def _looked_at_again(suspects: State, last: int, same: Counter[str]) -> list[Difference]:
    """Return the differences that remain after the writes made meanwhile."""
    for _ in range(TRIES):
        append()
        for number in journal.chunks_after(last):
            for entry in journal.read_chunk(number).entries:
                for image in entry.images:
                    if (image.pk, image.sk) in suspects:
                        line = Line(entry.name, image.order, image.pk, image.sk, image.item)
                        journal.take_in(suspects, line)
            last = max(last, number)
        left: State = {}
        differences = []
        for (pk, sk), line in suspects.items():
            stored = _item(pk, sk)
            change = None if _is_staged(line.item or stored) else difference(line.item, stored)
            kind = ((stored or line.item or {}).get("_k") or {"S": "?"})["S"]
            if change:
                left[pk, sk] = line
                differences.append(Difference(kind, pk, sk, change))
            elif stored is not None:
                same[kind] += 1
        suspects = left
        if not suspects:
            return []
        time.sleep(0.2)  # a write in progress
    return differences


def _is_staged(item: Item | None) -> bool:
    """Return whether an item is a dataset in unfinished registration, which nobody sees yet."""
    if item is None or item["_k"]["S"] != "Dataset" or "b" not in item:
        return False
    book = _item(item["pk"]["S"], "B") or {}
    return item["b"]["S"] not in book.get("sets", {}).get("SS", ())


def _item(pk: str, sk: str) -> Item | None:
    item = item_at(pk, sk)
    kind = item.get("_k", {}).get("S", "Tries") if item else None  # counters have no kind
    return None if item is None or kind in NOT_JOURNALED else as_journaled(item, set())


def difference(expected: Item | None, there: Item | None) -> str | None:
    """Return the difference of an item between table and journal; None if they are equal.

    Parameters
    ----------
    expected : dict or None
        The item in the journal.
    there : dict or None
        The item in the table.
    """
    if expected is None:
        return "not in the journal" if there is not None else None
    kind = expected["_k"]["S"]
    if there is None:
        expired = float(expected.get("expires", {"N": "inf"})["N"]) < time.time()
        return None if expired or kind in MAY_BE_GONE else "not in the table"
    wanted, other = comparable(expected), comparable(there)
    names = [name for name in sorted({*wanted, *other}) if wanted.get(name) != other.get(name)]
    return ", ".join(names) or None


def comparable(item: Item) -> dict[str, Any]:
    """Return the comparable values of an item: numbers by value, sets without order.

    Notes of a running task's worker or of an upload's validation are left out: they are written
    outside of transactions and have no meaning afterwards.
    """
    kind = item["_k"]["S"]
    passing: frozenset[str] = frozenset()
    if kind == "Task":
        passing = frozenset({"edition"})
        if item.get("status", {}).get("S") == "Started":
            passing = frozenset({"edition", "lease_until", "g2sk", "log"})
    elif kind == "Upload":
        passing = frozenset({"since", "without"})
    values = {name: _value(attribute) for name, attribute in item.items() if name not in passing}
    if kind == "Upload" and values["state"] == "validating":
        values["state"] = "open"
    return values


def _value(value: dict[str, Any]) -> Any:
    ((kind, content),) = journal.stored({"value": value})["value"].items()
    match kind:
        case "N":
            return Decimal(content)
        case "SS" | "BS":
            return frozenset(content)
        case "NS":
            return frozenset(map(Decimal, content))
        case "L":
            return [_value(inner) for inner in content]
        case "M":
            return {name: _value(inner) for name, inner in content.items()}
    return content
