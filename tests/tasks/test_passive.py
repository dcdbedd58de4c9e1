"""Habituation and passive protocols beside a board: all on its clock."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lab.simulate.board import WIRES, BoardClock, write_board
from lab.simulate.habituation import simulate_habituation
from lab.tasks.run import orders, run
from shared.model.task import RunResult
from shared.tasks.planning import plan, unprocessed
from shared.tasks.states import Status

EID = "0f6b3c4e-95b4-4d4b-8f5b-6d0c2f1a9b3d"
NAN = float("nan")
CLOCK = BoardClock(offset=10.0, drift=45.0)


def done(name: str, session: Path) -> RunResult:
    (order,) = orders(name, session, {})
    result = run(order, session, session)
    assert result.status == Status.COMPLETE.label, result.error
    return result


def test_habituation_is_on_the_main_clock(tmp_path: Path) -> None:
    """Given a board that saw habituation, then its times are the board's, of the same trials."""
    about = {"seed": 1, "subject": "SYN_001", "date": datetime.date(2024, 1, 8), "n_trials": 12}
    session = simulate_habituation(tmp_path, board=CLOCK, **about)  # type: ignore[arg-type]
    alone = simulate_habituation(tmp_path / "alone", **about)  # type: ignore[arg-type]
    done("task.habituation", alone)
    done("sync.pulses", session)
    told = done("task.habituation_nidq", session).facts
    assert told is not None
    assert told.n_trials == 11
    assert told.extended_qc["_sync_task_drift_ppm"] == pytest.approx(45, abs=1)
    for name in ("feedback", "stimOn", "stimOff", "goCue", "stimOnTrigger"):
        by_bpod, by_board = (
            np.load(folder / f"alf/_ibl_trials.{name}_times.npy") for folder in (alone, session)
        )
        np.testing.assert_allclose(by_board, CLOCK.read(by_bpod), atol=2e-4)


def test_a_trial_of_habituation_without_its_grey_screen_has_no_start(tmp_path: Path) -> None:
    session = simulate_habituation(
        tmp_path, seed=1, subject="SYN_001", date=datetime.date(2024, 1, 8), n_trials=6
    )
    path = session / "raw_behavior_data/_iblrig_taskData.raw.jsonable"
    trials = [json.loads(line) for line in path.read_text().splitlines()]
    trials[2]["behavior_data"]["States timestamps"]["iti"] = [[NAN, NAN]]
    path.write_text("".join(json.dumps(trial) + "\n" for trial in trials))
    done("task.habituation", session)
    starts = np.load(session / "alf/_ibl_trials.intervals.npy")[:, 0]
    assert np.isnan(starts).tolist() == [False, False, True, False, False]


SPACER = np.array([1, 2, 4, 8, 16, 32, 64, 128, 192, 224, 240, 248, 252, 254, 255, 256]) / 60


def replayed(folder: Path) -> dict[str, np.ndarray]:
    """Write a passive session; return what was shown and played, s."""
    rng = np.random.default_rng(1)
    raw = folder / "raw_behavior_data"
    raw.mkdir(parents=True)
    told = {"PYBPOD_PROTOCOL": "_iblrig_tasks_passiveChoiceWorld", "IBLRIG_VERSION": "8.29.0"}
    (raw / "_iblrig_taskSettings.raw.json").write_text(json.dumps(told))
    # the square is flipped at random frames of the noise
    noise = rng.integers(0, 2, (15, 15, 600)).astype(np.uint8) * 255
    square = np.repeat(rng.permutation(np.arange(200) % 2), 3).astype(np.uint8) * 255
    noise[0, 0] = square
    noise.reshape(-1, order="F").tofile(raw / "_iblrig_RFMapStim.raw.bin")
    first, second, third = 5.0, 35.0, 70.0
    frames = second + SPACER[-1] + 6 + np.arange(600) / 60
    flips = frames[np.flatnonzero(np.diff(square.astype(int)))]
    gratings = third + SPACER[-1] + 10 + np.arange(20) * 2.0
    screen = np.sort(
        np.concatenate([first + SPACER, second + SPACER, third + SPACER, flips,
                        gratings, gratings + 0.3])
    )  # fmt: skip
    tones, bursts, valve = gratings[:8] + 0.7, gratings[8:14] + 0.7, gratings[14:] + 0.7
    changes = {name: np.empty(0) for name in (*WIRES, "bpod")} | {
        "frame2ttl": screen,
        "audio": np.sort(np.concatenate([tones, tones + 0.1, bursts, bursts + 0.5])),
        "bpod": np.sort(np.concatenate([valve, valve + 0.12])),
        "imec_sync": np.arange(0.5, 150, 0.5),
    }
    lines = {name: CLOCK.read(times) for name, times in changes.items()}
    write_board(lines, CLOCK, folder)
    return {"gratings": gratings, "tones": tones, "valve": valve, "bursts": bursts,
            "frames": frames, "start": np.array([first])}  # fmt: skip


def test_what_a_passive_protocol_showed_is_found(tmp_path: Path) -> None:
    """Given spacers, noise and a replay, then each is found on the main clock to a frame."""
    truth = replayed(tmp_path)
    done("sync.pulses", tmp_path)
    done("task.passive", tmp_path)
    alf = tmp_path / "alf"
    periods = pd.read_csv(alf / "_ibl_passivePeriods.intervalsTable.csv", index_col=0)
    assert list(periods) == ["passiveProtocol", "spontaneousActivity", "RFM", "taskReplay"]
    begins = CLOCK.read(truth["start"])[0] - 4
    assert periods["passiveProtocol"]["start"] == pytest.approx(begins, abs=0.02)
    assert periods["taskReplay"]["stop"] == periods["passiveProtocol"]["stop"]
    gabors = pd.read_csv(alf / "_ibl_passiveGabor.table.csv", index_col=0)
    np.testing.assert_allclose(gabors["start"], CLOCK.read(truth["gratings"]), atol=1e-3)
    assert gabors["contrast"].isna().all()  # what they looked like the sequence would say
    stims = pd.read_csv(alf / "_ibl_passiveStims.table.csv", index_col=0)
    for column, name in (("toneOn", "tones"), ("noiseOn", "bursts"), ("valveOn", "valve")):
        np.testing.assert_allclose(stims[column].dropna(), CLOCK.read(truth[name]), atol=1e-3)
    mapping = np.load(alf / "_ibl_passiveRFM.times.npy")
    np.testing.assert_allclose(mapping, CLOCK.read(truth["frames"]), atol=1.5 / 60)


def test_a_passive_protocol_without_its_spacers_is_told(tmp_path: Path) -> None:
    replayed(tmp_path)
    quiet = {name: np.empty(0) for name in (*WIRES, "bpod")} | {
        "imec_sync": np.arange(0.5, 9, 0.5)
    }
    write_board(quiet, CLOCK, tmp_path)
    done("sync.pulses", tmp_path)
    (order,) = orders("task.passive", tmp_path, {})
    assert "0 were seen on the screen" in (run(order, tmp_path, tmp_path / "o").error or "")


def test_a_passive_protocol_has_a_task_where_a_board_saw_it() -> None:
    raw = ["raw_task_data_01/_iblrig_taskSettings.raw.json"]
    board = ["raw_ephys_data/x_g0_t0.nidq.bin", "raw_ephys_data/x_g0_t0.nidq.meta"]
    told = {"tasks": [{"passiveChoiceWorld": {"collection": "raw_task_data_01"}}]}
    (task,) = [one for one in plan(EID, [*raw, *board], told) if one.name == "task.passive"]
    assert task.arguments["output_collection"] == "alf/task_01"
    assert not any(one.name == "task.passive" for one in plan(EID, raw, told))
    assert any("passiveChoiceWorld" in text for text in unprocessed(raw, told))
