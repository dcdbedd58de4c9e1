"""Two devices that are offline at times, against a plain model: nothing lost, nothing twice.

Each device acts on its own copy. What it did reaches the server late, more than once, or its
answer does not come back. Whatever was accepted is in the model, nothing else is; in the end both
devices, a new one and the model agree.
"""

from __future__ import annotations

import copy
import datetime as dt
import itertools
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

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
}
HELD = {
    "subject": ("death_date", "wean_date", "genotype_date", "cage", "protocol_number"),
    "weighing": ("subject", "weight"),
    "surgery": ("subject",),
}
"""Fields that the model and the devices are compared by."""

_numbers = itertools.count()


def day(ago: int) -> str:
    return (moment.now().date() - dt.timedelta(days=ago)).isoformat()


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
    sent = {name: value for name, value in values.items() if name != "ended"}
    if kind == "water-restriction" and values.get("ended"):
        sent["end_time"] = f"{day(0)}T00:00:00"
    if kind == "water-restriction" and op == "create":
        sent |= {"reference_weight": 25, "start_time": f"{day(2)}T09:00:00"}
    if kind == "surgery" and op == "create":
        sent |= {"implant_weight": 1, "start_time": f"{day(3)}T09:00:00"}
    if kind == "weighing" and op == "create":
        sent |= {"date_time": f"{day(1)}T09:00:00"}
    if op == "create":
        sent |= {"nickname": key, "lab": "fimbrialab"} if kind == "subject" else {}
        sent["id"] = str(uuid.uuid4()) if kind == "subject" else key
        return {"op": op, "resource": PATHS[kind], "body": sent}
    version = versions.get((kind, key), 0)
    return {"op": op, "resource": PATHS[kind], "key": key, "version": version, "body": sent}


def _told(group: Group, answer: Answer) -> list[tuple[Name, int]]:
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


class Offline(RuleBasedStateMachine):
    """Random actions of two devices with a network that loses and repeats."""

    def __init__(self, api: Api) -> None:
        super().__init__()
        self.api = api
        self.prefix = f"N{next(_numbers)}_"
        self.count = itertools.count(1)
        fields = {f["name"]: f for f in self._form("subjects")["fields"]}
        derived = fields["protocol_number"].get("read_only", False)
        self.colony = Colony(frozenset({"protocol_number"} if derived else ()))
        self.devices = [
            Notebook(api, "fimbrialab_member"),
            Notebook(api, "fimbrialab_manager"),
        ]
        self.accepted = self.refused = 0
        self.birth(0, 3)
        self.send(0, 0, False)
        for each in self.devices:
            each.pull(self.colony)

    def _form(self, path: str) -> dict[str, Any]:
        found = self.api.ok("GET", "/forms")["resources"]
        return next(each for each in found if each["path"] == path)

    # --- what people do ------------------------------------------------------------------------

    which = st.integers(0, 1)
    draw = st.integers(0, 7)

    @rule(which=which, pups=st.integers(1, 3))
    def birth(self, which: int, pups: int) -> None:
        names = [f"{self.prefix}{next(self.count)}" for _ in range(pups)]
        blank = dict.fromkeys(("death_date", "wean_date", "genotype_date", "cage"))
        self.devices[which].does([("create", "subject", name, dict(blank)) for name in names])

    @rule(
        which=which,
        draw=draw,
        change=st.sampled_from(
            [
                {"wean_date": day(9)},
                {"genotype_date": day(5)},
                {"cage": "C1"},
                {"cage": "C2"},
                {"death_date": day(0)},
            ]
        ),
    )
    def care(self, which: int, draw: int, change: Values) -> None:
        """Wean, genotype, move or cull an animal."""
        notebook = self.devices[which]
        if animals := notebook.living():
            animal = animals[draw % len(animals)]
            notebook.does([("update", "subject", animal, change)])

    @rule(which=which, draw=draw, weight=st.integers(15, 30))
    def weigh(self, which: int, draw: int, weight: int) -> None:
        notebook = self.devices[which]
        animals = notebook.living()[draw % 3 :][:4]
        writes: list[Write] = [
            ("create", "weighing", str(uuid.uuid4()), {"subject": each, "weight": weight})
            for each in animals
        ]
        if writes:
            notebook.does(writes)

    @rule(which=which, draw=draw)
    def correct_or_delete_a_weight(self, which: int, draw: int) -> None:
        notebook = self.devices[which]
        if keys := notebook.of("weighing"):
            key = keys[draw % len(keys)]
            write: Write = ("update", "weighing", key, {"weight": 31 + draw})
            notebook.does([("delete", "weighing", key, {}) if draw % 2 else write])

    @rule(which=which, draw=draw)
    def restrict(self, which: int, draw: int) -> None:
        notebook = self.devices[which]
        free = [
            each
            for each in notebook.living()
            if not notebook.of("water-restriction", subject=each)
        ]
        if free:
            values = {"subject": free[draw % len(free)], "ended": False}
            notebook.does([("create", "water-restriction", str(uuid.uuid4()), values)])

    @rule(which=which, draw=draw)
    def end_a_restriction(self, which: int, draw: int) -> None:
        notebook = self.devices[which]
        if keys := notebook.of("water-restriction", ended=False):
            key = keys[draw % len(keys)]
            notebook.does([("update", "water-restriction", key, {"ended": True})])

    @rule(which=which, draw=draw)
    def operate(self, which: int, draw: int) -> None:
        notebook = self.devices[which]
        if animals := notebook.living():
            values = {"subject": animals[draw % len(animals)]}
            notebook.does([("create", "surgery", str(uuid.uuid4()), values)])

    # --- what the network does -----------------------------------------------------------------

    @rule(which=which, lost=st.sampled_from([0, 0, 1, 2]), pulls=st.booleans())
    def send(self, which: int, lost: int, pulls: bool) -> None:
        """Send what waits, in order; of each the first answers are lost."""
        notebook = self.devices[which]
        while notebook.outbox:
            group = notebook.outbox.pop(0)
            answers = [self._post(notebook, group) for _ in range(lost + 1)]
            self._judge(group, answers)
            if answers[0].status == 200:
                notebook.learn(_told(group, answers[-1]), self.colony)
        if pulls:
            notebook.pull(self.colony)

    @rule(which=which)
    def send_and_give_up_waiting(self, which: int) -> None:
        """Send one thing whose answer does not come; it waits, and is sent again some time."""
        notebook = self.devices[which]
        if notebook.outbox:
            self._judge(notebook.outbox[0], [self._post(notebook, notebook.outbox[0])])

    @rule(which=which)
    def pull(self, which: int) -> None:
        notebook = self.devices[which]
        if not notebook.outbox:
            notebook.pull(self.colony)
            self._compare(notebook.device)

    @rule(which=which, draw=draw, lost=st.booleans())
    def undo(self, which: int, draw: int, lost: bool) -> None:
        """Take back something that was done, by whichever device."""
        groups = [name for name, each in self.colony.groups.items() if not each.undone]
        if not groups:
            return
        group = groups[-1 - draw % len(groups)]
        sendings = 2 if lost else 1
        path = f"/audit/{group}/undo"
        # By who may take back an animal's birth, too: members do not delete animals.
        who = "fimbrialab_manager"
        answers = [self.api("POST", path, {}, user=who) for _ in range(sendings)]
        statuses = {each.status for each in answers}
        assert len(statuses) == 1, [each.raw for each in answers]
        assert statuses <= {200, 409}, answers[0].raw
        new = str(uuid.uuid5(uuid.UUID(group), "undo"))
        done = self.colony.undo(group, new)
        assert done == (statuses == {200}), (group, answers[0].raw)

    def _post(self, notebook: Notebook, group: Group) -> Answer:
        return self.api("POST", "/batch", group.body, user=notebook.user)

    def _judge(self, group: Group, answers: list[Answer]) -> None:
        """Compare the answers to each other and to the model."""
        statuses = [each.status for each in answers]
        assert len(set(statuses)) == 1, [each.raw for each in answers]
        status = statuses[0]
        assert status in (200, 400, 404, 409, 412), answers[0].raw
        if status == 200:
            results = [[each["status"] for each in one.body["results"]] for one in answers]
            assert all(each == results[0] for each in results)
            self.accepted += 1
            if group.id not in self.colony.groups:
                assert self._holds(group), answers[0].raw
                self.colony.do(group.id, group.writes)
            return
        self.refused += 1
        assert group.id not in self.colony.groups, "what was done once is refused the second time"
        about_dead = any(
            self.colony.is_dead(str(values.get("subject") or key))
            for op, kind, key, values in group.writes
        )
        twice = any(
            op == "create" and kind == "water-restriction" and self._restricted(values)
            for op, kind, _, values in group.writes
        )
        assert about_dead or twice or not self._holds(group), answers[0].raw

    def _holds(self, group: Group) -> bool:
        """Return whether the model would do it: what it changes is as the device last saw it."""
        there = {key for kind, key in self.colony.records if kind == "subject"}
        named = {str(values["subject"]) for *_, values in group.writes if "subject" in values}
        return named <= there and self.colony.agrees(group.seen, group.writes)

    def _restricted(self, values: Values) -> bool:
        return bool(self.colony.of("water-restriction", subject=values["subject"], ended=False))

    # --- what must hold ------------------------------------------------------------------------

    def _compare(self, device: Device) -> None:
        """Compare what a device holds with the model."""
        mine = {name for name in self.colony.records if name[0] == "subject"}
        animals = {key for _, key in mine}
        for kind in PATHS:
            theirs = {
                key: row
                for key, row in device.of(kind).items()
                if (key if kind == "subject" else row["subject"]).startswith(self.prefix)
            }
            model = self.colony.of(kind)
            assert set(theirs) == set(model), (kind, animals)
            for key, values in model.items():
                row = theirs[key]
                if kind == "water-restriction":
                    assert bool(row.get("end_time")) == values["ended"], (key, row)
                for name in HELD.get(kind, ()):
                    assert row.get(name) == values.get(name), (kind, key, name, row, values)

    def teardown(self) -> None:
        """Send all that waits; then both devices are as a new one."""
        for which in (0, 1):
            self.send(which, 1, False)
        texts = set()
        for notebook in self.devices:
            notebook.pull(self.colony)
            self._compare(notebook.device)
            texts.add(notebook.device.text())
        fresh = Device(self.api, "fimbrialab_member")
        fresh.pull()
        assert fresh.text() in texts
        _seen["accepted"] += self.accepted
        _seen["refused"] += self.refused


_seen = {"accepted": 0, "refused": 0}


def drive(api: Api, examples: int, steps: int) -> None:
    _seen.update(accepted=0, refused=0)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: Offline(api),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],  # shrinking an example of many requests takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert _seen["accepted"] > examples  # it is no test if all is refused
    assert _seen["refused"] > 0


def test_two_devices_and_a_bad_network_come_to_what_the_model_says(api: Api) -> None:
    drive(api, examples=8, steps=25)


@pytest.mark.proof
@pytest.mark.timeout(1200)
def test_many_more_of_them(api: Api) -> None:
    drive(api, examples=40, steps=50)
