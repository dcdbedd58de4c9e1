"""What requests cost: modules imported, requests to the table, capacity units."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid

import pytest

from shared import catalog
from shared.datasets.register import register_datasets
from shared.model import moment
from shared.records import feed
from shared.records.items import Dataset
from shared.records.meter import metered
from shared.sessions.contents import session_and_datasets
from shared.work import write
from tests.api.conftest import Api

HASH = "0123456789abcdef0123456789abcdef"
HEAVY = {"boto3", "numpy", "pandas", "pyarrow", "scipy", "aws_lambda_powertools", "requests"}
NEEDLESS = {
    *("botocore.auth", "botocore.client", "botocore.session"),  # see `shared.records.wire`
    *("urllib3", "http.client", "ssl", "email", "dateutil", "jmespath", "importlib.metadata"),
    # Imported where they are used
    *("fractions", "tomllib", "urllib.request", "zipfile", "csv", "gzip", "pathlib", "zoneinfo"),
    *("typing_extensions", "concurrent.futures.thread", "queue"),
    *(
        "functions.api.engine.openapi",
        "PIL",
        "yaml",
        "jinja2",
        "re2",
        "lxml",
        "html",
        "logging.config",
    ),
    *("socket", "selectors", "shared.webhooks.addresses"),  # for webhooks alone
    *(
        "shared.codec",
        "shared.recordings",
        "shared.uploads.lock",
        "asyncio",
        "subprocess",
        "unittest",
    ),
}
MOST_MODULES, MOST_OF_OURS = 440, 268
"""Modules of a new process after the import: 438, and 266 of them the product's (2026-12-01)."""


def test_the_api_imports_nothing_heavy() -> None:
    code = "import json, sys, functions.api.app; print(json.dumps(sorted(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    modules = set(json.loads(shown.stdout))
    assert not modules & HEAVY
    assert not modules & NEEDLESS
    # Of the computations only how animals are named, which is text
    computed = {name for name in modules if name.startswith("shared.science.")}
    assert computed <= {"shared.science.colony", "shared.science.colony.names"}
    ours = {name for name in modules if name.split(".")[0] in ("functions", "shared")}
    assert len(modules) <= MOST_MODULES
    assert len(ours) <= MOST_OF_OURS
    assert {name.split(".")[1] for name in ours if name.startswith("functions.")} == {"api"}
    # Everything beside our own, PynamoDB's, botocore's and Chalice's is the standard library
    roots = {name.partition(".")[0] for name in modules}
    third = {
        name
        for name in roots - set(sys.stdlib_module_names)
        if not name.startswith("_") and not name.startswith("__editable__")
    }
    assert third <= {
        *("functions", "shared", "chalice", "pynamodb", "botocore", "msgspec"),
        *("sitecustomize", "distutils-precedence"),
    }


def test_the_import_leaves_nothing_to_collect_and_the_collector_running() -> None:
    code = "import gc, functions.api.app; print(gc.isenabled(), gc.get_freeze_count() > 20_000)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert shown.stdout.split() == [b"True", b"True"]


@pytest.fixture
def eid(api: Api) -> str:
    body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "number": "001"}
    return api.ok("POST", "/sessions", body)["id"]


def fill(eid: str, n: int) -> None:
    files = [
        Dataset.of(
            eid,
            f"alf/probe0{i % 2}/object{i:03d}.times.npy",
            dataset_type="spikes.times",
            data_format="npy",
            file_size=1_000_000 + i,
            hash=HASH,
            sha256=HASH * 2,
            rows=1000,
            created_by="fimbrialab_member",
            version="1.2.3",
        )
        for i in range(n)
    ]
    register_datasets(eid, files, manifest="m")


def test_a_session_with_150_datasets_and_5_tasks_costs_at_most_240_write_units(
    api: Api,
) -> None:
    with metered() as cost:
        body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "projects": ["demo"]}
        eid = api.ok("POST", "/sessions", body)["id"]
        fill(eid, 150)
        for level in range(5):
            fields = {"name": f"task{level}", "executable": "task.trials", "level": level}
            write.create(eid, "fimbrialab", "2024-07-01T10:00:00", fields)
    reads = ("GetItem", "Query", "BatchGetItem", "Scan")
    writes = {name: units for name, units in cost.by_operation.items() if name not in reads}
    assert sum(writes.values()) <= 240, writes


def test_a_new_session_is_one_look_at_the_feed_and_one_transaction(api: Api, eid: str) -> None:
    body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "number": 2}
    with metered() as cost:
        api.ok("POST", "/sessions", body)
    assert cost.by_operation.keys() <= {"Query", "TransactWriteItems"}
    # Five items of the session and one for the journal, and the subject, which names the lab and
    # the user too
    assert cost.by_operation["TransactWriteItems"] <= 16
    with metered() as cost:
        named = {"users": ["fimbrialab_manager"], "procedures": ["Histology"]}
        api.ok("POST", "/sessions", {**body, "number": 3, **named})
    assert cost.by_operation["TransactWriteItems"] <= 20


def test_a_login_from_a_known_place_remembers_it_once_a_day(api: Api) -> None:
    new = {"username": "bob", "role": "member", "lab": ["fimbrialab"]}
    password = {"password": "correct horse battery 9"}
    api.ok("POST", "/users", {**new, **password}, user="admin")
    costs = []
    for _ in range(2):
        with metered() as cost:
            api.ok("POST", "/auth-token", {"username": "bob", **password}, user=None)
        costs.append(cost.by_operation)
    assert costs[1]["PutItem"] < costs[0]["PutItem"]
    # A place in one count, taken and given back; the token with its index
    assert (costs[1]["UpdateItem"], costs[1]["PutItem"]) == (2, 2)


def test_the_detail_of_a_session_with_150_datasets_is_one_query_of_8_units(
    api: Api, eid: str
) -> None:
    fill(eid, 150)
    api.ok("GET", f"/sessions/{eid}")
    with metered() as cost:
        shown = api.ok("GET", f"/sessions/{eid}")
    assert len(shown["data_dataset_session_related"]) == 150
    # One query is the session; the change feed is looked at besides, the token is known.
    assert cost.by_operation.keys() == {"Query"}
    catalog.start_request()
    with metered() as caught_up:
        catalog.table("session")
    with metered() as detail:
        session_and_datasets(eid)
    assert (detail.requests, detail.units <= 8) == (1, True)
    assert cost.requests == caught_up.requests + 1
    assert cost.by_operation["Query"] <= 8 + caught_up.units


def test_datasets_by_their_ids_read_themselves_and_not_their_session(api: Api, eid: str) -> None:
    fill(eid, 150)
    listed = api.ok("GET", f"/datasets?session={eid}")
    one, two = [row["url"][-36:] for row in listed["results"][:2]]
    for path, found in (
        (f"/datasets/{one}", 1),
        (f"/datasets?id={one}", 1),
        (f"/datasets?django=id__in,['{one}','{two}']", 2),
    ):
        api.ok("GET", path)
        with metered() as cost:
            answer = api.ok("GET", path)
        rows = answer.get("results", [answer])
        assert {row["url"][-36:] for row in rows} == {*[one, two][:found]}
        # The session's pointer and row, and each dataset; the change feed besides
        assert cost.by_operation["BatchGetItem"] <= 4 + 2 * found
        assert cost.requests <= 6


def test_a_list_is_answered_from_memory(api: Api, eid: str) -> None:
    api.ok("GET", "/sessions")
    with metered() as cost:
        api.ok("GET", "/sessions?subject=FI_001&date_range=2024-01-01,2025-01-01")
    assert cost.by_operation.keys() == {"Query"}
    assert cost.requests <= 2  # the feed, of two days around midnight


@pytest.mark.parametrize(("n", "most"), [(1, 5), (10, 5)])
def test_registering_files_takes_few_requests_however_many_they_are(
    api: Api, eid: str, n: int, most: int
) -> None:
    names = [f"alf/#2024-08-01#/spikes.times{i}.npy" for i in range(n)]
    body = {"path": "FI_001/2024-07-01/001", "filenames": names, "name": "fornix"}
    api.ok("POST", "/revisions", {"name": "2024-08-01"})
    with metered() as cost:
        api.ok("POST", "/register-file", body)
    assert cost.requests <= most
    # Each dataset, and the book, the session, the audit entry, the feed's and the journal's, of
    # 1 kB or two
    assert cost.by_operation["TransactWriteItems"] <= 2 * n + (10 if n == 1 else 12)


def test_a_request_after_many_writes_reads_their_rows_and_no_more(api: Api, eid: str) -> None:
    # Given a hundred weights of the last seconds, written by another process
    rows = [
        {"subject": "FI_001", "weight": 20.0 + n / 10, "date_time": f"2024-07-01T10:{n:02d}:00"}
        | {"id": str(uuid.uuid4()), "json": {"noted": f"{n} " * 200}}
        for n in range(60)
    ]
    api.ok("GET", "/weighings")
    api.ok("POST", "/import", {"resource": "weighings", "rows": rows}, user="admin")
    catalog.reset_for_tests()
    # When a process looks at the feed again and again, then it pays for rows of the index alone
    catalog.start_request()
    catalog.table("weighing")
    catalog.start_request()
    with metered() as cost:
        catalog.table("weighing")
    written = list(feed.FeedEntry.query(f"{feed.FEED}#{moment.stamp()[:10]}"))
    images = list(feed.FeedEntry.query(f"{feed.IMAGES}#{moment.stamp()[:10]}"))
    assert all(entry.images is None for entry in written)
    assert images
    size = sum(len(entry.rows or b"") + 200 for entry in written)
    assert cost.units <= size / 4096 + 2
