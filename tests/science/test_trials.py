"""Trials from raw rig data: real sessions against their golden files, and each rule by itself."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.science.behaviour.raw_settings import NEWEST, rig_version
from shared.science.behaviour.raw_task import RawTask, read_task, read_task_data
from shared.science.behaviour.trials import (
    TABLE_COLUMNS,
    compute_trials,
    extract_trials,
    save,
    trials_table,
)
from shared.science.behaviour.wheel import extract_wheel
from shared.science.errors import (
    ExtractionError,
    RawFileInvalid,
    RawFileMissing,
    TaskUnsupported,
    TrialInvalid,
)

NAN = float("nan")
TRAINING, BIASED = "_iblrig_tasks_trainingChoiceWorld", "_iblrig_tasks_biasedChoiceWorld"


def trial(outcome: str = "correct", **changes: Any) -> dict[str, Any]:
    """One trial that starts at 10 s, Bpod having started at 2 s; states as a rig 7 has them."""
    visited = {
        "trial_start": (0.0, 0.1),
        "stim_on": (0.6, 0.7),
        "play_tone": (0.8, 0.81),
        "closed_loop": (0.9, 1.5),
        "exit_state": (4.0, 4.5),
        "no_go": (NAN, NAN),
        "error": (NAN, NAN),
        "correct": (NAN, NAN),
        "reward": (NAN, NAN),
        "freeze_reward": (NAN, NAN),
        "freeze_error": (NAN, NAN),
        "hide_stim": (3.6, 3.7),
    }
    freeze = {"correct": "freeze_reward", "error": "freeze_error"}.get(outcome)
    visited[outcome] = (1.6, 3.6)
    if outcome == "correct":
        visited["reward"] = (1.55, 1.6)
    if freeze:
        visited[freeze] = (1.5, 1.55)
    values = {
        "position": 35,
        "contrast": 0.25,
        "reward_amount": 1.5,
        "trial_correct": outcome == "correct",
        "stim_probability_left": 0.5,
        "quiescent_period": 0.4,
        "events": {"BNC1High": [0.65, 3.66], "BNC1Low": [1.52], "BNC2High": [0.82, 1.58]},
    }
    values |= {k: v for k, v in changes.items() if k != "states"}
    visited |= changes.get("states", {})
    events = values.pop("events")
    return values | {
        "behavior_data": {
            "Bpod start timestamp": 2.0,
            "Trial start timestamp": 10.0,
            "Trial end timestamp": 14.5,
            "States timestamps": {name: [list(times)] for name, times in visited.items()},
            "Events timestamps": events,
        }
    }


def later(one: dict[str, Any], seconds: float = 10.0) -> dict[str, Any]:
    """The same trial, some seconds later."""
    raw = one["behavior_data"]
    moved = {
        f"Trial {end} timestamp": raw[f"Trial {end} timestamp"] + seconds
        for end in ("start", "end")
    }
    return one | {"behavior_data": raw | moved}


def compute(*trials: dict[str, Any], version: str = "7.0.0", **settings: Any) -> dict[str, Any]:
    """The attributes of trials on a rig of this version."""
    defaults = {"IBLRIG_VERSION_TAG": version, "PYBPOD_PROTOCOL": BIASED}
    return compute_trials(RawTask(trials, defaults | settings))


def test_a_real_rig_5_session_equals_its_golden_files(shared_data: Path, tmp_path: Path) -> None:
    session = shared_data / "rig_sessions" / "training_rig5.0.0"
    saved = save(extract_trials(session), tmp_path / "alf")
    golden = {p.name for p in (session / "alf").iterdir() if "trials" in p.name}
    assert {p.name for p in saved} == {p.name for p in (tmp_path / "alf").iterdir()} == golden
    for path in saved:
        if path.suffix == ".npy":
            found, expected = np.load(path), np.load(session / "alf" / path.name)
            assert found.dtype == expected.dtype
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
        else:
            table, expected = pd.read_parquet(path), pd.read_parquet(session / "alf" / path.name)
            assert tuple(table.columns) == TABLE_COLUMNS
            pd.testing.assert_frame_equal(table, expected, rtol=0, atol=1e-9)


def test_trials_come_out_where_the_wheel_is_truncated(
    shared_data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    session = shared_data / "rig_sessions" / "training_rig4_truncated"
    with caplog.at_level(logging.WARNING):
        outputs = extract_trials(session)
    table = outputs["_ibl_trials.table.pqt"]
    assert list(table["choice"]) == [-1, -1, -1, 0]
    assert list(table["feedbackType"]) == [1, -1, -1, -1]
    assert table["firstMovement_times"].isna().all()
    assert "truncated, corrupt or not of this session" in caplog.text
    # Before rig 5 the go tone starts with the closed loop, and feedback is a state.
    np.testing.assert_allclose(
        outputs["_ibl_trials.goCueTrigger_times.npy"], [0.5748, 698.6309, 1327.4718, 1496.0446]
    )
    np.testing.assert_allclose(table["feedback_times"], table["response_times"])


def test_real_rig_8_task_data_is_read(shared_data: Path) -> None:
    trials = read_task_data(shared_data / "rig_sessions" / "rig8_taskData.jsonable")
    task = RawTask(trials, {"IBLRIG_VERSION": "8.27.0", "PYBPOD_PROTOCOL": BIASED})
    out = compute_trials(task)
    table = trials_table(out)
    assert len(table) == len(trials)
    assert (table["intervals_0"] < table["response_times"]).all()
    assert (out["stimOnTrigger_times"] < out["goCueTrigger_times"]).all()
    contrast = table["contrastLeft"].fillna(table["contrastRight"])
    assert list(contrast) == [t["contrast"] for t in trials]


def test_times_are_seconds_from_the_start_of_the_state_machine() -> None:
    out = compute(trial())
    assert out["intervals"].tolist() == [[8.0, 12.5]]
    assert out["stimOnTrigger_times"] == pytest.approx([8.6])
    assert out["goCueTrigger_times"] == pytest.approx([8.8])
    assert out["goCue_times"] == pytest.approx([8.82])
    assert out["response_times"] == pytest.approx([9.5])


@pytest.mark.parametrize(
    ("outcome", "position", "choice", "feedback"),
    [
        ("correct", 35, -1, 1),
        ("correct", -35, 1, 1),
        ("error", 35, 1, -1),
        ("error", -35, -1, -1),
        ("no_go", 35, 0, -1),
        ("omit_correct", 35, 1, 0),
        ("omit_nogo", -35, -1, 0),
    ],
)
def test_choice_and_feedback(outcome: str, position: int, choice: int, feedback: int) -> None:
    out = compute(trial(outcome, position=position))
    assert out["choice"].tolist() == [choice]
    assert out["feedbackType"].tolist() == [feedback]
    assert out["rewardVolume"].tolist() == [1.5 if outcome == "correct" else 0.0]


def test_the_contrast_is_on_the_side_of_the_stimulus_in_either_format() -> None:
    old = {"type": "AdaptiveContrast", "value": 0.5}
    out = compute(trial(position=-35), trial(contrast=old), trial(contrast=1))
    np.testing.assert_equal(out["contrastLeft"], [0.25, NAN, NAN])
    np.testing.assert_equal(out["contrastRight"], [NAN, 0.5, 1.0])


@pytest.mark.parametrize(
    ("version", "state"),
    [("4.3.0", "trial_start"), ("5.1.0", "exit_state"), ("6.2.5", "hide_stim")],
)
def test_the_stimulus_goes_off_in_the_state_of_the_rig_version(version: str, state: str) -> None:
    out = compute(trial(), version=version)
    expected = trial()["behavior_data"]["States timestamps"][state][0][0]
    assert out["stimOffTrigger_times"] == pytest.approx([8.0 + expected])


def test_a_trial_without_response_has_its_stimulus_off_at_no_go() -> None:
    states = {"hide_stim": (NAN, NAN), "no_go": (1.6, 3.6)}
    out = compute(trial("no_go", states=states))
    assert out["stimOffTrigger_times"] == pytest.approx([9.6])
    assert out["stimOff_times"] == pytest.approx([11.66])
    assert np.isnan(out["stimFreezeTrigger_times"]).all()
    assert np.isnan(out["stimOn_times"]).all()


def test_the_stimulus_is_on_at_the_first_flip_before_the_next_trigger() -> None:
    late = {"BNC1High": [1.52, 3.66], "BNC2High": [0.82]}
    assert compute(trial())["stimOn_times"] == pytest.approx([8.65])
    # From 6.2.5 on the next trigger is the freeze at 1.5, before that stimulus off at 4.0.
    assert np.isnan(compute(trial(events=late))["stimOn_times"]).all()
    assert compute(trial(events=late), version="6.2.4")["stimOn_times"] == pytest.approx([9.52])


def test_the_go_cue_is_found_by_its_end_where_its_start_was_missed() -> None:
    low = trial(events={"BNC2Low": [0.95]})
    silent = trial(events={})
    np.testing.assert_allclose(compute(low, silent)["goCue_times"], [8.85, NAN])


def test_feedback_is_water_or_the_last_of_two_sounds() -> None:
    twice = {"BNC2High": [0.82, 1.58, 1.585]}  # a sound card that sends each pulse twice
    only_tone = {"BNC2High": [0.82, 0.825]}
    out = compute(
        trial(),
        trial("error"),
        trial("error", events=twice),
        trial("error", events=only_tone),
        trial("error", events={}),
    )
    np.testing.assert_allclose(out["feedback_times"], [9.55, 9.58, 9.58, NAN, NAN])


def test_repeats_are_counted_in_training_and_disengagement_otherwise() -> None:
    repeat = {"type": "RepeatContrast", "value": 0.5}
    old = [trial(contrast=c) for c in (1.0, repeat, repeat, 1.0, repeat)]
    out = compute(*old, PYBPOD_PROTOCOL=TRAINING)
    assert out["repNum"].tolist() == [0, 1, 2, 0, 1]
    assert "included" not in out
    new = [trial(debias_trial=d) for d in (False, True, True, False)]
    assert compute(*new, PYBPOD_PROTOCOL=TRAINING)["repNum"].tolist() == [0, 1, 2, 0]

    settings = {"SUBJECT_DISENGAGED_TRIGGERED": True, "SUBJECT_DISENGAGED_TRIALNUM": 3}
    out = compute(*old, **settings)
    assert out["included"].tolist() == [True, True, False, False, False]
    assert "repNum" not in out
    assert compute(*old, version="4.0.0", **settings)["included"].all()
    assert compute(*old)["included"].all()


@pytest.mark.parametrize("outcomes", [(), ("correct", "error")])
def test_a_trial_needs_exactly_one_outcome(outcomes: tuple[str, ...]) -> None:
    states = dict.fromkeys(("correct", "error", "no_go"), (NAN, NAN))
    broken = trial(states=states | dict.fromkeys(outcomes, (1.6, 3.6)))
    with pytest.raises(TrialInvalid, match="trial 2: one outcome expected"):
        compute(trial(), broken)


def test_a_value_that_is_missing_is_named() -> None:
    broken = trial()
    del broken["quiescent_period"]
    with pytest.raises(TrialInvalid, match="quiescent_period"):
        compute(broken)


@pytest.mark.parametrize(
    ("settings", "version"),
    [
        ({"IBLRIG_VERSION": "8.27.3"}, (8, 27, 3)),
        ({"IBLRIG_VERSION_TAG": "6.4.2"}, (6, 4, 2)),
        ({"IBLRIG_VERSION": "7.2.1", "IBLRIG_VERSION_TAG": "6.0.0"}, (7, 2, 1)),
        ({"IBLRIG_VERSION": "", "IBLRIG_VERSION_TAG": "v5.0"}, (5, 0, 0)),
        ({"IBLRIG_VERSION": "8.2.1-dev+dirty"}, (8, 2, 0)),  # before 8.2.1
        ({"IBLRIG_VERSION": "8.28.0rc2"}, (8, 28, -1)),
        ({"IBLRIG_VERSION": "6.2.5.post1"}, (6, 2, 5)),
        ({"IBLRIG_VERSION": "6.2.5-experiment"}, (6, 2, 5)),
        ({"IBLRIG_VERSION": None}, NEWEST),
        ({"IBLRIG_VERSION": "unknown"}, NEWEST),
        ({}, NEWEST),
    ],
)
def test_versions_are_read_in_every_style(
    settings: dict[str, Any], version: tuple[int, int, int]
) -> None:
    assert rig_version(settings) == version


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """All paths to a value within nested objects and lists."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, item in inner:
        found.append((*path, key))
        if isinstance(item, (dict, list)):
            found += places(item, (*path, key))
    return found


@given(
    place=st.sampled_from(places(trial())),
    junk=st.sampled_from([None, "x", [], {}, [[]], -1, NAN, 1e300, True, [None, None], 2**80]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_a_trial_with_anything_in_place_of_a_value_is_extracted_or_refused(
    tmp_path: Path, place: tuple[Any, ...], junk: Any
) -> None:
    broken = trial()
    inner: Any = broken
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = junk
    path = tmp_path / "_iblrig_taskData.raw.jsonable"
    path.write_text(json.dumps(broken) + "\n" + json.dumps(later(trial())) + "\n")
    try:
        task = RawTask(read_task_data(path), {"PYBPOD_PROTOCOL": BIASED})
        table = trials_table(compute_trials(task))
    except ExtractionError as refused:
        assert refused.fix  # noqa: PT017
    else:
        assert len(table) == 2


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """A session of three trials without a wheel."""
    raw = tmp_path / "raw_task_data_00"
    raw.mkdir()
    lines = [json.dumps(trial(o)) for o in ("correct", "error", "no_go")]
    (raw / "_iblrig_taskData.raw.jsonable").write_text("\n".join(lines) + "\n")
    settings = {"IBLRIG_VERSION": "8.27.0", "PYBPOD_PROTOCOL": BIASED}
    (raw / "_iblrig_taskSettings.raw.json").write_text(json.dumps(settings))
    return tmp_path


def test_a_session_is_read_from_any_collection(session: Path) -> None:
    assert len(extract_trials(session)["_ibl_trials.table.pqt"]) == 3
    shutil.move(session / "raw_task_data_00", session / "raw_behavior_data")
    assert len(extract_trials(session)["_ibl_trials.table.pqt"]) == 3
    with pytest.raises(RawFileMissing, match="raw_task_data_01"):
        extract_trials(session, "raw_task_data_01")


def test_missing_settings_are_named(session: Path) -> None:
    (session / "raw_task_data_00" / "_iblrig_taskSettings.raw.json").unlink()
    with pytest.raises(RawFileMissing, match="_iblrig_taskSettings"):
        extract_trials(session)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no trials"),
        ('{"behavior_data": {}}\n', "line 1 has no number as 'Bpod start timestamp'"),
        ("[1]\n", "line 1 has no behavior_data"),
        (json.dumps(trial())[:200] + "\n" + json.dumps(trial()), "line 1 is not JSON"),
        (json.dumps(trial())[:200], "line 1 is not JSON"),
        ("\x00\x00\n", "line 1 is not JSON"),
    ],
)
def test_broken_task_data_is_refused_with_its_line(
    session: Path, content: str, message: str
) -> None:
    (session / "raw_task_data_00" / "_iblrig_taskData.raw.jsonable").write_text(content)
    with pytest.raises(RawFileInvalid, match=message):
        extract_trials(session)


def test_habituation_is_not_taken_for_the_decision_task(session: Path) -> None:
    path = session / "raw_task_data_00" / "_iblrig_taskSettings.raw.json"
    path.write_text(json.dumps({"PYBPOD_PROTOCOL": "_iblrig_tasks_habituationChoiceWorld"}))
    with pytest.raises(TaskUnsupported, match="habituation has no choices"):
        extract_trials(session)


def written(session: Path, *lines: str) -> Path:
    """Write task data into a session and return it."""
    text = "".join(line + "\n" for line in lines)
    (session / "raw_task_data_00" / "_iblrig_taskData.raw.jsonable").write_text(text)
    return session


def numbered(count: int) -> list[dict[str, Any]]:
    """Trials one after the other, numbered from 1."""
    return [later(trial(trial_num=i + 1), 10.0 * i) for i in range(count)]


def test_a_torn_last_line_leaves_the_whole_trials(session: Path, caplog) -> None:
    # Given a rig that was killed while it wrote its fourth trial
    lines = [json.dumps(one) for one in numbered(4)]
    written(session, *lines[:3], lines[3][:500])
    # When the trials are extracted, then the three whole ones come out, and it is told
    assert len(extract_trials(session)["_ibl_trials.table.pqt"]) == 3
    assert "the last line (4) is torn: its 3 whole trials are used" in caplog.text


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ([0, 1, 2, 2, 3], "line 4 is there already: left out"),
        ([0, 1, 2, 3, 1, 2], "lines 5, 6 are there already: left out"),
        ([0, 2, 1, 3], "2 trials are not in order of time: put in order"),
        ([3, 0, 1, 2], "4 trials are not in order of time: put in order"),
    ],
)
def test_doubled_and_swapped_lines_are_mended_and_told(
    session: Path, caplog, order: list[int], said: str
) -> None:
    lines = [json.dumps(one) for one in numbered(4)]
    table = extract_trials(written(session, *(lines[i] for i in order)))["_ibl_trials.table.pqt"]
    expected = extract_trials(written(session, *lines))["_ibl_trials.table.pqt"]
    pd.testing.assert_frame_equal(table, expected)
    assert said in caplog.text


@pytest.mark.parametrize("number", [True, False])
def test_a_clock_that_starts_anew_is_refused_with_its_place(session: Path, number: bool) -> None:
    first = [later(one, 100.0) for one in numbered(3)]
    second = [one | {"trial_num": i + 4} for i, one in enumerate(numbered(2))]
    if not number:
        for one in (*first, *second):
            del one["trial_num"]
        second = [later(one, 111.0) for one in second]  # within the first run's trials
    written(session, *(json.dumps(one) for one in (*first, *second)))
    with pytest.raises(RawFileInvalid, match=r"starts anew at trial 4 of 5") as refused:
        extract_trials(session)
    assert "a session, or a raw_task_data_NN folder" in refused.value.fix


@pytest.mark.parametrize("content", ["[]", "3", "null", '"text"', '"[1]"'])
def test_settings_that_are_no_object_are_refused(session: Path, content: str) -> None:
    (session / "raw_task_data_00" / "_iblrig_taskSettings.raw.json").write_text(content)
    with pytest.raises(
        RawFileInvalid, match=r"taskSettings.raw.json: (a list|a text|empty|a number|not JSON)"
    ):
        extract_trials(session)


def test_settings_written_as_text_within_json_are_read(session: Path) -> None:
    path = session / "raw_task_data_00" / "_iblrig_taskSettings.raw.json"
    settings = {"PYBPOD_PROTOCOL": BIASED, "IBLRIG_VERSION": "8.0.0", "SUBJECT_NAME": "x"}
    path.write_text(json.dumps(json.dumps(settings)))
    assert read_task(session).settings == settings


@pytest.mark.parametrize(
    ("protocol", "why"),
    [
        ("_iblrig_tasks_habituationChoiceWorld6.4.2", "no choices"),
        ("_iblrig_tasks_passiveChoiceWorld", "replays stimuli"),
        ("_iblrig_tasks_ephysPassiveStimulation", "replays stimuli"),
    ],
)
@pytest.mark.parametrize("with_trials", [True, False])
def test_protocols_without_choices_are_not_supported(
    session: Path, protocol: str, why: str, with_trials: bool
) -> None:
    folder = session / "raw_task_data_00"
    (folder / "_iblrig_taskSettings.raw.json").write_text(
        json.dumps({"PYBPOD_PROTOCOL": protocol})
    )
    if not with_trials:
        (folder / "_iblrig_taskData.raw.jsonable").unlink()
    with pytest.raises(TaskUnsupported, match=f"not supported: .*{why}"):
        extract_trials(session)
    with pytest.raises(TaskUnsupported):
        extract_wheel(session)


def test_names_of_2018_are_not_supported(tmp_path: Path) -> None:
    (tmp_path / "raw_behavior_data").mkdir()
    (tmp_path / "raw_behavior_data" / "pycwBasic.data.jsonable").write_text("{}")
    with pytest.raises(TaskUnsupported, match="a name of rigs of 2018"):
        extract_trials(tmp_path)


def ephys_session(n: int = 260, seed: int = 3) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Trials of a rig before 8 that drew the wrong side for its blocks; the sequence it ran."""
    rng = np.random.default_rng(seed)
    lengths = [90, 40, 60, 70]
    left = np.repeat([0.5, 0.2, 0.8, 0.2], lengths)[:n]
    position = np.where(rng.random(n) < left, -35.0, 35.0)
    contrast = rng.choice([1.0, 0.25, 0.125, 0.0625, 0.0], n)
    sequence = np.column_stack([position, contrast, rng.random(n), rng.random(n), left])
    block = np.repeat(np.arange(4), lengths)[:n] + 1
    trials = [
        later(
            trial(
                trial_num=i + 1,
                position=int(position[i]),
                contrast=contrast[i],
                quiescent_period=0.4,
                block_num=int(block[i]),
                stim_probability_left=0.5 if block[i] == 1 else round(1 - left[i], 1),
            ),
            10.0 * i,
        )
        for i in range(n)
    ]
    return trials, sequence


EPHYS = {
    "PYBPOD_PROTOCOL": "_iblrig_tasks_ephysChoiceWorld",
    "IBLRIG_VERSION_TAG": "6.4.2",
    "SESSION_LOADED_FILE_PATH": r"C:\iblrig\sessions\pcqs_session_7.npy",
}


@pytest.mark.parametrize("at_hand", [True, False])
@pytest.mark.parametrize("name", ["session_7_ephys_pcqs.npy", "pcqs_session_7.npy"])
def test_blocks_of_ephys_sessions_before_rig_8_are_those_that_were_run(
    tmp_path: Path, monkeypatch, caplog, at_hand: bool, name: str
) -> None:
    trials, sequence = ephys_session()
    if at_hand:
        np.save(tmp_path / name, np.vstack([sequence, sequence]))
        monkeypatch.setenv("FORNIX_PREGENERATED_SESSIONS", str(tmp_path))
    found = compute_trials(RawTask(trials, EPHYS))
    np.testing.assert_array_equal(found["probabilityLeft"], sequence[:, 4])
    np.testing.assert_array_equal(
        found["contrastLeft"], np.where(sequence[:, 0] < 0, sequence[:, 1], np.nan)
    )
    assert (found["quiescencePeriod"] == 0.4).all()  # as the rig wrote it, as in the reference
    assert ("sides of each block" in caplog.text) == (not at_hand)


def test_blocks_of_later_rigs_and_other_tasks_are_as_the_rig_wrote_them() -> None:
    trials, _ = ephys_session(120)
    raw = [one["stim_probability_left"] for one in trials]
    for changes in ({"IBLRIG_VERSION_TAG": "8.0.0"}, {"PYBPOD_PROTOCOL": BIASED}):
        assert compute_trials(RawTask(trials, EPHYS | changes))["probabilityLeft"].tolist() == raw


def test_without_sequence_and_blocks_the_doubt_is_told(caplog) -> None:
    trials, _ = ephys_session(120)
    for one in trials:
        del one["block_num"]
    compute_trials(RawTask(trials, EPHYS))
    assert "may be wrong" in caplog.text
    lengths = [90, 40, 60, 70]
    found = compute_trials(RawTask(trials, EPHYS | {"LEN_BLOCKS": lengths}))["probabilityLeft"]
    assert set(found[90:]) == {0.2}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("task-data-partial-last-line", "its 12 whole trials are used"),
        ("trial-lines-doubled", "line 6 is there already"),
        ("ssv-without-trailing-space", ""),
    ],
)
def test_what_was_reported_gives_the_trials_of_the_whole_session(
    shared_data: Path, caplog, name: str, said: str
) -> None:
    session = shared_data / "reported" / name / "sessions" / "FI_001" / "2024-02-29" / "001"
    golden = shared_data / "rig_sessions" / "training_rig5.0.0" / "alf" / "_ibl_trials.table.pqt"
    table = extract_trials(session)["_ibl_trials.table.pqt"]
    pd.testing.assert_frame_equal(table, pd.read_parquet(golden), rtol=0, atol=1e-9)
    assert said in caplog.text


@pytest.mark.parametrize("day", ["2024-02-29", "2024-03-01"])
def test_reported_settings_that_are_no_object(shared_data: Path, day: str) -> None:
    where = shared_data / "reported" / "settings-json-not-an-object" / "sessions" / "FI_001"
    if day == "2024-02-29":
        with pytest.raises(RawFileInvalid, match="a list, where the settings of a rig"):
            extract_trials(where / day / "001")
    else:
        assert len(extract_trials(where / day / "001")["_ibl_trials.table.pqt"]) == 12
