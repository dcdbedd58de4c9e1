"""A device as people use it: its copy, and what it did and has not been answered yet."""

from __future__ import annotations

import copy
import datetime as dt
import uuid
from typing import Any

from shared.model import moment
from tests.api.conftest import Answer, Api
from tests.api.device import Device
from tests.api.plain_colony import Colony, Name, Values

Write = tuple[str, str, str, Values]
"""op, kind, key, values; as the model knows it."""

PATHS = {
    "subject": "subjects",
    "weighing": "weighings",
    "water-restriction": "water-restriction",
    "surgery": "surgeries",
    "litter": "litters",
    "breeding-pair": "breeding-pairs",
    "stay": "stays",
    "genotype-test": "genotype-tests",
    "cull": "culls",
}
ENDS = {"water-restriction": "end_time", "stay": "end", "breeding-pair": "end_date"}
"""The field that says that a record has ended; the model has ``ended``."""


def day(ago: int) -> str:
    return (moment.now().date() - dt.timedelta(days=ago)).isoformat()


NAMES = {"subject": "nickname", "litter": "name", "breeding-pair": "name"}
"""The field by which a kind's records are called; others have ids."""

MADE: dict[str, Values] = {
    "subject": {"lab": "fimbrialab"},
    "water-restriction": {"reference_weight": 25, "start_time": f"{day(2)}T09:00:00"},
    "surgery": {"implant_weight": 1, "start_time": f"{day(3)}T09:00:00"},
    "weighing": {"date_time": f"{day(1)}T09:00:00"},
    "stay": {"start": f"{day(2)}T09:00:00"},
    "genotype-test": {"date": day(4)},
    "cull": {"date": day(1), "severity": "mild"},
}
"""What is sent of a new record besides what the model knows."""


class Group:
    """What a device did in one go, until it has been answered."""

    def __init__(self, writes: list[Write], seen: dict[Name, int], versions: dict[Name, int]):
        self.id = str(uuid.uuid4())
        self.writes = writes
        self.seen = seen
        self.body = {
            "group": self.id,
            "what": "what was done",
            "writes": [_as_sent(each, versions) for each in writes],
            "atomic": True,
        }


def _as_sent(write: Write, versions: dict[Name, int]) -> dict[str, Any]:
    op, kind, key, values = write
    sent = {name: value for name, value in values.items() if name not in ("ended", "zygosities")}
    if values.get("ended"):
        at = day(0)
        sent[ENDS[kind]] = at if kind == "breeding-pair" else f"{at}T00:00:00"
    if op == "create":
        sent |= MADE.get(kind, {})
        name = NAMES.get(kind)
        sent |= {name: key, "id": str(uuid.uuid4())} if name else {"id": key}
        return {"op": op, "resource": PATHS[kind], "body": sent}
    version = versions.get((kind, key), 0)
    return {"op": op, "resource": PATHS[kind], "key": key, "version": version, "body": sent}


def told(group: Group, answer: Answer) -> list[tuple[Name, int]]:
    """Return the versions that an answer tells."""
    written = zip(group.writes, answer.body["results"], strict=True)
    own = [
        ((kind, key), each["version"]) for (op, kind, key, _), each in written if op != "delete"
    ]
    return own + [((row["kind"], row["key"]), row["version"]) for row in answer.body["rows"]]


class Notebook:
    """A device: its copy, as the server told it and as the model was then, and its outbox."""

    def __init__(self, api: Api, user: str) -> None:
        self.device = Device(api, user)
        self.user = user
        self.outbox: list[Group] = []
        self.sent: list[str] = []
        self.seen: dict[Name, int] = {}
        self.view: dict[Name, Values] = {}

    def pull(self, colony: Colony) -> None:
        self.device.pull()
        self.seen = dict(colony.numbers)
        self.view = copy.deepcopy(colony.records)

    def does(self, writes: list[Write]) -> None:
        self.outbox.append(Group(writes, dict(self.seen), dict(self.device.versions)))
        for op, kind, key, values in writes:  # shown as if it were done
            if op == "delete":
                self.view.pop((kind, key), None)
            else:
                self.view[kind, key] = {**self.view.get((kind, key), {}), **values}

    def learn(self, told: list[tuple[Name, int]], colony: Colony) -> None:
        """Take in the versions of an answer; what waits builds on the device's own change.

        It does not if the version says that others have changed the record, too.
        """
        for name, version in told:
            before = self.device.versions.get(name, 0)
            self.device.versions[name] = version
            if name not in colony.numbers:
                continue  # of a kind that the model has not
            self.seen[name] = colony.numbers[name]
            for group in self.outbox:
                for (_, kind, key, _), sent in zip(
                    group.writes, group.body["writes"], strict=True
                ):
                    mine = (kind, key) == name and sent.get("version") == before
                    if mine and before in (0, version - 1):
                        sent["version"] = version
                        group.seen[name] = colony.numbers[name]

    def of(self, kind: str, **wanted: Any) -> list[str]:
        return sorted(
            key
            for (k, key), values in self.view.items()
            if k == kind and all(values.get(name) == value for name, value in wanted.items())
        )

    def living(self) -> list[str]:
        return self.of("subject", death_date=None)
