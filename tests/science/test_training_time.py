"""The training-time analysis: the real cohort, the features' definitions, predictions."""

from __future__ import annotations

import datetime
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from lab.commands.analyse import analyse as commands
from lab.commands.analyse import load_subject
from lab.simulate.session import simulate_session
from shared.alf.io import save
from shared.results import figure2
from shared.science.behaviour.trials import extract_trials
from shared.science.behaviour.wheel import extract_wheel
from shared.science.cohort.daily_tables import from_daily_tables
from shared.science.cohort.features import (
    FEATURES,
    CohortSession,
    CohortSubject,
    food_of,
    from_sessions,
    is_citric,
    light_of,
    subject_features,
)
from shared.science.cohort.model import CHANGE, make_cohort, quartile_of
from shared.science.cohort.predictor import Predictor
from shared.science.cohort.validation import Ordinal

SESSIONS_ONLY = {
    *("RT_init", "RT_delta1", "disp_norm", "moves_time"),
    *("temperature_c", "air_pressure_mb", "relative_humidity"),
}


@pytest.fixture(scope="module")
def real(shared_data: Path) -> pd.DataFrame:
    return from_daily_tables(shared_data / "training_cohort")


@pytest.fixture(scope="module")
def run(shared_data: Path, tmp_path_factory) -> tuple[dict, Path]:
    """One whole run of the command on the real cohort, with few shuffles and no repeats."""
    out = tmp_path_factory.mktemp("training-time")
    done = CliRunner().invoke(
        commands,
        [
            *("training-time", "--cohort", str(shared_data / "training_cohort")),
            *("--out", str(out), "--shuffles", "2", "--repeats", "1", "--jobs", "1", "--json"),
        ],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout), out


def test_the_real_cohort_has_119_complete_mice_and_13_features(real):
    assert real["id"].is_monotonic_increasing
    mice = make_cohort(real)
    assert (len(real), len(mice.table)) == (140, 119)
    assert set(mice.missing) == SESSIONS_ONLY
    time = mice.table.training_time
    assert (time.min(), time.max()) == (5, 57)
    assert mice.edges.tolist() == [9.0, 15.0, 22.5]
    assert np.bincount(mice.quartile).tolist() == [31, 34, 24, 30]


def test_the_findings_of_the_paper_come_back(run):
    result, _ = run
    full, shuffled = result["full"]["f1"], result["shuffled"]["mean"]
    assert 0.38 <= full <= 0.52
    assert 0.20 <= shuffled <= 0.27
    assert full >= 1.6 * shuffled
    assert shuffled < result["performance_change_only"]["f1"] < full
    ranking = [one["feature"] for one in result["importance"]]
    assert ranking[0] == CHANGE
    assert "age_start" in ranking[1:4]
    assert result["held_out_importance"][0]["feature"] == CHANGE
    # The extremes are told better than the middle, as in the paper.
    recall = result["full"]["recall"]
    assert min(recall[0], recall[3]) > max(recall[1], recall[2])


def test_the_result_adds_up(run):
    result, _ = run
    counts = np.array(result["full"]["confusion_counts"])
    assert counts.sum(axis=1).tolist() == result["quartiles"]["sizes"] == [31, 34, 24, 30]
    assert np.trace(counts) / counts.sum() == pytest.approx(result["full"]["f1"])
    assert sum(result["cohort"]["training_time"]["histogram"]["counts"]) == 119
    assert sum(result["cohort"]["dropped_by_reason"].values()) == 21
    assert sum(lab["n"] for lab in result["leave_one_lab_out"]["labs"]) == 119
    assert len(result["shuffled"]["values"]) == 2
    assert all(len(one["values"]) == 10 for one in result["importance"])
    assert result["predictions"] == []
    assert [model["model"] for model in result["models"]] == [
        "random forest",
        "gradient-boosted trees",
        "ordinal logistic regression",
    ]
    used = {one["name"] for one in result["features"] if one["used"]}
    assert used == set(FEATURES) - SESSIONS_ONLY


def test_calibrated_probabilities_are_worth_more_than_frequencies(run):
    result, _ = run
    calibration = result["calibration"]
    assert calibration["log_loss"] < calibration["log_loss_frequencies"] - 0.05
    assert 0 < calibration["weight"] <= 1
    assert sum(one["n"] for one in calibration["reliability"]) == 119


def test_paper_and_result_stand_side_by_side(run):
    result, _ = run
    rows = {row["quantity"]: row for row in result["side_by_side"]}
    assert (rows["mice"]["paper"], rows["mice"]["here"]) == ("116", "119 of 140")
    assert rows["quartile edges, days"]["here"] == "9, 15, 22.5"
    assert rows["F1, full set"]["paper"] == "0.466"
    assert any("RT_init" in line for line in result["not_comparable"])
    assert "no decision about a mouse should rest on it" in result["statement"]


def test_the_files_of_a_run(run):
    result, out = run
    written = json.loads((out / "training_time.json").read_text())
    assert written["full"]["f1"] == result["full"]["f1"]
    assert (out / "training_time.svg").read_text().lstrip().startswith("<?xml")
    assert (out / "training_time.png").read_bytes().startswith(b"\x89PNG")
    assert len(pd.read_parquet(out / "features.pqt")) == 140


def test_the_figure_of_simulated_mice_says_so(run):
    result, out = run
    assert "synthetic data" not in (out / "training_time.svg").read_text()
    assert b"synthetic data" in figure2.draw(result | {"synthetic": True}, "svg")


def test_dry_run_says_who_would_be_used(shared_data, tmp_path):
    done = CliRunner().invoke(
        commands,
        [
            *("training-time", "--cohort", str(shared_data / "training_cohort")),
            *("--out", str(tmp_path / "none"), "--dry-run"),
        ],
    )
    assert done.output.startswith("119 of 140 mice, features: age_start, ")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "Give either --cohort or --sessions"),
        (["--cohort", "."], "has no figure3_ibl_learning.csv"),
        (["--sessions", "."], "holds no LAB/Subjects/SUBJECT folder"),
    ],
)
def test_wrong_use_is_told_plainly(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(commands, ["training-time", *arguments])
    assert done.exit_code != 0
    assert says in done.output


def test_a_table_without_a_column_names_it(shared_data, tmp_path):
    for path in (shared_data / "training_cohort").glob("*.csv"):
        table = pd.read_csv(path, nrows=5)
        table.drop(columns=["norm_weight"], errors="ignore").to_csv(tmp_path / path.name)
    with pytest.raises(ValueError, match=r"figure3_ibl_weights.csv lacks the column norm_weight"):
        from_daily_tables(tmp_path)


def test_too_few_mice_are_told(real):
    with pytest.raises(ValueError, match="only 13 of 19 mice have a training time"):
        make_cohort(real.head(19))


def test_an_edge_belongs_to_the_quartile_below():
    edges = np.array([9.0, 15.0, 22.5])
    times = np.array([5, 9, 9.5, 15, 16, 22, 23, 57])
    assert quartile_of(times, edges).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


# --- features of sessions --------------------------------------------------------------------


def session(day: int, n: int, easy: float, rt: float = 1.0, number: int = 1) -> CohortSession:
    """A training session with contrasts 1 and 0.5 only, `easy` of them right."""
    right = np.arange(n) < round(easy * n)
    onset = np.arange(n) * 10.0
    angle = np.where(np.arange(n) % 2, 0.5, 0.0)  # there and back: path 0.5 per trial
    return CohortSession(
        date=f"2024-01-{day:02d}",
        protocol="_iblrig_tasks_trainingChoiceWorld6",
        number=number,
        trials={
            "contrastLeft": np.where(np.arange(n) % 2, 1.0, 0.5),
            "contrastRight": np.full(n, np.nan),
            "choice": np.where(right, 1, -1),
            "feedbackType": np.where(right, 1, -1),
            "probabilityLeft": np.full(n, 0.5),
            "stimOn_times": onset,
            "response_times": onset + rt,
            "intervals_0": onset,
        },
        wheel={"position": angle},
        ambient={
            "temperature_c": [20.0 + day, 22.0 + day],
            "air_pressure_mb": 1000.0 + day,
            "relative_humidity": [np.nan, 40.0],
        },
    )


MOUSE = CohortSubject(
    name="SWC_038",
    lab="hoferlab",
    sex="F",
    birth_date="2023-10-01",
    sessions=[
        session(1, 101, 0.5, rt=3.0),
        session(2, 200, 0.6),
        session(3, 300, 0.55),
        session(4, 400, 0.7),
        session(5, 500, 0.75, rt=2.5),
        session(6, 600, 0.7),
    ],
    weighings=[("2023-12-20", 25.0), ("2024-01-01", 21.0), ("2024-01-01", 21.5)],
    restrictions=[("2023-12-20", 25.0), ("2024-01-05", 30.0)],
    waters=[("2024-01-02", "Water 10% Sucrose"), ("2024-01-06", "Hydrogel; Citric Acid Water 2%")],
)


def test_each_feature_of_a_mouse_in_training():
    row = subject_features(MOUSE)
    assert np.isnan(row.pop("training_time"))
    assert row.pop("n_days") == 6
    expected = {
        "age_start": 92,
        "sex": 1.0,
        "perf_init": 50 / 101,
        "perf_delta1": 0.75 - 50 / 101,
        "delta_variance": (1 - 1 + 1 + 1) / 4,
        "trials_init": 101,
        "trials_delta1": 399,
        "trials_sum": 1501,
        "RT_init": 3.0,
        "RT_delta1": -0.5,
        "temperature_c": 24.5,  # median of 22, 23, … 27: all sessions, not five
        "air_pressure_mb": 1003.5,
        "relative_humidity": 40.0,
        "weight_start": 21.0,
        "weight_loss": 21.25 / 25,
        "weekend_water": 1.0,
        "light": 0.0,
        "food": 16.0,
        # net displacement 0 in odd, 0.5 of path 0.5·(n − 1) in even sessions, weighted by trials
        "disp_norm": sum(n / (n - 1) for n in (200, 300, 400, 500)) / 1501,
        "moves_time": sum(n * 0.5 / 10 for n in (101, 200, 300, 400, 500)) / 1501,
    }
    assert set(expected) == set(FEATURES)
    for name, value in expected.items():
        assert row[name] == pytest.approx(value), name


def test_the_longest_session_of_a_day_gives_its_trials_and_all_its_performance():
    extra = [*MOUSE.sessions, session(1, 99, 1.0, number=2)]
    row = subject_features(replace(MOUSE, sessions=extra))
    assert row["trials_init"] == 101
    assert row["perf_init"] == pytest.approx((50 + 99) / 200)


def test_a_mouse_without_five_days_has_no_day_five():
    table = from_sessions([replace(MOUSE, sessions=MOUSE.sessions[:4])])
    assert table.loc[0, "n_days"] == 4
    assert np.isnan(table.loc[0, CHANGE])


def test_what_is_not_on_record_is_missing_not_zero():
    bare = CohortSubject("M1", "danlab", "", None, [replace(MOUSE.sessions[0], ambient=None)])
    row = from_sessions([bare]).iloc[0]
    for name in ("sex", "age_start", "weekend_water", "weight_start", "temperature_c"):
        assert np.isnan(row[name]), name
    assert from_sessions([]).empty


@pytest.mark.parametrize(
    ("lab", "subject", "light"),
    [
        ("wittenlab", "ibl_witten_13", 1.0),
        ("cortexlab", "KS019", 0.0),
        ("mrsicflogellab", "SWC_030", 1.0),
        ("hoferlab", "SWC_042", 0.0),
        ("hoferlab", "IBL_001", None),
        ("hoferlab", "SWC_099", None),
    ],
)
def test_light_is_known_per_lab_and_at_the_swc_per_mouse(lab, subject, light):
    found = light_of(lab, subject)
    assert np.isnan(found) if light is None else found == light


def test_food_and_citric_acid():
    assert [food_of(lab) for lab in ("cortexlab", "angelakilab", "elsewhere")] == [18, 19, 20]
    assert is_citric("Water 2% Citric Acid")
    assert not is_citric("Hydrogel; Water 10% Sucrose")


@pytest.fixture(scope="module")
def simulated_tree(tmp_path_factory) -> Path:
    """Five short days of one mouse, as raw files of a rig."""
    root = tmp_path_factory.mktemp("tree")
    for day in range(5):
        simulate_session(
            root / "fimbrialab" / "Subjects",
            seed=0,
            subject="SYN_001",
            date=datetime.date(2024, 1, 8 + day),
            n_trials=40 + day,
            performance=0.5 + 0.1 * day,
            lab="fimbrialab",
        )
    return root


FACTS = {
    "sex": "F",
    "birth_date": "2023-10-01",
    "restrictions": [["2024-01-01", 25.0]],
    "waters": [["2024-01-09", "Water 10% Sucrose"]],
}


def test_raw_sessions_of_a_rig_give_all_twenty_features(simulated_tree):
    folder = simulated_tree / "fimbrialab" / "Subjects" / "SYN_001"
    row = subject_features(load_subject(folder, "fimbrialab", FACTS))
    assert set(FEATURES) <= set(row)
    assert all(np.isfinite(row[name]) for name in FEATURES)
    assert (row["trials_init"], row["trials_sum"]) == (40, 210)
    assert (row["weight_start"], row["weight_loss"]) == (24.0, 0.96)
    assert (row["age_start"], row["weekend_water"]) == (99, 0.0)
    assert 0 < row["disp_norm"] < 1
    assert 10 < row["temperature_c"] < 40


def test_extracted_sessions_give_the_same_features_as_raw_ones(simulated_tree, tmp_path):
    folder = simulated_tree / "fimbrialab" / "Subjects" / "SYN_001"
    copy = tmp_path / "SYN_001"
    shutil.copytree(folder, copy)
    for session_path in copy.glob("*/*"):
        (session_path / "alf").mkdir()
        for name, content in (extract_trials(session_path) | extract_wheel(session_path)).items():
            save(session_path / "alf" / name, content)
        (session_path / "raw_behavior_data" / "_iblrig_taskData.raw.jsonable").unlink()
    raw, extracted = (
        subject_features(load_subject(path, "fimbrialab", FACTS)) for path in (folder, copy)
    )
    assert extracted == pytest.approx(raw, nan_ok=True)


def test_a_tree_of_too_few_mice_says_what_it_found(simulated_tree, tmp_path):
    done = CliRunner().invoke(
        commands,
        ["training-time", "--sessions", str(simulated_tree), "--out", str(tmp_path / "out")],
    )
    assert done.exit_code == 1
    assert "only 0 of 1 mice have a training time" in done.output


# --- predictions -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def predictor(real) -> Predictor:
    return Predictor.learned(real)


def in_training(real: pd.DataFrame, **changes) -> pd.DataFrame:
    mice = make_cohort(real).table.head(4).assign(training_time=np.nan, n_days=5)
    return mice.reindex(columns=real.columns).assign(**changes)


def test_a_mouse_in_training_gets_chances_that_add_up(real, predictor):
    for row in predictor.predict(in_training(real)):
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-3)
        assert row["quartile"] == max(row["probabilities"], key=row["probabilities"].get)
        assert min(row["probabilities"].values()) > 0
        assert row["features_missing"] == []


def test_a_quartile_whose_days_have_passed_is_impossible(real, predictor):
    (row, *_) = predictor.predict(in_training(real, n_days=16))
    chances = row["probabilities"]
    assert chances["Q1"] == chances["Q2"] == 0
    assert chances["Q3"] + chances["Q4"] == pytest.approx(1, abs=1e-3)
    assert row["quartile"] in ("Q3", "Q4")


def test_missing_features_are_named_and_done_without(real, predictor):
    (row, *_) = predictor.predict(in_training(real, weight_loss=np.nan, light=np.nan))
    assert row["features_missing"] == ["light", "weight_loss"]
    assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"n_days": 4}, "4 of 5 training days so far"),
        ({"training_time": 12.0}, "trained already"),
        ({CHANGE: np.nan}, "its performance on day 1 or 5 is not known"),
    ],
)
def test_no_prediction_says_why(real, predictor, changes, why):
    (row, *_) = predictor.predict(in_training(real, **changes))
    assert row["why_not"] == why
    assert row["probabilities"] is row["quartile"] is None


def test_the_ordinal_model_finds_an_order():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    y = np.digitize(2 * x[:, 0] + rng.logistic(size=400), [-2, 0, 2])
    p = Ordinal().fit(x, y).predict_proba(x)
    assert p.shape == (400, 4)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert np.mean(p.argmax(axis=1) == y) > 0.5
    expected = p @ np.arange(4)
    assert np.corrcoef(expected, x[:, 0])[0, 1] > 0.95
