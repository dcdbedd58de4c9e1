"""The quality of a session's trials: each check by itself, and what the reference gives.

The golden numbers are ibllib 4.1.0's of the same real session (`make reference` compares all).
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab.simulate.habituation import simulate_habituation
from lab.simulate.session import simulate_session
from lab.tasks import behaviour
from shared.model.quality import QC
from shared.science.behaviour.habituation import compute_habituation
from shared.science.behaviour.quality import Quality, quality_of, quality_of_habituation
from shared.science.behaviour.raw_task import RawTask, read_task
from shared.science.behaviour.trials import Extraction, compute_trials, extract
from shared.science.errors import RawFileInvalid, TaskUnsupported, TrialInvalid

REAL = "rig_sessions/training_rig5.0.0"
NAN = float("nan")


def judge(found: Extraction) -> Quality:
    return quality_of(found.task, found.trials, found.wheel, found.first_movements)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Extraction:
    """Sixty trials of a rig 8, without any fault."""
    made = simulate_session(
        tmp_path_factory.mktemp("rig"),
        seed=1, subject="SYN_001", date=date(2024, 1, 1), rig_version=8, n_trials=60,
        performance=0.8,
    )  # fmt: skip
    return extract(made.session)


def test_a_real_session_is_judged_as_by_the_reference(shared_data: Path) -> None:
    quality = judge(extract(shared_data / REAL))
    golden = json.loads((Path(__file__).parent / "quality_rig5.0.0.json").read_text())
    assert quality.outcome == golden["outcome"]
    assert quality.outcomes == {k.removeprefix("_task_"): v for k, v in golden["outcomes"].items()}
    for name, share in golden["shares"].items():
        assert quality.shares[name.removeprefix("_task_")] == pytest.approx(share, rel=1e-12), name


def test_a_session_without_faults_passes_what_can_pass(session: Extraction) -> None:
    quality = judge(session)
    told = {name: share for name, share in quality.shares.items() if share is not None}
    assert len(quality.shares) == 27
    assert told["correct_trial_event_sequence"] == told["error_trial_event_sequence"] == 1
    assert told["wheel_integrity"] == told["reward_volumes"] == told["reward_volume_set"] == 1
    assert told["audio_pre_trial"] == told["stimulus_move_before_goCue"] == 1


def changed(session: Extraction, name: str, values: np.ndarray) -> Extraction:
    return replace(session, trials={**session.trials, name: values})


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("stimOn_times", "stimOn_delays"),
        ("stimOff_times", "stimOff_delays"),
        ("goCue_times", "goCue_delays"),
        ("feedback_times", "trial_length"),
        ("goCueTrigger_times", "n_trial_events"),
    ],
)
def test_a_missing_time_fails_the_check_that_needs_it(
    session: Extraction, name: str, check: str
) -> None:
    # Given the time missing in a quarter of the trials
    values = session.trials[name].copy()
    values[::4] = NAN
    before, after = (
        judge(session).shares[check],
        judge(changed(session, name, values)).shares[check],
    )
    # Then just these fail, where they passed
    assert before is not None
    assert after is not None
    assert after <= 0.75 <= before


@pytest.mark.parametrize(
    ("late", "passes"), [(0.1501, False), (0.1499, True), (0.0, False), (-0.01, False)]
)
def test_a_delay_is_judged_by_its_limits(session: Extraction, late: float, passes: bool) -> None:
    on = session.trials["stimOnTrigger_times"] + late
    assert judge(changed(session, "stimOn_times", on)).shares["stimOn_delays"] == float(passes)


def test_a_reward_of_another_volume_is_told(session: Extraction) -> None:
    reward = session.trials["rewardVolume"].copy()
    reward[np.flatnonzero(reward)[0]] = 9.0
    quality = judge(changed(session, "rewardVolume", reward))
    assert quality.shares["reward_volume_set"] == 0
    assert quality.shares["reward_volumes"] == pytest.approx(59 / 60)
    assert quality.outcomes["reward_volume_set"] == quality.outcome == QC["FAIL"]


def test_without_the_wheel_its_checks_say_nothing_and_the_others_are_judged(
    session: Extraction,
) -> None:
    quality = judge(replace(session, wheel=None, first_movements=None))
    silent = {name for name, share in quality.shares.items() if share is None}
    assert silent == {
        *("detected_wheel_moves", "wheel_freeze_during_quiescence", "wheel_integrity"),
        *("wheel_move_before_feedback", "wheel_move_during_closed_loop"),
        "wheel_move_during_closed_loop_bpod",
    }
    assert all(quality.outcomes[name] == QC["NOT_SET"] for name in silent)


@pytest.mark.parametrize(
    ("settings", "check", "outcome"),
    [
        ({"IBLRIG_VERSION": "7.2.2"}, "passed_trial_checks", "NOT_SET"),
        ({"IBLRIG_VERSION": "8.27.0"}, "passed_trial_checks", "WARNING"),
        ({"STIM_GAIN": None}, "wheel_move_during_closed_loop", "NOT_SET"),
        ({"STIM_GAIN": "much"}, "wheel_move_during_closed_loop", "NOT_SET"),
        ({"device_sound": "xonar"}, "goCue_delays", "PASS"),
        ({"QUIESCENT_PERIOD": [0.2] * 60}, "detected_wheel_moves", "PASS"),
        ({"QUIESCENT_PERIOD": "?"}, "detected_wheel_moves", "PASS"),
    ],
)
def test_settings_that_are_missing_or_strange_are_no_failure(
    session: Extraction, settings: dict[str, Any], check: str, outcome: str
) -> None:
    task = RawTask(session.task.trials, {**session.task.settings, **settings})
    faulty = session.trials["stimOn_times"].copy()
    faulty[: len(faulty) // 2] = NAN
    quality = judge(replace(changed(session, "stimOn_times", faulty), task=task))
    assert quality.outcomes[check] == QC[outcome]


@pytest.mark.parametrize(
    ("settings", "outcome"),
    [
        ({"SOUND_SAMPLE_FREQ": 192000}, "PASS"),
        ({"SOUND_SAMPLE_FREQ": 96000}, "WARNING"),
        ({"SOUND_SAMPLE_FREQ": 96000, "SD": "sounddevice"}, "PASS"),
        ({"SOUND_SAMPLE_FREQ": 192000, "device_sound": {"OUTPUT": "harp"}}, "WARNING"),
        ({"SOUND_SAMPLE_FREQ": "much"}, "PASS"),
    ],
)
def test_a_rig_that_names_no_sound_card_is_known_by_the_rate_of_its_sounds(
    session: Extraction, settings: dict[str, Any], outcome: str
) -> None:
    """Given sounds 5 ms after their command, then a HARP card is late and others are not."""
    own = ("device_sound", "SD", "SOUND_SAMPLE_FREQ")
    told = {name: value for name, value in session.task.settings.items() if name not in own}
    task = RawTask(session.task.trials, {**told, **settings})
    late = session.trials["goCueTrigger_times"] + 0.005
    quality = judge(replace(changed(session, "goCue_times", late), task=task))
    assert quality.outcomes["goCue_delays"] == QC[outcome]


def test_the_quality_is_told_as_alyx_keeps_it(tmp_path: Path, shared_data: Path) -> None:
    # Given a session with two protocols, by the task's own way
    shutil.copytree(shared_data / REAL / "raw_behavior_data", tmp_path / "raw_task_data_01")
    arguments = {"collection": "raw_task_data_01", "output_collection": "alf/task_01"}
    outputs = behaviour.trials(tmp_path, tmp_path / "out", arguments)
    # Then its checks are under the protocol's own name
    assert outputs.facts is not None
    told = outputs.facts.extended_qc
    assert told["task_01"] in QC
    assert {name for name in told if not name.startswith("_task_01_")} == {"task_01"}
    assert len(told) == 28


def test_a_quality_that_cannot_be_judged_fails_no_task(
    tmp_path: Path, shared_data: Path, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    def fails(*_: Any) -> Quality:
        raise ZeroDivisionError

    monkeypatch.setattr("shared.science.behaviour.quality.quality_of", fails)
    arguments = {"collection": "raw_behavior_data", "output_collection": "alf"}
    outputs = behaviour.trials(shared_data / REAL, tmp_path, arguments)
    assert outputs.facts is not None
    assert (outputs.facts.n_trials, outputs.facts.extended_qc) == (12, {})
    assert "was not judged" in caplog.text


# ---- habituation


@pytest.mark.parametrize("rig", ["5.0.0", "8.10.0", "8.27.0"])
def test_habituation_is_extracted_whatever_its_states_are_called(tmp_path: Path, rig: str) -> None:
    # Given twelve trials of a rig
    made = simulate_habituation(
        tmp_path, seed=3, subject="M", date=date(2024, 1, 1), rig=rig, n_trials=12
    )
    task = read_task(made)
    trials = compute_habituation(task)
    # Then the last, whose end the next would say, is left out
    assert {len(values) for values in trials.values()} == {11}
    grey, stim = task.state("iti" if rig == "8.27.0" else "trial_start"), task.state("stim_on")
    assert np.array_equal(trials["intervals"][:, 0], grey[:-1, 1])
    assert np.array_equal(trials["stimOnTrigger_times"], stim[:-1, 0])
    assert np.array_equal(trials["stimOffTrigger_times"], grey[1:, 0])
    # and a stimulus goes off in the grey screen of the next trial
    flips = task.events("BNC1")
    assert np.array_equal(trials["stimOff_times"], [flip[0] for flip in flips[1:]])
    assert np.array_equal(trials["intervals"][:, 1], trials["stimOff_times"])
    assert np.array_equal(trials["stimCenter_times"], [flip[2] for flip in flips[:-1]])
    assert np.isnan(trials["contrastLeft"]).sum() + np.isnan(trials["contrastRight"]).sum() == 11
    quality = quality_of_habituation(task, trials)
    assert quality.shares["trial_event_sequence"] == quality.shares["stimCenter_delays"] == 1
    assert quality.shares["phase_distribution"] is None
    assert quality.outcomes["reward_volumes"] == QC["PASS"]


def test_a_flip_that_was_missed_leaves_unknown_what_cannot_be_told(tmp_path: Path) -> None:
    made = simulate_habituation(tmp_path, seed=3, subject="M", date=date(2024, 1, 1), n_trials=4)
    task = read_task(made)
    # Given a trial whose first flip, the going off of the stimulus before it, was missed
    events = task.trials[1]["behavior_data"]["Events timestamps"]
    events["BNC1High"] = events["BNC1High"][1:]
    trials = compute_habituation(task)
    assert np.isnan(trials["stimOff_times"]).tolist() == [True, False, False]
    assert np.isnan(trials["stimOn_times"]).tolist() == [False, True, False]
    # That the stimulus was in the centre can be told: one flip came after the command.
    assert not np.isnan(trials["stimCenter_times"]).any()
    # Without the flip a trial ends with the grey screen.
    assert trials["intervals"][0, 1] == trials["stimOffTrigger_times"][0]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"IBLRIG_VERSION": "4.3.0"}, TaskUnsupported, "before 5.0.0"),
        ({"PYBPOD_PROTOCOL": "_iblrig_tasks_biasedChoiceWorld"}, TaskUnsupported, "task.trials"),
    ],
)
def test_what_is_no_habituation_to_extract_is_told(
    tmp_path: Path, change: dict[str, str], error: type[Exception], says: str
) -> None:
    made = simulate_habituation(tmp_path, seed=3, subject="M", date=date(2024, 1, 1), n_trials=3)
    task = read_task(made)
    with pytest.raises(error, match=says):
        compute_habituation(RawTask(task.trials, {**task.settings, **change}))


def test_one_trial_or_a_lost_state_is_refused_with_the_reason(tmp_path: Path) -> None:
    made = simulate_habituation(tmp_path, seed=3, subject="M", date=date(2024, 1, 1), n_trials=3)
    task = read_task(made)
    with pytest.raises(RawFileInvalid, match="one trial"):
        compute_habituation(RawTask(task.trials[:1], task.settings))
    del task.trials[1]["behavior_data"]["States timestamps"]["iti"]
    with pytest.raises(TrialInvalid, match="trial 2: the state 'iti' is not there"):
        compute_habituation(task)


# ---- opto


@pytest.mark.parametrize(
    ("written", "settings", "expected"),
    [
        ([{}, {}], {}, {}),
        (
            [{"laser_stimulation": True, "laser_probability": 0.25}, {"laser_stimulation": 0}],
            {},
            {"laserStimulation": [1, 0], "laserProbability": [0.25, NAN]},
        ),
        (
            [{"opto_ON_time": 1.5}, {"opto_ON_time": None}],
            {"PROBABILITY_OPTO": 0.5},
            {"laserStimulation": [1, 0], "laserProbability": [0.5, 0.5]},
        ),
        (
            [{"optoOUT": 255}, {"optoOUT": 0}],
            {"PROBABILITY_OPTO": 0.5},
            {"laserStimulation": [1, 0], "laserProbability": [0.5, 0.5]},
        ),
    ],
)
def test_a_laser_is_there_where_a_rig_writes_it(
    session: Extraction,
    written: list[dict[str, Any]],
    settings: dict[str, Any],
    expected: dict[str, list[float]],
) -> None:
    # Given two trials with what rigs of some kind write of the laser
    trials = [{**one, **more} for one, more in zip(session.task.trials[:2], written, strict=True)]
    found = compute_trials(RawTask(trials, {**session.task.settings, **settings}))
    lasers = {name: values.tolist() for name, values in found.items() if "laser" in name}
    assert lasers.keys() == expected.keys()
    for name, values in expected.items():
        assert np.array_equal(lasers[name], values, equal_nan=True)
