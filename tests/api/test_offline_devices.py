"""Two devices that are offline at times, against a plain model: nothing lost, nothing twice.

Each device acts on its own copy. What it did reaches the server late, more than once, or its
answer does not come back. Whatever was accepted is in the model, nothing else is; in the end both
devices, a new one and the model agree.
"""

from __future__ import annotations

import datetime as dt
import itertools
import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from shared.model import moment
from tests.api.agreement import TESTS, compare, furnish
from tests.api.conftest import Answer, Api
from tests.api.device import Device
from tests.api.notebook import PATHS, Group, Notebook, Write, day, told
from tests.api.plain_colony import Colony, Values

BLANK: Values = {
    **dict.fromkeys(("death_date", "birth_date", "wean_date", "genotype_date", "cage", "litter")),
    "to_be_culled": False,
    "to_be_genotyped": False,
    "zygosities": {},
}
"""An animal of which nothing is said."""

_numbers = itertools.count()


class Offline(RuleBasedStateMachine):
    """Random actions of two devices with a network that loses and repeats."""

    def __init__(self, api: Api) -> None:
        super().__init__()
        self.api = api
        self.prefix = f"N{next(_numbers)}_"
        self.count = itertools.count(1)
        fields = {f["name"]: f for f in self._form("subjects")["fields"]}
        derived = fields["protocol_number"].get("read_only", False)
        worked_out = frozenset({"protocol_number"} if derived else ())
        self.colony = Colony(worked_out, tested=day(4), culled=day(1))
        self.line = f"{self.prefix}line"
        self.cages = {str(uuid.uuid4()): f"{self.prefix}K{n}" for n in range(2)}
        self.named = itertools.count(1)
        furnish(api, self.line, f"{self.prefix}PV", self.cages)
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
        self.devices[which].does([self._born(name) for name in names])

    def _born(self, name: str, **values: Any) -> Write:
        return ("create", "subject", name, {**BLANK, "line": self.line, **values})

    @rule(which=which, pups=st.integers(1, 3))
    def litter(self, which: int, pups: int) -> None:
        """Write down a litter and its pups, which have its birth date."""
        litter = f"{self.prefix}L{next(self.count)}"
        names = [f"{self.prefix}{next(self.count)}" for _ in range(pups)]
        born: Values = {"birth_date": day(30), "line": self.line}
        self.devices[which].does(
            [
                ("create", "litter", litter, born),
                *(self._born(each, litter=litter, birth_date=day(30)) for each in names),
            ]
        )

    @rule(which=which, draw=draw)
    def correct_a_birth(self, which: int, draw: int) -> None:
        notebook = self.devices[which]
        if litters := notebook.of("litter"):
            litter = litters[draw % len(litters)]
            notebook.does([("update", "litter", litter, {"birth_date": day(30 + draw)})])

    @rule(
        which=which,
        draw=draw,
        change=st.sampled_from(
            [
                {"wean_date": day(9)},
                {"genotype_date": day(5)},
                {"to_be_culled": True},
                {"to_be_genotyped": True},
                {"death_date": day(0)},
            ]
        ),
    )
    def care(self, which: int, draw: int, change: Values) -> None:
        """Wean or genotype an animal, or mark it for that, or note its death."""
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

    @rule(which=which, draw=draw, to=st.sampled_from(["C1", "C2", 0, 1, 0, 1]))
    def move(self, which: int, draw: int, to: str | int) -> None:
        """Move an animal into a cage; one that never was in any may have a note of one."""
        notebook = self.devices[which]
        animals = notebook.living()
        if isinstance(to, str):
            animals = [each for each in animals if not notebook.of("stay", subject=each)]
        if not animals:
            return
        animal = animals[draw % len(animals)]
        if isinstance(to, str):
            notebook.does([("update", "subject", animal, {"cage": to})])
            return
        stay: Values = {"subject": animal, "cage": list(self.cages)[to], "ended": False}
        notebook.does([("create", "stay", str(uuid.uuid4()), stay)])

    @rule(which=which, draw=draw)
    def pair(self, which: int, draw: int) -> None:
        notebook = self.devices[which]
        animals = notebook.living()
        if len(animals) > 1:
            father, mother = (animals[(draw + n) % len(animals)] for n in (0, 1))
            pair = {"father": father, "mother1": mother, "line": self.line, "ended": False}
            name = f"{self.prefix}P{next(self.count)}"
            notebook.does([("create", "breeding-pair", name, pair)])

    @rule(which=which, draw=draw, name=st.sampled_from(TESTS), found=st.booleans())
    def test(self, which: int, draw: int, name: str, found: bool) -> None:
        """Test an animal for a sequence; where it was, correct or delete that."""
        notebook = self.devices[which]
        animals = notebook.of("subject")
        if not animals:
            return
        values = {"subject": animals[draw % len(animals)], "sequence": name}
        if known := notebook.of("genotype-test", **values):
            update: Write = ("update", "genotype-test", known[0], {"test_result": found})
            notebook.does([update if draw % 2 else ("delete", "genotype-test", known[0], {})])
            return
        result = {**values, "test_result": found}
        notebook.does([("create", "genotype-test", str(uuid.uuid4()), result)])

    @rule(which=which, draw=draw, count=st.integers(1, 2))
    def cull(self, which: int, draw: int, count: int) -> None:
        notebook = self.devices[which]
        animals = notebook.living()[draw % 3 :][:count]
        writes: list[Write] = [
            ("create", "cull", str(uuid.uuid4()), {"subject": each}) for each in animals
        ]
        if writes:
            notebook.does(writes)

    @rule(which=which, draw=draw)
    def delete_a_cull(self, which: int, draw: int) -> None:
        notebook = self.devices[which]
        if keys := notebook.of("cull"):
            notebook.does([("delete", "cull", keys[draw % len(keys)], {})])

    # --- what people do with the server at hand ------------------------------------------------

    @rule(draw=draw, pups=st.integers(1, 2), lost=st.booleans())
    def add_pups(self, draw: int, pups: int, lost: bool) -> None:
        """Add pups to a litter; the line's counter names them, each name once for ever."""
        if litters := sorted(self.colony.of("litter")):
            litter = litters[draw % len(litters)]
            numbers = [next(self.named) for _ in range(pups)]
            names = [f"{self.prefix}PV_{number:04d}" for number in numbers]
            self._ask(f"/litters/{litter}/pups", {"unknown": pups}, lost)
            self._done_there([self._born(each, litter=litter) for each in names])

    @rule(draw=draw, lost=st.booleans())
    def wean(self, draw: int, lost: bool) -> None:
        """Wean the living pups of a litter."""
        litters = {
            values["litter"]
            for values in self.colony.of("subject", death_date=None).values()
            if values["litter"]
        }
        if litters:
            litter = sorted(litters)[draw % len(litters)]
            pups = self.colony.of("subject", litter=litter, death_date=None)
            self._ask(f"/litters/{litter}/wean", {"date": day(9)}, lost)
            self._done_there([("update", "subject", each, {"wean_date": day(9)}) for each in pups])

    def _ask(self, path: str, body: Values, lost: bool) -> None:
        """Send a request, and again if its answer was lost."""
        self.group = str(uuid.uuid4())
        for _ in range(2 if lost else 1):
            self.api.ok("POST", path, body, headers={"X-Fornix-Group": self.group})

    def _done_there(self, writes: list[Write]) -> None:
        self.colony.do(self.group, writes)
        self.accepted += 1

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
                notebook.learn(told(group, answers[-1]), self.colony)
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
        groups = [
            name
            for name, each in self.colony.groups.items()
            if each.numbers and not each.undone  # there is something to take back
        ]
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
        made = [(kind, values) for op, kind, _, values in group.writes if op == "create"]
        about_dead = any(self.colony.is_dead(each) for each in self._animals(group))
        twice = any(self._is_there(kind, values) for kind, values in made)
        assert about_dead or twice or not self._holds(group), answers[0].raw

    def _holds(self, group: Group) -> bool:
        """Return whether the model would do it: what it changes is as the device last saw it."""
        made = {(kind, key) for op, kind, key, _ in group.writes if op == "create"}
        return self.colony.agrees(group.seen, group.writes) and all(
            self.colony.names_only_what_is(kind, values, made)
            for _, kind, _, values in group.writes
        )

    @staticmethod
    def _animals(group: Group) -> set[str]:
        """Return the animals that writes change, or name."""
        changed = {key for op, kind, key, _ in group.writes if (op, kind) == ("update", "subject")}
        named = ("subject", "father", "mother1")
        return changed | {
            str(values[name]) for *_, values in group.writes for name in named if name in values
        }

    def _is_there(self, kind: str, values: Values) -> bool:
        """Return whether an animal has already of what it may have only one."""
        same = {
            "water-restriction": {"subject", "ended"},
            "genotype-test": {"subject", "sequence"},
            "cull": {"subject"},
        }.get(kind)
        return bool(same and self.colony.of(kind, **{name: values[name] for name in same}))

    # --- what must hold ------------------------------------------------------------------------

    def _compare(self, device: Device) -> None:
        compare(device, self.colony, self.prefix, self.cages)

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
        _kinds.update(kind for kind, _ in self.colony.numbers)


_seen = {"accepted": 0, "refused": 0}
_kinds: set[str] = set()


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin at noon: the model keeps one day, and no run lasts twelve hours."""
    began = dt.datetime.now(dt.UTC)
    ahead = began.replace(hour=12, minute=0, second=0, microsecond=0) - began
    monkeypatch.setattr(moment, "now", lambda: dt.datetime.now(dt.UTC) + ahead)


def drive(api: Api, examples: int, steps: int) -> None:
    _seen.update(accepted=0, refused=0)
    _kinds.clear()
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
    assert _kinds == set(PATHS)


def test_two_devices_and_a_bad_network_come_to_what_the_model_says(api: Api) -> None:
    drive(api, examples=8, steps=25)


@pytest.mark.proof
@pytest.mark.timeout(1200)
def test_many_more_of_them(api: Api) -> None:
    drive(api, examples=40, steps=50)
