"""Rigs of Neuropixels 3A, which have no board: a probe is the main clock."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lab.simulate.board import BoardClock
from lab.simulate.camera import SimulatedCamera
from lab.simulate.phase3a import WIRES_3A, add_probes_3a
from lab.simulate.recording import ProbeDrift
from lab.simulate.session import simulate_session
from lab.simulate.truth import Truth
from lab.tasks.run import description_of, orders, relative_paths, run
from lab.tasks.sorting import main_clock
from shared.science.clocks.wiring import PROBE_3A
from shared.tasks.planning import plan, unprocessed
from shared.tasks.states import Status

EID = "0f6b3c4e-95b4-4d4b-8f5b-6d0c2f1a9b3d"
RATE = 30_000.0
ACCURATE = 0.2e-3
"""Seconds within which every spike has to be."""

OTHER = ProbeDrift(offset=1.7, drift=-30.0)
"""A probe whose computer began to record before the main one's."""


def simulated(
    folder: Path, *, is_probe: bool = True, cameras: tuple = (), n_trials: int = 6
) -> Truth:
    return simulate_session(
        folder, seed=3, subject="SYN_001", date=datetime.date(2026, 1, 2), n_trials=n_trials,
        performance=0.8, protocol="biased", cameras=cameras,
        board=BoardClock(offset=4.0, drift=35.0, is_probe=is_probe),
    )  # fmt: skip


def done(name: str, session: Path) -> list:
    """Run a task of each folder where its inputs are, as the next one needs what it makes."""
    return [run(order, session, session) for order in orders(name, session, {})]


def complete(session: Path, *names: str) -> dict:
    """Run tasks; return what they tell of the session's quality."""
    told: dict = {}
    for name in names:
        for result in done(name, session):
            assert result.status == Status.COMPLETE.label, result.error
            told |= (result.facts and result.facts.extended_qc) or {}
    return told


@pytest.fixture(scope="module")
def two_probes(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    """Given two probes, of which the second is wired to all devices; compressed, with pulses."""
    truth = simulated(tmp_path_factory.mktemp("rig"))
    add_probes_3a(truth, (OTHER, ProbeDrift()), seed=1, main=1)
    complete(truth.session, "ephys.compress", "sync.pulses_probe")
    return truth


RAW = [
    "raw_behavior_data/_iblrig_taskData.raw.jsonable",
    "raw_behavior_data/_iblrig_taskSettings.raw.json",
    "raw_behavior_data/_iblrig_encoderEvents.raw.ssv",
]
PROBES = [
    f"raw_ephys_data/probe{number:02}/_spikeglx_ephysData_g0_t0.imec.ap.{extension}"
    for number in (0, 1)
    for extension in ("cbin", "ch", "meta")
]
BY_IBL = {"sync": {"nidq": {"collection": "raw_ephys_data", "acquisition_software": "spikeglx"}}}


@pytest.mark.parametrize("description", [None, BY_IBL, {"sync": {"imec": {}}}])
def test_without_a_board_the_pulses_are_looked_for_in_each_probe(description) -> None:
    """Given files of phase 3A, whatever IBL's description says, then probes are the clock."""
    planned = plan(EID, RAW + PROBES, description)
    pulses = [task for task in planned if task.name == "sync.pulses_probe"]
    assert [task.arguments["collection"] for task in pulses] == [
        *("raw_ephys_data/probe00", "raw_ephys_data/probe01"),
    ]
    assert "sync.pulses" not in {task.name for task in planned}
    (trials,) = (task for task in planned if task.name == "task.trials_nidq")
    assert set(trials.parents) == {task.id for task in pulses}  # which is the clock, both tell
    for number in (0, 1):
        align, sort = (
            task
            for task in planned
            if task.name in ("ephys.align_probes", "ephys.sort")
            and task.arguments["collection"] == f"raw_ephys_data/probe0{number}"
        )
        assert set(align.parents) == {task.id for task in pulses}
        assert align.id in sort.parents
    assert [task.hold for task in planned] == [None] * len(planned)
    assert unprocessed(RAW + PROBES, description) == []


@pytest.mark.parametrize(
    ("path", "clock"),
    [
        ("raw_ephys_data/_spikeglx_ephysData_g0_t0.nidq.cbin", "sync.pulses"),
        ("raw_ephys_data/_spikeglx_sync.times.npy", None),  # found before, and came with it
    ],
)
def test_a_board_is_the_clock_where_there_is_one(path, clock) -> None:
    names = {task.name for task in plan(EID, [*RAW, *PROBES, path], BY_IBL)}
    assert "sync.pulses_probe" not in names
    assert "ephys.align" in names
    assert clock is None or clock in names


def test_a_description_that_says_bpod_is_believed() -> None:
    names = {task.name for task in plan(EID, RAW + PROBES, {"sync": {"bpod": {}}})}
    assert "task.trials" in names
    assert "sync.pulses_probe" not in names


def test_lines_are_the_usual_ones_of_the_rigs() -> None:
    assert PROBE_3A == WIRES_3A


def test_trials_and_wheel_are_those_that_a_board_would_have_given(two_probes, tmp_path) -> None:
    """Given the same session with a board, then every value is the same."""
    beside = simulated(tmp_path, is_probe=False).session
    complete(beside, "sync.pulses", "task.trials_nidq", "task.wheel_nidq")
    told = complete(two_probes.session, "task.trials_nidq", "task.wheel_nidq")
    names = sorted(path.name for path in (beside / "alf").iterdir())
    assert "_ibl_wheel.position.npy" in names
    for name in names:
        by_board, by_probe = (folder / "alf" / name for folder in (beside, two_probes.session))
        if name.endswith(".pqt"):
            pd.testing.assert_frame_equal(pd.read_parquet(by_probe), pd.read_parquet(by_board))
        else:
            np.testing.assert_array_equal(np.load(by_probe), np.load(by_board))
    assert told["_sync_task_drift_ppm"] == pytest.approx(35, abs=2)


def test_spikes_of_each_probe_are_on_the_clock_of_the_main_one(two_probes) -> None:
    """Given a probe on another computer, then its samples are right to a fifth of a ms."""
    session = two_probes.session
    told = complete(session, "ephys.align_probes")
    assert (told["sync_probe00"], told["sync_probe01"]) == ("PASS", "PASS")
    assert told["_sync_probe00_drift_ppm"] == pytest.approx(30, abs=1)
    assert told["_sync_probe01_drift_ppm"] == 0
    spikes = np.linspace(0, 30, 200)
    for number, clock in enumerate((OTHER, ProbeDrift())):
        folder = session / f"raw_ephys_data/probe{number:02}"
        # as the task that sorts reads it
        main = main_clock(folder, "_spikeglx_ephysData_g0_t0.imec")
        found = main(np.rint(clock.read(spikes) * RATE))
        assert np.abs(found - spikes).max() < ACCURATE


def test_the_noise_of_a_probe_is_measured(two_probes) -> None:
    told = complete(two_probes.session, "ephys.rawqc")
    assert {"_raw_probe00_ap_rms_p10_uV", "_raw_probe01_lf_saturated"} <= told.keys()


def test_frames_are_timed_by_the_probe(tmp_path) -> None:
    """Given a camera on a line of the probe, then its frames are right to five ms."""
    truth = simulated(tmp_path, cameras=(SimulatedCamera(unsigned=5),), n_trials=4)
    add_probes_3a(truth, (ProbeDrift(),), seed=1)
    complete(truth.session, "ephys.compress", "sync.pulses_probe", "video.times_nidq")
    times = np.load(truth.session / "alf/_ibl_leftCamera.times.npy")
    assert np.abs(times - truth.films["left"].times).max() < 5e-3
    # a probe alone is its own clock
    told = complete(truth.session, "ephys.align_probes")
    assert told["sync_probe00"] == "PASS"
    stem = truth.session / "raw_ephys_data/probe00/_spikeglx_ephysData_g0_t0.imec"
    np.testing.assert_array_equal(np.load(f"{stem}.timestamps.npy"), [[0, 0], [RATE, 1]])


def test_a_rig_s_own_wiring_is_used(tmp_path) -> None:
    """Given devices on other pins, and a wiring file that says so, then trials are found."""
    truth = simulated(tmp_path)
    pins = {"pin04": "bpod", "pin09": "right_camera"}  # exchanged
    swapped = {"bpod": truth.lines["right_camera"], "right_camera": truth.lines["bpod"]}
    object.__setattr__(truth, "lines", dict(truth.lines) | swapped)
    add_probes_3a(truth, (ProbeDrift(),), seed=1)
    complete(truth.session, "ephys.compress", "sync.pulses_probe")
    (failed,) = done("task.trials_nidq", truth.session)
    assert failed.status == Status.ERRORED.label
    told = json.dumps({"SYSTEM": "3A", "SYNC_WIRING_DIGITAL": pins})
    (truth.session / "raw_ephys_data/probe00/x.imec.ap.wiring.json").write_text(told)
    complete(truth.session, "task.trials_nidq")


@pytest.mark.parametrize(
    ("shared", "reason"),
    [
        ((), "no line has pulses on all of them"),
        (("right_camera",), "the camera ran before a recording began"),
    ],
)
def test_probes_that_share_no_events_are_refused_with_the_reason(tmp_path, shared, reason) -> None:
    truth = simulated(tmp_path, n_trials=2)
    add_probes_3a(
        truth, (ProbeDrift(), ProbeDrift(offset=-3.0)), seed=1, shared=shared or ("audio",)
    )
    complete(truth.session, "ephys.compress", "sync.pulses_probe")
    main, other = done("ephys.align_probes", truth.session)
    assert main.status == Status.COMPLETE.label  # the main clock needs nobody
    assert other.status == Status.ERRORED.label
    assert reason in (other.error or "")


def test_pulses_of_another_session_are_refused(two_probes, tmp_path) -> None:
    """Given the pulses of another rig's probe, then no relation of the clocks is made up."""
    truth = simulated(tmp_path, n_trials=2)
    add_probes_3a(truth, (ProbeDrift(), OTHER), seed=1)
    complete(truth.session, "ephys.compress", "sync.pulses_probe")
    for name in ("times", "channels", "polarities"):
        path = f"raw_ephys_data/probe{{}}/_spikeglx_sync.{name}.probe{{}}.npy"
        stranger = np.load(two_probes.session / path.format("00", "00"))
        np.save(truth.session / path.format("01", "01"), stranger)
    refused, main = done("ephys.align_probes", truth.session)
    assert main.status == Status.COMPLETE.label  # the stranger has more pulses
    assert refused.status == Status.ERRORED.label
    assert "they are not the same events" in (refused.error or "")


def test_events_that_a_probe_has_missed_are_left_out(tmp_path) -> None:
    """Given a flip of the screen that one probe did not see, then the others relate the clocks."""
    truth = simulated(tmp_path, n_trials=8)
    add_probes_3a(truth, (ProbeDrift(), OTHER), seed=1)
    complete(truth.session, "ephys.compress", "sync.pulses_probe")
    files = {
        name: truth.session / f"raw_ephys_data/probe01/_spikeglx_sync.{name}.probe01.npy"
        for name in ("times", "channels", "polarities")
    }
    flips = np.flatnonzero(np.load(files["channels"]) == WIRES_3A["frame2ttl"])
    for path in files.values():
        np.save(path, np.delete(np.load(path), flips[4]))
    told = complete(truth.session, "ephys.align_probes")
    assert told["_sync_probe01_missing_pulses"] == 1
    assert told["sync_probe01"] == "WARNING"
    assert told["_sync_probe01_drift_ppm"] == pytest.approx(30, abs=1)


def test_a_later_probe_without_its_board_is_told(tmp_path) -> None:
    """Given a probe whose one line saw only the board's wave, then the board is asked for."""
    truth = simulated(tmp_path, n_trials=2)
    add_probes_3a(truth, (ProbeDrift(),), seed=1)
    for meta in (truth.session / "raw_ephys_data/probe00").glob("*.meta"):
        meta.write_text(meta.read_text().replace("typeEnabled=imec", "imDatPrb_type=0"))
    complete(truth.session, "ephys.compress")
    (result,) = done("sync.pulses_probe", truth.session)
    assert result.status == Status.ERRORED.label
    assert "upload the .nidq files" in (result.error or "")


def test_tasks_of_a_folder_are_the_planned_ones(two_probes) -> None:
    planned = plan(EID, relative_paths(two_probes.session), description_of(two_probes.session))
    assert {"ephys.align_probes", "task.wheel_nidq"} <= {task.name for task in planned}
