"""The search index against a plain model of it, in every form its rows may have."""

from __future__ import annotations

import datetime as dt
import json
import random
import subprocess
import sys
import uuid
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import shared.work.item  # noqa: F401 - tasks are among what is listed
from shared import catalog
from shared.catalog import versions
from shared.catalog.columns import blocks, coded, keys, mapped
from shared.catalog.columns.local import Local
from shared.catalog.columns.table import Columns
from shared.catalog.damaged import Damaged
from shared.catalog.rows import Rows, sort_key
from shared.catalog.versions import Table
from shared.datasets.partition import stage
from shared.datasets.register import register_datasets
from shared.model import moment
from shared.model.change import Change
from shared.records import documents, feed
from shared.records.items import Dataset
from shared.records.meter import metered
from shared.records.where import LOOKUPS, Either, Where
from shared.sessions import store as sessions
from shared.sessions.delete import delete_session

NAMES = ["a", "B", "b", "alpha", "Beta", "x y", "é", ""]
scalars = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(NAMES))
UUIDS = ["10000000-0000-4000-8000-000000000000", "ffffffff-ffff-4fff-bfff-ffffffffffff"]
rows_ = st.fixed_dictionaries(
    {
        "text": st.one_of(st.none(), st.sampled_from(NAMES)),
        "n": st.one_of(st.none(), st.integers(-5, 5)),
        "flag": st.booleans(),
        "many": st.lists(st.sampled_from(NAMES), max_size=3),
        "json": st.one_of(st.none(), st.dictionaries(st.sampled_from("ab"), scalars, max_size=2)),
        "file_size": st.one_of(st.none(), st.integers(0, 4)),
        "foreign_id": st.one_of(st.none(), st.sampled_from(UUIDS)),
    }
)
LISTS = ("in", "range")
plain = st.sampled_from([name for name in LOOKUPS if name not in (*LISTS, "test", "isnull")])


@st.composite
def wheres(draw: Any) -> Where:
    names = ["text", "n", "flag", "many", "json", "file_size", "foreign_id"]
    field = draw(st.sampled_from([*names, "absent"]))
    path = (draw(st.sampled_from("ab")),) if field == "json" else ()
    negate = draw(st.booleans())
    kind = draw(st.sampled_from(["plain", "in", "range", "isnull"]))
    if kind == "plain":
        return Where(field, draw(plain), draw(scalars), negate, path)
    if kind == "in":
        return Where(field, "in", draw(st.lists(scalars, max_size=3)), negate, path)
    if kind == "range":
        low, high = sorted(draw(st.tuples(st.integers(-5, 5), st.integers(-5, 5))))
        return Where(field, "range", [low, high], negate, path)
    return Where(field, "isnull", draw(st.booleans()), negate, path)


def keyed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "id": f"{i:04d}", "key": f"{i:04d}"} for i, row in enumerate(rows)]


def types(row: dict[str, Any]) -> dict[str, type]:
    return {name: type(value) for name, value in row.items()}


def columns(rows: list[dict[str, Any]], order: tuple[str, ...]) -> Columns:
    return Columns.of(rows, order, lambda row: str(row["key"]), ("key",))


def in_file(table: Columns, spoil: Any = lambda body: body) -> Columns:
    """Return the rows as a process finds them in the snapshot, which it reads piece by piece."""
    body = mapped.pack(table)
    size = len(body)
    body = spoil(body)

    def read(ranges: Any) -> list[bytes]:
        return [body[offset : offset + length] for offset, length in ranges]

    return mapped.opened(
        "things", read, size, frozenset(), table.order, table.key, table.key_fields
    )


@pytest.fixture
def tiny_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few rows are cut into many blocks, and have all the forms of columns that many have."""
    for module in (blocks, mapped):
        monkeypatch.setattr(module, "BLOCK", 3)
    monkeypatch.setattr(mapped, "VALUES", 2)
    monkeypatch.setattr(mapped.local, "ROWS", 2)
    monkeypatch.setattr(mapped, "MANY_ROWS", 4)
    monkeypatch.setattr(mapped, "GROUPED", range(3, 6))
    monkeypatch.setattr(mapped, "MANY_TEXTS", 5)
    monkeypatch.setattr(mapped, "MANY_JSON", 4)
    monkeypatch.setattr(keys, "FEW", 2)
    monkeypatch.setattr(coded, "FEW", 2)


FIXED = [HealthCheck.function_scoped_fixture]


@settings(max_examples=300, deadline=None, suppress_health_check=FIXED)
@given(st.lists(rows_, max_size=12), st.lists(wheres(), max_size=3), st.booleans())
def test_columns_select_what_the_same_conditions_select_row_by_row(
    tiny_blocks: None, rows: list[dict[str, Any]], conditions: list[Where], either: bool
) -> None:
    rows = keyed(rows)
    if either and conditions:
        conditions = [Either(value=conditions)]
    wanted = [r["key"] for r in rows if all(w.on_rows()(r) for w in conditions)]
    made = columns(rows, ("key",))
    for table in (made, in_file(made), Rows("thing", rows, ("key",))):
        found = table.matching(conditions)
        assert len(found) == len(wanted)
        assert [row["key"] for row in table.pick(found[:], ["key"])] == wanted
        assert [row["key"] for row in table.pick(found[1:4], ["key"])] == wanted[1:4]
        # and the values of their fields, whether few rows were found or nearly all
        chosen = [row for row in rows if row["key"] in wanted]
        for name in ("key", "text", "many", "n", "flag"):
            values = [row[name] for row in chosen]
            flat = {v for x in values for v in (x if isinstance(x, list) else [x])}
            assert set(table.distinct(found, name)) == flat


@settings(max_examples=150, deadline=None, suppress_health_check=FIXED)
@given(st.lists(rows_, max_size=12), st.data())
def test_rows_come_back_from_columns_and_from_their_file(
    tiny_blocks: None, rows: list[dict[str, Any]], data: Any
) -> None:
    rows = keyed(rows)
    order = ("-text", "n", "key")
    table = columns(rows, order)
    again = in_file(in_file(table))
    wanted = sorted(rows, key=lambda row: sort_key(row, order))
    for each in (table, in_file(table), again):
        found = each.pick(each.matching(()))
        assert found == wanted
        assert [types(row) for row in found] == [types(row) for row in wanted]
        assert [each.find(row["key"]) for row in wanted] == list(range(len(rows)))
        assert each.find("absent") == -1
    # also some of them, in any order, and as the values of a field
    places = data.draw(st.lists(st.integers(0, max(len(rows) - 1, 0)), max_size=8))
    some = np.array(places if rows else [], np.int64)
    name = data.draw(st.sampled_from(["text", "many", "n", "flag", "key"]))
    for each in (table, in_file(table)):
        assert each.pick(some) == [wanted[i] for i in some]
        found = set(each.distinct(np.unique(some), name))
        values = [wanted[i][name] for i in some]
        assert found == {v for x in values for v in (x if isinstance(x, list) else [x])}
        assert each.sort(np.arange(len(rows)), ("key",)).tolist() == sorted(
            range(len(rows)), key=lambda i: wanted[i]["key"]
        )


@settings(max_examples=60, deadline=None, suppress_health_check=FIXED)
@given(st.lists(rows_, min_size=1, max_size=12), st.randoms(use_true_random=False), st.booleans())
def test_a_damaged_file_is_told_and_never_answers_wrongly(
    tiny_blocks: None, rows: list[dict[str, Any]], chance: random.Random, cut: bool
) -> None:
    # Given a file of which a byte is another, or that ends early
    def spoil(body: bytes) -> bytes:
        at = chance.randrange(len(body))
        return (
            body[:at]
            if cut
            else body[:at] + bytes([body[at] ^ 1 << chance.randrange(8)]) + body[at + 1 :]
        )

    table = columns(keyed(rows), ("key",))
    # When all of it is read, then it is said, unless what was spoilt is not read at all
    told = ""
    try:
        read = in_file(table, spoil)
        found = read.pick(read.matching(()))
    except Damaged as error:
        told = str(error)
    assert "things" in told if told else found == keyed(rows)


def test_only_what_a_question_touches_is_read(tiny_blocks: None) -> None:
    # Given 90 rows in blocks of three
    rows = keyed([{"text": f"t{i:03d}", "n": i // 30, "many": [str(i % 2)]} for i in range(90)])
    table = columns(rows, ("key",))
    body = mapped.pack(table)
    asked = []

    def read(ranges: Any) -> list[bytes]:
        asked.extend(ranges)
        return [body[offset : offset + length] for offset, length in ranges]

    opened = mapped.opened("things", read, len(body), frozenset(), ("key",), table.key, ("key",))
    assert len(asked) == 1  # its end
    assert isinstance(opened.columns["text"], Local)
    # When a row is looked for, then a block of it is read, and none of other columns
    first = opened.matching([Where("n", "exact", 1)])
    assert len(first) == 30
    asked.clear()
    assert opened.pick(first[:1], ["text"]) == [{"text": "t030"}]
    assert len(asked) == 1
    # and what was read is kept
    asked.clear()
    opened.pick(first[:1], ["text"])
    opened.matching([Where("n", "exact", 1)])
    assert asked == []


@settings(max_examples=100, deadline=None, suppress_health_check=FIXED)
@given(st.lists(rows_, max_size=12), st.lists(rows_, max_size=12), st.booleans())
def test_rows_of_one_kind_are_found_by_those_found_of_another(
    tiny_blocks: None, ones: list[dict[str, Any]], others: list[dict[str, Any]], negate: bool
) -> None:
    def table(rows: list[dict[str, Any]], large: bool) -> Table:
        rows = keyed(rows)
        base = in_file(columns(rows, ("key",))) if large else Rows("thing", rows, ("key",))
        made = Table("thing", lambda: base, "2024-01-01T00:00:00.000000")
        row = {"text": "new", "id": "9999", "many": []}
        made.apply(Change("2024-01-01T00:00:01.000000", "thing", "9999", 1, row))
        return made

    found = []
    for large in (True, False):
        values = table(ones, large).select().values("text")
        values = (values - {None, "a"}) | {"x y"}
        wanted = Where("text", "in", values, negate)
        found.append([row["key"] for row in table(others, large).select([wanted]).all()])
    assert found[0] == found[1]


@settings(max_examples=150, deadline=None, suppress_health_check=FIXED)
@given(
    st.lists(rows_, max_size=10),
    st.lists(st.tuples(st.integers(0, 14), st.one_of(st.none(), rows_)), max_size=25),
    wheres(),
    st.sampled_from(["rows", "columns", "file"]),
    st.randoms(use_true_random=False),
)
def test_any_moment_is_shown_as_it_was_whatever_order_changes_arrive_in(
    tiny_blocks: None,
    base: list[dict[str, Any]],
    writes: list[tuple[int, dict[str, Any] | None]],
    where: Where,
    form: str,
    shuffle: random.Random,
) -> None:
    # Given a snapshot, as rows or as columns
    start = keyed(base)
    order = ("n", "key")
    state = {row["key"]: row for row in start}

    def load() -> Any:
        if form == "rows":
            return Rows("thing", start, order)
        made = columns(start, order)
        return in_file(made) if form == "file" else made

    table = Table("thing", load, "2024-01-01T00:00:00.000000")
    table.order = order
    # When records are written, changed and deleted, one second after the other
    log, moments = [], []
    for second, (number, row) in enumerate(writes, 1):
        key = f"{number:04d}"
        at = moment.stamp(dt.datetime(2024, 1, 1, 0, 0, second, tzinfo=dt.UTC))
        log.append(Change(at, "thing", key, second, {**row, "id": key} if row else None))
        if row:
            state[key] = {**row, "id": key, "key": key}
        else:
            state.pop(key, None)
        moments.append((at, dict(state)))
    # and the feed is read in any order, some of it twice
    shuffle.shuffle(log)
    for change in [*log, *log[: len(log) // 2]]:
        table.apply(change)
    # Then each moment, and now, shows what was there, in order, by pages from any rank
    for at, wanted in [*moments, (None, state)]:
        expected = sorted(
            (row for row in wanted.values() if where.on_rows()(row)),
            key=lambda row: sort_key(row, order),
        )
        found = table.select([where], as_of=at)
        assert len(found) == len(expected)
        keys = [row["key"] for row in expected]
        assert [row["key"] for row in found.all()] == keys
        middle = len(keys) // 2
        assert [row["key"] for row in found.page(middle, 2)] == keys[middle : middle + 2]
        assert found.values("text") == {row["text"] for row in expected}


@pytest.mark.parametrize("large", [False, True])
def test_what_the_snapshot_has_is_not_held_twice(large: bool) -> None:
    # Given a snapshot with a row of version 2, and a feed read from before it on
    rows = [{"key": f"{i:04d}", "n": i, "_version": 2} for i in range(5)]
    base = columns(rows, ("key",)) if large else Rows("thing", rows, ("key",))
    table = Table("thing", lambda: base, "2024-01-01T00:00:30.000000")
    for version, second in ((1, 10), (2, 20)):
        at = f"2024-01-01T00:00:{second}.000000"
        table.apply(Change(at, "thing", "0003", version, {"n": version}))
    # Then the row is that of the snapshot, and before it what the feed says
    assert not table.select().fresh
    assert [row["n"] for row in table.rows()] == [0, 1, 2, 3, 4]
    before, *rest = table.select(as_of="2024-01-01T00:00:15.000000").fresh
    assert (before["n"], rest) == (1, [])
    # and a later change shows
    table.apply(Change("2024-01-01T00:00:40.000000", "thing", "0003", 3, {"n": 9}))
    assert sorted(row["n"] for row in table.rows()) == [0, 1, 2, 4, 9]


@pytest.fixture
def lab(table: str) -> None:
    catalog.reset_for_tests()
    documents.create("lab", "fimbrialab", {"timezone": "UTC"}, who="admin")
    documents.create("subject", "FI_001", {"nickname": "FI_001", "lab": "fimbrialab"}, who="admin")


def new_session(number: int, **values: Any) -> str:
    start = f"2024-07-01T{number % 24:02d}:00:00"
    return sessions.create(
        subject="FI_001", start_time=start, number=number, who="anna", **values
    ).id


def shown() -> list[int]:
    catalog.start_request()
    return [row["number"] for row in catalog.table("session").select().all()]


def test_a_reader_sees_every_write_that_came_before_by_one_query(lab: None) -> None:
    new_session(1)
    assert shown() == [1]
    eid = new_session(2)
    with metered() as cost:
        assert shown() == [2, 1]
    assert cost.by_operation.keys() == {"Query"}
    assert cost.requests <= 2  # two around midnight
    sessions.update(eid, {"number": 7}, who="anna")
    assert shown() == [7, 1]
    delete_session(eid, who="anna")
    assert shown() == [1]


def test_another_process_without_a_snapshot_scans_and_then_follows_the_feed(lab: None) -> None:
    eid = new_session(1)
    register_datasets(
        eid, [Dataset.of(eid, f"alf/a{i}.times.npy") for i in range(60)], manifest="m"
    )
    stage([Dataset.of(eid, "alf/unfinished.times.npy")], "dead")
    other = catalog.Index()
    other.catch_up()
    assert len(other.table("dataset").select()) == 60
    new_session(2)
    other.catch_up()
    assert len(other.table("session").select()) == 2


def test_what_a_slow_writer_commits_late_is_not_lost(
    lab: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All of the overlap is read again every few seconds; here, each time
    monkeypatch.setattr(feed, "FAR_EVERY", dt.timedelta(0))
    eid = new_session(1)
    index = catalog.Index()
    index.catch_up()
    # Given a writer whose clock is half a minute behind
    late = feed.entries([("session", eid, 9_999_999_999_999, {"id": eid, "number": 5})], [])[0]
    late.sk = moment.stamp(moment.now() - dt.timedelta(seconds=30)) + "#late"
    late.save()
    index.catch_up()
    assert index.table("session").get(eid)["number"] == 5
    # and an older version that arrives after it changes nothing
    older = feed.entries([("session", eid, 3, {"id": eid, "number": 6})], [])[0]
    older.save()
    index.catch_up()
    assert index.table("session").get(eid)["number"] == 5


def test_many_changes_are_folded_and_a_token_still_shows_its_moment(
    lab: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "SMALL", 2)
    monkeypatch.setattr(feed, "OVERLAP", dt.timedelta(0))
    for number in range(1, 4):
        new_session(number)
    catalog.start_request()
    table = catalog.table("session")
    before = catalog.as_of()
    assert len(table.select()) == 3
    for number in range(4, 12):
        new_session(number)
    catalog.start_request()
    assert len(catalog.table("session").select()) == 11
    assert not table._now.overlay  # folded
    assert [row["number"] for row in table.select(as_of=before).all()] == [3, 2, 1]
    new_session(12)
    assert shown()[0] == 12


def test_lookups_never_fail_on_values_of_another_type() -> None:
    odd = [None, True, 0, 1.5, "", "x", "é", [], {"a": 1}, "2024-01-01"]
    for name, make in LOOKUPS.items():
        if name == "test":
            continue
        for wanted in odd:
            argument = {
                "in": [w for w in odd if not isinstance(w, (list, dict))],
                "range": ["a", "b"],
                # what is no pattern is refused where the query is read
                "regex": wanted if isinstance(wanted, str) else "1",
                "iregex": wanted if isinstance(wanted, str) else "1",
            }.get(name, wanted)
            test = make(argument)
            assert {type(test(value)) for value in odd} == {bool}, (name, json.dumps(wanted))


def test_rows_that_are_young_are_found_by_their_texts_like_old_ones() -> None:
    # Given a kind of which all rows came after the snapshot
    table = Table("weighing", lambda: Rows("weighing", [], ("key", "id")), "2024-01-01T00:00:00.0")
    for i in range(300):
        row = {"id": str(i), "subject": f"mouse{i % 100}", "weight": i}
        table.apply(Change(f"2024-01-02T00:00:00.{i:06d}", "weighing", str(i), 1, row))
    looked_at = []

    def any_weight(value: object) -> bool:
        looked_at.append(value)
        return True

    wanted = [Where("weight", "test", any_weight), Where("subject", "exact", "mouse7")]
    # When those of each of a page's mice are selected
    for _ in range(10):
        assert [row["weight"] for row in table.select(wanted).all()] == [107, 207, 7]
    # Then only those were looked at
    assert len(looked_at) == 30


def test_a_process_reads_its_own_write_however_long_the_commit_took(
    lab: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog.start_request()
    catalog.table("session")
    # Given a writer whose request to the database took longer than readers go back
    monkeypatch.setattr(feed, "NEAR", dt.timedelta(0))
    monkeypatch.setattr(feed, "OVERLAP", dt.timedelta(0))
    real = feed.entries

    def early(*arguments, **options):
        entries = real(*arguments, **options)
        for entry in entries:
            at, _, tail = entry.sk.partition("#")
            entry.sk = f"{moment.stamp(moment.of_stamp(at) - dt.timedelta(minutes=5))}#{tail}"
        return entries

    monkeypatch.setattr(feed, "entries", early)
    eid = new_session(1)
    # When it looks, then its own write is there
    catalog.start_request()
    assert catalog.table("session").get(eid)["number"] == 1


OTHER = """
import json, sys
import shared.work.item
from shared import catalog
from shared.sessions import store

for line in sys.stdin:
    what, eid, number = json.loads(line)
    if what == "create":
        start = "2024-07-01T10:00:00"
        store.create(subject="FI_001", start_time=start, number=number, who="bob", id=eid)
    elif what == "update":
        store.update(eid, {"narrative": str(number)}, who="bob")
    catalog.start_request()
    row = catalog.table("session").get(eid)
    rows = catalog.table("session").select().all()
    print(json.dumps([row and row["narrative"], len(rows)]), flush=True)
"""


def test_what_one_process_has_written_another_reads_at_once(lab: None) -> None:
    # Given two processes that answer requests, both of them warm
    with subprocess.Popen(
        [sys.executable, "-c", OTHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:

        def ask(what: str, eid: str, number: int) -> list[Any]:
            assert other.stdin
            assert other.stdout
            print(json.dumps([what, eid, number]), file=other.stdin, flush=True)
            return json.loads(other.stdout.readline())

        def here(eid: str) -> list[Any]:
            catalog.start_request()
            row = catalog.table("session").get(eid)
            return [row and row["narrative"], len(catalog.table("session").select())]

        for turn in range(1, 11):
            # When one of them has written, then the other one's next answer shows it
            mine = new_session(turn)
            assert ask("read", mine, 0) == [None, 2 * turn - 1]
            theirs = str(uuid.uuid4())
            assert ask("create", theirs, 100 + turn) == [None, 2 * turn]
            assert here(theirs) == [None, 2 * turn]
            assert ask("update", mine, turn)[0] == str(turn)
            assert here(mine) == [str(turn), 2 * turn]
            sessions.update(theirs, {"narrative": f"mine {turn}"}, who="anna")
            assert ask("read", theirs, 0)[0] == f"mine {turn}"
        assert other.stdin
        other.stdin.close()


def test_what_is_asked_of_young_rows_decides_what_they_cost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Given many rows in columns, and younger ones
    base = columns(keyed([{"text": f"t{i}"} for i in range(100)]), ("key",))
    table = Table("thing", lambda: base, "2024-01-01T00:00:00.000000")
    for i in range(20):
        at = f"2024-01-01T00:00:{i:02d}.000000"
        table.apply(Change(at, "thing", f"0{i:03d}x", 1, {"id": f"0{i:03d}x", "text": "new"}))
    found = table.select(order=("key",))
    read: list[int] = []
    pick = base.pick
    monkeypatch.setattr(base, "pick", lambda *a: (read.append(len(a[0])), pick(*a))[1])
    # When their number and values are asked for, then no row of the base is read
    assert len(found) == 120
    assert "new" in found.values("text")
    assert read == []
    # but for a page, a few at a time to find the places, each among equal ones once
    assert [row["key"] for row in found.page(0, 3)] == ["0000", "0000x", "0001"]
    assert sum(read) < 200
