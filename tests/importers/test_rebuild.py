"""What was imported comes back from the journal: import, lose the table, restore, ask again."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest

from functions.api.auth import tokens
from functions.journal.append import append
from functions.journal.restore import restore
from lab.client import Client, Settings
from lab.importers.alyx import AlyxImport
from lab.importers.carrier import Carrier
from lab.importers.folder import FolderImport
from lab.importers.journal import Journal
from lab.importers.one_tables import TablesImport, open_tables
from lab.importers.sessions import Repository
from shared import catalog
from shared.records.table import table_name
from tests import tables
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
    """Lose the table, restore a new one from the journal, and log in again."""

    def lose() -> Client:
        append()
        tables.drop(dynamodb_url, table_name())
        tables.create(dynamodb_url, table_name())
        assert restore().missing == []
        catalog.reset_for_tests()
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
    after = answers(lose())
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
    after = answers(lose())
    # Then the same is found, and where its bytes are
    assert after == before
    urls = {r["data_url"] for d in map(json.loads, after["datasets"]) for r in d["file_records"]}
    assert len(urls) == len(rows)
    assert all(url.startswith("https://data.example.org/aggregates/") for url in urls)


def test_a_folder(flow, api, lose, tmp_path):
    # Given a folder's sessions
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
    before = answers(api)
    # The same import again leaves no other manifest
    assert run().tallies() == {"sessions": {"unchanged": 3}, "datasets": {"unchanged": 3}}
    # When the table is lost after something has changed
    (eid, *_) = [row["id"] for row in map(json.loads, before["sessions"])]
    api.patch(f"/sessions/{eid}", {"narrative": "looked at"})
    changed = answers(api)
    assert answers(lose()) == changed
    assert changed[f"sessions/{eid}"]["narrative"] == "looked at"
