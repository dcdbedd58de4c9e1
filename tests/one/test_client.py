"""What ONE does beside plain loading: revisions over time, buckets, several accounts."""

from __future__ import annotations

import datetime
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from requests import HTTPError

from shared.datasets.read import datasets_of
from shared.records import aws, documents
from tests.api.conftest import Api, bring, content_of
from tests.one.conftest import LAB, MEMBER, SUBJECT, Connect, described


def protect(api: Api, *ids: str) -> None:
    for each in ids:
        api.ok("PATCH", f"/datasets/{each}", {"tags": ["paper"]}, user=f"{LAB}_manager")


def test_protected_files_move_from_revision_to_revision(connect: Connect, api: Api) -> None:
    from one.registration import RegistrationClient

    documents.create("tag", "paper", {"name": "paper", "protected": True}, who="admin")
    one = connect()
    client = RegistrationClient(one)
    folder, eid = client.create_new_session(SUBJECT, date="2024-09-01")
    name = "wheel.position.npy"

    def register(within: str) -> tuple[str, str]:
        file = folder / within / name
        file.parent.mkdir(exist_ok=True, parents=True)
        np.save(file, np.random.default_rng().random(3))
        (row,) = client.register_files(file_list=[file])
        revision = f"#{row['revision']}#" if row["revision"] else ""
        assert (folder / revision / name).exists()
        return row["id"], row["revision"]

    original, revision = register("")
    assert revision == ""
    protect(api, original)
    first, revision = register("#paper1#")
    assert revision == "paper1"
    protect(api, first)
    # The revision named is protected: a letter is added to it
    second, revision = register("#paper1#")
    assert revision == "paper1a"
    protect(api, second)
    # Today's, then today's with a letter, however many there are and whatever else is newest
    today = datetime.date.today().isoformat()
    third, revision = register("")
    assert revision == today
    protect(api, third)
    fourth, revision = register("")
    assert revision == f"{today}a"
    rows = one.list_datasets(str(eid), details=True, query_type="remote")
    defaults = rows["rel_path"][rows["default_revision"]]
    assert list(defaults) == [f"#{today}a#/{name}"]
    with pytest.raises(HTTPError, match="protected"):
        one.alyx.rest("datasets", "delete", id=third)
    one.alyx.rest("datasets", "delete", id=fourth)


def test_a_public_bucket_is_read_without_the_server(
    connect: Connect, api: Api, eid: str, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONE asks for the repository ``aws_cortexlab`` and reads keys from its bucket."""
    documents.create(
        "data-repository",
        "aws_cortexlab",
        {
            "name": "aws_cortexlab",
            "globus_path": "data/fimbrialab/Subjects/",
            "globus_is_personal": False,
            "json": {"bucket_name": "a-public-bucket", "region_name": "us-east-1"},
        },
        who="admin",
    )
    paths = ["alf/wheel.position.npy", "alf/#2024-08-01#/spikes.times.npy"]
    body = {"created_by": MEMBER, "path": f"{SUBJECT}/2024-07-01/001", **described(paths)}
    api.ok("POST", "/register-file", body)
    bring(api, eid)
    api.ok("POST", "/register-file", {**body, "name": "aws_cortexlab"})  # they are there, too
    client = aws.client("s3")
    client.create_bucket(Bucket="a-public-bucket")
    for item in datasets_of(eid):
        key = item.stored_key
        whole = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        client.put_object(Bucket="a-public-bucket", Key=key, Body=whole)
    one = connect()
    monkeypatch.setattr(one, "_download_dataset", None)  # the way over HTTP
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # boto's own
        files, _ = one.load_datasets(eid, paths, download_only=True, query_type="remote")
    found = [Path(file).read_bytes() for file in files]
    assert found == [content_of(path) for path in paths]
    assert [Path(file).name for file in files] == ["wheel.position.npy", "spikes.times.npy"]


def test_private_and_public_sessions_by_account(
    connect: Connect, api: Api, eid: str, bucket: str
) -> None:
    paths = ["alf/wheel.position.npy"]
    body = {"created_by": MEMBER, "path": f"{SUBJECT}/2024-07-01/001", **described(paths)}
    api.ok("POST", "/register-file", body)
    bring(api, eid)

    def load(user: str) -> Any:
        one = connect(user)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return one.load_dataset(eid, paths[0], download_only=True, query_type="remote")

    # Members of other laboratories read it, the public does not
    assert load("septumlab_member").read_bytes() == content_of(paths[0])
    assert len(connect("visitor").search(subject=SUBJECT, query_type="remote")) == 0
    with pytest.raises(HTTPError, match="404"):
        load("visitor")
    api.ok("PATCH", f"/sessions/{eid}", {"public": True}, user=f"{LAB}_manager")
    assert load("visitor").read_bytes() == content_of(paths[0])
    visitor = connect("visitor")
    assert [str(each) for each in visitor.search(subject=SUBJECT, query_type="remote")] == [eid]
    # It cannot write, with any method
    for action, options in (
        ("create", {"data": {"subject": SUBJECT, "number": 5}}),
        ("partial_update", {"id": eid, "data": {"narrative": "mine"}}),
        ("delete", {"id": eid}),
    ):
        with pytest.raises(HTTPError, match="permission"):
            visitor.alyx.rest("sessions", action, **options)


def test_a_lost_token_is_renewed_in_passing(connect: Connect, api: Api, eid: str) -> None:
    one = connect()
    one.alyx._par = one.alyx._par.set("ALYX_PWD", "correct horse")
    one.alyx._token["token"] = "f" * 40
    one.alyx._headers["Authorization"] = "Token " + "f" * 40
    assert [str(each) for each in one.search(subject=SUBJECT, query_type="remote")] == [eid]
    assert one.alyx._token["token"] != "f" * 40


def test_what_changed_while_pages_were_read_is_told(connect: Connect, api: Api) -> None:
    """The client warns when the count of a list without sessions' snapshot changes."""
    one = connect()
    for number in range(6):
        api.ok("POST", "/subjects", {"nickname": f"FI_1{number}", "lab": LAB})
    rows = one.alyx.rest("subjects", "list", limit=3, no_cache=True)
    api.ok("POST", "/subjects", {"nickname": "FI_00", "lab": LAB})
    with pytest.warns(RuntimeWarning, match="changed"):
        assert rows[-1]["nickname"] == "SE_001"
    assert len(rows) == 10
