"""A colony in plain Python, written down apart from the API: what actions of devices come to.

Records are dictionaries by kind and key, each with a number that grows with every change. A group
is done if the records it changes are as its device last saw them; what follows from it (a death
ends restrictions, restrictions and surgeries make the protocol number) is done with it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

Name = tuple[str, str]
Values = dict[str, Any]


@dataclass
class Done:
    """A group that was done: each record before it, and its number after it."""

    before: dict[Name, Values | None]
    numbers: dict[Name, int]
    undone: bool = False


@dataclass
class Colony:
    """The model."""

    worked_out: frozenset[str]
    """Fields of animals that are worked out, and so do not stand against an undo."""
    records: dict[Name, Values] = field(default_factory=dict)
    numbers: dict[Name, int] = field(default_factory=dict)
    groups: dict[str, Done] = field(default_factory=dict)

    def of(self, kind: str, **wanted: Any) -> dict[str, Values]:
        """Return the records of a kind that have some values, by key."""
        return {
            key: values
            for (k, key), values in self.records.items()
            if k == kind and all(values.get(n) == v for n, v in wanted.items())
        }

    def is_dead(self, animal: str) -> bool:
        values = self.records.get(("subject", animal))
        return values is None or values.get("death_date") is not None

    def agrees(self, seen: dict[Name, int], writes: list[tuple[str, str, str, Values]]) -> bool:
        """Return whether the records that writes change are as a device saw them.

        What a device made itself and has not seen since is changed as it is.
        """
        changed = [(kind, key) for op, kind, key, _ in writes if op != "create"]
        return all(
            name in self.records and seen.get(name) in (None, self.numbers[name])
            for name in changed
        )

    def do(self, group: str, writes: list[tuple[str, str, str, Values]]) -> None:
        """Do the writes of a group: (op, kind, key, values)."""
        before = copy.deepcopy(self.records)
        for op, kind, key, values in writes:
            if op == "delete":
                del self.records[kind, key]
            else:
                self.records[kind, key] = {**self.records.get((kind, key), {}), **values}
        self._follow(before)
        self._note(group, before)

    def undo(self, group: str, new: str) -> bool:
        """Take a group back, if nothing of it was changed since; return whether it was."""
        done = self.groups[group]
        against = [
            name
            for name in done.numbers
            if not self._is_worked_out(done.before[name], name)
            and self.numbers.get(name) != done.numbers[name]
        ]
        if against:
            return False
        before = copy.deepcopy(self.records)
        for name, values in done.before.items():
            if self._is_worked_out(values, name):
                continue
            if values is None:
                self.records.pop(name, None)
            else:
                self.records[name] = copy.deepcopy(values)
        self._follow(before)
        self._note(new, before)
        done.undone = True
        return True

    def _is_worked_out(self, values: Values | None, name: Name) -> bool:
        now = self.records.get(name)
        if values is None or now is None:
            return False
        changed = {n for n in {*values, *now} if values.get(n) != now.get(n)}
        return bool(changed) and changed <= self.worked_out

    def _follow(self, before: dict[Name, Values]) -> None:
        for (kind, key), values in list(self.records.items()):
            if kind != "subject":
                continue
            died = values.get("death_date")
            if died and not (before.get((kind, key)) or {}).get("death_date"):
                for each in self.of("water-restriction", subject=key).values():
                    each["ended"] = True
            restricted = self.of("water-restriction", subject=key, ended=False)
            operated = self.of("surgery", subject=key)
            values["protocol_number"] = "3" if restricted else "2" if operated else "1"

    def _note(self, group: str, before: dict[Name, Values]) -> None:
        names = {*before, *self.records}
        changed = [n for n in names if before.get(n) != self.records.get(n)]
        for name in changed:
            self.numbers[name] = self.numbers.get(name, 0) + 1
        self.groups[group] = Done(
            {name: copy.deepcopy(before.get(name)) for name in changed},
            {name: self.numbers[name] for name in changed},
        )
