"""Tables over all sessions of a mouse, made by the nightly build and loaded by the ONE client."""

from __future__ import annotations

import io
import warnings
from datetime import date
from typing import Any

import pandas as pd
import pytest

from functions.analysis import aggregates
from functions.analysis.records import Records
from shared import catalog
from shared.datasets.register import register_datasets
from shared.model.dataset import FileRecord
from shared.records import aws, documents, objects
from shared.records.items import Dataset
from shared.records.meter import metered
from shared.science.status.aggregates import SessionTrials, subject_training, subject_trials
from tests.api.conftest import Api
from tests.api.test_one_client import LAB, SUBJECT, one, put  # noqa: F401
from tests.site.conftest import trials_of

TODAY = date(2026, 12, 1)
TRIALS, TRAINING = "_ibl_subjectTrials.table", "_ibl_subjectTraining.table"
PROTOCOL = "_iblrig_tasks_trainingChoiceWorld6.4.2"


def parquet(trials: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    trials.to_parquet(file)
    return file.getvalue()


def trained(api: Api, bucket: str, day: int, trials: pd.DataFrame, **more: Any) -> str:
    """Add a session with trials; return its id."""
    start = f"2024-07-{day:02d}T10:00:00"
    body = {"subject": SUBJECT, "start_time": start, "number": 1, "task_protocol": PROTOCOL}
    eid = str(api.ok("POST", "/sessions", body | more)["id"])
    put(
        bucket, eid, "alf/_ibl_trials.table.pqt", parquet(trials),
        dataset_type="trials.table", sha256=f"{day:064d}",
    )  # fmt: skip
    return eid


def load(client: Any, name: str) -> pd.DataFrame:
    catalog.start_request()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table: pd.DataFrame = client.load_aggregate("subjects", SUBJECT, name)
    return table


def build(bucket: str, today: date = TODAY) -> int:
    return aggregates.update(Records(bucket, {}), [SUBJECT], today)


def test_the_unmodified_client_loads_trials_and_status_and_joins_them(
    one: Any, api: Api, bucket: str  # noqa: F811
) -> None:  # fmt: skip
    # Given three sessions of a mouse, of one of which something is not public
    tables = [trials_of(30 + day, day) for day in (1, 2, 3)]
    eids = [trained(api, bucket, day, tables[day - 1]) for day in (3, 1, 2)]
    order = [eids[1], eids[2], eids[0]]
    # When the nightly build has run
    assert build(bucket) == 1
    # Then the client joins the tables as IBL's documentation shows it
    trials, training = load(one, TRIALS), load(one, TRAINING)
    joined = (
        trials.set_index("session")
        .join(training.set_index("session"))
        .sort_values(by="session_start_time", kind="stable")
    )
    assert list(dict.fromkeys(joined.index)) == order
    assert set(joined["training_status"]) == {"in training"}
    assert list(training["date"]) == ["2024-07-01", "2024-07-02", "2024-07-03"]
    for eid, expected in zip(order, tables, strict=True):
        own = trials[trials["session"] == eid].reset_index(drop=True)
        pd.testing.assert_frame_equal(own[list(expected)], expected)
        assert set(own["task_protocol"]) == {PROTOCOL}
        assert set(own["session_number"]) == {1}
    # When nothing has changed, then nothing is written
    assert build(bucket) == 0
    # When a session comes, then the client loads a new revision
    trained(api, bucket, 4, trials_of(20, 4))
    assert build(bucket) == 1
    assert build(bucket) == 0
    assert len(load(one, TRIALS)) == len(trials) + 20
    assert len(load(one, TRAINING)) == 4


def test_nobody_without_an_account_sees_the_tables(api: Api, bucket: str) -> None:
    # Given a mouse with a public session and one under an embargo
    shown = trained(api, bucket, 1, trials_of(20, 1))
    hidden = trained(api, bucket, 2, trials_of(20, 2))
    for eid, change in ((shown, {}), (hidden, {"embargo_until": "2099-01-01"})):
        api.ok("PATCH", f"/sessions/{eid}", {"public": True} | change, user="fimbrialab_manager")
    build(bucket)
    query = "/datasets?django=session__isnull,True"
    assert {row["name"] for row in api.ok("GET", query)["results"]} == {
        f"{TRIALS}.pqt", f"{TRAINING}.pqt"
    }  # fmt: skip
    # When the public asks, then neither list nor file has them
    url = api.ok("GET", query)["results"][0]["file_records"][0]["data_url"]
    assert api.ok("GET", query, user=None)["results"] == []
    path = url[url.index("/data/") :].replace("#", "%23")
    assert api("GET", path, user=None).status == 401


def test_a_build_that_was_cut_off_is_made_good(
    api: Api, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a build that was killed after it had written a table, before its registration
    trained(api, bucket, 1, trials_of(20, 1))

    def killed(*args: Any, **more: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(aggregates, "register_datasets", killed)
        with pytest.raises(KeyboardInterrupt):
            build(bucket)
    # When the trials change before the next, then that has a name of its own
    trained(api, bucket, 2, trials_of(20, 2))
    assert build(bucket) == 1
    rows = api.ok("GET", "/datasets?django=session__isnull,True")["results"]
    assert {row["revision"] for row in rows} == {"2026-12-01"}
    assert len(objects.keys(f"data/aggregates/Subjects/{LAB}/{SUBJECT}/")) == 4


def test_a_session_that_cannot_be_read_is_left_out(api: Api, bucket: str) -> None:
    trained(api, bucket, 1, trials_of(20, 1))
    trained(api, bucket, 2, trials_of(20, 2).drop(columns="choice"))
    assert build(bucket) == 1
    rows = api.ok("GET", "/datasets?django=session__isnull,True")["results"]
    key = next(k for k in objects.keys("data/aggregates/") if "subjectTrials" in k)
    assert len(pd.read_parquet(io.BytesIO(objects.read(key)))) == 20
    assert len(rows) == 2


def elsewhere(eid: str) -> None:
    """Register trials that are on another server only, as an import does."""
    path, place = "alf/_ibl_trials.table.pqt", [FileRecord("there", True, "somewhere.pqt")]
    item = Dataset.of(
        eid, path, dataset_type="trials.table", hash="ab" * 16, file_size=9, records=place
    )  # fmt: skip
    register_datasets(eid, [item], manifest=eid, who="import")


def requests_of(bucket: str) -> tuple[int, int]:
    """Return the requests to the table and to the bucket of a nightly run."""
    got: list[str] = []
    client = aws.client("s3")
    client.meta.events.register("before-call.s3", lambda model, **_: got.append(model.name))
    catalog.start_request()  # what has changed since is read by whoever comes first
    catalog.table("dataset").select()
    got.clear()
    with metered() as meter:
        build(bucket)
    return meter.requests, len(got)


def test_a_mouse_of_which_nothing_changed_is_not_read_again(
    api: Api, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a mouse with many sessions whose trials are elsewhere
    documents.create("data-repository", "there", {"name": "there"}, who="import")
    body = {"subject": SUBJECT, "number": 1, "task_protocol": PROTOCOL}
    for day in range(1, 21):
        eid = api.ok("POST", "/sessions", body | {"start_time": f"2024-07-{day:02d}T10:00:00"})
        elsewhere(eid["id"])
    # When the nightly build has run
    assert build(bucket) == 0
    # Then the log tells of the mouse once
    (told,) = (line.message for line in caplog.records if "left out" in line.message)
    assert told.startswith(f"20 of 20 sessions are left out of the tables of {SUBJECT}")
    # Then the next night costs nothing of what the mouse has, and tells nothing again
    caplog.clear()
    table, store = requests_of(bucket)
    assert table <= 3, "the index asks what is new"
    assert store <= 1, "what the last run saw"
    assert not caplog.records
    # When the trials of one session come, then the mouse is read, and its tables are made once
    trained(api, bucket, 25, trials_of(20, 1))
    assert build(bucket) == 1
    table, store = requests_of(bucket)
    assert (table <= 3, store <= 1) == (True, True), (table, store)
    # When what the last run saw is lost or damaged, then nothing is made twice
    objects.delete([aggregates.SEEN])
    assert build(bucket) == 0
    objects.put_json(aggregates.SEEN, ["something else"])
    assert build(bucket) == 0
    assert requests_of(bucket)[1] <= 1


def test_columns_that_a_session_lacks_have_no_values() -> None:
    with_quiescence = trials_of(3, 1).assign(quiescencePeriod=0.4, session="not this")
    table = subject_trials(
        [
            SessionTrials("b", "2024-07-02T10:00:00", 1, PROTOCOL, trials_of(2, 2)),
            SessionTrials("a", "2024-07-01T10:00:00", 1, PROTOCOL, with_quiescence),
        ]
    )
    assert list(table["session"]) == ["a"] * 3 + ["b"] * 2
    assert table["quiescencePeriod"].notna().tolist() == [True] * 3 + [False] * 2


def test_habituation_comes_before_training_and_does_not_undo_it() -> None:
    protocols = ("habituationChoiceWorld", "trainingChoiceWorld", "habituationChoiceWorld")
    sessions = [
        SessionTrials(
            str(n), f"2024-07-0{n}T10:00:00", 1, f"_iblrig_tasks_{name}", trials_of(9, n)
        )
        for n, name in enumerate(protocols, 1)
    ]
    status = subject_training(sessions)["training_status"]
    assert status.tolist() == ["habituation", "in training", "in training"]
