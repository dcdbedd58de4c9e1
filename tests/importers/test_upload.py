"""``--upload``: bytes go to S3 by the upload protocol, through the real API and ingest."""

from __future__ import annotations

import datetime
import hashlib
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from lab.client import Client, Settings, Unreachable
from lab.importers.alyx import AlyxImport
from lab.importers.bytes import Fetcher, Mover, NotFetched, Remote, Uploader
from lab.importers.carrier import Carrier
from lab.importers.folder import FolderImport
from lab.importers.journal import Journal
from lab.importers.one_tables import TablesImport, open_tables
from lab.importers.sessions import Repository
from lab.transfer import HashCache
from shared.datasets.read import datasets_of
from tests.flow import Flow, npy
from tests.importers.served import empty_fornix

FOLDER = "cortexlab/Subjects/KS022/2020-06-20/001"


@pytest.fixture
def fornix_api(flow: Flow) -> Iterator[Client]:
    """Client of an administrator; what arrives in S3 is ingested meanwhile."""
    stop = threading.Event()

    def ingest() -> None:
        while not stop.wait(0.05):
            flow.pump()

    worker = threading.Thread(target=ingest, daemon=True)
    worker.start()
    with empty_fornix() as (url, token):
        yield Client(Settings(url, "root", token=token), sleep=lambda s: None)
        stop.set()
        worker.join(30)


def put(root: Path, **files: bytes) -> Path:
    for path, content in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return root


def upload(root: Path, api: Client, tmp_path: Path) -> Journal:
    journal = Journal()
    carrier = Carrier(api, journal)
    uploader = Uploader(api, carrier, HashCache(tmp_path / "hashes"))
    FolderImport(root, carrier, None, None, uploader).run()
    return journal


def stored(flow: Flow, eid: str) -> dict[str, bytes]:
    """Return the bytes in S3 of a session's datasets, by path."""
    return {
        item.path: flow.s3.get_object(Bucket=flow.bucket, Key=item.stored_key)["Body"].read()
        for item in datasets_of(eid)
        if item.sha256
    }


def test_a_folder_is_uploaded_and_ids_in_names_are_kept(flow, fornix_api, tmp_path):
    # Given a session with a revision, a name with a UUID, and a file whose content is broken
    did = str(uuid.uuid4())
    root = put(
        tmp_path / "data",
        **{
            f"{FOLDER}/alf/spikes.times.{did}.npy": npy(1, 2, 3),
            f"{FOLDER}/alf/#2024-01-01#/spikes.amps.npy": npy(4, 5, 6),
            f"{FOLDER}/alf/clusters.depths.npy": b"no npy",
        },
    )
    # When it is imported with its bytes
    journal = upload(root, fornix_api, tmp_path)
    # Then the good files are in S3 under the ids they had
    (session,) = fornix_api.get("/sessions")["results"]
    assert stored(flow, session["id"]) == {
        "alf/spikes.times.npy": npy(1, 2, 3),
        "alf/#2024-01-01#/spikes.amps.npy": npy(4, 5, 6),
    }
    dataset = fornix_api.get(f"/datasets/{did}")
    assert dataset["name"] == "spikes.times.npy"
    assert dataset["sha256"] == hashlib.sha256(npy(1, 2, 3)).hexdigest()
    assert journal.tallies()["bytes"] == {"created": 2, "not carried": 1}
    # and the broken one is reported with ingest's own reason
    (refusal,) = journal.refusals()
    assert refusal["id"] == f"{session['id']}/alf/clusters.depths.npy"


def test_a_repeat_sends_no_bytes(flow, fornix_api, tmp_path):
    root = put(tmp_path / "data", **{f"{FOLDER}/alf/spikes.times.npy": npy(1, 2, 3)})
    upload(root, fornix_api, tmp_path)
    journal = upload(root, fornix_api, tmp_path)
    assert journal.tallies() == {
        "sessions": {"unchanged": 1},
        "datasets": {"unchanged": 1},
        "bytes": {"unchanged": 1},
    }
    assert fornix_api.get("/datasets")["count"] == 1


@pytest.fixture
def data_server() -> Iterator[Any]:
    """Serves files over HTTP; ``files`` path → content, ``requests`` what was asked for."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            server.requests.append((self.path, self.headers.get("Authorization")))  # type: ignore[attr-defined]
            content = server.files.get(self.path)  # type: ignore[attr-defined]
            status = content if isinstance(content, int) else 200 if content else 404
            content = content if isinstance(content, bytes) else b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.requests = {}, []  # type: ignore[attr-defined]
    server.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_bytes_of_an_alyx_are_fetched_checked_and_uploaded(
    flow, fornix_api, alyx, data_server, tmp_path
):
    # Given an Alyx whose datasets are served: one right, one with another MD5, one gone
    eid = alyx.session(n_datasets=3)
    md5 = hashlib.md5(npy(1, 2)).hexdigest()
    good, changed, gone = alyx.lists["datasets"]
    for row, name in ((good, "good"), (changed, "changed"), (gone, "gone")):
        row |= {"file_size": len(npy(1, 2)), "hash": md5, "tags": [], "qc": "PASS"}
        row["file_records"][0]["data_url"] = f"{data_server.url}/{name}"
    data_server.files |= {"/good": npy(1, 2), "/changed": npy(3, 4)}
    # When it is copied with its bytes, twice
    journals = []
    for _ in range(2):
        journal = Journal()
        carrier = Carrier(fornix_api, journal)
        fetcher = Fetcher(tmp_path / "bytes", None, None)
        mover = Mover(Uploader(fornix_api, carrier, HashCache()), fetcher)
        AlyxImport(alyx.source(), carrier, mover=mover).run()
        journals.append(journal)
    told = [r for r in journals[0].refusals() if r["resource"] != "bytes"]
    assert told == []
    # Then the right one is in S3, under its id and with all else that was known of it
    assert list(stored(flow, eid).values()) == [npy(1, 2)]
    dataset = fornix_api.get(f"/datasets/{good['url'][-36:]}")
    assert (dataset["qc"], dataset["created_by"]) == ("PASS", "ada")
    assert dataset["sha256"] == hashlib.sha256(npy(1, 2)).hexdigest()
    assert len(dataset["file_records"]) == 2  # the old place, and ours
    # and the others are told of, and stay where they are
    reasons = {r["id"]: r["reason"] for r in journals[0].refusals()}
    assert reasons == {
        changed["url"][-36:]: "its MD5 is not what the source says",
        gone["url"][-36:]: "the data server answered 404",
    }
    # and the second time the right one is not fetched again
    assert [path for path, _ in data_server.requests].count("/good") == 1
    assert journals[1].tallies()["bytes"]["unchanged"] == 1


def test_the_bytes_of_tables_are_fetched_and_uploaded(flow, fornix_api, data_server, tmp_path):
    # Given tables, and a data server that has one file of a revision, with its UUID in the name
    eid, did = str(uuid.uuid4()), str(uuid.uuid4())
    write_tables(tmp_path / "one", eid, did, "alf/#2024-01-01#/spikes.times.npy", npy(1, 2))
    path = f"{FOLDER}/alf/%232024-01-01%23/spikes.times.{did}.npy"
    data_server.files[f"/public/{path}"] = npy(1, 2)
    # When they are imported with their bytes
    journal = Journal()
    carrier = Carrier(fornix_api, journal)
    mover = Mover(Uploader(fornix_api, carrier, HashCache()), Fetcher(tmp_path / "b", None, None))
    place = Repository("flatiron", f"{data_server.url}/public/")
    with open_tables(tmp_path / "one") as (sessions_table, datasets_table):
        TablesImport(sessions_table, datasets_table, carrier, place, None, mover).run()
    # Then they are in S3, under the id
    assert list(journal.refusals()) == []
    assert stored(flow, eid) == {"alf/#2024-01-01#/spikes.times.npy": npy(1, 2)}
    assert fornix_api.get(f"/datasets/{did}")["revision"] == "2024-01-01"


def write_tables(folder: Path, eid: str, did: str, path: str, content: bytes) -> None:
    """Write ONE tables of one session with one dataset."""
    folder.mkdir()
    session = {"id": eid, "lab": "cortexlab", "subject": "KS022", "number": 1}
    session |= {"date": datetime.date(2020, 6, 20), "task_protocol": "", "projects": ""}
    dataset = {"eid": eid, "id": did, "rel_path": path, "file_size": len(content)}
    dataset |= {"hash": hashlib.md5(content).hexdigest(), "exists": True, "qc": "PASS"}
    dataset |= {"default_revision": True}
    pd.DataFrame([session]).to_parquet(folder / "sessions.pqt")
    pd.DataFrame([dataset]).to_parquet(folder / "datasets.pqt")


def remote(url: str | None, content: bytes = b"abc", **fields: Any) -> Remote:
    md5 = hashlib.md5(content).hexdigest()
    values = {"id": str(uuid.uuid4()), "path": "a.b.npy", "size": len(content), "md5": md5}
    return Remote(url=url, **(values | fields))


def test_the_password_goes_only_to_the_server_it_is_for(data_server, tmp_path):
    data_server.files["/x"] = b"abc"
    ours = Fetcher(tmp_path / "a", ("ada", "secret"), data_server.url)
    ours.fetch(remote(f"{data_server.url}/x"))
    elsewhere = Fetcher(tmp_path / "b", ("ada", "secret"), "https://other.example.org")
    elsewhere.fetch(remote(f"{data_server.url}/x"))
    assert [account is not None for _, account in data_server.requests] == [True, False]


def test_a_download_that_was_finished_is_not_repeated(data_server, tmp_path):
    data_server.files["/x"] = b"abc"
    wanted = remote(f"{data_server.url}/x")
    for _ in range(2):
        path = Fetcher(tmp_path, None, None).fetch(wanted)
    assert path.read_bytes() == b"abc"
    assert len(data_server.requests) == 1


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (None, "no address"),
        ("file:///etc/passwd", "no address"),
        ("ftp://example.org/x", "no address"),
        ("{}/absent", "404"),
        ("{}/short", "bytes"),
    ],
)
def test_what_cannot_be_fetched(data_server, tmp_path, url, words):
    data_server.files["/short"] = b"ab"
    with pytest.raises(NotFetched, match=words):
        Fetcher(tmp_path, None, None).fetch(remote(url and url.format(data_server.url)))
    assert list(tmp_path.iterdir()) == []


def test_a_data_server_that_is_down_stops_the_import(data_server, tmp_path):
    pauses = []
    data_server.files["/x"] = 503
    with pytest.raises(Unreachable, match="answered 503, 6 times in a row"):
        Fetcher(tmp_path, None, None, pauses.append).fetch(remote(f"{data_server.url}/x"))
    assert len(data_server.requests) == 6
    assert len(pauses) == 5
