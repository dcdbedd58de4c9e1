"""Simulated sessions follow the task's rules and come back through the extractors as they were."""

from __future__ import annotations

import datetime
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from lab.commands.simulate import simulate
from lab.simulate.course import TICK
from lab.simulate.mouse import BIASED, LAST_PHASE, PHASES, TRAINING, LearningCurve, Progress
from lab.simulate.plan import PlannedSession, plan_cohort, simulate_mouse
from lab.simulate.session import simulate_session
from lab.simulate.truth import Truth
from shared.alf import ALFInvalid, match_dataset_type
from shared.alf.validate import header
from shared.science.behaviour.raw_task import RawTask, read_task
from shared.science.behaviour.trials import extract_trials
from shared.science.behaviour.wheel import extract_wheel

DAY = datetime.date(2024, 1, 8)


def session(folder: Path, **changes: Any) -> Truth:
    """A simulated session of 300 trials."""
    defaults: dict[str, Any] = {"seed": 1, "subject": "SYN_001", "date": DAY, "n_trials": 300}
    return simulate_session(folder, **(defaults | changes))


@pytest.mark.parametrize("rig_version", [5, 8])
@pytest.mark.parametrize("protocol", [TRAINING, BIASED])
@pytest.mark.parametrize("performance", [0.5, 0.9])
def test_what_was_simulated_is_extracted(
    tmp_path: Path, rig_version: int, protocol: str, performance: float
) -> None:
    truth = session(tmp_path, rig_version=rig_version, protocol=protocol, performance=performance)
    trials, wheel = extract_trials(truth.session), extract_wheel(truth.session)

    table = trials.pop("_ibl_trials.table.pqt")
    moved, known = table.pop("firstMovement_times"), truth.table.pop("firstMovement_times")
    pd.testing.assert_frame_equal(table, truth.table, rtol=0, atol=1e-9)
    assert {f"_ibl_trials.{name}.npy" for name in truth.triggers} == set(trials)
    for name, values in truth.triggers.items():
        found = trials[f"_ibl_trials.{name}.npy"]
        assert found.dtype == values.dtype
        np.testing.assert_allclose(found, values, rtol=0, atol=1e-9)

    # A movement is seen when it goes beyond 1.5 steps of the encoder.
    defined = ~table["feedback_times"].isna()
    np.testing.assert_array_equal(moved.isna(), known.isna() | ~defined)
    assert (moved - known).abs().max() < 0.05

    times, position = wheel["_ibl_wheel.timestamps.npy"], wheel["_ibl_wheel.position.npy"]
    nearest = np.searchsorted(times, truth.wheel_times - 5e-4)
    error = np.interp(truth.wheel_times, times, position) - truth.wheel_position
    assert np.abs(times[nearest] - truth.wheel_times).max() < 1e-3
    assert np.ptp(error) < TICK / 2
    assert len(wheel["_ibl_wheelMoves.peakAmplitude.npy"]) >= known.notna().sum()


def test_the_encoder_counter_starts_anew_in_a_session_of_over_71_minutes(tmp_path: Path) -> None:
    truth = session(tmp_path, n_trials=900, performance=0.5, progress=Progress(gain=4.0))
    raw = truth.session / "raw_behavior_data" / "_iblrig_encoderPositions.raw.ssv"
    stamps = np.loadtxt(raw, usecols=0)
    assert np.count_nonzero(np.diff(stamps) < -(2**31)) == 1
    times = extract_wheel(truth.session)["_ibl_wheel.timestamps.npy"]
    assert times[-1] > 71 * 60
    assert (np.diff(times) > 0).all()


def test_the_same_seed_gives_the_same_bytes_and_another_session_other_ones(
    tmp_path: Path,
) -> None:
    def files(truth: Truth) -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in (truth.session / "raw_behavior_data").iterdir()}

    first = files(session(tmp_path / "a", n_trials=20))
    assert files(session(tmp_path / "b", n_trials=20)) == first
    for other in ({"seed": 2}, {"number": 2}, {"subject": "SYN_002"}):
        changed = files(session(tmp_path / "c", n_trials=20, **other))
        assert changed["_iblrig_taskData.raw.jsonable"] != first["_iblrig_taskData.raw.jsonable"]


@pytest.mark.parametrize("rig_version", [5, 8])
def test_the_files_say_that_they_are_synthetic_and_are_valid(
    tmp_path: Path, rig_version: int
) -> None:
    truth = session(tmp_path, rig_version=rig_version, n_trials=10, lab="fimbrialab", day=3)
    assert truth.session == tmp_path / "SYN_001" / "2024-01-08" / "001"
    raw = truth.session / "raw_behavior_data"
    settings = json.loads((raw / "_iblrig_taskSettings.raw.json").read_text())
    assert settings["SYNTHETIC"] is True
    assert "SYNTHETIC" in settings["COMMENT"]
    assert settings["SIMULATION"] == {"seed": 1, "day": 3, "lab": "fimbrialab"}
    for path in raw.iterdir():
        assert match_dataset_type(path.name)
        with path.open("rb") as file:
            header(file, path.suffix, name=path.name)
    ambient = (raw / "_iblrig_ambientSensorData.raw.jsonable").read_text().splitlines()
    assert len(ambient) == 10
    assert set(json.loads(ambient[0])) == {
        "Temperature_C",
        "AirPressure_mb",
        "RelativeHumidity",
    }


def test_the_truth_can_be_written_as_files(tmp_path: Path) -> None:
    truth = session(tmp_path / "raw", n_trials=10, truth_folder=tmp_path / "truth")
    written = {p.name for p in (tmp_path / "truth").iterdir()}
    assert written >= set(extract_trials(truth.session)) | {"_ibl_wheel.position.npy"}


def contrasts(task: RawTask) -> np.ndarray:
    return np.array(
        [t["contrast"]["value"] if isinstance(t["contrast"], dict) else t["contrast"]
         for t in task.trials]
    )  # fmt: skip


def test_a_new_mouse_sees_the_two_highest_contrasts_and_repeats_after_errors(
    tmp_path: Path,
) -> None:
    truth = session(tmp_path, performance=0.55)
    trials = read_task(truth.session).trials
    assert set(contrasts(read_task(truth.session))) == set(PHASES[0])
    for before, after in pairwise(trials):
        repeated = after["contrast"]["type"] == "RepeatContrast"
        assert repeated == (not before["trial_correct"])
        if repeated:
            assert after["contrast"]["value"] == before["contrast"]["value"]
            assert round(after["stim_probability_left"] * 10) == pytest.approx(
                after["stim_probability_left"] * 10
            )
        else:
            assert after["stim_probability_left"] == 0.5


def test_a_good_mouse_passes_the_phases_and_stops_repeating(tmp_path: Path) -> None:
    progress, phases = Progress(), []
    for number in range(1, 6):
        truth = session(
            tmp_path,
            number=number,
            performance=0.97,
            n_trials=600,
            rig_version=8,
            progress=progress,
        )
        trials = read_task(truth.session).trials
        phases += [t["training_phase"] for t in trials]
        assert all(t["contrast"] in PHASES[t["training_phase"]] for t in trials)
        progress = truth.progress
    changes = np.diff(phases)
    assert set(changes) == {0, 1}
    assert phases[0] == 0
    assert phases[-1] == LAST_PHASE
    lengths = [phases.count(phase) for phase in (2, 3, 4)]
    assert lengths == [200, 200, 200]
    assert not any(t["debias_trial"] for t in trials if t["training_phase"] == LAST_PHASE)


def test_reward_and_gain_adapt_between_days(tmp_path: Path) -> None:
    first = session(tmp_path, n_trials=300, performance=0.6)
    assert (first.progress.reward, first.progress.gain) == (2.9, 4.0)
    second = session(tmp_path, number=2, n_trials=50, progress=first.progress)
    assert (second.progress.reward, second.progress.gain) == (3.0, 4.0)
    assert second.table["rewardVolume"].max() == 2.9
    for number in range(3, 30):
        second = session(tmp_path, number=number, n_trials=230, progress=second.progress)
    assert second.progress.reward == 1.5


def test_biased_blocks_have_their_lengths_and_probabilities(tmp_path: Path) -> None:
    truth = session(tmp_path, protocol=BIASED, n_trials=1500, performance=0.9)
    left = truth.table["probabilityLeft"].to_numpy()
    edges = np.flatnonzero(np.diff(left)) + 1
    assert edges[0] == 90
    assert (left[:90] == 0.5).all()
    assert set(left[90:]) == {0.2, 0.8}
    lengths = np.diff(edges)
    assert lengths.min() >= 20
    assert lengths.max() <= 100
    shown_left = truth.table["contrastLeft"].notna().to_numpy()
    for probability in (0.2, 0.5, 0.8):
        shown = shown_left[left == probability]
        assert abs(shown.mean() - probability) < 3.5 * (0.25 / shown.size) ** 0.5
    seen = truth.table["contrastLeft"].fillna(truth.table["contrastRight"])
    assert set(seen) == {1.0, 0.25, 0.125, 0.0625, 0.0}
    assert (seen == 0).mean() == pytest.approx(1 / 9, abs=0.04)
    # The mouse knows the blocks: at zero contrast it reports the likelier side.
    right = (truth.table["choice"] == -1).to_numpy() & (seen == 0).to_numpy()
    rates = [right[(seen == 0) & (left == p)].sum() / ((seen == 0) & (left == p)).sum()
             for p in (0.2, 0.8)]  # fmt: skip
    assert rates[0] > rates[1] + 0.2


@pytest.mark.parametrize("performance", [0.5, 0.7, 0.95])
def test_the_mouse_performs_as_asked_for(tmp_path: Path, performance: float) -> None:
    truth = session(tmp_path, performance=performance, n_trials=2000)
    assert truth.performance_easy == pytest.approx(performance, abs=0.06)


def test_reaction_times_fall_with_learning_and_with_contrast(tmp_path: Path) -> None:
    def median(performance: float, number: int, contrast: float | None = None) -> float:
        truth = session(
            tmp_path,
            number=number,
            performance=performance,
            n_trials=800,
            progress=Progress(phase=LAST_PHASE),
        )
        table = truth.table
        seen = table["contrastLeft"].fillna(table["contrastRight"])
        kept = np.ones(800, bool) if contrast is None else seen == contrast
        return float((table["response_times"] - table["goCue_times"])[kept].median())

    assert median(0.5, 1) > 1.5 * median(0.95, 2)
    assert median(0.95, 3, contrast=0.0) > 1.2 * median(0.95, 3, contrast=1.0)


def test_a_learning_curve_rises_from_its_start_to_its_end() -> None:
    curve = LearningCurve(0.5, 0.95, midpoint=10, slope=2, first_trials=500, last_trials=900)
    days = [curve.performance(day) for day in range(30)]
    assert days == sorted(days)
    assert days[0] == pytest.approx(0.5, abs=0.01)
    assert days[10] == pytest.approx(0.725)
    assert days[-1] == pytest.approx(0.95, abs=0.01)
    assert [curve.trials(day) for day in (0, 10, 29)] == [503, 700, 900]


def test_a_mouse_learns_across_days_and_goes_on_to_the_biased_task(tmp_path: Path) -> None:
    plan = [
        PlannedSession("fimbrialab", "SYN_001", DAY + datetime.timedelta(day), day, 0.96, 700)
        for day in range(7)
    ]
    truths = list(simulate_mouse(tmp_path, plan, seed=3, rig_version=8))
    good = [t.progress.phase == LAST_PHASE and t.performance_easy > 0.8 for t in truths]
    biased = [read_task(t.session).protocol.endswith("biasedChoiceWorld") for t in truths]
    assert biased == [sum(good[:day]) >= 3 for day in range(7)]
    assert biased[-1]
    assert not biased[0]
    assert truths[0].session.parts[-5:] == (
        "fimbrialab",
        "Subjects",
        "SYN_001",
        "2024-01-08",
        "001",
    )


def test_a_cohort_works_on_weekdays_with_a_curve_for_each_mouse() -> None:
    plans = plan_cohort(lab="fimbrialab", mice=3, days=7, seed=0, first_date=DAY)
    assert [[s.date.weekday() for s in plan] for plan in plans] == [[0, 1, 2, 3, 4, 0, 1]] * 3
    assert len({tuple(s.performance for s in plan) for plan in plans}) == 3
    assert all(500 <= s.n_trials <= 1000 for plan in plans for s in plan)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"rig_version": 7}, ValueError),
        ({"protocol": "passive"}, ValueError),
        ({"n_trials": 0}, ValueError),
        ({"performance": 1.1}, ValueError),
        ({"subject": "../x"}, ALFInvalid),
        ({"number": 1000}, ALFInvalid),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_written(
    tmp_path: Path, wrong: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        session(tmp_path, **wrong)
    assert list(tmp_path.iterdir()) == []


def test_a_session_of_one_trial_is_written(tmp_path: Path) -> None:
    truth = session(tmp_path, n_trials=1)
    assert len(extract_trials(truth.session)["_ibl_trials.table.pqt"]) == 1


def run(*arguments: str) -> Any:
    return CliRunner().invoke(simulate, arguments)


def test_the_command_writes_a_cohort_and_prints_json(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(str(out), "--mice", "2", "--days", "2", "--trials", "20", "--rig", "8", "--json")
    assert done.exit_code == 0
    rows = [json.loads(line) for line in done.output.splitlines()]
    assert [(r["subject"], r["date"], r["n_trials"]) for r in rows] == [
        ("SYN_001", "2024-01-08", 20),
        ("SYN_001", "2024-01-09", 20),
        ("SYN_002", "2024-01-08", 20),
        ("SYN_002", "2024-01-09", 20),
    ]
    found = sorted(p.relative_to(out).as_posix() for p in out.glob("*/*/*/*/*"))
    assert found == [f"fimbrialab/Subjects/{r['subject']}/{r['date']}/001" for r in rows]
    assert {Path(r["session"]) for r in rows} == set(out.glob("*/*/*/*/*"))


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    done = run(str(tmp_path / "out"), "--days", "3", "--dry-run")
    assert done.exit_code == 0
    assert "3 sessions would be written" in done.output
    assert not (tmp_path / "out").exists()


def test_a_wrong_lab_name_is_refused(tmp_path: Path) -> None:
    done = run(str(tmp_path / "out"), "--lab", "my lab")
    assert done.exit_code == 2
    assert "letters, digits and underscores" in done.output
    assert not (tmp_path / "out").exists()
