"""The API with an empty table, two labs and a user of each role."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pytest

from functions.api.app import app
from functions.api.auth import tokens
from shared import catalog
from shared.catalog import cache_tables
from shared.model.copies import OWN, own_repository
from shared.records import aws
from shared.records.items import Document
from shared.records.table import Record
from tests.api import gateway
from tests.flow import announced, deliver, npy, send
from tests.flow import aws_url as aws_url

PASSWORD = "correct horse"
LABS = ("fimbrialab", "septumlab")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw) if self.raw else None


@dataclass
class Api:
    """Calls the API through its Lambda entry point, as some user."""

    tokens: dict[str, str] = field(default_factory=dict)

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        user: str | None = "fimbrialab_member",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        fields = {"Content-Type": "application/json", "Accept": "application/json"}
        if user:
            fields["Authorization"] = f"Token {self.token(user)}"
        raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
        answer = gateway.call(app, method, path, fields | (headers or {}), raw)
        return Answer(*answer)

    def token(self, user: str) -> str:
        if user not in self.tokens:
            self.tokens[user] = tokens.issue(user)
        return self.tokens[user]

    def ok(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        answer = self(method, path, body, **options)
        assert answer.status in (200, 201, 204), (answer.status, answer.raw[:500])
        return answer.body


def plant() -> None:
    """Write labs, users of each role, subjects and the usual lists, by batches."""
    with Record.batch_write() as batch:
        for kind, key, body in _records():
            body = {"id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}/{key}")), **body}
            batch.save(
                Document(pk=f"DOC#{kind}#{key}", sk="A", what=kind, id=body["id"], body=body)
            )


def _records() -> Iterator[tuple[str, str, dict[str, Any]]]:
    def user(name: str, role: str, labs: list[str], public: bool = False) -> dict[str, Any]:
        return {
            "username": name,
            "role": role,
            "lab": labs,
            "is_active": True,
            "is_public_user": public,
            "email": f"{name}@example.org",
            "allowed_users": [],
            "is_stock_manager": False,
        }

    yield "user", "admin", user("admin", "administrator", [])
    yield "user", "visitor", user("visitor", "member", [], public=True)
    yield "data-repository", OWN, own_repository()
    for lab in LABS:
        body = {"name": lab, "timezone": "Europe/Lisbon", "repositories": [OWN]}
        yield "lab", lab, {**body, "reference_weight_pct": 0.8, "zscore_weight_pct": 0}
        for role in ("member", "manager", "rig", "worker"):
            yield "user", f"{lab}_{role}", user(f"{lab}_{role}", role, [lab])
    for kind, name in (
        ("species", "Mus musculus"),
        ("water-type", "Water"),
        ("procedure", "Behavior training/tasks"),
        ("procedure", "Histology"),
        ("probe-model", "3B2"),
        ("coordinate-system", "IBL-Allen"),
        ("project", "demo"),
    ):
        yield kind, name, {"name": name}
    for name, pattern in (
        ("trials.table", "*trials.table*.pqt"),
        ("spikes.times", "*spikes.times*.npy"),
        ("wheel.position", "*wheel.position*.npy"),
        ("unknown", ""),
    ):
        yield "dataset-type", name, {"name": name, "filename_pattern": pattern}
    for name in ("npy", "pqt"):
        yield "data-format", name, {"name": name, "file_extension": f".{name}"}
    for lab, nickname in ((LABS[0], "FI_001"), (LABS[0], "FI_002"), (LABS[1], "SE_001")):
        body = {"nickname": nickname, "lab": lab, "sex": "M", "birth_date": "2024-01-01"}
        yield "subject", nickname, {**body, "projects": [], "responsible_user": f"{lab}_member"}


@pytest.fixture
def api(table: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The API in process, with labs, users and the usual lists."""
    monkeypatch.setenv("FORNIX_API_URL", "http://fornix.test")
    catalog.reset_for_tests()
    cache_tables.reset_for_tests()
    plant()
    yield Api()
    catalog.reset_for_tests()


def content_of(path: str) -> bytes:
    """Return a file that ingest takes in: an array or a table that holds its path's length."""
    if path.endswith(".npy"):
        return npy(len(path))
    table = io.BytesIO()
    pd.DataFrame({"n": [len(path)]}).to_parquet(table)
    return table.getvalue()


def upload(api: Api, eid: str, files: Mapping[str, bytes], **facts: Any) -> None:
    """Send files of a session as its rig does, each with some facts.

    The rig announces the files, puts them where the API says, and says that it has done so; then
    *ingest* takes them in.
    """
    rig = f"{api.ok('GET', f'/sessions/{eid}', user='admin')['lab']}_rig"
    body = {"session": {"id": eid}, "files": [announced(*each) | facts for each in files.items()]}
    answer = api.ok("POST", "/uploads", body, user=rig)
    assert set(send(answer, files)) <= {200}
    message = {"kind": "finalise", "upload": answer["id"]}
    assert deliver("ingest", message) == {"batchItemFailures": []}
    ended = api.ok("GET", f"/uploads/{answer['id']}", user=rig)["files"]
    assert {file["state"] for file in ended} <= {"registered", "present"}, ended


def bring(api: Api, eid: str) -> None:
    """Upload the bytes of all datasets of a session that were registered by name."""
    datasets = api.ok("GET", f"/datasets?session={eid}&limit=1000", user="admin")["results"]
    upload(api, eid, {path: content_of(path) for path in map(_path, datasets)})


def _path(dataset: dict[str, Any]) -> str:
    """Return the path of a dataset below its session's folder."""
    revision = f"#{dataset['revision']}#" if dataset["revision"] else ""
    return "/".join(filter(None, (dataset["collection"], revision, dataset["name"])))


@pytest.fixture
def bucket(aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A data bucket, empty."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", aws_url)
    monkeypatch.setenv("FORNIX_DATA_BUCKET", "fornix-data-test")
    aws.forget()
    client = aws.client("s3")
    client.create_bucket(Bucket="fornix-data-test")
    yield "fornix-data-test"
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="fornix-data-test"):
        for item in page.get("Contents", []):
            client.delete_object(Bucket="fornix-data-test", Key=item["Key"])
    client.delete_bucket(Bucket="fornix-data-test")
    aws.forget()


@pytest.fixture
def address(api: Api, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of the API over a real socket."""
    with gateway.serve(app) as url:
        monkeypatch.setenv("FORNIX_API_URL", url)
        yield url
