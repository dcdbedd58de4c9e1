"""Recordings come to the site with their session, and leave it with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import boto3
import moto
import numpy as np
import pytest

from functions.analysis.bucket import Bucket
from shared.alf.layout import recordings_in
from shared.results.build import Site
from shared.results.render import SiteSettings
from shared.results.source import SourceFile, Unreadable
from shared.results.store import FolderStore
from shared.results.views.recording import SPIKE, spikes_by_time

from .conftest import NOW, Shelf, trials_of

RAW = "raw_ephys_data/probe00"


@pytest.fixture
def recorded(shelf: Shelf, tmp_path: Path):
    """Given a session with a probe and its compressed recording."""
    one = shelf.put("FX_001", "2026-02-01", trials_of(120, 1), protocol="biased")
    shelf.put_probe(one.id)
    session, trials = shelf.all[one.id]
    files = []
    for name in ("x.imec0.ap.ebin", "x.imec0.ap.eh"):
        (tmp_path / name).write_bytes(name.encode())
        files.append(SourceFile(name, name, RAW, location=str(tmp_path / name)))
    session = replace(session, datasets=(*session.datasets, *files))
    shelf.all[one.id] = (session, trials)
    return session


def names(store: FolderStore, eid: str) -> list[str]:
    return [name.rpartition("/")[2] for name in store.names(f"recordings/{eid}-")]


def test_a_recording_is_there_with_its_session_and_goes_with_it(
    recorded,
    site,
    shelf,
    store,
) -> None:
    """When the session is shown, then its recording is; withdrawn, then nothing of it stays."""
    site.refresh()
    assert names(store, recorded.id) == ["ap.ebin", "ap.eh", "recording.json", "spikes.bin"]
    probe = json.loads(store.read(f"data/probes/{recorded.id}-probe00.json")[0])
    about = json.loads(store.read(probe["recording"])[0])
    assert about["bands"][0]["data"].endswith("/ap.ebin")
    assert store.read(about["bands"][0]["data"])[0] == b"x.imec0.ap.ebin"
    shelf.change(recorded.id, public=False)
    site.refresh()
    assert names(store, recorded.id) == []


def test_a_private_recording_of_a_public_session_stays_private(
    recorded,
    site,
    shelf,
    store,
) -> None:
    """Given a recording that is not public, when its session is shown, then without it."""
    hidden = tuple(
        replace(one, public=one.collection != RAW) for one in shelf.all[recorded.id][0].datasets
    )
    shelf.change(recorded.id, datasets=hidden)
    site.refresh()
    assert names(store, recorded.id) == []
    probe = json.loads(store.read(f"data/probes/{recorded.id}-probe00.json")[0])
    assert probe["recording"] == ""


def test_a_site_without_recordings(recorded, shelf, store) -> None:
    """Given the setting, then no recording is copied, and the probe is shown all the same."""
    Site(shelf, store, SiteSettings(recordings=False), now=lambda: NOW, images=False).refresh()
    assert names(store, recorded.id) == []
    assert list(store.names("probes/"))


def test_a_recording_that_is_gone_is_said_and_the_probe_shown(
    recorded,
    site,
    store,
    tmp_path: Path,
) -> None:
    """Given a recording whose bytes are lost, then the page says so and shows the rest."""
    (tmp_path / "x.imec0.ap.ebin").unlink()
    (problem,) = site.refresh().problems
    assert "The raw recording of alf/probe00" in problem.reason
    assert list(store.names("probes/"))


def test_copies_in_s3_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given an object, when it is copied twice, then it is read once, and its bytes are equal."""
    monkeypatch.setenv("FORNIX_DATA_BUCKET", "data")
    with moto.mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        for bucket in ("data", "site"):
            s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket="data", Key="a/x.ebin", Body=b"1" * 1000)
        store = Bucket("site")
        store.copy("a/x.ebin", "recordings/p/ap.ebin")
        first = s3.head_object(Bucket="site", Key="recordings/p/ap.ebin")
        store.copy("a/x.ebin", "recordings/p/ap.ebin")
        again = s3.head_object(Bucket="site", Key="recordings/p/ap.ebin")
        assert store.read("recordings/p/ap.ebin")[0] == b"1" * 1000
        assert first["LastModified"] == again["LastModified"]
        with pytest.raises(Unreadable, match="not in this store"):
            store.copy("a/gone.ebin", "recordings/p/lf.ebin")


def test_recordings_are_found_by_name_and_revision() -> None:
    paths = [
        f"{RAW}/_spikeglx_ephysData_g0_t0.imec0.ap.ebin",
        f"{RAW}/_spikeglx_ephysData_g0_t0.imec0.ap.eh",
        f"{RAW}/#2026-01-01#/_spikeglx_ephysData_g0_t0.imec0.ap.ebin",
        f"{RAW}/_spikeglx_ephysData_g0_t0.imec0.lf.ebin",  # without an index
        "raw_ephys_data/probe01/ephysData.raw.ebin",
        "raw_ephys_data/probe01/ephysData.raw.eh",
        "raw_ephys_data/probe01/ephysData.raw.rms.npy",
    ]
    first, second = recordings_in(paths)
    assert (first.probe, first.band, first.overview) == ("probe00", "ap", None)
    assert first.data == f"{RAW}/#2026-01-01#/_spikeglx_ephysData_g0_t0.imec0.ap.ebin"
    assert (second.probe, second.band) == ("probe01", "wide")
    assert second.overview == "raw_ephys_data/probe01/ephysData.raw.rms.npy"


def test_spikes_of_any_order_are_found_by_their_second() -> None:
    """Given spikes out of order, and some without a time, then the rows are in order of time."""
    spikes = {
        "times": np.array([2.5, 0.1, np.nan, 0.2, -1.0, 2.0]),
        "depths": np.array([10.0, 20.0, 30.0, np.nan, 50.0, 7e5]),
        "clusters": np.array([1, 2, 3, 4, 5, 6]),
    }
    rows, content = spikes_by_time(spikes)
    found = np.frombuffer(content, SPIKE)
    assert found["time"].tolist() == [0.1, 0.2, 2.0, 2.5]
    assert found["cluster"].tolist() == [2, 4, 6, 1]
    assert found["depth"].tolist() == [20, 0, 65535, 10]
    assert rows == [0, 2, 2, 4]
