"""The tables for SQL on the site: public sessions, and nothing else."""

from __future__ import annotations

import io

import pyarrow.parquet as pq

from functions.analysis.bucket import Bucket
from functions.analysis.handler import handler
from shared.results import sql
from shared.sessions import store as sessions
from tests.analysis.test_handler import buckets, session, sqs  # noqa: F401


def rows(name: str) -> list[dict]:
    """Return the rows of a table of the site."""
    store = Bucket("site")
    found = []
    for key in sql.index(store).files(name):
        content = store.read(key)
        assert content is not None, key
        found += pq.read_table(io.BytesIO(content[0])).to_pylist()
    return found


def nightly() -> None:
    handler({"kind": "nightly"}, None)


def test_public_sessions_are_in_the_tables_and_weights_never(session):  # noqa: F811
    nightly()
    (one,) = rows("acquisition_session")
    assert one["session_uuid"] == session.id
    assert str(one["session_start_time"]) == "2026-02-01 10:00:00"  # the lab's clock
    assert len(rows("behavior_trial_set_trial")) == 60
    (status,) = rows("analyses_behavior_session_training_status")
    assert status["training_status"] == "in_training"
    assert [lab["lab_name"] for lab in rows("reference_lab")] == ["fimbrialab"]
    assert not [key for key in Bucket("site").names("sql/") if "/action_" in key]
    # What an index names is there, and nothing else
    index = sql.index(Bucket("site"))
    named = {key for table in index.columns for key in index.files(table)}
    assert named | {sql.INDEX} == set(Bucket("site").names("sql/"))
    # And a second night writes nothing
    before = {key: Bucket("site").etag(key) for key in Bucket("site").names("sql/")}
    nightly()
    assert {key: Bucket("site").etag(key) for key in Bucket("site").names("sql/")} == before


def test_a_withdrawn_session_leaves_the_tables_with_its_page(session):  # noqa: F811
    second = sessions.create(
        subject="FX_001", start_time="2026-02-02T10:00:00", who="test", public=True
    )
    nightly()
    assert len(rows("acquisition_session")) == 2
    sessions.update(second.id, {"public": False}, who="test")
    handler(sqs({"kind": "session.finished", "session": second.id}), None)
    assert [one["session_uuid"] for one in rows("acquisition_session")] == [session.id]
    # With the last one the animal goes, and its files
    sessions.update(session.id, {"public": False}, who="test")
    handler(sqs({"kind": "session.finished", "session": session.id}), None)
    assert rows("subject_subject") == rows("acquisition_session") == []
    assert not [key for key in Bucket("site").names("sql/") if "subject_uuid=" in key]


def test_an_embargoed_session_comes_with_the_night_of_its_day(session):  # noqa: F811
    sessions.update(session.id, {"embargo_until": "2999-01-01"}, who="test")
    nightly()
    assert rows("acquisition_session") == []
    sessions.update(session.id, {"embargo_until": "2026-01-01"}, who="test")
    nightly()
    assert len(rows("acquisition_session")) == 1
