"""Tables over all sessions of a mouse, made by the nightly build and loaded by the ONE client."""

from __future__ import annotations

import io
import warnings
from datetime import date
from typing import Any

import numpy as np
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
from shared.science.status.sessions import on_ephys_rig
from tests.api.conftest import Api, upload
from tests.api.test_one_client import LAB, SUBJECT, one  # noqa: F401
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
    upload(api, eid, {"alf/_ibl_trials.table.pqt": parquet(trials)})
    return eid


def beside(api: Api, eid: str, name: str, values: np.ndarray) -> None:
    """Add an attribute of a session's trials that is a file beside the table."""
    file = io.BytesIO()
    np.save(file, values)
    upload(api, eid, {f"alf/_ibl_trials.{name}.npy": file.getvalue()})


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
    beside(api, eids[1], "quiescencePeriod", np.full(31, 0.4))
    beside(api, eids[1], "stimOnTrigger_times", np.arange(31.0))
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
    joined["training_status"] = joined["training_status"].ffill()
    assert list(dict.fromkeys(joined.index)) == order
    assert set(joined["training_status"]) == {"in training"}
    # Then the table has the first session of each status, as IBL's has
    assert (training.index.name, list(training.index)) == ("date", ["2024-07-01"])
    assert training.to_dict("list") == {
        "training_status": ["in training"], "session": [order[0]]
    }  # fmt: skip
    # Then the columns are those of IBL's, as far as a session's datasets have them
    assert set(trials) - set(tables[0]) == {
        "session", "session_start_time", "session_number", "task_protocol", "protocol_number",
        "quiescence", "stimOnTrigger_times",
    }  # fmt: skip
    assert str(trials["session_start_time"].dtype) == "datetime64[ns]"
    assert trials["quiescence"].tolist()[:31] == [0.4] * 31
    assert trials["quiescence"].isna().sum() == 32 + 33
    # Then brainbox finds the day of a status in the mouse's json
    body = api.ok("GET", f"/subjects/{SUBJECT}")
    assert body["json"]["trained_criteria"] == {"in_training": ["2024-07-01", order[0]]}
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
    assert list(load(one, TRAINING)["session"]) == [order[0]]
    # Then a table that is as before has no new revision
    rows = api.ok("GET", f"/datasets?name={TRAINING}.pqt")["results"]
    assert [row["revision"] or "" for row in rows] == [""]


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
    revisions = {row["name"]: row["revision"] or "" for row in rows}
    assert revisions == {f"{TRIALS}.pqt": "2026-12-01", f"{TRAINING}.pqt": ""}
    assert len(objects.keys(f"data/aggregates/Subjects/{LAB}/{SUBJECT}/")) == 3


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
    assert table["quiescence"].notna().tolist() == [True] * 3 + [False] * 2


def test_protocols_of_a_session_are_numbered_and_judged_together(
    one: Any, api: Api, bucket: str  # noqa: F811
) -> None:  # fmt: skip
    # Given a session in which the task ran twice, and a passive protocol between
    names = [PROTOCOL, "_iblrig_tasks_passiveChoiceWorld", PROTOCOL]
    body = {"subject": SUBJECT, "start_time": "2024-07-01T10:00:00", "number": 1}
    eid = api.ok("POST", "/sessions", body | {"task_protocol": "/".join(names)})["id"]
    for number, trials in ((0, trials_of(20, 1)), (2, trials_of(25, 2))):
        upload(api, eid, {f"alf/task_{number:02d}/_ibl_trials.table.pqt": parquet(trials)})
    # When the nightly build has run
    assert build(bucket) == 1
    # Then the trials of both are there, each with its number and protocol
    table = load(one, TRIALS)
    assert table["protocol_number"].tolist() == [0] * 20 + [2] * 25
    assert set(table["task_protocol"]) == {PROTOCOL}
    assert load(one, TRAINING)["session"].tolist() == [eid]


def test_habituation_has_no_training_status() -> None:
    protocols = ("habituationChoiceWorld", "trainingChoiceWorld", "habituationChoiceWorld")
    sessions = [
        SessionTrials(
            str(n), f"2024-07-0{n}T10:00:00", 1, f"_iblrig_tasks_{name}", trials_of(9, n)
        )
        for n, name in enumerate(protocols, 1)
    ]
    assert subject_training(sessions).to_dict() == {
        "training_status": {"2024-07-02": "in training"}, "session": {"2024-07-02": "2"}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("location", "protocol", "expected"),
    [
        ("_iblrig_lab_ephys_0", "biasedChoiceWorld", True),
        ("_iblrig_lab_behavior_0", "ephysChoiceWorld", False),
        ("", "ephysChoiceWorld", True),
        ("", "biasedChoiceWorld", False),
    ],
)
def test_the_rig_s_name_says_what_it_is_and_else_the_protocol(
    location: str, protocol: str, expected: bool
) -> None:
    assert on_ephys_rig(location, protocol) is expected
