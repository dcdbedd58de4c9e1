"""``fornix export nwb``: what goes in comes back, files are clean, bad input writes nothing."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

pynwb = pytest.importorskip("pynwb", reason="the extra [nwb] is not installed")

from lab.commands.export import export  # noqa: E402
from lab.exports.folder import FolderSession  # noqa: E402
from lab.exports.nwb import backends  # noqa: E402
from lab.exports.nwb.columns import timing  # noqa: E402
from lab.exports.nwb.export import export_processed  # noqa: E402
from lab.exports.nwb.names import stem  # noqa: E402
from lab.exports.session import ExportError  # noqa: E402
from tests.exports import sessions  # noqa: E402
from tests.exports.sessions import SUBJECT  # noqa: E402

HDF5 = backends.backend("hdf5")


@pytest.fixture
def read():
    """Read NWB files, and close them at the end."""
    opened = []

    def open_file(path: Path):
        opened.append(pynwb.NWBHDF5IO(str(path), "r"))
        return opened[-1].read()

    yield open_file
    for file in opened:
        file.close()


def run(*arguments: object):
    """Run the command."""
    return CliRunner().invoke(export, ["nwb", *map(str, arguments)])


def as_trials(nwb) -> pd.DataFrame:
    """Return the trials of a file by the names and units of the ONE convention."""
    table = nwb.trials.to_dataframe()
    left = table["gabor_stimulus_side"] == "left"
    contrast = table["gabor_stimulus_contrast"] / 100
    turns = {"counter_clockwise": -1, "none": 0, "clockwise": 1}
    back = pd.DataFrame(
        {
            "intervals_0": table["start_time"],
            "intervals_1": table["stop_time"],
            "contrastLeft": contrast.where(left),
            "contrastRight": contrast.where(~left),
            "choice": table["mouse_wheel_choice"].map(turns),
            "feedbackType": np.where(table["is_mouse_rewarded"], 1, -1),
            "rewardVolume": table["reward_volume_uL"],
            "probabilityLeft": table["probability_left"],
            "stimOn_times": table["gabor_stimulus_onset_time"],
            "stimOff_times": table["gabor_stimulus_offset_time"],
            "goCue_times": table["auditory_cue_time"],
            "firstMovement_times": table.get("wheel_movement_onset_time", np.nan),
            "response_times": table["choice_registration_time"],
            "feedback_times": table["feedback_time"],
        }
    )
    return back


def test_a_behaviour_session_comes_back_as_it_went_in(tmp_path, read):
    # Given a session with trials and wheel, and nothing else
    folder = sessions.make(tmp_path / "data")
    # When it is exported
    done = run(folder, "--out", tmp_path / "out", "--json", "--timezone", "Europe/Lisbon")
    assert done.exit_code == 0, done.output
    line = json.loads(done.stdout)
    # Then the file is named as DANDI wants it, and only suggestions are made
    path = Path(line["path"])
    assert path.name.startswith(f"sub-{SUBJECT.replace('_', '-')}_ses-")
    assert path.name.endswith("_desc-processed_behavior.nwb")
    assert line["holds"] == ["trials", "wheel"]
    # And what it holds equals the session
    nwb = read(path)
    table = pd.read_parquet(folder / "alf" / "_ibl_trials.table.pqt")
    pd.testing.assert_frame_equal(
        as_trials(nwb)[list(table)], table, check_dtype=False, check_exact=True, check_names=False
    )
    wheel = nwb.processing["wheel"]
    alf = folder / "alf"
    np.testing.assert_array_equal(
        wheel["WheelPosition"].data, np.load(alf / "_ibl_wheel.position.npy")
    )
    np.testing.assert_array_equal(
        wheel["WheelPosition"].timestamps, np.load(alf / "_ibl_wheel.timestamps.npy")
    )
    moves = wheel["WheelMovementIntervals"].to_dataframe()
    np.testing.assert_array_equal(
        moves[["start_time", "stop_time"]], np.load(alf / "_ibl_wheelMoves.intervals.npy")
    )
    assert nwb.subject.sex == "F"
    assert nwb.subject.age == "P122D"
    assert nwb.session_start_time == dt.datetime.fromisoformat("2024-07-01T10:30:00+01:00")
    blocks = nwb.trials.to_dataframe()
    assert blocks["block_type"].unique().tolist() == ["unbiased", "left_block", "right_block"]
    assert blocks["block_index"].is_monotonic_increasing
    # And a second export replaces the first, leaving nothing else
    again = run(folder, "--out", tmp_path / "out")
    assert again.exit_code == 0, again.output


def test_spikes_and_raw_recordings_of_two_probes_come_back_equal(tmp_path, read):
    folder = sessions.make(tmp_path / "data")
    for number, probe in enumerate(("probe00", "probe01")):
        sessions.write_spikes(folder, probe, seed=number)
    ap = sessions.write_recording(folder, "probe00")
    lf = sessions.write_recording(folder, "probe00", "lf", samples=211)
    knots = np.array([[0, 0.5], [2_500, 0.5 + 2_500 / 30_000 * 1.00001]])
    sessions.write_clock(folder, "probe00", knots)
    sessions.write_camera(folder)
    sessions.write_passive(folder)
    fronts = sessions.write_sync(folder)
    done = run(folder, "--out", tmp_path / "out", "--raw", "--json")
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    processed, raw = (read(Path(line["path"])) for line in lines)
    assert lines[0]["path"].endswith("_desc-processed_behavior+ecephys.nwb")
    assert lines[1]["path"].endswith("_desc-raw_ecephys.nwb")
    # Then each unit has its spikes, in order, and its place on the probe
    units = processed.units.to_dataframe()
    for probe in ("probe00", "probe01"):
        alf = folder / "alf" / probe
        owners = np.load(alf / "spikes.clusters.npy")
        mine = units[units["probe_name"] == probe.title()]
        assert len(mine) == len(np.unique(owners))
        for _, unit in mine.iterrows():
            spikes = owners == int(unit["unit_name"])
            np.testing.assert_array_equal(
                unit["spike_times"], np.load(alf / "spikes.times.npy")[spikes]
            )
            np.testing.assert_array_equal(
                unit["spike_amplitudes_uV"], 1e6 * np.load(alf / "spikes.amps.npy")[spikes]
            )
            peak = np.load(alf / "clusters.channels.npy")[int(unit["unit_name"])]
            site = unit["electrodes"].iloc[0]
            assert [site["rel_x"], site["rel_y"]] == (
                np.load(alf / "channels.localCoordinates.npy")[peak].tolist()
            )
            assert unit["max_electrode"] == 383 - peak  # rawInd runs backwards here
            assert site["location"] == ("MOp" if peak < 200 else "root")
        assert mine["ibl_quality_score"].tolist() == [1 / 3] * len(mine)
    # And the recordings are equal to the last bit, in volts by their gain, on the session's clock
    for series, data, band in (("AP", ap, "ap"), ("LF", lf, "lf")):
        one = raw.acquisition[f"ElectricalSeriesProbe00{series}"]
        np.testing.assert_array_equal(one.data[:], data[:, :-1])
        assert one.conversion == pytest.approx(1e-6 * sessions.STEP[band])
        assert one.starting_time == pytest.approx(0.5)
        nominal = 30_000 if band == "ap" else 2_500
        assert one.rate == pytest.approx(nominal / 1.00001, rel=1e-9)
    # And each line of the board has its fronts, and the name of what is connected
    for line, told in ((3, "Line 3, imec_sync: "), (7, "Line 7: ")):
        series, mine = raw.acquisition[f"SyncNidqLine{line:02d}"], fronts["channels"] == line
        np.testing.assert_array_equal(series.timestamps, fronts["times"][mine])
        np.testing.assert_array_equal(series.data, fronts["polarities"][mine])
        assert series.description.startswith(told)
    # And camera, pose, motion energy, licks and passive protocol are there
    energy = processed.processing["motion_energy"]["LeftCameraMotionEnergy"].data
    np.testing.assert_array_equal(
        energy, np.load(folder / "alf" / "leftCamera.ROIMotionEnergy.npy")
    )
    video = raw.acquisition["VideoLeftCamera"]
    beside = Path(lines[1]["path"]).parent / video.external_file[0]
    assert (
        beside.read_bytes()
        == (folder / "raw_video_data" / "_iblrig_leftCamera.raw.mp4").read_bytes()
    )
    np.testing.assert_array_equal(
        video.timestamps, np.load(folder / "alf" / "_ibl_leftCamera.times.npy")
    )
    pose = pd.read_parquet(folder / "alf" / "_ibl_leftCamera.lightningPose.pqt")
    nose = processed.processing["pose_estimation"]["PoseEstimationLeftCamera"]["NoseTip"]
    np.testing.assert_array_equal(nose.data, pose[["nose_tip_x", "nose_tip_y"]])
    np.testing.assert_array_equal(nose.confidence, pose["nose_tip_likelihood"])
    licks = processed.processing["lick_times"]["LickTimes"].timestamps
    np.testing.assert_array_equal(licks, np.load(folder / "alf" / "licks.times.npy"))
    passive = processed.processing["passive_protocol"]
    parts = passive["PassiveIntervals"].to_dataframe()
    assert parts["protocol_name"].tolist() == ["spontaneousActivity", "RFM"]
    assert passive["PassiveGabor"].to_dataframe()["stim_contrast"].tolist() == [0.5, 1.0]
    assert passive["PassiveNoise"].to_dataframe()["start_time"].tolist() == [25.0, 28.0]


def test_a_folder_of_sessions_is_gone_on_with_and_one_bad_session_stops_no_other(tmp_path):
    # Given three sessions, of which one has nothing to export
    data, out = tmp_path / "data", tmp_path / "out"
    first = sessions.make(data)
    for day in ("2024-07-02", "2024-07-03"):
        shutil.copytree(first, first.parents[1] / day / "001")
    bad = first.parents[1] / "2024-07-03" / "001"
    shutil.rmtree(bad / "alf")
    sessions.write_recording(first, "probe00")
    dry = run(data, "--out", out, "--dry-run", "--json")
    assert [json.loads(line)["done"] for line in dry.stdout.splitlines()] == [False] * 3
    assert not out.exists()

    def did() -> list[str]:
        done = run(data, "--out", out, "--reference", "--json")
        assert done.exit_code == 1, done.output
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        assert "has no trials, wheel or sorted spikes" in lines[-1]["why"]
        return [line["did"] for line in lines]

    # When they are exported, and again
    assert did() == ["written", "written", "failed"]
    files = sorted(path for path in out.rglob("sub-*.*"))
    kinds = ["".join(path.suffixes) for path in files]
    assert sorted(kinds) == [".nwb", ".nwb", ".nwb.lindi.json"]
    before = [path.stat().st_mtime_ns for path in files]
    assert did() == ["kept", "kept", "failed"]
    assert [path.stat().st_mtime_ns for path in files] == before
    # Then only what changed, or is gone, is made anew
    sessions.write_trials(first, sessions.trials(20, seed=9))
    assert did() == ["written", "kept", "failed"]
    (out / ".fornix-nwb.json").write_text('{"torn')
    assert did() == ["written", "written", "failed"]


finite = st.floats(0, 1e5, allow_nan=False, width=64)


@st.composite
def recorded(draw):
    """Trials, wheel and spikes with any values a session may have."""
    n = draw(st.integers(2, 6))
    table = sessions.trials(n, draw(st.integers(0, 99)))
    order = np.sort(draw(arrays.arrays(float, n, elements=finite, unique=True)))
    table["intervals_0"], table["intervals_1"] = order, order + draw(st.floats(0.1, 10))
    for name in ("stimOn_times", "feedback_times"):
        table[name] = draw(arrays.arrays(float, n, elements=finite | st.just(np.nan)))
    table.loc[0, ["stimOn_times", "feedback_times"]] = 1.0  # a column is never all unknown
    m = draw(st.integers(3, 9))
    wheel = np.sort(draw(arrays.arrays(float, m, elements=finite, unique=True)))
    k = draw(st.integers(1, 30))
    times = np.sort(draw(arrays.arrays(float, k, elements=finite)))
    clusters = draw(arrays.arrays(np.int32, k, elements=st.integers(0, 5)))
    return table, wheel, times, clusters


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(recorded())
def test_times_spikes_and_trials_come_back_equal_whatever_they_are(tmp_path_factory, read, drawn):
    table, wheel, times, clusters = drawn
    root = tmp_path_factory.mktemp("drawn")
    folder = sessions.make(root)
    sessions.write_trials(folder, table)
    (folder / "alf" / "_ibl_wheelMoves.intervals.npy").unlink()
    np.save(folder / "alf" / "_ibl_wheel.timestamps.npy", wheel)
    np.save(folder / "alf" / "_ibl_wheel.position.npy", np.cos(wheel) * 20)
    probe = folder / "alf" / "probe00"
    probe.mkdir()
    for name, content in (
        ("times", times),
        ("clusters", clusters),
        ("amps", times * 1e-6),
        ("depths", times / 7),
    ):
        np.save(probe / f"spikes.{name}.npy", content)
    written = export_processed(FolderSession(folder), root / "out", HDF5, checked=False)
    nwb = read(written.path)
    pd.testing.assert_frame_equal(
        as_trials(nwb)[list(table)], table, check_dtype=False, check_exact=True, check_names=False
    )
    series = nwb.processing["wheel"]["WheelPosition"]
    np.testing.assert_array_equal(series.data, np.cos(wheel) * 20)
    np.testing.assert_allclose(series.get_timestamps(), wheel, rtol=0, atol=1e-9)
    units = nwb.units.to_dataframe().set_index("unit_name")["spike_times"]
    assert sorted(map(int, units.index)) == np.unique(clusters).tolist()
    for name, found in units.items():
        np.testing.assert_array_equal(found, times[clusters == int(name)])


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


DAMAGE = {
    "no birth date": (lambda f: (f.parents[4] / "subjects.json").unlink(), "--birth-date"),
    "born later": (
        lambda f: (f.parents[4] / "subjects.json").write_text(
            json.dumps({SUBJECT: {"birth_date": "2030-01-01"}})
        ),
        "born after the session",
    ),
    "odd sex": (
        lambda f: (f.parents[4] / "subjects.json").write_text(
            json.dumps({SUBJECT: {"birth_date": "yesterday"}})
        ),
        "birth_date",
    ),
    "cut table": (lambda f: truncate(f / "alf" / "_ibl_trials.table.pqt"), "not a whole .pqt"),
    "lengths": (
        lambda f: np.save(f / "alf" / "_ibl_trials.quiescencePeriod.npy", np.zeros(3)),
        "differ in length",
    ),
    "wheel": (
        lambda f: np.save(f / "alf" / "_ibl_wheel.timestamps.npy", np.zeros(3)),
        "not one time a position",
    ),
    "spikes": (
        lambda f: np.save(f / "alf" / "probe00" / "spikes.clusters.npy", np.zeros(3, int)),
        "differ in length",
    ),
    "clusters": (
        lambda f: np.save(f / "alf" / "probe00" / "clusters.channels.npy", np.full(4, 999)),
        "names channel 999",
    ),
    "no recording": (lambda f: None, "no compressed recording"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_what_cannot_be_exported_says_why_and_leaves_no_file(tmp_path, case):
    folder = sessions.make(tmp_path / "data")
    sessions.write_spikes(folder, "probe00", seed=1)
    damage, told = DAMAGE[case]
    damage(folder)
    raw = ["--raw", "--no-check"] if case == "no recording" else []
    done = run(folder, "--out", tmp_path / "out", *raw)
    assert done.exit_code == 1
    assert told in done.output
    left = [p.name for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert left == [name for name in left if raw and "desc-processed" in name]
    assert len(left) == bool(raw)


def test_a_file_that_an_archive_would_refuse_is_not_kept(tmp_path, monkeypatch):
    # Given trials that end before they begin, which the inspector calls a violation
    folder = sessions.make(tmp_path / "data")
    table = sessions.trials(20)
    table["intervals_1"] = table["intervals_0"] - 1
    sessions.write_trials(folder, table)
    with pytest.raises(ExportError, match="BEST_PRACTICE_VIOLATION"):
        export_processed(FolderSession(folder), tmp_path / "out", HDF5)
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == []


def test_what_is_no_session_is_refused(tmp_path):
    done = run(tmp_path)
    assert done.exit_code == 1
    assert "LAB/Subjects/SUBJECT/DATE/NNN" in done.output


def test_without_hdmf_zarr_the_message_names_the_way(tmp_path):
    folder = sessions.make(tmp_path / "data")
    done = run(folder, "--out", tmp_path / "out", "--backend", "zarr")
    assert done.exit_code == 1
    assert "make nwb" in done.output


def test_a_dry_run_lists_what_would_go_in_and_writes_nothing(tmp_path):
    folder = sessions.make(tmp_path / "data")
    done = run(folder, "--out", tmp_path / "out", "--dry-run", "--json")
    assert "alf/_ibl_trials.table.pqt" in json.loads(done.stdout)["datasets"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("SWC_054", "sub-SWC-054/sub-SWC-054_ses-b_desc-raw_ecephys"),
        ("a.b", "sub-a-b/sub-a-b_ses-b_desc-raw_ecephys"),
    ],
)
def test_names_are_dandi_s(subject, expected):
    assert stem(subject, "b", "raw", ["ecephys"]) == expected


@given(st.floats(0, 1e4), st.floats(1e-4, 10), st.integers(3, 50))
def test_regular_times_become_a_rate_that_gives_them_back(start, step, n):
    times = start + step * np.arange(n)
    found = timing(times)
    if "rate" in found:
        back = found["starting_time"] + np.arange(n) / found["rate"]
        assert np.abs(back - times).max() <= 2e-9
    else:
        np.testing.assert_array_equal(found["timestamps"], times)
