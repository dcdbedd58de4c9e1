"""Rows on their way: batches, refusals, identifiers, whatever a source may show."""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from iblutil.io import parquet

from lab.client import RecordMissing, RequestRefused
from lab.importers.alyx import AlyxImport
from lab.importers.alyx_rows import RowUnfit
from lab.importers.alyx_steps import AFTER_SESSIONS, BEFORE_SESSIONS, SESSIONS
from lab.importers.carrier import MAX_BYTES, SENDERS, Carrier, batches_apart
from lab.importers.identifiers import derived, from_int_pairs
from lab.importers.journal import Journal
from lab.importers.report import save, summary


class Api:
    """Refuses whole requests that have a certain row in them."""

    def __init__(self, bad: tuple[str, ...] = (), status: int = 400) -> None:
        self.bad, self.status = set(bad), status
        self.sent: list[list[str]] = []

    def get(self, path: str, **query: Any) -> Any:
        raise RecordMissing(404, {"detail": "not found"}, path)

    def post(self, path: str, body: Any = None) -> Any:
        names = [row["name"] for row in body["rows"]]
        self.sent.append(names)
        if self.bad & set(names):
            raise RequestRefused(self.status, {"detail": "too odd"}, path)
        return {"created": len(names), "unchanged": 0, "refused": []}

    def patch(self, path: str, body: Any) -> Any:
        raise AssertionError


def test_one_row_that_spoils_its_request_is_found_and_the_others_are_sent():
    api, journal = Api(bad=("13",)), Journal()
    refused = Carrier(api, journal).carry("labs", [{"name": str(i)} for i in range(50)])
    assert refused == {"13"}
    assert journal.tallies()["labs"] == {"created": 49, "not carried": 1}
    assert [r["detail"] for r in journal.refusals()] == ["too odd"]
    assert len(api.sent) < 15


@settings(max_examples=50)
@given(st.lists(st.integers(0, 40), max_size=900), st.integers(1, 30))
def test_rows_sent_side_by_side_are_each_sent_once_and_those_of_one_session_together(owners, most):
    rows = [{"name": str(place), "session": str(eid)} for place, eid in enumerate(owners)]
    api, journal = Api(bad=("3",)), Journal()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lab.importers.carrier.MAX_ROWS", most)
        whole = batches_apart(rows, "session")
        refused = Carrier(api, journal).carry("datasets", rows, apart="session")
    # Each row is in one request, of the allowed size
    assert sorted(row["name"] for batch in whole for row in batch) == sorted(
        row["name"] for row in rows
    )
    assert all(0 < len(batch) <= most for batch in whole)
    # A session is in several only if it does not fit into one
    for eid in {row["session"] for row in rows}:
        n_batches = sum(any(row["session"] == eid for row in batch) for batch in whole)
        assert n_batches == -(-sum(row["session"] == eid for row in rows) // most)
    # What spoils its request is found as before
    assert refused == {row["name"] for row in rows if row["name"] == "3"}
    assert sum(journal.tallies().get("datasets", {}).values()) == len(rows)


def test_several_requests_are_under_way_at_once_and_an_error_waits_for_them():
    # Given a server that answers none of three requests before the third has come
    barrier, answered = threading.Barrier(SENDERS, timeout=60), []

    class Slow(Api):
        def post(self, path: str, body: Any = None) -> Any:
            barrier.wait()
            if body["rows"][0]["name"] == "0":
                raise RequestRefused(403, {"detail": "no"}, path)
            answered.append(len(body["rows"]))
            return super().post(path, body)

    # When one of them is refused, then the others have been answered
    rows = [{"name": str(place), "id": f"{place:03d}"} for place in range(10 * SENDERS)]
    with pytest.raises(RequestRefused):
        Carrier(Slow(), Journal()).carry("weighings", rows, apart="id")
    assert answered == [10] * (SENDERS - 1)


def test_a_refusal_of_the_account_stops_the_import():
    with pytest.raises(RequestRefused):
        Carrier(Api(bad=("1",), status=403), Journal()).carry("labs", [{"name": "1"}])


@given(st.lists(st.integers(0, 300_000), max_size=12))
@settings(max_examples=30, deadline=None)
def test_batches_hold_each_row_once_in_order_and_are_not_too_large(sizes):
    api = Api()
    rows = [{"name": str(i), "text": "x" * size} for i, size in enumerate(sizes)]
    Carrier(api, Journal()).send("labs", rows)
    assert [name for names in api.sent for name in names] == [row["name"] for row in rows]
    by_name = {row["name"]: len(json.dumps(row)) for row in rows}
    for names in api.sent:
        assert len(names) == 1 or sum(by_name[name] for name in names) <= MAX_BYTES


@given(st.lists(st.uuids(), min_size=1))
def test_integer_pairs_are_read_as_one_api_reads_them(ids):
    texts = np.array([str(i) for i in ids])
    assert from_int_pairs(parquet.str2np(texts)) == [str(i) for i in ids]


@given(st.lists(st.text(), min_size=1), st.lists(st.text(), min_size=1))
def test_derived_ids_are_of_version_4_and_follow_from_their_parts(a, b):
    one, other = derived(*a), derived(*b)
    assert one.version == 4
    assert one.variant == uuid.RFC_4122
    if not any("\0" in part for part in a + b):
        assert (one == other) == (a == b)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(
    "step",
    [*BEFORE_SESSIONS, SESSIONS, *AFTER_SESSIONS],
    ids=lambda step: step.resource + "-" * len(step.filters),
)
@given(data=st.data())
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_a_source_shows_is_a_row_that_can_be_sent_or_is_refused(step, data):
    fields = st.sampled_from(["id", "url", *step.carried.split(), *step.computed.split()])
    row = data.draw(st.dictionaries(fields, VALUES, max_size=8))

    class Source:
        url = "https://alyx.example.org"

    job = AlyxImport(Source(), Carrier(Api(), Journal()))  # type: ignore[arg-type]
    try:
        fit = job.fit(step, row)
    except RowUnfit:
        return
    json.dumps(fit)
    assert set(fit) <= {"id", *step.carried.split(), "file_records", "content_type", "object_id"}
    if "id" in fit and "id" not in step.carried.split():
        assert uuid.UUID(fit["id"])


def test_a_journal_keeps_nothing_of_a_transaction_that_breaks(tmp_path):
    journal = Journal(tmp_path / "journal.sqlite")

    def page() -> None:
        with journal.transaction():
            journal.set("offset", 7)
            journal.tally("labs", "created", 3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        page()
    assert journal.get("offset") is None
    assert journal.tallies() == {}
    journal.close()


def test_a_file_that_is_no_journal(tmp_path):
    path = tmp_path / "journal.sqlite"
    path.write_text("something else entirely, and long enough to be read as a header" * 10)
    with pytest.raises(sqlite3.DatabaseError):
        Journal(path)


def test_the_report_is_json_whatever_names_there_are(tmp_path):
    journal = Journal()
    journal.refuse("files", "a\udcffb\n\"'", "no name", "\x00")
    journal.note("remark \ud800")
    report = summary(journal, source="folder")
    save(report, journal, tmp_path / "report.json")
    saved = json.loads((tmp_path / "report.json").read_text())
    assert saved["not_carried"][0]["reason"] == "no name"
    assert saved["reasons"][0]["n"] == 1
