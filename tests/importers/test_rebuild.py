"""What was imported is rebuilt from the bucket: import, lose the table, reindex, ask again."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import pandas as pd
import pytest

from functions.api.auth import tokens
from functions.ingest import reindex
from lab.client import Client, Settings, Unreachable
from lab.importers.alyx import AlyxImport
from lab.importers.carrier import Carrier
from lab.importers.folder import FolderImport
from lab.importers.journal import Journal
from lab.importers.one_tables import TablesImport, open_tables
from lab.importers.sessions import Repository
from shared import catalog
from shared.records import aws, documents
from shared.records.objects import bucket
from shared.records.table import TABLE_SCHEMA, table_name
from shared.uploads import imports
from tests.flow import LAB, Flow
from tests.importers.served import empty_fornix
from tests.importers.test_api import everything

LISTS = (
    *("labs", "users", "subjects", "projects", "data-repository", "dataset-types", "tags"),
    *("revisions", "sessions", "datasets", "files", "insertions", "trajectories", "weighings"),
    *("water-administrations", "water-restriction", "surgeries", "notes"),
)


@pytest.fixture
def api(flow: Flow) -> Iterator[Client]:
    """Client of an administrator of an empty Fornix with a data bucket."""
    with empty_fornix() as (url, token):
        yield Client(Settings(url, "root", token=token), sleep=lambda s: None)


@pytest.fixture
def lose(dynamodb_url: str, api: Client) -> Callable[[], Client]:
    """Lose the table and begin a new one, with an administrator and nothing else."""
    client = botocore.session.get_session().create_client(
        "dynamodb", endpoint_url=dynamodb_url, region_name="us-east-1"
    )

    def lose() -> Client:
        client.delete_table(TableName=table_name())
        client.create_table(TableName=table_name(), BillingMode="PAY_PER_REQUEST", **TABLE_SCHEMA)
        catalog.reset_for_tests()
        user = {"username": "root", "role": "administrator", "lab": [], "is_active": True}
        documents.create("user", "root", user, who="tests")
        settings = Settings(api.settings.url, "root", token=tokens.issue("root"))
        return Client(settings, sleep=lambda s: None)

    return lose


def answers(api: Client) -> dict[str, Any]:
    """Return what the API answers: the lists, and the details of sessions, datasets, files."""
    found: dict[str, Any] = {}
    for name in LISTS:
        rows = api.get(f"/{name}")["results"]
        found[name] = sorted(json.dumps(row, sort_keys=True) for row in rows)
    for kind in ("sessions", "datasets"):
        for row in map(json.loads, found[kind]):
            identity = row["url"][-36:]
            found[f"{kind}/{identity}"] = api.get(f"/{kind}/{identity}")
    for row in map(json.loads, found["files"]):
        found[f"files/{row['id']}"] = api.get(f"/files/{row['id']}")
    # Neither the account that loses and finds everything, nor the flow's own lab, is imported
    for name, own in (("users", '"username": "root"'), ("labs", LAB), ("subjects", LAB)):
        found[name] = [row for row in found[name] if own not in row]
    return found


def rebuilt(flow: Flow, lose: Callable[[], Client]) -> dict[str, Any]:
    """Lose the table, reindex, and return the answers."""
    api = lose()
    assert api.get("/sessions")["count"] == 0
    assert api.post("/reindex") == {"state": "queued"}
    flow.pump()
    return answers(api)


def test_an_alyx(flow, alyx, api, lose):
    # Given an Alyx with a row of each kind, imported
    ids = everything(alyx)
    journal = Journal()
    AlyxImport(alyx.source(), Carrier(api, journal)).run()
    assert list(journal.refusals()) == []
    before = answers(api)
    assert f"sessions/{ids['session']}" in before
    assert all(before[name] for name in LISTS if name != "revisions")
    # When the table is lost and rebuilt from the bucket, then all is as it was, ids included
    after = rebuilt(flow, lose)
    assert after.keys() == before.keys()
    for what, answer in before.items():
        assert after[what] == answer, what


def test_one_tables_and_where_their_bytes_are(flow, api, lose, tmp_path):
    # Given ONE's tables of two sessions, whose bytes stay on a web server
    eids = sorted(str(uuid.uuid4()) for _ in range(2))
    sessions = pd.DataFrame(
        {
            "id": eids,
            "lab": "cortexlab",
            "subject": "KS022",
            "date": pd.to_datetime("2020-06-20").date(),
            "number": [1, 2],
            "task_protocol": "training",
            "projects": "ibl,brainwide",
        }
    ).set_index("id")
    rows = [
        (eid, str(uuid.uuid4()), f"alf/{revision}spikes.{name}.npy")
        for eid in eids
        for name in ("times", "clusters")
        for revision in ("", "#2022-01-01#/")
    ]
    datasets = pd.DataFrame(rows, columns=["eid", "id", "rel_path"]).set_index(["eid", "id"])
    datasets["file_size"], datasets["hash"], datasets["exists"] = 10, "0" * 32, True
    datasets["qc"] = "PASS"
    datasets["default_revision"] = datasets["rel_path"].str.contains("#")
    sessions.to_parquet(tmp_path / "sessions.pqt")
    datasets.sort_index().to_parquet(tmp_path / "datasets.pqt")
    where = Repository("web", "https://data.example.org/aggregates")
    journal = Journal()
    with open_tables(tmp_path) as tables:
        TablesImport(*tables, Carrier(api, journal), where).run()
    assert list(journal.refusals()) == []
    before = answers(api)
    # When the table is lost and rebuilt
    after = rebuilt(flow, lose)
    # Then the same is found, and where its bytes are
    assert after == before
    urls = {r["data_url"] for d in map(json.loads, after["datasets"]) for r in d["file_records"]}
    assert len(urls) == len(rows)
    assert all(url.startswith("https://data.example.org/aggregates/") for url in urls)


def test_a_folder_in_small_steps(flow, api, lose, tmp_path, monkeypatch):
    # Given a folder's sessions, and a rebuilding of few manifests and records at a time
    for number in range(1, 4):
        folder = tmp_path / f"data/cortexlab/Subjects/KS022/2020-06-20/{number:03d}/alf"
        folder.mkdir(parents=True)
        (folder / "spikes.times.npy").write_bytes(b"1")
    nas = Repository("nas", "https://nas.example.org/data", plain_names=True)

    def run() -> Journal:
        journal = Journal()
        FolderImport(tmp_path / "data", Carrier(api, journal), nas, None).run()
        return journal

    run()
    before, manifests = answers(api), flow.keys(imports.PREFIX)
    # The same import again leaves no other manifest
    assert run().tallies() == {"sessions": {"unchanged": 3}, "datasets": {"unchanged": 3}}
    assert flow.keys(imports.PREFIX) == manifests
    monkeypatch.setattr(reindex, "AT_ONCE", 3)
    monkeypatch.setattr(reindex, "MOST_RECORDS", 2)
    assert rebuilt(flow, lose) == before
    # When it is rebuilt again, over what is there and has changed since, then nothing changes
    (eid, *_) = [row["id"] for row in map(json.loads, before["sessions"])]
    restored = Client(Settings(api.settings.url, "root", token=tokens.issue("root")))
    restored.patch(f"/sessions/{eid}", {"narrative": "looked at"})
    changed = answers(restored)
    flow.deliver("ingest", {"kind": "reindex"})
    flow.pump()
    assert answers(restored) == changed
    assert changed[f"sessions/{eid}"]["narrative"] == "looked at"


def test_what_was_refused_or_cut_off_is_in_no_manifest(flow, api, lose, monkeypatch):
    def send(resource: str, *rows: dict[str, Any]) -> Any:
        return api.post("/import", {"resource": resource, "rows": list(rows)})

    send("labs", {"name": "cortexlab"}, {"name": "no lab"})
    send("subjects", {"nickname": "KS022", "lab": "cortexlab"})
    session = {
        **{"id": str(uuid.uuid4()), "subject": "KS022", "lab": "cortexlab", "number": 1},
        "start_time": "2020-06-20T10:00:00",
    }
    other = {**session, "id": str(uuid.uuid4())}
    # Given a session whose manifest could not be written: the request failed after storing it
    with monkeypatch.context() as broken:
        broken.setattr(imports, "write_once", lambda key, document: 1 / 0)
        with pytest.raises(Unreachable, match="500"):
            send("sessions", session)
    # When the request is repeated, with one that clashes
    answer = send("sessions", session, other)
    assert (answer["created"], answer["unchanged"], len(answer["refused"])) == (0, 1, 1)
    # Then the one that is there is rebuilt
    after = rebuilt(flow, lose)
    assert [json.loads(row)["id"] for row in after["sessions"]] == [session["id"]]
    assert [json.loads(row)["name"] for row in after["labs"]] == ["cortexlab"]


def test_a_record_that_cannot_be_made_does_not_keep_the_others(flow, api, lose, caplog):
    def manifest(name: str, *entries: dict[str, Any]) -> None:
        key = f"{imports.PREFIX}1-sessions/{name}.json"
        body = {"import": "sessions", "by": "root", "sessions": list(entries)}
        aws.client("s3").put_object(Bucket=bucket(), Key=key, Body=json.dumps(body).encode())

    # Given manifests with a session of a subject that there is not, and with a broken entry
    api.post("/import", {"resource": "labs", "rows": [{"name": "cortexlab"}]})
    rows = [{"nickname": "KS022", "lab": "cortexlab"}]
    api.post("/import", {"resource": "subjects", "rows": rows})
    good = {
        **{"id": str(uuid.uuid4()), "subject": "KS022", "lab": "cortexlab", "number": 1},
        "start_time": "2020-06-20T10:00:00",
    }
    lost = {**good, "id": str(uuid.uuid4()), "subject": "nobody"}
    manifest("a", lost, {**good, "id": str(uuid.uuid4()), "start_time": "noon"}, good)
    after = rebuilt(flow, lose)
    assert [json.loads(row)["id"] for row in after["sessions"]] == [good["id"]]
    assert f"session {lost['id']} of manifest" in caplog.text
