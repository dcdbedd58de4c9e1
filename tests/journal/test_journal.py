"""The journal has every change once, whatever is stopped; from it the table comes back."""

from __future__ import annotations

import datetime as dt
import itertools
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from functions.api.auth.passwords import set_password
from functions.journal import append as appending
from functions.journal.append import append, compact, search_late
from functions.journal.restore import NotEmpty, restore
from functions.journal.verify import verify
from shared import catalog
from shared.datasets.edit import delete_dataset
from shared.datasets.register import register_datasets
from shared.model import moment
from shared.model.task import Completion
from shared.records import aws, documents, feed, journal, leaving, objects, staging
from shared.records.items import Dataset, Document
from shared.records.meter import metered
from shared.sessions import store as sessions
from shared.sessions.delete import delete_session
from shared.work import lease, write
from tests.flow import LAB, SUBJECT, Flow
from tests.journal.conftest import items


def steps() -> list[Callable[[], Any]]:
    """Return a history: records of many kinds made, changed, deleted and made again."""
    eid, other = "11111111-0000-4000-8000-000000000001", "22222222-0000-4000-8000-0000000000f2"

    def session(identity: str, number: int) -> None:
        start = f"2024-07-01T1{number}:00:00"
        sessions.create(
            subject=SUBJECT, start_time=start, number=number, id=identity, who="rig"
        )  # fmt: skip

    def datasets(n: int, manifest: str) -> None:
        files = [
            Dataset.of(eid, f"alf/obj{i:03d}.times.npy", file_size=i, hash=f"{i:032x}")
            for i in range(n)
        ]
        register_datasets(eid, files, manifest=manifest, who="rig")

    def weight(key: str, grams: float) -> None:
        documents.create(
            "weighing", key, {"subject": SUBJECT, "weight": grams}, who="a",
            parent=(f"SUBJ#{SUBJECT}", f"weighing#{key}"),
        )  # fmt: skip

    def task() -> None:
        made = write.create(eid, LAB, "2024-07-01T11:00:00", {"executable": "t", "name": "t"})
        taken = lease.claim(made.id, "w1")
        lease.heartbeat(made.id, int(taken.attempt))
        ending = Completion(int(taken.attempt), "Complete", log="é" * 3000, elapsed=0.1)
        lease.complete(made.id, ending)

    return [
        lambda: session(eid, 1),
        lambda: datasets(3, "few"),
        lambda: datasets(60, "many"),  # staged
        lambda: weight("w1", 20.5),
        lambda: documents.update("weighing", "w1", lambda b: {**b, "weight": 1e-7}, who="b"),
        lambda: documents.delete("weighing", "w1", who="b"),
        lambda: weight("w1", 21),
        task,
        lambda: session(other, 2),
        lambda: sessions.update(other, {"number": 3, "json": {"a": [None, "ü"]}}, who="b"),
        lambda: delete_dataset(eid, "alf/obj001.times.npy", who="b"),
        lambda: delete_session(other, who="b"),
        lambda: session(other, 2),
        lambda: set_password("anna", "a long password of hers"),
    ]


def entries() -> Counter[str]:
    """Return how often the journal has each entry."""
    numbers = journal.chunks_after(0)
    return Counter(e.name for number in numbers for e in journal.read_chunk(number).entries)


def test_what_was_written_comes_back_item_by_item(flow: Flow, wipe: Callable[[], None]) -> None:
    # Given an installation with a history, journaled in pieces, with a snapshot in between
    append()
    for i, step in enumerate(steps()):
        step()
        if i % 3 == 0:
            append()
        if i == 7:
            assert compact(always=True)
    append()
    before = items()
    shown = catalog.table("dataset").rows()
    # When the table is lost and restored
    wipe()
    assert not items()
    report = restore()
    # Then every item is there again, and no other
    assert items() == before
    assert sum(report.items.values()) == len(before)
    assert verify().good
    catalog.reset_for_tests()
    assert catalog.table("dataset").rows() == shown
    # A second time is refused; said explicitly it changes nothing
    with pytest.raises(NotEmpty):
        restore()
    assert restore(replace=True).deleted == 0
    assert items() == before
    assert verify().good


def test_items_that_the_feed_only_names_are_read_together(flow: Flow) -> None:
    # Given forty sessions since the last run, each with an entry of the audit trail
    append()
    for number in range(1, 41):
        sessions.create(
            subject=SUBJECT, start_time="2024-07-01T11:00:00", number=number, who="rig"
        )  # fmt: skip
    # When they are journaled
    with metered() as cost:
        assert append() == 40
    # Then that takes a few requests, not one for each, and nothing is missing
    assert cost.requests <= 10
    assert verify().good


def test_any_moment_comes_back(flow: Flow, wipe: Callable[[], None]) -> None:
    # Given what there was after each step
    append()
    moments: list[tuple[str, dict[Any, Any]]] = []
    for i, step in enumerate(steps()):
        step()
        moments.append((moment.stamp(), items()))
        if i == 4:
            append()
            compact(always=True)
    append()
    # When the table is made what it was, to and fro in time
    for at, before in [*moments[::-4], *moments[6::3]]:
        restore(at, replace=True)
        assert items() == before
    # Then the last of them counts from now on
    documents.create("project", "p", {"name": "p"}, who="a")
    assert verify().good
    now = items()
    wipe()
    restore()
    assert items() == now


def test_a_stop_at_any_point_changes_nothing(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a writer of the journal that is killed at its first, second, … request to S3,
    # before or after the request is done
    client = aws.client("s3")
    real = client._make_api_call
    left = itertools.count()

    class Killed(BaseException):
        pass

    def failing(after: int, done: bool) -> Any:
        left = iter(range(after))

        def call(name: str, arguments: Any) -> Any:
            if next(left, None) is None:
                if done:
                    real(name, arguments)
                raise Killed
            return real(name, arguments)

        return call

    history = iter(steps())
    for after, done in itertools.product(range(12), (False, True)):
        next(history, lambda: documents.create("tag", f"t{next(left)}", {}, who="a"))()
        monkeypatch.setattr(client, "_make_api_call", failing(after, done))
        try:
            append()
            compact(always=True)
        except Killed:
            pass
        monkeypatch.setattr(client, "_make_api_call", real)
    # When another one goes on
    append()
    # Then each transaction is there once, and the journal is what the table is
    assert set(entries().values()) == {1}
    assert verify().good


def test_writers_at_once_write_each_change_once(flow: Flow) -> None:
    first = append()
    for step in steps():
        step()
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: append(), range(4)))
    assert first + sum(done) == len(entries())
    assert set(entries().values()) == {1}
    assert verify().good


def test_what_is_in_the_journal_is_not_read_again(flow: Flow) -> None:
    # Given records in the journal, the feed's last minute among them
    for step in steps():
        step()
    assert append() > 0
    # When nothing has happened since, then the feed alone is read, though it is read again
    with metered() as cost:
        assert append() == 0
    assert {name for name, units in cost.by_operation.items() if units} == {"Query"}
    # And one further record costs no look at those before it
    species = {"name": "Mus spretus"}
    documents.create("species", "Mus spretus", species, who="a")
    with metered() as one:
        assert append() > 0
    assert one.by_operation.get("BatchGetItem", 0) <= 2


def test_what_a_stopped_writer_commits_late_is_found(flow: Flow) -> None:
    append()
    # Given an entry whose writer was stopped for an hour before it was committed
    documents.create("tag", "late", {"name": "late"}, who="a")
    day = f"{feed.IMAGES}#{moment.stamp()[:10]}"
    (entry,) = [e for e in feed.FeedEntry.query(day) if b"late" in _of(e)]
    entry.delete()
    entry.sk = moment.stamp(moment.now() - dt.timedelta(hours=1)) + "#late"
    entry.pk = f"{feed.IMAGES}#{entry.sk[:10]}"
    append()
    entry.save()
    append()
    assert not verify().good
    # When the nightly search goes back further
    assert search_late() == 1
    assert search_late() == 0
    assert verify().good


def _of(entry: feed.FeedEntry) -> bytes:
    import zlib

    return zlib.decompress(entry.images or zlib.compress(b""))


def test_a_journal_that_nobody_wrote_for_days_starts_from_the_table(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    append()
    steps()[0]()
    # Given a feed that has forgotten what was not journaled
    for each in list(feed.FeedEntry.query(f"{feed.IMAGES}#{moment.stamp()[:10]}")):
        each.delete()
    monkeypatch.setattr(feed, "KEPT", appending.MARGIN)
    # When the journal is written again
    append()
    # Then nothing is missing
    assert verify().good


def test_a_difference_is_told(flow: Flow) -> None:
    for step in steps():
        step()
    assert verify().good
    # Given an item that was changed, one that was deleted and one that was made past all rules
    changed = documents.get("weighing", "w1")
    changed.body = {"weight": 1}
    changed.save()
    documents.get("subject", SUBJECT).delete()
    Dataset.of("11111111-0000-4000-8000-000000000001", "alf/x.y.npy").save()
    # When table and journal are compared, then each is named with its fields
    told = {(each.kind, each.what) for each in verify().differences}
    assert told == {
        ("Doc", "body"),
        ("Doc", "not in the table"),
        ("Dataset", "not in the journal"),
    }


def test_a_restore_that_was_killed_goes_on(
    flow: Flow, wipe: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in steps():
        step()
    append()
    before = items()
    wipe()
    # Given a restore that ended half-way
    from functions.journal import restore as restoring

    real = restoring._batches
    monkeypatch.setattr(
        restoring, "_batches", lambda requests: itertools.islice(real(requests), 1)
    )
    monkeypatch.setattr(restoring, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        restore()
    monkeypatch.undo()
    flow.s3  # noqa: B018
    for name, value in flow.env.items():
        monkeypatch.setenv(name, value)
    assert 0 < len(items()) < len(before)
    # When it is begun again, then it goes on without being told that the table has records
    restore()
    assert items() == before
    assert verify().good


def test_a_dry_run_writes_nothing(flow: Flow, wipe: Callable[[], None]) -> None:
    for step in steps():
        step()
    append()
    before = items()
    wipe()
    chunks = objects.keys("journal/")
    report = restore(dry_run=True)
    assert sum(report.items.values()) == len(before)
    assert not items()
    assert objects.keys("journal/") == chunks


def test_bytes_that_are_gone_are_told(flow: Flow, wipe: Callable[[], None]) -> None:
    steps()[0]()
    eid = "11111111-0000-4000-8000-000000000001"
    kept = [
        Dataset.of(eid, f"alf/{name}.times.npy", stored_in="lab/Subjects/mouse/2024-07-01/001")
        for name in ("there", "gone")
    ]
    there, gone = (str(item.stored_key) for item in kept)
    objects.write(there, b"1")
    register_datasets(eid, kept, manifest="m")
    append()
    wipe()
    assert restore().missing == [gone]


def test_processes_that_run_on_see_what_was_restored(flow: Flow) -> None:
    # Given a process that has read what is now, and an older state
    append()
    documents.create("tag", "kept", {"name": "kept"}, who="a")
    then = moment.stamp()
    documents.update("tag", "kept", lambda body: {**body, "public": True}, who="a")
    documents.create("tag", "undone", {"name": "undone"}, who="a")
    catalog.start_request()
    assert catalog.table("tag").get("kept")["public"]
    # When the table is made what it was
    restore(then, replace=True)
    # Then the process shows that, and so does a new one
    for index in (catalog.current(), catalog.Index()):
        index.catch_up()
        assert "public" not in index.table("tag").get("kept")
        assert index.table("tag").get("undone") is None
    # and what is written from then on
    documents.update("tag", "kept", lambda body: {**body, "description": "x"}, who="a")
    catalog.start_request()
    assert catalog.table("tag").get("kept")["description"] == "x"


def test_what_is_under_way_is_neither_a_difference_nor_in_a_snapshot(
    flow: Flow, wipe: Callable[[], None]
) -> None:
    for step in steps():
        step()
    # Given a record that is being deleted, and a list that is being written
    leaving.mark(("weighing", "w1"), leaving.new_mark("a"))
    note = staging.begin(new := [document(f"n{i}") for i in range(2)])
    for item in new:
        item.save()
    # When table and journal are compared, then they agree
    assert verify().good
    # and a journal that starts from the table has neither
    appending.snapshot_of_table(9_999)
    staging.discard(note)
    before = items()
    wipe()
    restore()
    assert items() == before
    assert documents.find("weighing", "n0") is None


def document(key: str) -> Document:
    """Return a new weighing, not yet stored."""
    body = {"id": key, "subject": SUBJECT, "weight": 20}
    return Document(pk=f"DOC#weighing#{key}", sk="A", what="weighing", id=key, body=body)
