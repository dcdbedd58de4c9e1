"""Trials and wheel of simulated ephys rigs, whose board's clock is known."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lab.simulate.board import BoardClock
from lab.simulate.session import simulate_session
from lab.simulate.truth import Truth
from lab.tasks.run import orders, run
from shared.tasks.states import Status

SAMPLE = 1 / 30_000
MOST = 2 * SAMPLE
"""An event is a sample late at most, and so are the pulses that the clocks are matched by."""

EXACT = (
    *("intervals_0", "intervals_1", "goCue_times", "response_times", "stimOn_times"),
    "feedback_times",
)


def simulated(folder: Path, board: BoardClock, rig: int = 5, **options: object) -> Truth:
    return simulate_session(
        folder, seed=3, subject="SYN_001", date=datetime.date(2026, 1, 2), rig_version=rig,
        n_trials=14, performance=0.8, protocol="biased", board=board, **options,  # type: ignore[arg-type]
    )  # fmt: skip


def done(name: str, session: Path):
    """Run a task where its inputs are, as the next one needs what it makes."""
    (order,) = orders(name, session, {})
    return run(order, session, session)


def extracted(session: Path):
    for name in ("sync.pulses", "task.trials_nidq", "task.wheel_nidq"):
        result = done(name, session)
        assert result.status == Status.COMPLETE.label, result.error
        if result.facts:
            facts = result.facts
    return pd.read_parquet(session / "alf/_ibl_trials.table.pqt"), facts


@pytest.mark.parametrize("rig", [5, 8])
@pytest.mark.parametrize(
    "board",
    [
        BoardClock(offset=10.0, drift=35.0),
        BoardClock(offset=2.5, drift=-80.0),
        BoardClock(offset=10.0, drift=5.0, lost=(0,)),
        BoardClock(offset=10.0, drift=5.0, lost=(3, 4, 13)),
    ],
    ids=["fast", "slow", "first pulse lost", "pulses lost"],
)
def test_trials_are_on_the_main_clock_to_two_samples(tmp_path, board, rig):
    truth = simulated(tmp_path, board, rig)
    table, facts = extracted(truth.session)
    assert len(table) == 14
    starts = np.delete(board.read(truth.table["intervals_0"].to_numpy()), list(board.lost))
    for name in EXACT:
        expected, found = board.read(truth.table[name].to_numpy()), table[name].to_numpy()
        # the board sees the stimulus of trials without a response, too
        known = ~np.isnan(expected)
        apart = np.abs(found - expected)
        between = known & (expected >= starts[0]) & (expected <= starts[-1])
        assert apart[between].max() <= MOST
        # before and after the pulses the clocks go on as the outer two say
        assert apart[known].max() < 5e-4
    np.testing.assert_array_equal(table["choice"], truth.table["choice"])
    assert facts.extended_qc["_sync_task_missing_pulses"] == len(board.lost)
    assert facts.extended_qc["_sync_task_drift_ppm"] == pytest.approx(board.drift, abs=2)
    assert facts.extended_qc["_sync_task_residual_ms"] < 0.1
    assert facts.extended_qc["_task_wheel_integrity"] == 1


def test_the_wheel_is_where_it_was(tmp_path):
    board = BoardClock(offset=7.0, drift=60.0)
    truth = simulated(tmp_path, board)
    extracted(truth.session)
    times = np.load(truth.session / "alf/_ibl_wheel.timestamps.npy")
    position = np.load(truth.session / "alf/_ibl_wheel.position.npy")
    at = np.searchsorted(times, board.read(truth.wheel_times) + 2e-3) - 1
    apart = position[at] - truth.wheel_position
    # while it turns it may be a tick on
    assert np.percentile(np.abs(apart - np.median(apart)), 50) < 1e-9
    assert np.abs(apart - np.median(apart)).max() < 8 * 2 * np.pi / 1024


def test_a_board_that_was_started_late_knows_nothing_of_what_was_before(tmp_path):
    board = BoardClock(offset=-6.0, drift=20.0)
    truth = simulated(tmp_path, board)
    table, facts = extracted(truth.session)
    before = board.read(truth.table["stimOn_times"].to_numpy()) < 0
    assert before.any()
    assert np.isnan(table["stimOn_times"].to_numpy()[before]).all()
    after = board.read(truth.table["intervals_0"].to_numpy()) > 0
    np.testing.assert_allclose(
        table["stimOn_times"][after], board.read(truth.table["stimOn_times"])[after], atol=MOST
    )
    assert facts.extended_qc["_sync_task_missing_pulses"] == (~after).sum()


def test_a_board_of_another_session_is_refused(tmp_path):
    board = BoardClock()
    truth = simulated(tmp_path, board)
    other = simulate_session(
        tmp_path, seed=8, subject="SYN_001", date=datetime.date(2026, 1, 3), n_trials=30,
        protocol="biased", board=board,
    )  # fmt: skip
    for path in (other.session / "raw_ephys_data").iterdir():
        (truth.session / "raw_ephys_data" / path.name).write_bytes(path.read_bytes())
    done("sync.pulses", truth.session)
    result = done("task.trials_nidq", truth.session)
    assert result.status == Status.ERRORED.label
    assert "they are not those of the trials" in (result.error or "")


def test_a_board_to_which_nobody_is_wired_is_told(tmp_path):
    truth = simulated(tmp_path, BoardClock())
    wiring = next((truth.session / "raw_ephys_data").glob("*.wiring.json"))
    wiring.write_text(wiring.read_text().replace("AI0", "AI3"))
    done("sync.pulses", truth.session)
    result = done("task.trials_nidq", truth.session)
    assert "there is none on line 19 of the main clock" in (result.error or "")


@pytest.mark.parametrize("jump", [0.4, 3.0])
def test_a_clock_that_jumps_is_told(tmp_path, jump):
    """Given pulses that match by one shift first and by another later, then that is said."""
    truth = simulated(tmp_path, BoardClock())
    done("sync.pulses", truth.session)
    path = truth.session / "raw_ephys_data/_spikeglx_sync.times.npy"
    times = np.load(path)
    at = BoardClock().read(truth.table["intervals_0"].to_numpy())[9] - 0.5
    np.save(path, np.where(times > at, times + jump, times))
    result = done("task.trials_nidq", truth.session)
    assert result.status == Status.ERRORED.label
    assert f"jumps by {abs(jump):.3f} s" in (result.error or "")


def test_a_recording_that_was_started_again_is_told(tmp_path):
    truth = simulated(tmp_path, BoardClock())
    for path in list((truth.session / "raw_ephys_data").glob("*.nidq.*")):
        path.with_name(path.name.replace("_g0_", "_g1_")).write_bytes(path.read_bytes())
    result = done("sync.pulses", truth.session)
    assert result.status == Status.ERRORED.label
    assert "2 recordings of nidq" in (result.error or "")


def test_a_recording_that_was_cut_short_is_told(tmp_path):
    truth = simulated(tmp_path, BoardClock())
    raw = next((truth.session / "raw_ephys_data").glob("*.bin"))
    raw.write_bytes(raw.read_bytes()[:-400])
    assert "it was cut short" in (done("sync.pulses", truth.session).error or "")


def test_pulses_are_the_same_from_a_compressed_recording(tmp_path):
    truth = simulated(tmp_path, BoardClock())
    session = truth.session
    done("sync.pulses", session)
    names = ("times", "channels", "polarities")
    raw = [np.load(session / f"raw_ephys_data/_spikeglx_sync.{name}.npy") for name in names]
    (order,) = orders("ephys.compress", session, {})
    assert run(order, session, session).status == Status.COMPLETE.label
    next((session / "raw_ephys_data").glob("*.bin")).unlink()
    done("sync.pulses", session)
    for name, before in zip(names, raw, strict=True):
        after = np.load(session / f"raw_ephys_data/_spikeglx_sync.{name}.npy")
        np.testing.assert_array_equal(after, before)
