"""``fornix import dandi``: our exports come back as they went in; others' as far as known."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

pynwb = pytest.importorskip("pynwb", reason="the extra [nwb] is not installed")

from lab.client.retries import Patience  # noqa: E402
from lab.exports.folder import FolderSession  # noqa: E402
from lab.exports.nwb.backends import backend  # noqa: E402
from lab.exports.nwb.export import export_processed, export_raw  # noqa: E402
from lab.importers.carrier import Carrier  # noqa: E402
from lab.importers.journal import Journal  # noqa: E402
from lab.importers.nwb.dandi import DandiError, Dandiset  # noqa: E402
from lab.importers.nwb.job import NwbImport  # noqa: E402
from lab.importers.nwb.made import times_of  # noqa: E402
from shared import recordings  # noqa: E402
from shared.datasets.read import datasets_of  # noqa: E402
from shared.recordings.spikeglx import read_meta  # noqa: E402
from tests.exports import sessions  # noqa: E402
from tests.exports.sessions import FOLDER  # noqa: E402
from tests.flow import System  # noqa: E402
from tests.importers.json_server import JsonHandler, started  # noqa: E402
from tests.releases.test_import_zip import run  # noqa: E402

EID = "37806a14-0ddd-4d1a-8785-4a7e7d6ef2ac"


def exported(folder: Path, out: Path) -> Path:
    """Return an NWB file of a session's folder."""
    return export_processed(
        FolderSession(folder, {"session_id": EID}), out, backend("hdf5"), checked=False
    ).path


def laid_out(paths: list[Path], root: Path, fornix: Any, **options: Any) -> Journal:
    journal = Journal()
    NwbImport(Carrier(fornix, journal), root, **options).lay_out(paths)
    return journal


def check_table(made: Path, given_: Path) -> None:
    """Check that a table has the columns and the exact values of another."""
    table, wanted = pd.read_parquet(made), pd.read_parquet(given_)
    pd.testing.assert_frame_equal(table[list(wanted)], wanted, check_dtype=False, check_exact=True)


def test_behaviour_and_spikes_come_back_as_they_went_in(tmp_path, fornix):
    # Given an export of a session with trials, wheel and the spikes of two probes
    folder = sessions.make(tmp_path / "data")
    for number, probe in enumerate(("probe00", "probe01")):
        sessions.write_spikes(folder, probe, seed=number)
    file = exported(folder, tmp_path / "out")
    # When it is taken back
    journal = laid_out([file], tmp_path / "back", fornix)
    # Then the session is the same one, at its place
    back = tmp_path / "back" / FOLDER / "alf"
    (session,) = fornix.rows["sessions"].values()
    assert session["id"] == EID
    assert session["start_time"] == "2024-07-01T10:30:00"
    assert fornix.rows["subjects"]["FI_001"]["birth_date"] == "2024-03-01"
    # And its data are equal
    check_table(back / "_ibl_trials.table.pqt", folder / "alf" / "_ibl_trials.table.pqt")
    for name in ("wheel.position", "wheel.timestamps", "wheelMoves.intervals"):
        file_name = f"_ibl_{name}.npy"
        np.testing.assert_array_equal(
            np.load(back / file_name), np.load(folder / "alf" / file_name)
        )
    found: list[Any] = []
    for probe in ("probe00", "probe01"):
        before = {p.name: np.load(p) for p in (folder / "alf" / probe).glob("spikes.*.npy")}
        made = {name: np.load(back / probe / name) for name in before}
        order = np.lexsort((before["spikes.clusters.npy"], before["spikes.times.npy"]))
        for name, values in before.items():
            np.testing.assert_allclose(made[name], values[order], rtol=1e-12, err_msg=name)
        used = np.unique(before["spikes.clusters.npy"])
        # Channels are numbered as in the raw file, so what counts is where they are
        for where in (folder / "alf", back):
            load = {p.stem: np.load(p) for p in (where / probe).glob("c*.npy")}
            sites = load["channels.localCoordinates"][load["clusters.channels"][used]]
            found.append((sites, load["clusters.depths"][used]))
        (sites, depths), (sites_back, depths_back) = found[-2:]
        np.testing.assert_array_equal(sites_back, sites)
        np.testing.assert_array_equal(depths_back, depths)
    assert not list(journal.refusals())


def raw_and_tracked(root: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """Write a session with two bands of a probe, its clock, lines, a camera and passive parts."""
    folder = sessions.make(root)
    bands = {
        "ap": sessions.write_recording(folder, "probe00"),
        "lf": sessions.write_recording(folder, "probe00", "lf", samples=211),
    }
    knots = np.array([[0, 0.5], [2_500, 0.5 + 2_500 / 30_000 * 1.00001]])
    sessions.write_clock(folder, "probe00", knots)
    sessions.write_sync(folder)
    sessions.write_sync(folder, "probe00", (6,))
    sessions.write_camera(folder)
    sessions.write_passive(folder)
    return folder, bands


def both(folder: Path, out: Path) -> list[Path]:
    """Return the processed and the raw NWB file of a session's folder."""
    session = FolderSession(folder, {"session_id": EID})
    raw = export_raw(session, out, backend("hdf5"), checked=False)
    return [exported(folder, out), raw.path]


def test_recordings_lines_tracking_and_passive_parts_come_back_equal(tmp_path, fornix):
    # Given both NWB files of a session with a probe, a camera and the passive protocol
    folder, bands = raw_and_tracked(tmp_path / "data")
    files = both(folder, tmp_path / "out")
    # When they are taken back
    journal = laid_out(files, tmp_path / "back", fornix)
    back = tmp_path / "back" / FOLDER
    # Then each band is a compressed recording with the same samples, gains and sites
    place = "raw_ephys_data/probe00/_spikeglx_ephysData_g0_t0.imec0"
    for band, samples in bands.items():
        with recordings.open(back / f"{place}.{band}.ebin") as reader:
            np.testing.assert_array_equal(reader.read(0, len(samples)), samples[:, :-1])
            assert reader.sample_rate == (30_000 if band == "ap" else 2_500)
            facts = reader.index.facts
            assert facts["microvolts"] == pytest.approx(sessions.STEP[band], rel=1e-12)
        # and SpikeGLX's facts say the same
        told = read_meta(back / f"{place}.{band}.meta").facts(samples.shape[1] - 1)
        assert told["microvolts"] == pytest.approx(facts["microvolts"], rel=1e-12)
        assert told["probe_map"] == facts["probe_map"]
        assert [x for _, x, _ in told["probe_map"]] == [27, 59] * 4
    # and the arrays and tables of the rest are those that went in
    compared = 0
    for path in sorted(folder.rglob("*.npy")):
        name = path.relative_to(folder)
        # quiescence comes back as a column of the table; the clock is compared in the next test
        if not name.match("*quiescencePeriod*") and not name.match("*_spikeglx_*.timestamps.npy"):
            np.testing.assert_array_equal(np.load(back / name), np.load(path), err_msg=str(name))
            compared += 1
    assert compared == 4 + 6 + 3  # wheel, lines, camera and licks
    for name in ("_ibl_leftCamera.lightningPose", "_ibl_leftCamera.features"):
        check_table(back / f"alf/{name}.pqt", folder / f"alf/{name}.pqt")
    for name in ("passiveGabor", "passiveStims"):
        made, given_ = (pd.read_csv(w / f"alf/_ibl_{name}.table.csv") for w in (back, folder))
        pd.testing.assert_frame_equal(made, given_, check_exact=True)
    assert not list(journal.refusals())


def test_what_came_back_gives_the_same_files_again(tmp_path, fornix):
    # Given a session that was taken back from its NWB files
    folder, _ = raw_and_tracked(tmp_path / "data")
    first = both(folder, tmp_path / "out")
    laid_out(first, tmp_path / "back", fornix)
    (tmp_path / "back/subjects.json").write_text(json.dumps(sessions.FACTS))
    # When it is exported once more
    second = both(tmp_path / "back" / FOLDER, tmp_path / "again")
    # Then every series and table of both files has the same content
    compared = 0
    for one, two in zip(first, second, strict=True):
        with pynwb.NWBHDF5IO(str(one), "r") as a, pynwb.NWBHDF5IO(str(two), "r") as b:
            held, held_again = (_content(file.read()) for file in (a, b))
        video = {"VideoLeftCamera"}  # lies beside the file, and is not carried
        assert held.keys() - video == held_again.keys()
        for name in held_again:
            np.testing.assert_allclose(held_again[name], held[name], rtol=1e-9, err_msg=name)
            compared += 1
    assert compared > 12


def _content(nwb: Any) -> dict[str, np.ndarray]:
    """Return samples and times of all series of a file by name, and starts of its tables."""
    found = {}
    for each in nwb.objects.values():
        if isinstance(each, pynwb.epoch.TimeIntervals):
            found[each.name] = each.to_dataframe()[["start_time", "stop_time"]].to_numpy()
        elif isinstance(each, pynwb.TimeSeries) and each.name != "VideoLeftCamera":
            samples = np.asarray(each.data[:], float)
            found[f"{each.name} of {each.parent.name}"] = samples
            found[f"times of {each.name} of {each.parent.name}"] = times_of(each)
    return found


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
@example(1, 3)  # no trial with a movement: an empty column is not in NWB
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_trials_come_back_equal(tmp_path_factory, fornix, seed, n):
    tmp_path = tmp_path_factory.mktemp("trials")
    folder = sessions.make(tmp_path / "data", n, seed)
    laid_out([exported(folder, tmp_path / "out")], tmp_path / "back", fornix)
    name = "alf/_ibl_trials.table.pqt"
    check_table(tmp_path / "back" / FOLDER / name, folder / name)


def foreign(path: Path, **head: Any) -> Path:
    """Write a file as another laboratory might."""
    start = dt.datetime(2023, 5, 6, 23, 30, tzinfo=dt.timezone(dt.timedelta(hours=-7)))
    subject = pynwb.file.Subject(subject_id="mouse 7/b", sex="F", species="Mus musculus")
    whole = {"session_id": "run-3", "lab": "Some Lab", "subject": subject} | head
    nwb = pynwb.NWBFile(
        session_description="a session", identifier=path.stem, session_start_time=start, **whole
    )
    nwb.add_trial_column(name="odor", description="Which odour.")
    for n in range(3):
        nwb.add_trial(start_time=float(n), stop_time=n + 0.5, odor=f"odor {n}")
    device = nwb.create_device(name="probe")
    group = nwb.create_electrode_group(
        name="Shank 1", description="a shank", location="V1", device=device
    )
    for times in ([0.3, 0.1, 0.2], [], [0.15]):
        nwb.add_unit(spike_times=times, electrode_group=group)
    raw = pynwb.TimeSeries(
        name="lick", data=np.zeros((5, 2)), unit="V", rate=10.0, starting_time=0.0
    )
    nwb.add_acquisition(raw)
    with pynwb.NWBHDF5IO(str(path), "w") as file:
        file.write(nwb)
    return path


def test_a_file_of_another_laboratory_comes_as_far_as_it_is_known(tmp_path, fornix):
    good = foreign(tmp_path / "good.nwb")
    broken = tmp_path / "broken.nwb"
    broken.write_bytes(good.read_bytes()[:2000])
    nobody = foreign(tmp_path / "nobody.nwb", subject=None)
    journal = laid_out([good, broken, nobody], tmp_path / "back", fornix, lab="guest")
    # The animal's name is made one of ours, the day is that of the file's clock
    place = tmp_path / "back" / "guest" / "Subjects" / "mouse_7_b" / "2023-05-06" / "001" / "alf"
    trials = pd.read_parquet(place / "nwb" / "_nwb_trials.table.pqt")
    assert trials["odor"].tolist() == ["odor 0", "odor 1", "odor 2"]
    assert trials["intervals_1"].tolist() == [0.5, 1.5, 2.5]
    np.testing.assert_array_equal(
        np.load(place / "shank_1" / "spikes.times.npy"), [0.1, 0.15, 0.2, 0.3]
    )
    np.testing.assert_array_equal(np.load(place / "shank_1" / "spikes.clusters.npy"), [0, 2, 0, 0])
    # What is left is said, what is no file of an animal is refused, and the rest goes on
    assert "acquisition/lick (TimeSeries 5×2) stays in the file" in journal.notes()
    told = {Path(each["id"]).name: each["reason"] for each in journal.refusals()}
    assert set(told) == {"broken.nwb", "nobody.nwb"}
    assert "animal" in told["nobody.nwb"]
    (session,) = fornix.rows["sessions"].values()
    # And the same file is the same session whenever it comes
    again = laid_out([good], tmp_path / "again", fornix, lab="guest")
    assert again.tallies()["sessions"] == {"unchanged": 1}
    assert list(fornix.rows["sessions"]) == [session["id"]]


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Any]:
    """Serve a dandiset of two files by the archive's protocol, over a real socket."""
    blobs = {"a1": b"x" * 3000, "b2": b"y" * 10}
    rows = [
        {"asset_id": "a1", "path": "sub-1/sub-1_behavior.nwb", "size": 3000},
        {"asset_id": "b2", "path": "sub-1/readme.txt", "size": 10},
        {"asset_id": "b2", "path": "sub-2/sub-2_ecephys.nwb", "size": 10},
    ]
    asked: list[str] = []

    class Handler(JsonHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            base = f"http://127.0.0.1:{server.server_port}"
            path, _, query = self.path.partition("?")
            if path == "/api/dandisets/000409/":
                return self.answer(200, {"most_recent_published_version": {"version": "0.24.1"}})
            if path == "/api/dandisets/000409/versions/0.24.1/assets/":
                page = 2 if "page=2" in query else 1
                more = f"{base}/api/dandisets/000409/versions/0.24.1/assets/?page=2"
                return self.answer(
                    200,
                    {
                        "next": more if page == 1 else None,
                        "results": rows[2 * page - 2 : 2 * page],
                    },
                )
            if path.startswith("/api/assets/"):
                self.send_response(302)
                self.send_header("Location", f"{base}/blobs/{path.split('/')[3]}")
                self.send_header("Content-Length", "0")
                return self.end_headers()
            if path.startswith("/blobs/"):
                return self.answer(200, blobs[path.split("/")[2]])
            self.send_error(404)
            return None

    server = started(Handler)
    server.rows, server.asked = rows, asked  # type: ignore[attr-defined]
    yield server
    server.shutdown()
    server.server_close()


def test_files_of_a_dandiset_are_fetched_once_and_whole(archive, tmp_path):
    url = f"http://127.0.0.1:{archive.server_port}/api"
    quick = Patience(pause=lambda s: None)
    dandiset = Dandiset("DANDI:000409", url, patience=quick)
    assets = list(dandiset.assets())
    assert [each.path for each in assets] == [archive.rows[0]["path"], archive.rows[2]["path"]]
    (path, _) = (dandiset.fetch(each, tmp_path) for each in assets)
    assert path.read_bytes() == b"x" * 3000
    before = len(archive.asked)
    assert dandiset.fetch(assets[0], tmp_path) == path
    assert len(archive.asked) == before
    # Bytes that are too few, names that lead out, and what is not there, are refused
    with pytest.raises(DandiError, match=r"10 of 11 bytes"):
        dandiset.fetch(assets[1]._replace(size=11), tmp_path / "other")
    archive.rows[2]["path"] = "../../etc/cron.nwb"
    with pytest.raises(DandiError, match="out of its folder"):
        list(dandiset.assets())
    with pytest.raises(DandiError, match="404"):
        list(Dandiset("000410", url, patience=quick).assets())
    with pytest.raises(DandiError, match="six digits"):
        Dandiset("../000409", url)


@pytest.mark.integration
def test_a_file_goes_into_the_system_with_its_bytes(system: System, tmp_path: Path) -> None:
    folder = sessions.make(tmp_path / "data")
    file = exported(folder, tmp_path / "out")
    run(system, tmp_path, "dandi", file.parent)
    stored = {item.path: item for item in datasets_of(EID)}
    assert set(stored) == {
        "alf/_ibl_trials.table.pqt",
        "alf/_ibl_wheel.position.npy",
        "alf/_ibl_wheel.timestamps.npy",
        "alf/_ibl_wheelMoves.intervals.npy",
        "alf/_ibl_wheelMoves.peakAmplitude.npy",
    }
    assert all(item.sha256 for item in stored.values())
    # and once more changes nothing
    run(system, tmp_path, "dandi", file.parent)
    assert len(datasets_of(EID)) == 5
