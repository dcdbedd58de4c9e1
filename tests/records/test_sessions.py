"""Sessions and datasets in the table: uniqueness, visibility, revisions, budgets."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.datasets.edit import delete_dataset
from shared.datasets.partition import stage
from shared.datasets.read import datasets_of
from shared.datasets.register import register_datasets
from shared.model import moment
from shared.model.identity import dataset_id
from shared.records import audit, documents, feed
from shared.records.errors import Exists, NotFound
from shared.records.items import Dataset, Session
from shared.records.meter import metered
from shared.records.table import Record
from shared.sessions import store as sessions
from shared.sessions.contents import find_dataset, session_and_datasets
from shared.sessions.delete import delete_session

HASH = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def lab(table: str) -> str:
    documents.create("lab", "fimbrialab", {"timezone": "Europe/Lisbon"}, who="admin")
    documents.create("subject", "FI_001", {"lab": "fimbrialab"}, who="admin")
    # What the datasets here name
    documents.create("dataset-type", "obj.times", {"name": "obj.times"}, who="admin")
    documents.create("user", "anna", {"username": "anna", "lab": ["fimbrialab"]}, who="admin")
    return "fimbrialab"


def new_session(**values: object) -> Session:
    arguments = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "who": "anna"}
    return sessions.create(**{**arguments, **values})  # type: ignore[arg-type]


def files(eid: str, n: int, **values: object) -> list[Dataset]:
    return [
        Dataset.of(
            eid,
            f"alf/obj{i:03d}.times.npy",
            dataset_type="obj.times",
            data_format="npy",
            file_size=1000 + i,
            hash=HASH,
            sha256=HASH * 2,
            created_by="anna",
            provenance={"task": "5f0c1b8a", "attempt": 1},
            **values,
        )
        for i in range(n)
    ]


def test_a_session_is_unique_by_subject_day_and_number(lab: str) -> None:
    first = new_session(number=1)
    assert (first.date, first.start_time) == ("2024-07-01", "2024-07-01T10:00:00+01:00")
    # When the same is created again, then the answer names the one that is there
    with pytest.raises(Exists, match="FI_001/2024-07-01/001 already exists") as caught:
        new_session(number=1)
    assert caught.value.key == first.id
    # And without a number the next free one is taken
    assert new_session().number == 2
    assert sessions.find("FI_001", "2024-07-01", 1).id == first.id
    assert [s.number for s in sessions.of_subject("FI_001", "2024-07-01", "2024-07-01")] == [1, 2]


def test_an_unknown_subject_is_refused(lab: str) -> None:
    with pytest.raises(NotFound, match="no subject 'ghost'"):
        new_session(subject="ghost")


def test_updates_move_the_guard_and_are_logged(lab: str) -> None:
    eid = new_session(number=1).id
    sessions.update(eid, {"number": 3, "qc": 30}, who="ben")
    assert sessions.find("FI_001", "2024-07-01", 1) is None
    assert sessions.find("FI_001", "2024-07-01", 3).qc == 30
    last = list(audit.history("session", eid))[-1]
    assert (last.who, last.action, last.after["qc"]) == ("ben", "update", 30)
    day_ago = moment.stamp(moment.now() - timedelta(days=1))
    log = [change for change in feed.since(day_ago) if change.key == eid]
    assert [change.row["number"] for change in log] == [1, 3]


@pytest.mark.parametrize("n", [3, 150])
def test_registering_is_all_or_nothing_idempotent_and_within_budget(lab: str, n: int) -> None:
    with metered() as created:
        eid = new_session().id
    with metered() as cost:
        register_datasets(eid, files(eid, n), manifest="m1")
    with metered() as again:
        register_datasets(eid, files(eid, n), manifest="m1")
    assert len(datasets_of(eid)) == n
    writes = {k: v for k, v in cost.by_operation.items() if k not in ("Query", "GetItem")}
    # 40 of the 240 write units of a session with 150 datasets are for its five tasks
    assert created.units + sum(writes.values()) <= 200
    assert set(again.by_operation) <= {"Query", "GetItem"}
    # When the session is read with its datasets
    with metered() as read:
        session, found = session_and_datasets(eid)
    assert read.requests == 1
    assert read.units <= 8
    assert [d.uuid for d in found] == [dataset_id(session.id, d.path) for d in found]


def test_a_staged_set_is_invisible_until_the_flip(lab: str) -> None:
    eid = new_session().id
    # Given a registration killed between its batches and its flip
    stage(files(eid, 60)[:30], "dead")
    assert datasets_of(eid) == []
    # When another set is registered, then the leftovers stay invisible
    register_datasets(eid, files(eid, 60)[50:], manifest="other")
    assert len(datasets_of(eid)) == 10
    # And when the killed one is done again, everything is there
    register_datasets(eid, files(eid, 60), manifest="again")
    assert len(datasets_of(eid)) == 60


def test_the_newest_default_revision_wins_and_an_older_one_returns(lab: str) -> None:
    eid = new_session().id
    old = Dataset.of(eid, "alf/a.times.npy", hash=HASH)
    new = Dataset.of(eid, "alf/#2024-07-02#/a.times.npy", hash=HASH)
    register_datasets(eid, [old], manifest="1")
    register_datasets(eid, [new], manifest="2")
    assert {d.revision: d.default for d in datasets_of(eid)} == {
        None: False,
        "2024-07-02": True,
    }
    delete_dataset(eid, new.path, who="anna")
    assert {d.revision: d.default for d in datasets_of(eid)} == {None: True}


def test_a_dataset_is_found_by_id_whether_ours_or_imported(lab: str) -> None:
    eid = new_session().id
    foreign = "3d2e8e5e-1b2c-4d3e-8f4a-5b6c7d8e9f00"
    ours = Dataset.of(eid, "alf/a.times.npy")
    theirs = Dataset.of(eid, "alf/b.times.npy", id=foreign)
    aggregate = Dataset.of("subjects.subject#1", "trials.table.pqt")
    register_datasets(eid, [ours, theirs], manifest="1")
    register_datasets("subjects.subject#1", [aggregate], manifest="2")
    assert find_dataset(ours.uuid)[1].path == "alf/a.times.npy"
    assert find_dataset(foreign)[1].path == "alf/b.times.npy"
    assert find_dataset(aggregate.uuid)[0] is None
    with pytest.raises(NotFound):
        find_dataset("00000000-0000-4000-8000-000000000000")


def test_deleting_a_session_frees_its_number_and_leaves_its_trail(lab: str) -> None:
    eid = new_session(number=1).id
    register_datasets(eid, files(eid, 3), manifest="m")
    delete_session(eid, who="admin")
    assert list(Record.query(f"SES#{eid}")) == []
    assert [e.action for e in audit.history("session", eid)] == ["create", "register", "delete"]
    assert new_session(number=1).id != eid
