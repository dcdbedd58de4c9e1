"""A small Alyx and a small Fornix for the imports to talk to."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from lab.client import Client, RecordMissing, Settings
from lab.importers.alyx_source import AlyxSource
from shared.records import aws
from tests import tables
from tests.flow import aws_url, flow, system  # noqa: F401
from tests.importers.json_server import JsonHandler, started
from tests.importers.served import empty_fornix

ROOT = Path(__file__).resolve().parents[2]

Row = dict[str, Any]


class FakeAlyx:
    """Answers as Alyx 3.6.1 does, over a real socket: what an import needs of it.

    Attributes
    ----------
    lists : dict
        Route → rows of the list.
    details : dict
        Session id → detail row; a callable is called.
    requests : list of str
        Paths with query, in order.
    faults : list of (int, dict)
        Status and headers of the next answers, instead of the rows.
    shuffled : set of str
        Lists without order: each page is of another permutation.
    """

    page_limit = 1000

    def __init__(self) -> None:
        self.lists: dict[str, list[Any]] = {}
        self.details: dict[str, Any] = {}
        self.requests: list[str] = []
        self.faults: list[tuple[int, dict[str, str]]] = []
        self.shuffled: set[str] = set()
        self.token = "0123456789abcdef0123456789abcdef01234567"
        self.before: Callable[[str], None] = lambda path: None
        alyx = self

        class Handler(JsonHandler):
            def do_GET(self) -> None:
                alyx.requests.append(self.path)
                alyx.before(self.path)
                if alyx.faults:
                    status, headers = alyx.faults.pop(0)
                    return self.answer(status, {"detail": "Request was throttled."}, headers)
                given = self.headers.get("Authorization")
                if given is None:
                    detail = "Authentication credentials were not provided."
                    return self.answer(403, {"detail": detail, "status_code": 403})
                if given != f"Token {alyx.token}":
                    return self.answer(403, {"detail": "Invalid token.", "status_code": 403})
                status, body = alyx.answer(self.path)
                return self.answer(status, body)

            def do_POST(self) -> None:
                body = self.body()
                if self.path == "/auth-token" and body == {"username": "ada", "password": "pw"}:
                    return self.answer(200, {"token": alyx.token})
                errors = ["Unable to log in with provided credentials."]
                return self.answer(400, {"non_field_errors": errors, "status_code": 400})

        self.server = started(Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path: str) -> tuple[int, Any]:
        parts = urlsplit(path)
        route, _, key = parts.path.strip("/").partition("/")
        query = {k: v[-1] for k, v in parse_qs(parts.query).items()}
        if route == "me":
            return 200, {"username": "ada"}
        if parts.path == "/api/schema":
            return 200, {"paths": {f"/{name}": {"get": {}} for name in self.lists}}
        if key:
            row = self.details.get(unquote(key))
            if row is None:
                return 404, {"detail": "No Session matches the given query.", "status_code": 404}
            return row() if callable(row) else (200, row)
        if route not in self.lists:
            return 404, b"<h1>Not Found</h1>"
        rows = self.lists[route]
        if callable(rows):
            return rows()
        if "session" in query:
            rows = [r for r in rows if str(r.get("session"))[-36:] == query["session"]]
        if query.get("django", "").startswith("session__in,"):
            wanted = query["django"].removeprefix("session__in,")
            rows = [r for r in rows if repr(str(r.get("session"))[-36:]) in wanted]
        if query.get("django") == "session__isnull,True":
            rows = [r for r in rows if r.get("session") is None]
        lab = query.get("django", "").removeprefix("subject__lab__name,")
        if lab != query.get("django", ""):  # rows here say it in a field that Alyx does not show
            rows = [{k: v for k, v in r.items() if k != "_lab"} for r in rows if r["_lab"] == lab]
        if route in self.shuffled:
            rows = random.Random(len(self.requests)).sample(rows, len(rows))
        limit = min(int(query.get("limit", 250)), self.page_limit)
        offset = int(query.get("offset", 0))
        end = offset + limit
        more = f"{self.url}/{route}?limit={limit}&offset={end}" if end < len(rows) else None
        return 200, {
            "count": len(rows),
            "next": more,
            "previous": None,
            "results": rows[offset:end],
        }

    def source(self, **changes: Any) -> AlyxSource:
        """Return a source that reads this server, without waiting."""
        account = Settings(self.url, "ada", "pw", changes.pop("token", None))
        return AlyxSource(account, rate=0, **({"sleep": lambda s: None} | changes))

    # What is in it

    def session(self, subject: str = "KS022", n_datasets: int = 2, **fields: Any) -> str:
        """Add a session with datasets; return its id."""
        eid = str(fields.pop("id", None) or uuid.uuid4())
        number = fields.pop("number", len(self.details) + 1)
        row = {
            "id": eid,
            "subject": subject,
            "start_time": "2020-06-20T14:03:07.123456",
            "number": number,
            "lab": "cortexlab",
            "projects": ["ibl_neuropixel_brainwide_01"],
            "url": f"{self.url}/sessions/{eid}",
            "task_protocol": "_iblrig_tasks_ephysChoiceWorld6.4.2",
        }
        related = []
        for i in range(n_datasets):
            dataset = self.dataset(eid, f"spikes.times{i}.npy", collection="alf/probe00")
            related.append({"id": dataset, "default_revision": "True", "hash": ""})
        self.lists.setdefault("sessions", []).insert(0, row)
        self.details[eid] = {
            **row,
            "users": ["ada"],
            "location": None,
            "procedures": ["Behavior training/tasks"],
            "type": "Experiment",
            "end_time": None,
            "narrative": "",
            "parent_session": None,
            "n_trials": 801,
            "n_correct_trials": 512,
            "extended_qc": {"_task_goCue_delays": 0.99},
            "qc": "PASS",
            "json": {"SESSION_DELAY_START": 3},
            "auto_datetime": "2021-02-03T04:05:06.7",
            "notes": [],
            "wateradmin_session_related": [],
            "data_dataset_session_related": related,
            "probe_insertion": [],
            "field_of_view": [],
            **fields,
        }
        return eid

    def dataset(self, eid: str | None, name: str, **fields: Any) -> str:
        """Add a dataset with one file record; return its id."""
        did = str(uuid.uuid4())
        path = f"cortexlab/Subjects/KS022/2020-06-20/001/alf/{name}"
        self.lists.setdefault("datasets", []).append(
            {
                "url": f"{self.url}/datasets/{did}",
                "name": name,
                "created_by": "ada",
                "created_datetime": "2020-07-01T10:00:00",
                "dataset_type": "spikes.times",
                "data_format": "npy",
                "collection": "alf",
                "session": eid and f"{self.url}/sessions/{eid}",
                "file_size": 1024,
                "hash": "",
                "version": "1.2.3",
                "experiment_number": 1,
                "file_records": [
                    {
                        "id": str(uuid.uuid4()),
                        "data_repository": "flatiron_cortexlab",
                        "data_repository_path": "/public/",
                        "relative_path": path,
                        "data_url": f"https://bytes.example.org/public/{path}",
                        "exists": True,
                    }
                ],
                "auto_datetime": "2020-07-01T10:00:01",
                "revision": "",
                "default_dataset": True,
                "protected": 0,
                "public": 1,
                "tags": ["2022_Q2_release"],
                "qc": "NOT_SET",
                "json": None,
                **fields,
            }
        )
        return did


class FakeFornix:
    """Keeps what ``POST /import`` brings, by the contract of that route.

    Stands in for the API where a test must break in the middle; tests/importers/test_api.py
    imports into the real one.
    """

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Row]] = {}
        self.requests: Counter[str] = Counter()
        self.largest = 0
        self.ends = 0
        self.before: Callable[[str], None] = lambda resource: None
        self.after: Callable[[str], None] = lambda resource: None

    def get(self, path: str, **query: Any) -> Any:
        self.requests[path] += 1
        _, resource, key = path.split("/", 2)
        row = self.rows.get(resource, {}).get(unquote(key))
        if row is None:
            raise RecordMissing(404, {"detail": "Not found."}, f"GET {path}")
        return row

    def patch(self, path: str, body: Any) -> Any:
        _, resource, key = path.split("/", 2)
        self.rows[resource][unquote(key)] = self.rows[resource][unquote(key)] | body

    def post(self, path: str, body: Any = None) -> Any:
        if path == "/import/end":
            self.ends += 1
            return {}
        assert path == "/import"
        rows, resource = body["rows"], body["resource"]
        assert 0 < len(rows) <= 200
        self.requests[resource] += 1
        self.largest = max(self.largest, len(json.dumps(body)))
        self.before(resource)
        answer: Row = {"created": 0, "unchanged": 0, "refused": []}
        table = self.rows.setdefault(resource, {})
        for i, row in enumerate(rows):
            key = row.get("username") or row.get("nickname") or row.get("id") or row["name"]
            if resource == "datasets" and "id" not in row:
                place = (row["session"], row["collection"], row["revision"], row["name"])
                key = str(uuid.uuid3(uuid.UUID(row["session"]), str(place)))
            if resource == "sessions":
                same = [k for k, r in table.items() if _day(r) == _day(row) and k != key]
                if same:
                    item = {"id": key, "status": 409, "detail": "exists", "existing": same[0]}
                    item["row"] = i
                    answer["refused"].append(item)
                    continue
            if key not in table:
                table[key] = row
                answer["created"] += 1
            elif table[key] == row:
                answer["unchanged"] += 1
            else:
                item = {"id": key, "row": i, "status": 409, "detail": "other content"}
                answer["refused"].append(item)
        self.after(resource)
        return answer


def serve(fornix: FakeFornix) -> ThreadingHTTPServer:
    """Serve a FakeFornix over a real socket, for commands run as processes."""

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            try:
                self.answer(200, fornix.get(self.path))
            except RecordMissing as error:
                self.answer(404, error.body)

        def do_POST(self) -> None:
            self.answer(200, fornix.post(self.path, self.body()))

        def do_PATCH(self) -> None:
            fornix.patch(self.path, self.body())
            self.answer(200, {})

    return started(Handler)


def _day(row: Row) -> tuple[str, str, int]:
    return row["subject"], row["start_time"][:10], row["number"]


@pytest.fixture
def alyx() -> Iterator[FakeAlyx]:
    """An Alyx with one lab, one user, one subject and no session."""
    server = FakeAlyx()
    server.lists.update(
        {
            "data-repository": [
                {
                    "name": "flatiron_cortexlab",
                    "timezone": "Europe/London",
                    "globus_path": "/public/",
                    "hostname": "",
                    "data_url": "https://bytes.example.org/public/",
                    "repository_type": "Cardboard box",
                    "globus_endpoint_id": None,
                    "globus_is_personal": False,
                    "json": {"bucket_name": "b", "Secret access key": "s3cret"},
                }
            ],
            "labs": [
                {
                    "name": "cortexlab",
                    "institution": "UCL",
                    "address": "",
                    "timezone": "Europe/London",
                    "repositories": ["flatiron_cortexlab"],
                    "reference_weight_pct": 0.8,
                    "zscore_weight_pct": 0.0,
                    "json": None,
                }
            ],
            "users": [
                {
                    "id": str(uuid.uuid4()),
                    "username": "ada",
                    "email": "ada@example.org",
                    "subjects_responsible": ["KS022"],
                    "lab": ["cortexlab"],
                    "allowed_users": [],
                    "is_stock_manager": False,
                }
            ],
            "projects": [
                {"name": "ibl_neuropixel_brainwide_01", "description": "", "users": ["ada"]}
            ],
            "dataset-types": [{"name": "spikes.times", "filename_pattern": "*spikes.times*.npy"}],
            "data-formats": [{"name": "npy", "file_extension": ".npy"}],
            "revisions": [],
            "tags": [
                {
                    "id": str(uuid.uuid4()),
                    "name": "2022_Q2_release",
                    "description": "",
                    "protected": True,
                    "public": True,
                    "hash": "abc",
                }
            ],
            "water-type": [],
            "procedures": [
                {"id": str(uuid.uuid4()), "name": "Behavior training/tasks", "json": None}
            ],
            "locations": [],
            "subjects": [
                {
                    "nickname": "KS022",
                    "url": f"{server.url}/subjects/KS022",
                    "id": str(uuid.uuid4()),
                    "responsible_user": "ada",
                    "birth_date": "2019-11-01",
                    "age_weeks": 300,
                    "death_date": None,
                    "sex": "M",
                    "species": "Mus musculus",
                    "lab": "cortexlab",
                    "alive": True,
                    "expected_water": 0.8,
                    "json": {},
                }
            ],
            "sessions": [],
            "datasets": [],
            "weighings": [],
        }
    )
    yield server
    server.server.shutdown()
    server.server.server_close()


@pytest.fixture
def fornix_url(fornix: FakeFornix) -> Iterator[str]:
    """Address of the fornix fixture, served."""
    server = serve(fornix)
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def fornix() -> FakeFornix:
    return FakeFornix()


@pytest.fixture
def api(table: str) -> Iterator[Client]:
    """Client of an administrator of an empty Fornix."""
    with empty_fornix() as (url, token):
        yield Client(Settings(url, "root", token=token), sleep=lambda s: None)


@pytest.fixture
def other(dynamodb_url: str) -> Iterator[Client]:
    """Client of an administrator of another empty Fornix, in a process and table of its own."""
    tables.create(dynamodb_url, "other")
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.importers.served"],
        cwd=ROOT,
        env=os.environ | {"FORNIX_TABLE": "other", "AWS_ENDPOINT_URL_DYNAMODB": dynamodb_url},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    url, token = process.stdout.readline().split()
    yield Client(Settings(url, "root", token=token), sleep=lambda s: None)
    process.terminate()
    process.wait(20)
    process.stdout.close()
    tables.drop(dynamodb_url, "other")


@pytest.fixture
def bucket(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:  # noqa: F811
    """An empty bucket for what notes have."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws_url)
    monkeypatch.setenv("FORNIX_DATA_BUCKET", "fornix-pictures")
    aws.forget()
    aws.client("s3").create_bucket(Bucket="fornix-pictures")
    yield "fornix-pictures"
    aws.forget()
