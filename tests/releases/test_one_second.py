"""One second of anything: two requests, and one where the index is known already.

Requests are counted where they leave for the network, whoever makes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

import fornix
from lab.loading.arrays import RemoteArray
from lab.releases.remote import ReleaseServer
from shared import recordings
from shared.model.release import ReleaseRecord
from tests.codec.arrays import recording
from tests.flow import LAB, SUBJECT, System
from tests.releases.conftest import TAG, TERMS, upload

RATE, SECONDS, CHANNELS = 3_000, 12, 120
PROBE = "raw_ephys_data/probe00"
NAME = "_spikeglx_ephysData_g0_t0.imec0.ap.ebin"


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
    eid = upload(system, folder, "2024-07-01")
    manager = system.client("manager")
    manager.post("/tags", {"name": TAG})
    for row in manager.get("/datasets", session=eid, limit=250)["results"]:
        manager.patch(f"/datasets/{row['id']}", {"tags": [TAG]})
    manager.post("/releases", {"tag": TAG, "name": TAG, "terms": TERMS})
    manager.post(f"/releases/{TAG}/1/publish", {})
    return {"eid": eid, "samples": samples, "position": position, "system": system}


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
    (file, *_) = ReleaseServer(system.url).manifest(record).files
    address = f"{system.url}/datasets/{file.id}/index"
    assert requests.get(address).status_code == 200
    manager.post(f"/releases/{TAG}/1/withdraw", {"reason": "Consent."})
    assert requests.get(address).status_code in (401, 403)
    assert requests.get(f"{system.url}/datasets/{eid}/index").status_code == 404
    token = system.client("member").login()
    seen = requests.get(address, headers={"Authorization": f"Token {token}"}).json()
    assert (seen["id"], seen["size"], seen["index"]["codec"]) == (file.id, file.size, "raw")
