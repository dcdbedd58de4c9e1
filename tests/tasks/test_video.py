"""Films of simulated rigs, whose frames are numbered and whose clocks are known."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lab.simulate.board import BoardClock
from lab.simulate.camera import SimulatedCamera, number_in
from lab.simulate.session import simulate_session
from lab.simulate.truth import Truth
from lab.tasks.films import open_film
from lab.tasks.run import orders, run
from shared.model.task import RunResult
from shared.tasks.planning import plan, unprocessed
from shared.tasks.states import Status
from tests.tasks.packages import installed_beside

FRAME = 5e-3
"""Seconds within which every frame has to be."""

CLOCK = BoardClock(drift=60.0)


def rig(folder: Path, *cameras: SimulatedCamera, clock: BoardClock | None = CLOCK) -> Truth:
    """Write a session of a rig with cameras, and with a board or without."""
    return simulate_session(
        folder,
        seed=3,
        subject="SYN_001",
        date=datetime.date(2024, 1, 8),
        n_trials=4,
        rig_version=8,
        board=clock,
        cameras=cameras,
    )


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """Given a film with frames lost, begun late, whose end the board has not seen."""
    return rig(tmp_path_factory.mktemp("rig"), SimulatedCamera(unsigned=5))


def done(name: str, truth: Truth, **given: str) -> RunResult:
    """Run a task where its inputs are, as the next one needs what it makes."""
    (order,) = orders(name, truth.session, given)
    result = run(order, truth.session, truth.session)
    assert result.status == Status.COMPLETE.label, result.error
    return result


def test_every_frame_is_on_the_main_clock_within_five_milliseconds(session: Truth) -> None:
    """Given lost frames and drifting clocks, when a film is timed, then each frame is right."""
    done("sync.pulses", session)
    told = done("video.times_nidq", session).facts
    assert told is not None
    times = np.load(session.session / "alf/_ibl_leftCamera.times.npy")
    truth = session.films["left"]
    assert times.size == truth.times.size
    assert np.abs(times - truth.times).max() < FRAME
    # the frames themselves say which they are
    with open_film(truth.path) as film:
        numbers = [number_in(frame) for frame in film.frames()]
    lost = set(range(numbers[-1] + 1)) - set(numbers)
    assert lost == {100, 101, 350}
    extended = told.extended_qc
    assert extended["_videoLeft_dropped_frames"] == ["FAIL", 3, 0]  # more than one in a thousand
    assert extended["videoLeft"] == "FAIL"
    assert extended["_videoLeft_timestamps"] == "PASS"
    assert extended["_videoLeft_resolution"] == "PASS"
    assert extended["_videoLeft_framerate"] == ["PASS", pytest.approx(60, abs=0.1)]
    assert extended["_videoLeft_brightness"] == "PASS"
    assert extended["_videoLeft_focus"] == "PASS"
    assert extended["_sync_leftCamera_method"] == "pins"
    # of one more frame the board had seen only the beginning
    assert extended["_sync_leftCamera_frames_without_pulse"] == 6


def test_the_wheel_in_a_film_goes_with_its_encoder(session: Truth) -> None:
    """Given a film that is timed, when its motion is found, then the wheel agrees to a frame."""
    for name in ("task.trials_nidq", "task.wheel_nidq"):
        done(name, session)
    told = done("video.motion", session).facts
    assert told is not None
    assert told.extended_qc["_videoLeft_wheel_alignment"] == ["PASS", 0]
    energy = np.load(session.session / "alf/leftCamera.ROIMotionEnergy.npy")
    assert energy.size == session.films["left"].times.size
    # the paw moves in that part, and goes with the wheel
    paw = np.abs(np.diff(session.films["left"].paw, axis=0)).sum(axis=1)
    assert np.corrcoef(energy[1:], paw)[0, 1] > 0.5


def test_a_film_without_what_tells_its_frames_apart_is_timed_by_its_length(
    session: Truth, tmp_path: Path
) -> None:
    """Given no frame data, then the last pulses are the frames', and the method says so."""
    truth = rig(tmp_path, SimulatedCamera(lost=()))
    (truth.session / "raw_video_data/_iblrig_leftCamera.frameData.bin").unlink()
    done("sync.pulses", truth)
    told = done("video.times_nidq", truth).facts
    assert told is not None
    assert told.extended_qc["_sync_leftCamera_method"] == "counts"
    assert told.extended_qc["_videoLeft_pin_state"] == "NOT_SET"
    times = np.load(truth.session / "alf/_ibl_leftCamera.times.npy")
    assert np.abs(times - truth.films["left"].times).max() < 2 / 60


def test_without_a_board_the_state_machine_times_the_left_camera(tmp_path: Path) -> None:
    """Given a training rig, which hears the camera within trials only, then frames are right."""
    truth = rig(tmp_path, SimulatedCamera(fps=30.0, lost=(40, 41, 250)), clock=None)
    told = done("video.times", truth).facts
    assert told is not None
    times = np.load(truth.session / "alf/_ibl_leftCamera.times.npy")
    # Those after the last trial, too: they have no pulse, and continue at the camera's rate.
    assert np.abs(times - truth.films["left"].times).max() < FRAME
    assert told.extended_qc["_videoLeft_dropped_frames"] == ["FAIL", 3, 0]
    assert told.extended_qc["_sync_leftCamera_method"] == "pins"


@pytest.mark.parametrize("clock", [CLOCK, None])
def test_a_film_that_begins_after_the_first_sound_is_timed_by_the_pauses_between_them(
    tmp_path: Path, clock: BoardClock | None
) -> None:
    """Given a film of the last trials, its first sound is not taken for the session's."""
    rate = None if clock else 30.0
    late = SimulatedCamera(fps=rate, lost=(), before=int((rate or 60) * 9))
    truth = rig(tmp_path, late, clock=clock)
    if clock:
        done("sync.pulses", truth)
    told = done("video.times_nidq" if clock else "video.times", truth).facts
    assert told is not None
    times = np.load(truth.session / "alf/_ibl_leftCamera.times.npy")
    assert truth.films["left"].times[0] > truth.table["goCue_times"].iloc[0]
    assert np.abs(times - truth.films["left"].times).max() < FRAME
    assert told.extended_qc["_sync_leftCamera_method"] == "pins"


def test_signals_of_frames_that_the_board_lost_or_added_move_no_other_frame(
    tmp_path: Path,
) -> None:
    """Given two pulses of the camera that the board missed and one of no frame."""
    truth = rig(tmp_path, SimulatedCamera(lost=(50,)))
    done("sync.pulses", truth)
    parts = ("times", "channels", "polarities")
    folder = truth.session / "raw_ephys_data"
    times, channels, polarities = (np.load(folder / f"_spikeglx_sync.{n}.npy") for n in parts)
    camera = np.flatnonzero(channels == 0)
    gone = camera[[400, 401, 402, 403]]
    extra = times[camera[1000]] + np.array([0.011, 0.0112])
    times, channels, polarities = (
        np.append(np.delete(old, gone), new)
        for old, new in ((times, extra), (channels, [0, 0]), (polarities, [1, -1]))
    )
    order = np.argsort(times, kind="stable")
    for name, values in zip(parts, (times, channels, polarities), strict=True):
        np.save(folder / f"_spikeglx_sync.{name}.npy", values[order])
    done("video.times_nidq", truth)
    found = np.load(truth.session / "alf/_ibl_leftCamera.times.npy")
    off = np.abs(found - truth.films["left"].times)
    assert np.sum(off > FRAME) <= 1  # of the extra one and its neighbour one is kept
    assert off.max() < 0.5 / 60


def test_films_that_are_not_compressed_are_and_frames_are_the_same(tmp_path: Path) -> None:
    """Given an .avi, when it is compressed, then no frame is missing and none has moved."""
    truth = rig(tmp_path, SimulatedCamera("body", suffix="avi", lost=()))
    result = done("video.compress", truth, camera="body", clock="nidq")
    made = tmp_path / truth.session / result.outputs[0]
    assert made.stat().st_size < truth.films["body"].path.stat().st_size / 2
    with open_film(made) as film:
        assert [number_in(frame) for frame in film.frames()] == list(range(film.header.n_frames))
        assert film.header.n_frames == truth.films["body"].times.size
    # its index comes first, so that a page can show it before it has all of it
    head = made.read_bytes()[:4096]
    assert b"moov" in head


@pytest.mark.parametrize("content", [b"", b"no film at all", None], ids=["empty", "text", "cut"])
def test_a_film_that_cannot_be_read_is_told(
    session: Truth, tmp_path: Path, content: bytes | None
) -> None:
    """Given a damaged film, then the task is Errored, and names it and what to do."""
    folder = tmp_path / "raw_video_data"
    folder.mkdir()
    film = session.films["left"].path
    whole = film.read_bytes()
    (folder / film.name).write_bytes(whole[: len(whole) // 3] if content is None else content)
    (tmp_path / "alf").mkdir()
    np.save(tmp_path / "alf/_ibl_leftCamera.times.npy", np.arange(10.0))
    (order,) = orders("video.motion", tmp_path, {"collection": "raw_video_data"})
    result = run(order, tmp_path, tmp_path / "out")
    assert result.status == Status.ERRORED.label
    assert film.name in (result.error or "")
    assert "copy it from the rig again" in (result.error or "")


RAW = "raw_video_data/_iblrig_{}Camera.raw.mp4"
BEHAVIOUR = [
    f"raw_behavior_data/_iblrig_{name}"
    for name in ("taskData.raw.jsonable", "taskSettings.raw.json", "encoderEvents.raw.ssv")
]
EID = "0f6b3c4e-95b4-4d4b-8f5b-6d0c2f1a9b3d"


def test_cameras_have_tasks_by_the_clock_of_their_session() -> None:
    """Given films beside a board, then all are timed; by the state machine only the left one."""
    films = [RAW.format(label) for label in ("left", "right")]
    board = ["raw_ephys_data/x_g0_t0.nidq.bin", "raw_ephys_data/x_g0_t0.nidq.meta"]
    with_board = plan(EID, [*films, *board, *BEHAVIOUR])
    timed = [one for one in with_board if one.name == "video.times_nidq"]
    assert [one.arguments["camera"] for one in timed] == ["left", "right"]
    pulses = next(one for one in with_board if one.name == "sync.pulses")
    assert all(pulses.id in one.parents for one in timed)
    for one in with_board:
        if one.name == "video.motion":
            mine = next(t for t in timed if t.arguments["camera"] == one.arguments["camera"])
            assert mine.id in one.parents
            assert [t.name for t in with_board if t.id in one.parents] == [
                "task.wheel_nidq",
                "video.times_nidq",
            ]
    alone = plan(EID, [*films, *BEHAVIOUR])
    assert [o.arguments["camera"] for o in alone if o.name == "video.times"] == ["left"]
    assert any("camera right: recorded, not processed" in x for x in unprocessed(films))
    assert not any("camera left" in x for x in unprocessed([*films, *BEHAVIOUR]))


def test_a_film_waits_for_its_clock() -> None:
    """Given a session whose clock cannot be read here, then its film is held, with the reason."""
    description = {"sync": {"tdms": {"collection": "raw_sync_data"}}}
    (held,) = [
        o for o in plan(EID, [RAW.format("left")], description) if o.name == "video.times_nidq"
    ]
    assert held.hold is not None
    assert "tdms" in held.hold


def test_an_uncompressed_film_is_compressed_before_it_is_timed() -> None:
    paths = ["raw_video_data/_iblrig_leftCamera.raw.avi", *BEHAVIOUR]
    planned = {one.name: one for one in plan(EID, paths)}
    assert planned["video.times"].parents == (planned["video.compress"].id,)
    # and when it has been, nothing is planned anew
    again = {one.name: one.id for one in plan(EID, [*paths, RAW.format("left")])}
    assert again == {name: one.id for name, one in planned.items()}


def test_poses_of_any_tracker_give_licks_and_pupil(session: Truth, tmp_path: Path) -> None:
    """Given a pose as IBL's trackers write it, then its features are in IBL's files."""
    n, rate = 600, 60.0
    alf = tmp_path / "alf"
    alf.mkdir()
    np.save(alf / "_ibl_leftCamera.times.npy", np.arange(n) / rate)
    wide = 20 + 3 * np.sin(np.arange(n) / 60)
    out = np.isin(np.arange(n), [100, 101, 300])
    columns: dict[str, np.ndarray] = {}
    for side, (x, y) in {
        "top": (0, -1),
        "bottom": (0, 1),
        "left": (-1, 0),
        "right": (1, 0),
    }.items():
        columns |= {
            f"pupil_{side}_r_x": 200 + x * wide / 2,
            f"pupil_{side}_r_y": 100 + y * wide / 2,
        }
    for side in "lr":
        columns |= {f"tongue_end_{side}_{axis}": 50.0 + 30 * out for axis in "xy"}
    points = {name.rpartition("_")[0] for name in columns}
    columns |= {f"{point}_likelihood": np.full(n, 0.99) for point in points}
    columns["pupil_top_r_likelihood"][:50] = 0.1
    pd.DataFrame(columns).to_parquet(alf / "_ibl_leftCamera.lightningPose.pqt")
    (order,) = orders("video.features", tmp_path, {})
    result = run(order, tmp_path, tmp_path)
    assert result.status == Status.COMPLETE.label, result.error
    licks = np.load(alf / "licks.times.npy")
    np.testing.assert_allclose(licks * rate, [99, 101, 299, 300])
    found = pd.read_parquet(alf / "_ibl_leftCamera.features.pqt")
    np.testing.assert_allclose(found["pupilDiameter_smooth"], wide, atol=0.2)
    np.testing.assert_allclose(found["pupilDiameter_raw"], wide)
    # and it is judged under IBL's names: a tongue that is always out is none
    assert result.facts is not None
    judged = result.facts.extended_qc
    assert judged["_lightningPoseLeft_lick_detection"] == "FAIL"
    assert judged["lightningPoseLeft"] == "FAIL"


def test_a_lab_s_own_tracker_follows_the_paw(session: Truth, tmp_path: Path) -> None:
    """Given a tracker that is a package of its own, then it finds the paw to a pixel."""
    where = Path(__file__).parent / "example_pose"
    out = tmp_path / "out"
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "lab.cli", "task", "run", "pose.blob"),
            *(session.session, "--out", out, "--json"),
        ],
        env=installed_beside(where, tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)[0]["outputs"] == ["alf/_lab_leftCamera.pose.pqt"]
    found = pd.read_parquet(out / "alf/_lab_leftCamera.pose.pqt")
    truth = session.films["left"].paw
    assert len(found) == len(truth)
    assert (found["paw_r_likelihood"] > 0.9).mean() > 0.99
    away = np.hypot(found["paw_r_x"] - truth[:, 0], found["paw_r_y"] - truth[:, 1])
    assert away.max() < 1


def test_a_pose_of_more_frames_than_its_film_is_refused(tmp_path: Path) -> None:
    alf = tmp_path / "alf"
    alf.mkdir()
    np.save(alf / "_ibl_leftCamera.times.npy", np.arange(3.0))
    pd.DataFrame({f"paw_r_{k}": np.ones(5) for k in ("x", "y", "likelihood")}).to_parquet(
        alf / "_ibl_leftCamera.dlc.pqt"
    )
    (order,) = orders("video.features", tmp_path, {})
    assert "5 frames, but only 3 have times" in (run(order, tmp_path, tmp_path / "o").error or "")
