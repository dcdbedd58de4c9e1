"""Publishing has workers write a release's sessions as NWB: queue, worker, files, page."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pynwb
import pytest
import requests
from numcodecs import get_codec

from functions.analysis.handler import act
from lab.releases.remote import ReleaseServer
from lab.releases.verify import verify_server
from lab.worker import inputs
from lab.worker.inputs import download
from lab.worker.run import Worker
from shared.model.task import TaskInput
from shared.records import documents
from shared.tasks.declared.release import NWB_FILE, NWB_LINK_FILE, NWB_RAW_FILE
from shared.work import read
from tests.exports.sessions import STEP, make, write_camera, write_recording
from tests.flow import LAB, SUBJECT, System
from tests.releases.conftest import TAG, TERMS, upload

pytestmark = pytest.mark.integration

WHERE = f"/releases/{TAG}/1"


class Ordered:
    """A published release of one session, of which a worker is to write the NWB file."""

    def __init__(self, system: System, folder: Path, tmp: Path) -> None:
        self.system, self.folder = system, folder
        facts = {"sex": "F", "birth_date": "2024-03-01", "species": "Mus musculus"}
        documents.update("subject", SUBJECT, lambda body: body | facts, who="tests")
        self.eid = upload(system, folder, "2024-07-01")
        self.manager = system.client("manager")
        self.worker = Worker(system.client("worker"), lease=60, folder=tmp, poll=2)
        self.rows = self.manager.get("/datasets", session=self.eid, limit=250)["results"]
        self.manager.post("/tags", {"name": TAG})

    def release(self, without: str = "\0", **more: str) -> None:
        for row in self.rows:
            if without not in row["name"]:
                self.manager.patch(f"/datasets/{row['id']}", {"tags": [TAG]})
        self.manager.post("/releases", {"tag": TAG, "name": TAG, "terms": TERMS})
        self.manager.post(f"{WHERE}/publish", more)

    def work(self) -> None:
        """Let the worker do what waits for it."""
        self.system.flow.until(lambda: self.status() == "Waiting")
        assert self.worker.run(most=1) == 1
        self.system.flow.until(lambda: bool(self.listed()["results"]))

    def status(self) -> str | None:
        tasks = {task.name: task.status for task in read.of_session(self.eid)}
        return tasks.get("release.nwb")

    def waiting(self) -> set[str]:
        return {one.name for one in read.of_session(self.eid) if one.status == "Waiting"}

    def listed(self) -> Any:
        answer = requests.get(f"{self.system.url}{WHERE}/nwb", timeout=10)
        return answer.json() if answer.ok else {"results": [], "code": answer.status_code}


@pytest.fixture
def ordered(system: System, tmp_path: Path) -> Ordered:
    folder = make(tmp_path / "rig")
    shutil.rmtree(folder / "raw_behavior_data")
    (tmp_path / "work").mkdir()
    return Ordered(system, folder, tmp_path / "work")


def opened(ordered: Ordered, tmp_path: Path) -> Any:
    """Fetch the listed file as anybody does; return it as pynwb reads it."""
    (row,) = ordered.listed()["results"]
    content = requests.get(row["url"], timeout=10).content
    path = tmp_path / "got.nwb"
    path.write_bytes(content)
    return pynwb.NWBHDF5IO(path, "r")


def test_what_is_published_is_written_as_nwb_by_a_worker(
    ordered: Ordered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = f"{ordered.system.flow.bucket}-site"
    ordered.system.flow.s3.create_bucket(Bucket=site)
    monkeypatch.setenv("FORNIX_SITE_BUCKET", site)
    # Given a release that was published, and nothing of it as NWB yet
    ordered.release()
    assert (ordered.listed()["of"], ordered.listed()["count"]) == (1, 0)
    # When a worker of the lab does what waits for it
    ordered.work()
    # Then anybody has the file, with what the release has, checked as DANDI does
    listed = ordered.listed()
    (row,) = listed["results"]
    assert (listed["count"], row["session"], row["code_version"] is not None) == (
        1,
        ordered.eid,
        True,
    )
    written = pd.read_parquet(ordered.folder / "alf/_ibl_trials.table.pqt")
    with opened(ordered, tmp_path) as io:
        nwb = io.read()
        np.testing.assert_array_equal(nwb.trials["start_time"][:], written["intervals_0"])
        assert (nwb.subject.sex, nwb.session_id, nwb.lab) == ("F", ordered.eid, LAB)
        assert nwb.session_start_time.utcoffset() is not None
    # its page leads there, and what verifies the release verifies it
    act({"kind": "release.changed", "name": TAG}, None)
    page = ordered.system.flow.s3.get_object(Bucket=site, Key=f"releases/{TAG}-1.html")
    assert row["place"].rpartition("/")[2] in page["Body"].read().decode()
    server = ReleaseServer(ordered.system.url)
    found = verify_server(server, server.record(TAG))
    assert (found.n_files, found.faults) == (len(ordered.rows) + 1, [])
    # the release itself is what it was: publishing once more refuses nothing
    assert ordered.manager.post(f"{WHERE}/publish", {})["state"] == "published"
    assert ordered.status() == "Complete"
    # It is seen with what it was made of, and never without
    ordered.manager.patch(f"/tags/{TAG}", {"public": False})
    assert requests.get(row["url"], timeout=10).status_code == 401
    ordered.manager.patch(f"/tags/{TAG}", {"public": True})
    assert requests.get(row["url"], timeout=10).status_code == 200
    # When the version is withdrawn, the file is, too
    ordered.manager.post(f"{WHERE}/withdraw", {"reason": "Consent."})
    assert ordered.listed() == {"results": [], "code": 410}
    assert requests.get(row["url"], timeout=10).status_code == 401


def test_the_file_has_what_the_release_has_and_no_more(ordered: Ordered, tmp_path: Path) -> None:
    # Given that the wheel is not released
    ordered.release(without="wheel")
    ordered.work()
    with opened(ordered, tmp_path) as io:
        nwb = io.read()
        assert nwb.trials is not None
        assert "wheel" not in nwb.processing
    # When a file of the trials is withdrawn, the file that holds it is hidden at once
    first = ordered.listed()["results"][0]
    quiet = next(row for row in ordered.rows if "quiescence" in row["name"])
    body = {"datasets": [quiet["id"]], "reason": "Wrong clock."}
    ordered.manager.post(f"{WHERE}/withdraw", body)
    assert ordered.listed()["results"] == []
    assert requests.get(first["url"], timeout=10).status_code == 401
    # and a worker writes another without it
    ordered.work()
    second = ordered.listed()["results"][0]
    assert second["sha256"] != first["sha256"]
    assert requests.get(first["url"], timeout=10).status_code == 401
    with opened(ordered, tmp_path) as io:
        assert "quiescence_period" not in " ".join(io.read().trials.colnames)


def test_raw_recordings_are_copied_where_the_publisher_says_so(
    system: System, tmp_path: Path
) -> None:
    # Given a published session with a recording, of which a copy is wanted
    folder = make(tmp_path / "rig")
    shutil.rmtree(folder / "raw_behavior_data")
    samples = write_recording(folder, "probe00")
    (tmp_path / "work").mkdir()
    ordered = Ordered(system, folder, tmp_path / "work")
    ordered.release(nwb_raw="copy")
    # When a worker has done both tasks
    tasks = {"release.nwb", "release.nwb_raw"}
    system.flow.until(lambda: ordered.waiting() >= tasks)
    while tasks & ordered.waiting():  # the recording's own tasks go first
        assert ordered.worker.run(most=1) == 1
    system.flow.until(lambda: len(ordered.listed()["results"]) == 2)
    # Then the raw file has every sample, beside the processed one, for anybody
    processed, raw = sorted(ordered.listed()["results"], key=lambda row: str(row["path"]))
    assert (processed["path"], raw["path"]) == (
        f"nwb/{TAG}/{NWB_FILE}",
        f"nwb/{TAG}/{NWB_RAW_FILE}",
    )
    path = tmp_path / "raw.nwb"
    path.write_bytes(requests.get(raw["url"], timeout=10).content)
    with pynwb.NWBHDF5IO(path, "r") as io:
        series = io.read().acquisition["ElectricalSeriesProbe00AP"]
        np.testing.assert_array_equal(series.data[:], samples[:, :-1])
        assert series.conversion == pytest.approx(1e-6 * STEP["ap"])
    # and what verifies the release verifies both
    server = ReleaseServer(system.url)
    found = verify_server(server, server.record(TAG))
    assert (found.n_files, found.faults) == (len(ordered.rows) + 2, [])


def test_raw_recordings_and_videos_are_read_where_they_lie(
    system: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = f"{system.flow.bucket}-site"
    system.flow.s3.create_bucket(Bucket=site)
    monkeypatch.setenv("FORNIX_SITE_BUCKET", site)
    # Given a published session with a recording and a film
    folder = make(tmp_path / "rig")
    shutil.rmtree(folder / "raw_behavior_data")
    samples = write_recording(folder, "probe00")
    write_camera(folder)
    (tmp_path / "work").mkdir()
    ordered = Ordered(system, folder, tmp_path / "work")
    fetched: list[str] = []

    def watched(one: TaskInput, target: Path) -> None:
        fetched.append(one.path)
        return download(one, target)

    monkeypatch.setattr(inputs, "download", watched)
    # When a worker writes where they lie, as it does unless a copy is wanted
    ordered.release()
    system.flow.until(lambda: "release.nwb_link" in ordered.waiting())
    while {"release.nwb", "release.nwb_link"} & ordered.waiting():
        fetched.clear()
        assert ordered.worker.run(most=1) == 1
        assert "release.nwb_link" in ordered.waiting() or not any(
            path.endswith((".ebin", ".mp4")) for path in fetched
        )
    system.flow.until(lambda: len(ordered.listed()["results"]) == 2)
    # Then anybody reads the samples by the addresses in it, without account
    _, link = sorted(ordered.listed()["results"], key=lambda row: str(row["path"]))
    assert link["path"] == f"nwb/{TAG}/{NWB_LINK_FILE}"
    act({"kind": "release.changed", "name": TAG}, None)
    page = system.flow.s3.get_object(Bucket=site, Key=f"releases/{TAG}-1.html")["Body"].read()
    assert all(row["place"].encode() in page for row in ordered.listed()["results"])
    refs = requests.get(link["url"], timeout=10).json()["refs"]
    where = "acquisition/ElectricalSeriesProbe00AP/data"
    address, start, length = refs[f"{where}/1.0"]
    assert address.startswith(f"{system.url}/data/")
    span = {"Range": f"bytes={start}-{start + length - 1}"}
    stored = requests.get(address, headers=span, timeout=10).content
    chunk = get_codec(refs[f"{where}/.zarray"]["filters"][0]).decode(stored)
    np.testing.assert_array_equal(
        np.frombuffer(chunk, np.int16).reshape(600, -1), samples[600:1200, :-1]
    )
    film = base64.b64decode(refs["acquisition/VideoLeftCamera/external_file/0"][7:])
    (there, *_) = json.loads(film)
    video = folder / "raw_video_data/_iblrig_leftCamera.raw.mp4"
    assert requests.get(there, timeout=10).content == video.read_bytes()
    # and the record of the run names the recording by its SHA-256, though it was not read
    rows = ordered.manager.get("/datasets", session=ordered.eid, limit=250)["results"]
    sums = {row["sha256"] for row in rows if row["name"].endswith(".ebin")}
    record = ordered.manager.get(f"/datasets/{link['id']}/run-record")
    assert sums <= {file["sha256"] for file in record["inputs"]}


def test_a_lab_may_publish_without(ordered: Ordered) -> None:
    for row in ordered.rows:
        ordered.manager.patch(f"/datasets/{row['id']}", {"tags": [TAG]})
    ordered.manager.post("/releases", {"tag": TAG, "name": TAG, "terms": TERMS})
    ordered.manager.post(f"{WHERE}/publish", {"nwb": False})
    ordered.system.flow.pump()
    assert ordered.status() is None
