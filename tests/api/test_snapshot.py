"""The snapshot of the search index: written when something changed, read by the next process."""

from __future__ import annotations

import hashlib

import pytest

from shared import catalog
from shared.catalog import index, versions
from shared.records import aws
from tests.api.conftest import Api, bring, content_of


def make(api: Api, number: int) -> str:
    body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00", "number": number}
    return api.ok("POST", "/sessions", {**body, "json": {"a": [1, {"b": None}]}})["id"]


def register(api: Api, n: int) -> None:
    names = [f"alf/probe{i:02d}/spikes.times.npy" for i in range(n)]
    body = {"path": "FI_001/2024-07-01/001", "filenames": names, "name": "fornix"}
    hashes = [hashlib.md5(content_of(name)).hexdigest() for name in names]
    rows = api.ok("POST", "/register-file", {**body, "hashes": hashes})
    bring(api, rows[0]["session"])


@pytest.mark.parametrize("small", [1000, 1])
def test_the_next_process_starts_from_it_and_follows_the_feed(
    api: Api, bucket: str, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    monkeypatch.setattr(versions, "SMALL", small)  # as rows, and as columns
    eid = make(api, 1)
    register(api, 3)
    before = {path: api.ok("GET", path) for path in ("/sessions", "/datasets", "/subjects")}
    written = catalog.write_snapshot()
    assert {"session", "dataset", "subject", "user"} <= set(written["written"])
    # Given another process, which cannot scan the table
    catalog.reset_for_tests()
    monkeypatch.setattr(index, "scan", lambda: pytest.fail("the table was scanned"))
    make(api, 2)
    after = {path: api.ok("GET", path) for path in before}
    assert after["/sessions"]["count"] == 2
    for path in ("/datasets", "/subjects"):
        assert after[path]["results"] == before[path]["results"]
    (found,) = api.ok("GET", "/sessions?datasets=spikes.times.npy&json=a__1__b,None")["results"]
    assert found["id"] == eid
    # When it is written again, kinds that have not changed keep their files
    again = catalog.write_snapshot()
    assert "session" in again["written"]
    assert not {"subject", "dataset", "user"} & set(again["written"])
    assert again["kinds"]["subject"] == written["kinds"]["subject"]
    # and hashes, which are not held in memory, are still in it
    whole = catalog.Index(full=True)
    whole.catch_up()
    assert {row["hash"] for row in whole.table("dataset").rows()} == {
        hashlib.md5(content_of("alf/probe00/spikes.times.npy")).hexdigest()
    }


@pytest.mark.parametrize("small", [1000, 1])
def test_ids_that_came_from_elsewhere_are_in_it(
    api: Api, bucket: str, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    monkeypatch.setattr(versions, "SMALL", small)
    # Given a session with a dataset of ours and one that was imported under its own id
    eid = make(api, 1)
    register(api, 1)
    foreign = "5cb3a6b1-3bd5-4f8c-9c2a-0f0f0f0f0f0f"
    body = {"id": foreign, "session": eid, "name": "spikes.clusters.npy"}
    body |= {"collection": "alf/probe00", "dataset_type": "unknown", "data_format": "npy"}
    api.ok("POST", "/datasets", body, user="admin")
    api.ok("POST", "/insertions", {"session": eid, "name": "probe00"})
    ids = sorted(row["id"] for row in api.ok("GET", f"/datasets?session={eid}")["results"])
    assert foreign in ids

    def listed() -> list[str]:
        (row,) = api.ok("GET", "/insertions")["results"]
        return sorted(row["datasets"])

    assert listed() == ids
    # When the index is loaded from the snapshot, then it has the same ids
    catalog.write_snapshot()
    catalog.reset_for_tests()
    monkeypatch.setattr(index, "scan", lambda: pytest.fail("the table was scanned"))
    assert listed() == ids
    # also after what is new was folded into it
    register(api, 3)
    catalog.start_request()
    catalog.table("dataset").merge_versions()
    new = sorted(row["id"] for row in api.ok("GET", f"/datasets?session={eid}")["results"])
    assert len(new) == 4
    (insertion,) = api.ok("GET", "/insertions")["results"]
    assert insertion["datasets"] == [foreign, *(set(ids) - {foreign})]


def test_without_a_usable_snapshot_the_table_is_scanned(
    api: Api, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(api, 1)
    catalog.write_snapshot()
    latest = aws.client("s3").get_object(Bucket=bucket, Key="snapshots/latest.json")
    old = latest["Body"].read().decode()
    for spoilt in (old.replace('"at": "20', '"at": "19', 1), "{}", "not json"):
        aws.client("s3").put_object(
            Bucket=bucket, Key="snapshots/latest.json", Body=spoilt.encode()
        )
        catalog.reset_for_tests()
        assert api.ok("GET", "/sessions")["count"] == 1


def test_a_snapshot_whose_files_are_gone_is_as_good_as_none(api: Api, bucket: str) -> None:
    eid = make(api, 1)
    kinds = catalog.write_snapshot()["kinds"]
    aws.client("s3").delete_object(Bucket=bucket, Key=kinds["session"]["key"])
    catalog.reset_for_tests()
    assert [row["id"] for row in api.ok("GET", "/sessions")["results"]] == [eid]


@pytest.mark.parametrize("spoilt", ["another byte", "its end is missing", "gone"])
@pytest.mark.parametrize("small", [1000, 1])
def test_a_snapshot_that_is_damaged_later_is_left_for_the_table(
    api: Api, bucket: str, monkeypatch: pytest.MonkeyPatch, small: int, spoilt: str
) -> None:
    monkeypatch.setattr(versions, "SMALL", small)  # as rows, and as columns
    # Given a process that has begun with a snapshot
    eids = [make(api, number) for number in (1, 2)]
    key = catalog.write_snapshot()["kinds"]["session"]["key"]
    catalog.reset_for_tests()
    api.ok("GET", "/subjects")
    # When a file of it is spoilt, or deleted because there is a newer one
    client = aws.client("s3")
    body = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    if spoilt == "gone":
        client.delete_object(Bucket=bucket, Key=key)
    else:
        other = bytes(byte ^ 1 if i == 20 else byte for i, byte in enumerate(body))
        body = other if spoilt == "another byte" else body[:-20]
        client.put_object(Bucket=bucket, Key=key, Body=body)
    # Then lists are as they were, and so are writes
    assert {row["id"] for row in api.ok("GET", "/sessions")["results"]} == set(eids)
    eids.append(make(api, 3))
    assert api.ok("GET", "/sessions")["count"] == 3
