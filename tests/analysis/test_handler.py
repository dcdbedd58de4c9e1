"""The analysis function on its events, with records in a table and files in buckets."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from moto import mock_aws

from functions.analysis import records
from functions.analysis.bucket import Bucket
from shared import catalog
from shared.datasets.register import register_datasets
from shared.records import aws, documents
from shared.results.store import ABSENT, ChangedMeanwhile, update


@pytest.fixture
def buckets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return an S3 client with an empty data and site bucket (moto: S3's conditional writes)."""
    monkeypatch.setenv("FORNIX_DATA_BUCKET", "data")
    monkeypatch.setenv("FORNIX_SITE_BUCKET", "site")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        aws.forget()
        s3 = aws.client("s3")
        s3.create_bucket(Bucket="data")
        s3.create_bucket(Bucket="site")
        yield s3
    aws.forget()


class TestBucket:
    def test_reads_what_was_written_and_says_what_it_is(self, buckets) -> None:
        bucket = Bucket("site")
        etag = bucket.write("data/a.json", b"{}")
        assert bucket.read("data/a.json") == (b"{}", etag)
        assert bucket.etag("data/a.json") == etag
        head = buckets.head_object(Bucket="site", Key="data/a.json")
        assert head["ContentType"] == "application/json"

    @pytest.mark.parametrize(
        ("key", "kept"),
        [
            ("index.html", "public, max-age=60"),
            ("app/main-0AB1CD2E.js", "public, max-age=31536000, immutable"),
            ("app/index.html", "no-cache"),
            ("app/sw.js", "no-cache"),
        ],
    )
    def test_browsers_keep_for_good_what_holds_its_content_in_its_name(
        self, buckets, key: str, kept: str
    ) -> None:
        Bucket("site").write(key, b"x")
        assert buckets.head_object(Bucket="site", Key=key)["CacheControl"] == kept

    def test_what_is_not_there_is_absent(self, buckets) -> None:
        bucket = Bucket("site")
        assert bucket.read("none") is None
        assert bucket.etag("none") == ABSENT
        bucket.delete(["none"])
        assert list(bucket.names()) == []

    def test_conditional_writes(self, buckets) -> None:
        bucket = Bucket("site")
        first = bucket.write("state", b"1", if_match=ABSENT)
        with pytest.raises(ChangedMeanwhile):
            bucket.write("state", b"2", if_match=ABSENT)
        bucket.write("state", b"2", if_match=first)
        with pytest.raises(ChangedMeanwhile):
            bucket.write("state", b"3", if_match=first)
        assert bucket.read("state")[0] == b"2"  # type: ignore[index]

    def test_update_starts_again_when_somebody_was_faster(self, buckets) -> None:
        bucket = Bucket("site")
        calls = []

        def change(state: dict[str, int] | None) -> dict[str, int]:
            calls.append(state)
            if len(calls) == 1:
                bucket.write("state", b'{"theirs":1}')
            return (state or {}) | {"mine": 1}

        assert update(bucket, "state", dict[str, int], change) == {"theirs": 1, "mine": 1}
        assert calls == [None, {"theirs": 1}]

    def test_deletes_more_than_one_request_can(self, buckets) -> None:
        bucket = Bucket("site")
        for i in range(1005):
            bucket.write(f"p/{i}", b"")
        bucket.delete(bucket.names("p/"))
        assert list(bucket.names("p/")) == []


def sqs(*bodies: dict[str, Any] | str) -> dict[str, Any]:
    """Return the event by which Lambda hands over queue messages."""
    return {
        "Records": [
            {
                "messageId": str(i),
                "body": body if isinstance(body, str) else json.dumps(body),
                "eventSource": "aws:sqs",
                "receiptHandle": "r",
                "attributes": {},
                "messageAttributes": {},
                "eventSourceARN": "arn:aws:sqs:us-east-1:0:analysis",
                "awsRegion": "us-east-1",
            }
            for i, body in enumerate(bodies)
        ]
    }


@pytest.fixture
def session(buckets, table) -> Any:
    """Return a registered public session whose trials table is in the data bucket."""
    from shared.records import documents
    from shared.records.items import Dataset
    from shared.sessions import store as sessions

    catalog.reset_for_tests()
    lab = {"name": "fimbrialab", "timezone": "Europe/London"}
    documents.create("lab", "fimbrialab", lab, who="test")
    mouse = {"nickname": "FX_001", "lab": "fimbrialab", "sex": "F"}
    documents.create("subject", "FX_001", mouse, who="test")
    one = sessions.create(
        subject="FX_001",
        start_time="2026-02-01T10:00:00",
        who="test",
        public=True,
        task_protocol="_iblrig_tasks_trainingChoiceWorld7.0",
    )
    rng = np.random.default_rng(0)
    n = 60
    left = rng.random(n) < 0.5
    trials = pd.DataFrame(
        {
            "choice": np.where(left, 1, -1),
            "contrastLeft": np.where(left, 1.0, np.nan),
            "contrastRight": np.where(left, np.nan, 1.0),
            "feedbackType": 1,
            "probabilityLeft": 0.5,
            "stimOn_times": np.arange(n, dtype=float),
            "response_times": np.arange(n) + 0.3,
        }
    )
    body = io.BytesIO()
    trials.to_parquet(body)
    item = Dataset.of(one.id, "alf/_ibl_trials.table.pqt", hash="ab" * 16, stored_in=one.folder)
    buckets.put_object(Bucket="data", Key=item.stored_key, Body=body.getvalue())
    register_datasets(one.id, [item], manifest="m1")
    yield one
    catalog.reset_for_tests()


def test_a_finished_session_becomes_a_page(session, buckets) -> None:
    from functions.analysis.handler import handler

    event = sqs({"kind": "session.finished", "session": session.id})
    assert handler(event, None) == {"batchItemFailures": []}
    page = json.loads(Bucket("site").read(f"data/sessions/{session.id}.json")[0])  # type: ignore[index]
    assert page["summary"]["n_trials"] == 60
    assert page["summary"]["performance_easy"] == 1
    overview = json.loads(Bucket("site").read("data/overview.json")[0])  # type: ignore[index]
    assert overview["counts"] == {
        "labs": 1,
        "subjects": 1,
        "sessions": 1,
        "trials": 60,
        "probes": 0,
    }
    # The same event again changes nothing.
    before = {key: Bucket("site").etag(key) for key in Bucket("site").names()}
    handler(event, None)
    assert {key: Bucket("site").etag(key) for key in Bucket("site").names()} == before


def test_regions_of_units_have_the_acronyms_of_the_table(table) -> None:
    body = {"id": 672, "acronym": "CP", "name": "Caudoputamen", "parent": None}
    documents.create("brain-region", "672", body, who="installation")
    assert [records._acronym(each) for each in (672, 1)] == ["CP", "1"]


def test_a_session_made_private_leaves_with_the_next_event(session, buckets) -> None:
    from functions.analysis.handler import handler
    from shared.sessions import store as sessions

    event = sqs({"kind": "session.finished", "session": session.id})
    handler(event, None)
    sessions.update(session.id, {"public": False}, who="test")
    handler(event, None)
    bucket = Bucket("site")
    assert not [key for key in bucket.names() if session.id in key]
    assert b"FX_001" not in b"".join(
        bucket.read(key)[0]
        for key in bucket.names()
        if not key.startswith("_state")  # type: ignore[index]
    )


def test_the_nightly_build_finds_sessions_nobody_announced(session, buckets) -> None:
    from functions.analysis.handler import handler

    assert handler({"kind": "nightly"}, None) == {"changed": 1, "problems": []}
    assert handler({"kind": "nightly"}, None) == {"changed": 0, "problems": []}


def test_only_the_bad_message_of_a_batch_comes_back(session, buckets) -> None:
    from functions.analysis.handler import handler

    event = sqs(
        {"kind": "session.finished", "session": session.id},
        "not JSON",
        {"kind": "unheard of"},
        {"kind": "session.finished", "session": "00000000-0000-4000-8000-000000000000"},
    )
    answer = handler(event, None)
    assert [item["itemIdentifier"] for item in answer["batchItemFailures"]] == ["1", "2"]


def test_a_burst_of_finished_sessions_is_one_build(session, buckets, monkeypatch) -> None:
    from functions.analysis.handler import handler
    from shared.results.build import Site
    from shared.sessions import store as sessions

    builds = []
    refresh = Site.refresh

    def counted(self: Site, subjects: Any) -> int:
        builds.append(sorted(subjects))
        return refresh(self, subjects)

    monkeypatch.setattr(Site, "refresh", counted)
    another = sessions.create(
        subject="FX_001", start_time="2026-02-02T10:00:00", who="test", public=True
    )
    both = ({"kind": "session.finished", "session": one.id} for one in (session, another))
    assert handler(sqs(*both), None) == {"batchItemFailures": []}
    assert builds == [["FX_001"], ["FX_001"]]  # the public's pages, and the lab's own
    assert all(Bucket("site").read(f"sessions/{one.id}.html") for one in (session, another))


def test_a_session_that_cannot_be_published_keeps_no_other(session, buckets, monkeypatch) -> None:
    from functions.analysis.handler import handler
    from shared.records import documents
    from shared.results.build import Site
    from shared.sessions import store as sessions

    mouse = {"nickname": "FX_002", "lab": "fimbrialab"}
    documents.create("subject", "FX_002", mouse, who="test")
    broken = sessions.create(
        subject="FX_002", start_time="2026-02-01T10:00:00", who="test", public=True
    )
    refresh_subject = Site.refresh_subject

    def refuse(self: Site, nickname: str) -> Any:
        if nickname == "FX_002":
            raise ValueError("cannot be published")
        return refresh_subject(self, nickname)

    monkeypatch.setattr(Site, "refresh_subject", refuse)
    both = ({"kind": "session.finished", "session": one.id} for one in (broken, session))
    assert handler(sqs(*both), None) == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    assert Bucket("site").read(f"sessions/{session.id}.html")


class TestWhatCannotBeShown:
    """A session whose files are not here has a page that says so; the others have theirs."""

    @pytest.fixture
    def broken(self, session) -> Any:
        """Return a public session of another mouse without datasets, beside the whole one."""
        from shared.records import documents
        from shared.sessions import store as sessions

        mouse = {"nickname": "FX_002", "lab": "fimbrialab"}
        documents.create("subject", "FX_002", mouse, who="test")
        return sessions.create(
            subject="FX_002", start_time="2026-02-01T10:00:00", who="test", public=True
        )

    def check(self, session, broken, reason: str) -> None:
        from functions.analysis.handler import handler

        answer = handler({"kind": "nightly"}, None)
        assert answer["changed"] == 2
        assert answer["problems"] == [f"FX_002/2026-02-01/001: {reason}"]
        page = json.loads(Bucket("site").read(f"data/sessions/{broken.id}.json")[0])
        assert page["problems"] == [reason]
        assert "summary" not in page
        whole = json.loads(Bucket("site").read(f"data/sessions/{session.id}.json")[0])
        assert whole["summary"]["n_trials"] == 60
        assert json.loads(Bucket("site").read("data/subjects.json")[0])["n"] == 2

    def test_trials_on_another_server(self, session, broken) -> None:
        from shared.records import documents
        from shared.records.items import Dataset

        server = {"name": "flatiron", "data_url": "https://example.org/"}
        documents.create("data-repository", "flatiron", server, who="test")
        item = Dataset.of(broken.id, "alf/_ibl_trials.table.pqt", repository="flatiron")
        register_datasets(broken.id, [item], manifest="m2")
        self.check(
            session,
            broken,
            "The trials cannot be shown: alf/_ibl_trials.table.pqt is not in this store, "
            "only on flatiron.",
        )

    def test_trials_whose_object_is_lost(self, session, broken) -> None:
        from shared.records.items import Dataset

        item = Dataset.of(
            broken.id, "alf/_ibl_trials.table.pqt", hash="cd" * 16, stored_in=broken.folder
        )
        register_datasets(broken.id, [item], manifest="m2")
        self.check(
            session,
            broken,
            "The trials cannot be shown: alf/_ibl_trials.table.pqt is not in this store.",
        )

    def test_what_failed_unforeseen_is_tried_again(
        self, session, broken, buckets, monkeypatch
    ) -> None:
        from functions.analysis.handler import handler
        from functions.analysis.records import Records
        from shared.records.items import Dataset

        item = Dataset.of(
            broken.id, "alf/_ibl_trials.table.pqt", hash="ef" * 16, stored_in=broken.folder
        )
        whole = Dataset.of(session.id, "alf/_ibl_trials.table.pqt", stored_in=session.folder)
        source = {"Bucket": "data", "Key": whole.stored_key}
        buckets.copy_object(Bucket="data", Key=item.stored_key, CopySource=source)
        register_datasets(broken.id, [item], manifest="m2")
        read = Records._bytes

        def unplugged(self: Records, dataset: Any) -> Any:
            if dataset.hash == "ef" * 16:
                raise ConnectionError("https://a.place.that.is.nobody/s/business")
            return read(self, dataset)

        with monkeypatch.context() as patch:
            patch.setattr(Records, "_bytes", unplugged)
            self.check(session, broken, "The trials cannot be shown: ConnectionError.")
        assert handler({"kind": "nightly"}, None) == {"changed": 1, "problems": []}
        page = json.loads(Bucket("site").read(f"data/sessions/{broken.id}.json")[0])
        assert page["summary"]["n_trials"] == 60


def test_importing_the_handler_loads_no_heavy_library() -> None:
    import subprocess
    import sys

    code = (
        "import sys, functions.analysis.handler; "
        "print([m for m in ('numpy', 'pandas', 'scipy', 'pynamodb') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"


class TestTrainingTime:
    @pytest.fixture
    def built(self, session, buckets, monkeypatch) -> Any:
        """Return the arguments of an update over a built site; the heavy analysis is a stand-in.

        The analysis itself is tested with the science; here is what goes in and where what comes
        out is put.
        """
        from datetime import UTC, datetime

        from functions.analysis import handler, training_time

        handler.nightly(None)
        site = handler._site()
        seen: dict[str, Any] = {}

        def analyse(features, **options):
            seen["subjects"] = list(features["subject"])
            return {"statement": "A hint.", "synthetic": options["synthetic"]}

        class Predictor:
            def predict(self, features):
                return [{"subject": s, "quartile": "Q1"} for s in features["subject"]]

        monkeypatch.setattr(training_time, "analyse", analyse)
        monkeypatch.setattr(training_time.Predictor, "learned", lambda f: Predictor())
        monkeypatch.setattr(
            training_time.training_time,
            "publish",
            lambda store, settings, name, label, result: seen.update(name=name, result=result),
        )
        return seen, (site.source, site.store, site.settings, datetime(2026, 3, 1, tzinfo=UTC))

    def test_too_few_trained_mice_are_not_analysed(self, built) -> None:
        from functions.analysis import training_time

        seen, arguments = built
        assert training_time.update(*arguments) == "0 trained mice, 20 are needed"
        assert seen == {}

    def test_predictions_go_to_the_api_and_not_to_the_site(
        self, built, buckets, monkeypatch
    ) -> None:
        from functions.analysis import training_time

        monkeypatch.setattr(training_time, "FEWEST", 0)
        seen, arguments = built
        assert training_time.update(*arguments) == "1 mice analysed, 1 in training"
        assert seen["subjects"] == ["FX_001"]
        assert seen["name"] == "here"
        answer = buckets.get_object(Bucket="data", Key=training_time.PREDICTIONS)
        said = json.loads(answer["Body"].read())
        assert said["subjects"]["FX_001"]["quartile"] == "Q1"
        assert not [key for key in Bucket("site").names() if "prediction" in key]
        # Nothing changed: nothing is done.
        assert training_time.update(*arguments) == "nothing changed"

    def test_mice_with_private_sessions_are_not_in_the_public_analysis(
        self, built, monkeypatch
    ) -> None:
        from functions.analysis import training_time
        from shared.sessions import store as sessions

        monkeypatch.setattr(training_time, "FEWEST", 0)
        seen, arguments = built
        sessions.create(subject="FX_001", start_time="2026-02-02T10:00:00", who="test")
        training_time.update(*arguments)
        assert seen["subjects"] == []


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, {}),
        (
            {"SITE_URL": "https://d1.cloudfront.net"},
            {
                "site_url": "https://d1.cloudfront.net",
                "api_url": "https://d1.cloudfront.net/rest",
                "asks": "/rest",
            },
        ),
        (
            {"SITE_URL": "http://127.0.0.1:8001", "API_URL": "http://127.0.0.1:8000"},
            {
                "site_url": "http://127.0.0.1:8001",
                "api_url": "http://127.0.0.1:8000",
                "asks": "/rest",
            },
        ),
    ],
)
def test_a_deployed_site_has_the_api_below_its_own_address(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], told: dict[str, str]
) -> None:
    from functions.analysis import handler

    for name in ("API_URL", "SITE_URL", "LICENCE", "LICENCE_URL", "CITATION", "DOI"):
        monkeypatch.delenv(f"FORNIX_{name}", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(f"FORNIX_{name}", value)
    said = handler._about_site()
    assert {name: value for name, value in said.items() if name != "recordings"} == told


@pytest.mark.parametrize("kind", ["snapshot", "tables"])
def test_a_function_that_just_started_knows_all_that_is_listed(kind: str) -> None:
    """Given a new process, when its first event is a schedule's, then it works."""
    ask = (
        "from shared import catalog; from shared.records import listed\n"
        "from functions.analysis import handler\n"
        "from contextlib import nullcontext\n"
        "handler._pauses.put_off = lambda most: None\n"
        "handler._pauses.build = nullcontext\n"
        "catalog.write_snapshot = lambda: len(listed.readers())\n"
        "from shared.catalog import cache_tables\n"
        "cache_tables.build = lambda **_: len(listed.readers())\n"
        f"print(handler.act({{'kind': {kind!r}}}, None)['cache'])"
    )
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "4", done.stderr
