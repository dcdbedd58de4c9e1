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
from shared.science.behaviour.pregenerated import SEQUENCES
from shared.science.behaviour.replayed import replay_of
from shared.science.clocks.spacers import RISES, WIDTH
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


@pytest.mark.parametrize("rig", ["6.4.2", "8.10.0", "8.27.0"])
def test_habituation_is_on_the_main_clock(tmp_path: Path, rig: str) -> None:
    """Given a board that saw habituation, then its times are the board's, of the same trials."""
    date = datetime.date(2024, 1, 8)
    about = {"seed": 1, "subject": "SYN_001", "date": date, "n_trials": 12, "rig": rig}
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
    # A trial ends no earlier than the board saw its stimulus go
    ends, gone = (np.load(session / f"alf/_ibl_trials.{name}.npy").T for name in (
        "intervals", "stimOff_times"))  # fmt: skip
    assert np.all(ends[1] >= gone)
    by_bpod = CLOCK.read(np.load(alone / "alf/_ibl_trials.intervals.npy").T[1])
    assert np.any(gone > by_bpod)


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


def replayed(
    folder: Path, collection: str = "raw_behavior_data", **settings: object
) -> dict[str, np.ndarray]:
    """Write a passive session; return what was shown and played, s.

    In ``raw_task_data_01`` it comes after a protocol that ends at 1 s, and before another.
    """
    rng = np.random.default_rng(1)
    raw = folder / collection
    raw.mkdir(parents=True)
    told = {"PYBPOD_PROTOCOL": "_iblrig_tasks_passiveChoiceWorld", "IBLRIG_VERSION": "8.29.0"}
    told |= settings
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
    state_machine = [valve, valve + 0.12]
    if told.get("SKIP_EVENT_REPLAY"):
        screen, state_machine = screen[screen < gratings[0]], []
        tones, bursts = np.empty(0), np.empty(0)
    if collection != "raw_behavior_data":
        # it begins at 1 s, on a board that was started 7 s before
        state_machine += [begin + RISES + edge for begin in (-6, 0.4, 140) for edge in (0, WIDTH)]
        state_machine += [np.array([-1.0, -0.9, 148, 148.1])]
    changes = {name: np.empty(0) for name in (*WIRES, "bpod")} | {
        "frame2ttl": screen,
        "audio": np.sort(np.concatenate([tones, tones + 0.1, bursts, bursts + 0.5])),
        "bpod": np.sort(np.concatenate([*state_machine, []])),
        "imec_sync": np.arange(0.5, 150, 0.5),
    }
    lines = {name: CLOCK.read(times) for name, times in changes.items()}
    write_board(lines, CLOCK, folder)
    return {"screen": screen, "gratings": gratings, "tones": tones, "valve": valve,
            "bursts": bursts, "frames": frames, "start": np.array([first])}  # fmt: skip


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


def test_a_passive_protocol_without_replay_ends_where_the_next_one_begins(tmp_path: Path) -> None:
    """Given that it gave no pulse of its own, then it is told from its neighbours all the same."""
    truth = replayed(tmp_path, "raw_task_data_01", SKIP_EVENT_REPLAY=True)
    done("sync.pulses", tmp_path)
    given = {"collection": "raw_task_data_01", "output_collection": "alf/task_01"}
    (order,) = orders("task.passive", tmp_path, given)
    result = run(order, tmp_path, tmp_path)
    assert result.status == Status.COMPLETE.label, result.error
    folder = tmp_path / "alf/task_01"
    periods = pd.read_csv(folder / "_ibl_passivePeriods.intervalsTable.csv", index_col=0)
    begins = CLOCK.read(truth["start"])[0] - 4
    assert periods["passiveProtocol"]["start"] == pytest.approx(begins, abs=2e-3)
    assert periods["passiveProtocol"]["stop"] == pytest.approx(
        CLOCK.read(np.array(140.0)), abs=2e-3
    )
    assert periods["taskReplay"].isna().all()
    assert not (folder / "_ibl_passiveStims.table.csv").exists()
    assert (folder / "_ibl_passiveRFM.times.npy").exists()


def test_noise_that_was_cut_short_costs_its_own_times_only(tmp_path: Path) -> None:
    replayed(tmp_path)
    path = tmp_path / "raw_behavior_data/_iblrig_RFMapStim.raw.bin"
    path.write_bytes(path.read_bytes()[:-7])
    done("sync.pulses", tmp_path)
    done("task.passive", tmp_path)
    made = {each.name for each in (tmp_path / "alf").iterdir()}
    assert "_ibl_passiveRFM.times.npy" not in made
    assert {"_ibl_passiveGabor.table.csv", "_ibl_passiveStims.table.csv"} <= made


def sequences(folder: Path) -> Path:
    """Write sequence 0 of rigs before version 8, and another in the table of later ones."""
    folder.mkdir()
    kinds = np.array(list("G" + "GT" * 8 + "GN" * 6 + "GV" * 6))
    looks = np.column_stack([np.arange(21.0), np.linspace(0, 1, 21), np.zeros(21)])
    np.save(folder / "session_0_passive_stimIDs.npy", kinds)
    np.save(folder / "session_0_passive_pcs.npy", looks)
    table = pd.DataFrame({"session_id": 0, "stim_type": kinds, "stim_phase": np.nan})
    for i, name in enumerate(("position", "contrast", "stim_phase")):
        table.loc[table["stim_type"] == "G", name] = 100 + looks[:, i]
    table.to_parquet(folder / "passiveChoiceWorld_trials_fixtures.pqt")
    return folder


@pytest.mark.parametrize(("version", "more"), [("7.2.2", 0), ("8.29.0", 100), ("", 0)])
def test_gratings_look_as_the_sequence_of_the_rig_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, more: int
) -> None:
    """Given that the first one was blank, then each looks as the one before it should have."""
    monkeypatch.setenv(SEQUENCES, str(sequences(tmp_path / "sequences")))
    session = tmp_path / "session"
    replayed(session, IBLRIG_VERSION=version, SESSION_TEMPLATE_ID=0)
    done("sync.pulses", session)
    done("task.passive", session)
    gabors = pd.read_csv(session / "alf/_ibl_passiveGabor.table.csv", index_col=0)
    np.testing.assert_allclose(gabors["position"], more + np.arange(20))
    np.testing.assert_allclose(gabors["contrast"], more + np.linspace(0, 1, 21)[:20])


def test_what_came_in_another_order_than_the_sequence_has_no_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sequences(tmp_path / "sequences")
    kinds = np.array(list("G" + "GV" * 6 + "GN" * 6 + "GT" * 8))
    np.save(folder / "session_0_passive_stimIDs.npy", kinds)
    monkeypatch.setenv(SEQUENCES, str(folder))
    session = tmp_path / "session"
    replayed(session, IBLRIG_VERSION="7.2.2", PREGENERATED_SESSION_NUM="0")
    done("sync.pulses", session)
    done("task.passive", session)
    gabors = pd.read_csv(session / "alf/_ibl_passiveGabor.table.csv", index_col=0)
    assert gabors["start"].notna().all()
    assert gabors["position"].isna().all()


def test_rigs_that_played_a_tone_instead_of_noise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SEQUENCES, str(sequences(tmp_path / "sequences")))
    told = {"SESSION_TEMPLATE_ID": 0, "NUM_STIM_PRESENTATIONS": 50}
    replay = replay_of(told, (8, 12, 0))
    assert replay is not None
    # a longer protocol begins the sequence again
    assert (replay.kinds.size, replay.count("N"), replay.count("T")) == (50, 0, 18)
    later = replay_of(told, (8, 28, 0))
    assert later is not None
    assert later.count("N") == 6


def test_long_pulses_beside_the_sounds_of_some_rigs_are_left_out(tmp_path: Path) -> None:
    """Given rig 6.4.2, which recorded longer pulses, too, then valve and sounds are there."""
    truth = replayed(tmp_path, IBLRIG_VERSION="6.4.2")
    extra = truth["gratings"][-1] + 3
    changes = {name: np.empty(0) for name in (*WIRES, "bpod")} | {
        "frame2ttl": truth["screen"],
        "audio": np.sort(np.concatenate([truth["tones"], truth["tones"] + 0.1,
                                         [extra, extra + 1.5]])),
        "imec_sync": np.arange(0.5, 150, 0.5),
    }  # fmt: skip
    write_board({name: CLOCK.read(times) for name, times in changes.items()}, CLOCK, tmp_path)
    done("sync.pulses", tmp_path)
    done("task.passive", tmp_path)
    stims = pd.read_csv(tmp_path / "alf/_ibl_passiveStims.table.csv", index_col=0)
    assert stims["toneOn"].notna().sum() == 8
    assert stims["noiseOn"].isna().all()


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
    # Rigs before version 8 have a folder for it, and sessions no description
    own = ["raw_passive_data/_iblrig_taskSettings.raw.json"]
    task_data = ["raw_behavior_data/_iblrig_taskData.raw.jsonable"]
    for protocol in ("_iblrig_tasks_ephysChoiceWorld6.4.2", "ephysChoiceWorld/passiveChoiceWorld"):
        planned = plan(EID, [*task_data, *own, *board], None, protocol)
        (task,) = (one for one in planned if one.name == "task.passive")
        assert task.arguments["collection"] == "raw_passive_data"
        assert task.arguments["output_collection"] == "alf"
        (trials,) = (one for one in planned if one.name == "task.trials_nidq")
        assert trials.arguments["collection"] == "raw_behavior_data"
    assert any("passiveChoiceWorld" in text for text in unprocessed(raw, told))
