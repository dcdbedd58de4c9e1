"""One second of anything: two requests, and one where the index is known already.

Requests are counted where they leave for the network, whoever makes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import requests

import fornix
from lab.loading.arrays import RemoteArray
from lab.loading.windows import RemoteTable
from lab.releases.remote import ReleaseServer
from shared import recordings
from shared.alf.io import save
from shared.model.object_index import INDEXED, index_key
from shared.model.release import ReleaseRecord
from tests.alf.mp4_files import mp4
from tests.codec.arrays import recording
from tests.flow import LAB, SUBJECT, System
from tests.releases.conftest import TAG, TERMS, upload

RATE, SECONDS, CHANNELS = 3_000, 12, 120
PROBE = "raw_ephys_data/probe00"
NAME = "_spikeglx_ephysData_g0_t0.imec0.ap.ebin"
VIDEO = "_iblrig_leftCamera.raw.mp4"


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Yield the addresses that were asked, redirects included."""
    asked: list[str] = []
    send = requests.Session.send

    def counting(self: Any, request: Any, **more: Any) -> Any:
        asked.append(f"{request.headers.get('Range', '')} {request.url}")
        # Redirects are followed within, by further calls of this method.
        return send(self, request, **more)

    with monkeypatch.context() as patch:
        patch.setattr(requests.Session, "send", counting)
        yield asked


@pytest.fixture
def recorded(system: System, tmp_path: Path) -> dict[str, Any]:
    """A published session with a recording and a long wheel, uploaded by a rig."""
    folder = tmp_path / LAB / "Subjects" / SUBJECT / "2024-07-01/001"
    (folder / PROBE).mkdir(parents=True)
    samples = recording(RATE * SECONDS, CHANNELS)
    recordings.compress(samples, folder / PROBE / NAME, sample_rate=RATE, chunk_length=RATE)
    (folder / "alf").mkdir()
    position = np.cumsum(np.random.default_rng(0).normal(size=700_000))
    np.save(folder / "alf/_ibl_wheel.position.npy", position)
    rng = np.random.default_rng(1)
    poses = pd.DataFrame(rng.normal(size=(200_000, 3)), columns=["nose_x", "nose_y", "paw_x"])
    save(folder / "alf/_ibl_leftCamera.dlc.pqt", poses)
    frames = [rng.bytes(1_000 + i % 50) for i in range(1_800)]
    (folder / "raw_video_data").mkdir()
    video = mp4(frames, keyframes=range(0, 1_800, 60), per_chunk=10, moov_first=True)
    (folder / "raw_video_data" / VIDEO).write_bytes(video)
    eid = upload(system, folder, "2024-07-01")
    manager = system.client("manager")
    manager.post("/tags", {"name": TAG})
    for row in manager.get("/datasets", session=eid, limit=250)["results"]:
        manager.patch(f"/datasets/{row['id']}", {"tags": [TAG]})
    manager.post("/releases", {"tag": TAG, "name": TAG, "terms": TERMS})
    manager.post(f"/releases/{TAG}/1/publish", {})
    written = {"samples": samples, "position": position, "poses": poses, "frames": frames}
    return {"eid": eid, "system": system, **written}


def test_a_random_second_is_two_requests_and_then_one(
    recorded: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, eid = recorded["system"].url, recorded["eid"]
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")
    monkeypatch.delenv("FORNIX_API_URL")
    release = fornix.open(f"{url}/releases/{TAG}")  # nobody logs in
    samples, position = recorded["samples"], recorded["position"]
    start = int(5.4 * RATE)
    with counted(monkeypatch) as asked:
        ap = release.recording(eid, NAME)
        np.testing.assert_array_equal(ap[start : start + RATE], samples[start : start + RATE])
        assert len(asked) == 2, asked
        later = start + 3 * RATE
        np.testing.assert_array_equal(ap[later : later + RATE], samples[later : later + RATE])
        assert len(asked) == 3, asked
    with counted(monkeypatch) as asked:  # opened anew, the index is known
        again = release.recording(eid, NAME)
        np.testing.assert_array_equal(again[RATE : 2 * RATE, 7], samples[RATE : 2 * RATE, 7])
        assert len(asked) == 1, asked
        assert again.index.facts == ap.index.facts
    with counted(monkeypatch) as asked:
        wheel = release.load(eid, "wheel").position
        assert isinstance(wheel, RemoteArray)
        np.testing.assert_array_equal(wheel[600_000:601_000], position[600_000:601_000])
        assert len(asked) == 2, asked
        np.testing.assert_array_equal(wheel[5:10], position[5:10])
        assert len(asked) == 3, asked
        rows = [int(span.split()[0].split("-")[1]) + 1 for span in asked[1:]]
        assert rows[0] < 128 + 8 * 601_001


def test_rows_of_a_table_and_a_second_of_video_are_one_request_each(
    recorded: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    release = fornix.open(f"{recorded['system'].url}/releases/{TAG}")
    eid, poses, frames = recorded["eid"], recorded["poses"], recorded["frames"]
    with counted(monkeypatch) as asked:
        table = release.load(eid, "leftCamera", collection="alf").dlc
        assert isinstance(table, RemoteTable)
        found = table[70_000:71_000]
        assert len(asked) == 2, asked
        expected = poses.iloc[70_000:71_000].reset_index(drop=True)
        pd.testing.assert_frame_equal(found.reset_index(drop=True), expected)
        assert len(table[5:9]) == 4
        assert len(asked) == 3, asked
    with counted(monkeypatch) as asked:
        video = release.video(eid, VIDEO)
        assert video.second(10.0).data == frames[600:660]
        assert len(asked) == 2, asked
        assert video.second(2.5).data == frames[120:210]  # from the keyframe before on
        assert len(asked) == 3, asked


def test_a_file_that_was_stored_before_there_were_indexes_gets_one_when_it_is_asked_for(
    recorded: dict[str, Any],
) -> None:
    system: System = recorded["system"]
    flow, server = system.flow, ReleaseServer(system.url)
    manifest = server.manifest(server.record(TAG))
    files = {file.path.rpartition("/")[2]: file for file in manifest.files if file.size >= INDEXED}
    assert files.keys() >= {NAME, VIDEO, "_ibl_leftCamera.dlc.pqt", "_ibl_wheel.position.npy"}
    before = {name: ReleaseServer(system.url).index(file) for name, file in files.items()}
    # Given that none of them has an index, and that one is damaged
    for file in files.values():
        flow.s3.delete_object(Bucket=flow.bucket, Key=index_key(file.id))
    damaged = files[VIDEO]
    flow.s3.put_object(Bucket=flow.bucket, Key=damaged.place, Body=bytes(damaged.size))
    # When they are asked for
    assert {ReleaseServer(system.url).index(file) for file in files.values()} == {None}
    # Then they have the same as when they came in, and the damaged one is not looked at again
    flow.until(lambda: len(flow.keys("indexes/")) == len(files))
    for name, file in files.items():
        expected = None if file is damaged else before[name]
        assert ReleaseServer(system.url).index(file) == expected
    system.rest()
    ReleaseServer(system.url).index(damaged)
    assert flow.messages("ingest") == []


def test_zarr_reads_a_release_without_a_copy(recorded: dict[str, Any]) -> None:
    zarr = pytest.importorskip("zarr", "3", reason="Zarr 3 is not installed")
    fsspec = pytest.importorskip("fsspec")
    release = fornix.open(f"{recorded['system'].url}/releases/{TAG}")
    references = release.references(recorded["eid"], NAME)
    assert len(references["refs"]) == 1 + SECONDS
    files = fsspec.filesystem(
        "reference",
        fo=references,
        asynchronous=True,
        remote_options={"asynchronous": True},
    )
    array = zarr.open_array(zarr.storage.FsspecStore(files, path=""), mode="r", zarr_format=2)
    samples = recorded["samples"]
    assert array.shape == samples.shape
    np.testing.assert_array_equal(array[4000:7000], samples[4000:7000])


def test_who_may_not_read_a_file_learns_nothing_of_it(recorded: dict[str, Any]) -> None:
    system: System = recorded["system"]
    record = ReleaseServer(system.url).record(TAG)
    assert isinstance(record, ReleaseRecord)
    manager, eid = system.client("manager"), recorded["eid"]
    files = ReleaseServer(system.url).manifest(record).files
    file = next(each for each in files if each.path.endswith("_ibl_wheel.position.npy"))
    address = f"{system.url}/datasets/{file.id}/index"
    assert requests.get(address).status_code == 200
    manager.post(f"/releases/{TAG}/1/withdraw", {"reason": "Consent."})
    assert requests.get(address).status_code in (401, 403)
    assert requests.get(f"{system.url}/datasets/{eid}/index").status_code == 404
    token = system.client("member").login()
    seen = requests.get(address, headers={"Authorization": f"Token {token}"}).json()
    assert (seen["id"], seen["size"], seen["index"]["codec"]) == (file.id, file.size, "raw")
