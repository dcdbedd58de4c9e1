"""A colony in plain Python, written down apart from the API: what actions of devices come to.

Records are dictionaries by kind and key, each with a number that grows with every change. A group
is done if the records it changes are as its device last saw them; what follows from it is done
with it:

- a death ends an animal's restrictions, its stay and its pairs;
- a cull is a death, after which the animal is no more to be culled; without the cull all that is
  as it was;
- a first genotype test dates the genotype, and each gives the zygosities anew;
- an animal is in the cage that it stays in;
- restrictions and surgeries make the protocol number.
"""

from __future__ import annotations

import copy
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from typing import Any

Name = tuple[str, str]
Values = dict[str, Any]

MEMBERS = {
    "water-restriction": ("subject",),
    "stay": ("subject",),
    "breeding-pair": ("father", "mother1"),
}
"""What ends with an animal's life, and where it names the animal."""

OWNERS = {"subject": {"litter": "litter"}} | {
    kind: {"subject": "subject"}
    for kind in ("weighing", "water-restriction", "surgery", "cull", "genotype-test", "stay")
}
"""What records belong to; nothing is taken back on which others stand."""

NAMED = OWNERS | {"breeding-pair": {"father": "subject", "mother1": "subject"}}
"""What records name, and what must be there when they come."""


def zygosities(results: dict[str, bool]) -> dict[str, int]:
    """Return what the tests of an animal say, by the rules of the machine's line.

    Without the Cre it is -/-; with it, it is +/+ without the wild type, and +/- with it.
    """
    if "Cre" not in results:
        return {}
    if not results["Cre"]:
        return {"Allele": 0}
    if "wild type" not in results:
        return {}
    return {"Allele": 1 if results["wild type"] else 2}


@dataclass
class Done:
    """A group that was done: each record before and after it, and its number after it."""

    before: dict[Name, Values | None]
    after: dict[Name, Values | None]
    numbers: dict[Name, int]
    undone: bool = False


@dataclass
class Colony:
    """The model."""

    worked_out: frozenset[str]
    """Fields of animals that are worked out, and so do not stand against an undo."""
    tested: str
    """The day of each genotype test."""
    culled: str
    """The day of each cull."""
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

    def names_only_what_is(self, kind: str, values: Values, made: Container[Name]) -> bool:
        """Return whether all that a record names is there, or made with it."""
        named = {(to, values.get(name)) for name, to in NAMED.get(kind, {}).items()}
        return all(n[1] is None or n in self.records or n in made for n in named)

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
                gone = self.records.pop((kind, key))
                if kind == "cull":
                    self._live_again(gone)
                continue
            self.records[kind, key] = {**self.records.get((kind, key), {}), **values}
            if kind == "cull":
                self._cull(self.records[kind, key])
            if kind == "litter":
                self._date_pups(key, before.get((kind, key)), values)
            if kind == "subject":
                self._care(key, before.get((kind, key)))
        self._follow(before)
        self._note(group, before)

    def undo(self, group: str, new: str) -> bool:
        """Take a group back, if nothing of it was changed since; return whether it was."""
        done = self.groups[group]
        names = [name for name in done.numbers if not self._is_worked_out(done, name)]
        if any(self.numbers.get(name) != done.numbers[name] for name in names):
            return False
        if not all(self._may_be_as(name, done.before[name], names) for name in names):
            return False
        before = copy.deepcopy(self.records)
        for name in names:
            values = done.before[name]
            if values is None:
                self.records.pop(name, None)
            else:
                self.records[name] = copy.deepcopy(values)
        for name in names:
            if name[0] == "cull" and done.before[name] is None:
                self._go_on(before[name])
        self._follow(before)
        self._note(new, before)
        done.undone = True
        return True

    def _may_be_as(self, name: Name, values: Values | None, others: list[Name]) -> bool:
        """Return whether a record may come back, or go: nothing else stands on it."""
        if values is not None:
            return self.names_only_what_is(name[0], values, others)
        return not any(
            (to, theirs.get(field)) == name and (kind, key) not in others
            for (kind, key), theirs in self.records.items()
            for field, to in OWNERS.get(kind, {}).items()
        )

    def _is_worked_out(self, done: Done, name: Name) -> bool:
        before, after = done.before[name], done.after[name]
        if before is None or after is None:
            return False
        changed = {n for n in {*before, *after} if before.get(n) != after.get(n)}
        return changed <= self.worked_out

    # --- what follows --------------------------------------------------------------------------

    def _cull(self, cull: Values) -> None:
        animal = self.records["subject", cull["subject"]]
        names = ("death_date", "to_be_culled", "cage")
        cull["life"] = {name: animal.get(name) for name in names}
        running = self._running(cull["subject"]) if animal.get("death_date") is None else ()
        cull["ended"] = [name for name, _ in running]
        for name in cull["ended"]:
            self.records[name]["ended"] = True
        animal |= {"death_date": self.culled, "to_be_culled": False}

    def _live_again(self, cull: Values) -> None:
        """Take a death back; what ended with it goes on."""
        self.records["subject", cull["subject"]] |= cull["life"]
        self._go_on(cull)

    def _go_on(self, cull: Values) -> None:
        """Let go on what a cull ended; a pair whose other parent is dead waits for its return."""
        for name in cull["ended"]:
            record = self.records.get(name, {"ended": None})
            parents = [record.get(each) for each in ("father", "mother1")]
            dead = [each for each in parents if self.of("subject").get(each, {}).get("death_date")]
            for other in self.of("cull").values():
                if other["subject"] in dead and name not in other["ended"]:
                    other["ended"].append(name)
            record["ended"] = bool(dead)

    def _date_pups(self, litter: str, before: Values | None, values: Values) -> None:
        for pup in self.of("subject", litter=litter).values():
            if before and pup["birth_date"] == before["birth_date"]:
                pup["birth_date"] = values["birth_date"]

    def _care(self, animal: str, before: Values | None) -> None:
        values = self.records["subject", animal]
        if before is None and values.get("litter"):
            values["birth_date"] = self.records["litter", values["litter"]]["birth_date"]
        if values.get("genotype_date") and not (before or {}).get("genotype_date"):
            values["to_be_genotyped"] = False

    def _running(self, animal: str) -> Iterator[tuple[Name, Values]]:
        """Yield what an animal is in, and what ends when it dies."""
        for (kind, key), values in self.records.items():
            named = [values.get(name) for name in MEMBERS.get(kind, ())]
            if animal in named and not values["ended"]:
                yield (kind, key), values

    def _follow(self, before: dict[Name, Values]) -> None:
        for (kind, key), values in list(self.records.items()):
            if kind != "subject":
                continue
            was = before.get((kind, key)) or {}
            if values.get("death_date") and not was.get("death_date"):
                for _, each in self._running(key):
                    each["ended"] = True
            self._settle(key, values, before)
            self._genotype(key, values, before)
            restricted = self.of("water-restriction", subject=key, ended=False)
            operated = self.of("surgery", subject=key)
            values["protocol_number"] = "3" if restricted else "2" if operated else "1"

    def _settle(self, animal: str, values: Values, before: dict[Name, Values]) -> None:
        """Let an animal be in one cage, that of its last stay."""
        for name, stay in list(self.records.items()):
            is_new = name[0] == "stay" and name not in before
            if is_new and stay["subject"] == animal and not stay["ended"]:
                for key, other in self.of("stay", subject=animal).items():
                    other["ended"] = other["ended"] or key != name[1]
        now = self.of("stay", subject=animal)
        then = {k[1]: v for k, v in before.items() if k[0] == "stay" and v["subject"] == animal}
        if now == then:
            return
        still = [each["cage"] for each in now.values() if not each["ended"]]
        left = [each["cage"] for each in then.values() if not each["ended"]]
        if still:
            values["cage"] = still[0]
        elif values.get("cage") in left and not values.get("death_date"):
            values["cage"] = None

    def _genotype(self, animal: str, values: Values, before: dict[Name, Values]) -> None:
        now = self.of("genotype-test", subject=animal)
        then = {
            k[1]: v
            for k, v in before.items()
            if k[0] == "genotype-test" and v["subject"] == animal
        }
        if now == then:
            return
        if not values.get("genotype_date") and any(then.get(k) != v for k, v in now.items()):
            values |= {"genotype_date": self.tested, "to_be_genotyped": False}
        values["zygosities"] = zygosities(
            {each["sequence"]: each["test_result"] for each in now.values()}
        )

    def _note(self, group: str, before: dict[Name, Values]) -> None:
        names = {*before, *self.records}
        changed = [n for n in names if before.get(n) != self.records.get(n)]
        for name in changed:
            self.numbers[name] = self.numbers.get(name, 0) + 1
        self.groups[group] = Done(
            {name: copy.deepcopy(before.get(name)) for name in changed},
            {name: copy.deepcopy(self.records.get(name)) for name in changed},
            {name: self.numbers[name] for name in changed},
        )
