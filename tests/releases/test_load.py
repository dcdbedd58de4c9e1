"""fornix.load: the same data from a folder, a zip, a release, an API; rows by range requests."""

from __future__ import annotations

import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fornix
from lab.loading.arrays import RemoteArray
from lab.releases.folder import folder_release
from shared.model.release import ReleaseTerms
from shared.releases.copy import copied_files
from shared.releases.describe import ReleaseAddresses
from shared.releases.zipped import write_zip
from tests.flow import LAB, SUBJECT
from tests.releases.conftest import TAG, Published, same, write_session

WHERE = f"{LAB}/Subjects/{SUBJECT}/2024-07-01/001"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_session(tmp_path / "data" / WHERE)
    return tmp_path / "data"


def compare(data: fornix.OpenedData, written: dict[str, Any], eid: str) -> None:
    """Hold what is loaded against what was written."""
    trials = data.load(eid, "trials")
    table = written["alf/_ibl_trials.table.pqt"]
    assert np.array_equal(trials.choice, table["choice"])
    assert np.array_equal(trials["intervals"], table[["intervals_0", "intervals_1"]])
    assert "intervals_0" not in trials
    assert len(trials.to_df()) == len(table)
    wheel = data.load(eid, "wheel")
    assert set(wheel) == {"position", "timestamps"}
    assert np.array_equal(wheel.position, written["alf/_ibl_wheel.position.npy"])
    assert np.array_equal(data.load(eid, "spikes").times, written["alf/probe00/spikes.times.npy"])
    for path, content in written.items():
        assert same(data.load(eid, path), content)
    assert data.datasets(eid) == sorted(written)


def test_a_folder_a_copy_a_zip_and_its_parts_load_alike(folder: Path, tmp_path: Path) -> None:
    written = write_session(folder / WHERE)
    made = folder_release(folder, "data", ReleaseTerms())
    files = copied_files(made.manifest, ReleaseAddresses())
    path = write_zip(files, tmp_path / "data.zip", made.blocks)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "copy")
    with zipfile.ZipFile(tmp_path / "theirs.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in folder.rglob("*.*"):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())
    # ONE's own tables without our manifest
    shutil.copytree(tmp_path / "copy", tmp_path / "one")
    (tmp_path / "one/manifest.json").unlink()
    for where in (folder, tmp_path / "copy", path, tmp_path / "theirs.zip", tmp_path / "one"):
        data = fornix.open(where)
        (session,) = data.sessions
        assert (session.subject, session.date, session.number) == (SUBJECT, "2024-07-01", 1)
        compare(data, written, session.id)
        if where.is_dir():
            address = Path(data.address(session.id, "spikes.times.npy"))
            assert np.array_equal(np.load(address), written["alf/probe00/spikes.times.npy"])
        else:
            with pytest.raises(fornix.NoData, match="unpack it"):
                data.address(session.id, "spikes.times.npy")


def test_a_release_and_an_api_load_alike_and_fetch_what_is_asked_for(
    published: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    published.create()
    published.publish()
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")
    monkeypatch.delenv("FORNIX_API_URL")
    written = write_session(tmp_path / "again", 0)
    url, eid = published.system.url, published.eids[0]
    release = fornix.open(f"{url}/releases/{TAG}")
    assert [one.id for one in release.sessions] == published.eids
    compare(release, written, eid)
    # Without account, of a private session what is released
    compare(fornix.open(url), written, eid)
    assert np.array_equal(
        fornix.load(eid, "wheel", url).position, written["alf/_ibl_wheel.position.npy"]
    )
    # Given large arrays, a window is one request (the first asks where the file is, too)
    monkeypatch.setattr("lab.loading.arrays.SMALL", 1000)
    data = fornix.open(f"{url}/releases/{TAG}/1")
    server: Any = data.source.server  # type: ignore[attr-defined]
    spikes = data.load(eid, "spikes").times
    assert isinstance(spikes, RemoteArray)
    expected = written["alf/probe00/spikes.times.npy"]
    before = server.requests
    assert np.array_equal(spikes[5000:5100], expected[5000:5100])
    assert server.requests == before + 1
    assert (spikes[-1], spikes[7], len(spikes)) == (expected[-1], expected[7], len(expected))
    assert np.array_equal(spikes[100:200:3], expected[100:200:3])
    assert spikes[20_000:].shape == (0,)
    before = server.requests
    assert np.array_equal(np.asarray(spikes), expected)
    assert np.array_equal(spikes[::-1], expected[::-1])
    assert server.requests == before + 1


def test_local_large_arrays_are_mapped_not_read(folder: Path, tmp_path: Path) -> None:
    big = np.arange(1_000_000.0).reshape(-1, 2)
    np.save(folder / WHERE / "alf/drift.um.npy", big)
    made = folder_release(folder, "data", ReleaseTerms())
    path = write_zip(
        copied_files(made.manifest, ReleaseAddresses()), tmp_path / "data.zip", made.blocks
    )
    for where in (folder, path):
        data = fornix.open(where)
        loaded = data.load(data.sessions[0].id, "drift").um
        assert isinstance(loaded, np.memmap)
        assert np.array_equal(loaded[499_000:], big[499_000:])


def test_revisions_are_chosen_as_one_does(folder: Path) -> None:
    for revision in ("2024-01-01", "2025-01-01"):
        place = folder / WHERE / f"alf/#{revision}#"
        place.mkdir()
        np.save(place / "_ibl_wheel.position.npy", np.full(5000, float(revision[:4])))
    data = fornix.open(folder)
    eid = data.sessions[0].id
    assert data.load(eid, "wheel").position[0] == 2025
    assert data.load(eid, "wheel", revision="2024-06-01").position[0] == 2024
    assert data.load(eid, "wheel", revision="2023").position[0] not in (2024, 2025)


def test_what_is_not_there_or_damaged_is_told(folder: Path, tmp_path: Path) -> None:
    data = fornix.open(folder)
    eid = data.sessions[0].id
    with pytest.raises(fornix.NoData, match="it has spikes, trials, wheel"):
        data.load(eid, "clusters")
    with pytest.raises(fornix.NoData, match="has no session"):
        data.load("00000000-0000-4000-8000-000000000000", "trials")
    with pytest.raises(AttributeError, match="it has position, timestamps"):
        _ = data.load(eid, "wheel").speed
    second = folder / WHERE / "alf/probe01"
    second.mkdir()
    np.save(second / "spikes.times.npy", np.arange(3))
    data = fornix.open(folder)
    with pytest.raises(fornix.NoData, match="'alf/probe00', 'alf/probe01': give one"):
        data.load(eid, "spikes")
    assert len(data.load(eid, "spikes", collection="alf/probe01").times) == 3
    path = folder / WHERE / "alf/_ibl_wheel.position.npy"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(fornix.NoData, match="cannot be read"):
        _ = data.load(eid, "wheel").position
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"a": 1}]), allow_pickle=True)
    path.write_bytes(buffer.getvalue())
    with pytest.raises(fornix.NoData, match="cannot be read"):
        _ = data.load(eid, "wheel").position
    (tmp_path / "a.zip").write_bytes(b"no")
    with pytest.raises(fornix.NoData, match="no whole zip"):
        fornix.open(tmp_path / "a.zip")
    with pytest.raises(fornix.NoData, match="no folder, zip or release"):
        fornix.open(tmp_path / "nothing here")
