"""The simulated cohort: it learns as the daily tables say, and is marked synthetic everywhere."""

from __future__ import annotations

import datetime
import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from lab.commands.analyse import load_subject
from lab.commands.rig import rig
from lab.simulate.cohort import sessions, write
from lab.simulate.cohort_plan import CohortError, plan
from shared.science.cohort.features import FEATURES, as_table, subject_features
from shared.science.status.history import training_history
from shared.science.status.sessions import JudgedSession
from shared.science.status.stages import RANK

N_DAYS = 9
PERFORMANCE = [0.42, 0.5, 0.55, 0.61, 0.7, 0.8, 0.94, 0.95, 0.93]
"""A mouse that is trained on its ninth day."""


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Daily tables of four real mice in two laboratories, trained after 8, 8, 8 and 3 days."""
    days = pd.bdate_range("2019-03-04", periods=12)
    learning, weights, water = [], [], []
    for mouse in range(4):
        n_before = 3 if mouse == 3 else N_DAYS - 1
        curve = [*PERFORMANCE[-n_before - 1 :], 0.95, 0.95, 0.95]
        about = {
            "subject_uuid": f"{mouse}" * 8,
            "subject_nickname": ["CSHL001", "KS001", "KS002", "KS003"][mouse],
            "lab_name": "churchlandlab" if mouse == 0 else "cortexlab",
            "sex": "FM"[mouse % 2],
            "subject_birth_date": "2018-12-01",
            "date_trained": days[n_before].date(),
        }
        for i, easy in enumerate(curve):
            learning.append(
                about
                | {
                    "session_date": days[i].date(),
                    "performance": easy if i < 4 else easy - 0.1,
                    "performance_easy": 100 * easy,
                    "n_trials_date": 300 + 10 * i,
                    "training_day": i,
                }
            )
            day = {"subject_uuid": about["subject_uuid"], "session_date": days[i].date()}
            weights.append(day | {"avg_weight": 20.0 + i, "norm_weight": 0.8})
            water.append(day | {"watertype": "Citric Acid Water 2%" if i == 4 else "Water"})
    folder = tmp_path / "tables"
    folder.mkdir()
    for name, rows in (("_learning", learning), ("_weights", weights), ("", water)):
        pd.DataFrame(rows).to_csv(folder / f"figure3_ibl{name}.csv")
    return folder


def command(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(rig, ["simulate-cohort", *map(str, arguments)])
    return done.exit_code, done.output


def digest(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_a_mouse_is_planned_as_its_table_says(tables: Path) -> None:
    # When a cohort is planned
    mice = plan(tables)
    # Then there is one mouse for each real one, with names and labs of its own
    assert [m.subject for m in mice] == ["SYN_301", "SYN_302", "SYN_303", "SYN_304"]
    assert [m.lab for m in mice] == ["fimbrialab", "septumlab", "septumlab", "septumlab"]
    mouse = mice[0]
    # And its days are those of the table until two after it was trained, five years later
    assert [d.performance for d in mouse.days] == [*PERFORMANCE, 0.95, 0.95]
    assert [d.n_trials for d in mouse.days] == list(range(300, 410, 10))
    assert mouse.trained == mouse.days[8].date == "2024-03-07"
    assert datetime.date.fromisoformat(mouse.days[0].date).weekday() == 0
    assert [d.weight for d in mouse.days[:2]] == [20.0, 21.0]
    # And contrasts other than the easy ones come when they came, zero on the day it was trained
    assert [d.last_phase for d in mouse.days] == [0] * 4 + [3] * 4 + [5] * 3
    assert [d.first_phase for d in mouse.days] == [0] * 4 + [1] * 4 + [4] * 3
    # And the facts are those of the table, of its real lab's light and food
    assert mouse.facts["synthetic"] is True
    assert (mouse.facts["sex"], mouse.facts["birth_date"]) == ("F", "2023-11-25")
    assert mouse.facts["restrictions"] == [["2024-02-25", 25.0]]
    assert mouse.facts["waters"][4] == ["2024-03-01", "Citric Acid Water 2%"]
    assert (mouse.facts["light"], mouse.facts["food"]) == (1.0, 20.0)
    assert (mice[1].facts["light"], mice[1].facts["food"]) == (0.0, 18.0)


def test_a_smaller_cohort_has_the_quickest_mice_with_features(tables: Path) -> None:
    mice = plan(tables, n_mice=3, n_days=6, trials_scale=0.1)
    assert [m.subject for m in mice] == ["SYN_301", "SYN_302", "SYN_303"]
    assert [len(m.days) for m in mice] == [6, 6, 6]
    assert [d.n_trials for d in mice[0].days] == [30, 31, 32, 33, 34, 35]
    assert max(day for day, _ in mice[0].facts["weighings"]) == mice[0].days[-1].date
    # Where the status asks for many trials, they stay
    assert [d.n_trials for d in plan(tables, trials_scale=0.1)[0].days[5:]] == [35, *[205] * 5]


def test_a_simulated_mouse_performs_as_its_table_and_is_trained_on_its_day(
    tables: Path, tmp_path: Path
) -> None:
    mouse = plan(tables)[0]
    done = list(sessions(tmp_path, 3, mouse))
    for day, truth in done:
        easy = np.nanmax(truth.table[["contrastLeft", "contrastRight"]], axis=1) >= 0.5
        error = np.sqrt(day.performance * (1 - day.performance) / easy.sum())
        assert truth.performance_easy == pytest.approx(day.performance, abs=4 * error)
        assert len(truth.table) == day.n_trials
    judged = training_history(
        [
            JudgedSession(
                day.date,
                "training",
                dict(truth.table) | {"goCueTrigger_times": truth.triggers["goCueTrigger_times"]},
            )
            for day, truth in done
        ],
        "datajoint",
    )
    first = [place["date"] for status, place in judged.first.items() if RANK[status] > 0]
    assert min(first) == mouse.trained


def test_all_twenty_features_of_a_tiny_cohort_and_its_mark(tables: Path, tmp_path: Path) -> None:
    # Given a cohort with few trials
    out = tmp_path / "cohort"
    arguments = (out, "--cohort", tables, "--mice", 2, "--trials-scale", 0.1, "--jobs", 1)
    code, printed = command(*arguments, "--json")
    rows = [json.loads(line) for line in printed.splitlines()]
    assert (code, len(rows)) == (0, 22)
    assert all(row["synthetic"] for row in rows)
    # When its features are computed
    facts = json.loads((out / "subjects.json").read_text())
    mice = [
        subject_features(load_subject(f, f.parts[-3], facts[f.name], tmp_path / "kept"))
        for f in sorted(out.glob("*/Subjects/*"))
    ]
    table = as_table(mice)
    # Then none is missing, and those of the table are the table's
    assert table[list(FEATURES)].notna().all(axis=None)
    assert list(table["training_time"]) == [8.0, 8.0]
    assert list(table["sex"]) == [1.0, 0.0]
    assert list(table["weight_start"]) == [20.0, 20.0]
    assert list(table["weight_loss"]) == [0.8, 0.8]
    assert list(table["weekend_water"]) == [1.0, 1.0]
    assert list(table["age_start"]) == [93.0, 93.0]
    assert list(table["trials_init"]) == [30.0, 30.0]
    # And every file that says anything about mice says that they are synthetic
    settings = list(out.rglob("_iblrig_taskSettings.raw.json"))
    assert len(settings) == 22
    assert all(json.loads(file.read_text())["SYNTHETIC"] is True for file in settings)
    assert json.loads((out / "cohort.json").read_text())["synthetic"] is True
    assert all(mouse["synthetic"] for mouse in facts.values())


def test_a_cohort_comes_back_from_its_seed_and_goes_on_where_it_stopped(
    tables: Path, tmp_path: Path
) -> None:
    mice = plan(tables, n_mice=2, n_days=3, trials_scale=0.1)
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    assert len(list(write(one, mice, seed=1))) == 2
    # Given the same cohort, stopped in the middle of its second mouse
    running = write(two, mice, seed=1)
    next(running)
    running.close()
    left = [mouse for mouse in mice if not (two / mouse.lab / "Subjects" / mouse.subject).exists()]
    assert len(left) == 1
    next(iter(sessions(two, 1, left[0])))
    before = digest(two)
    # When it is made again
    list(write(two, mice, seed=1))
    # Then what was there is there, and all is as if it had not been stopped
    assert before.items() <= digest(two).items()
    assert digest(two) == digest(one)
    # And another seed gives other sessions with the same plan
    list(write(other, mice, seed=2))
    same = digest(one).items() & digest(other).items()
    assert {name for name, _ in same} == {"subjects.json"}


def test_a_folder_of_something_else_is_left_alone(tables: Path, tmp_path: Path) -> None:
    mice = plan(tables, n_mice=1, n_days=1, trials_scale=0.1)
    out = tmp_path / "out"
    list(write(out, mice, seed=0))
    with pytest.raises(CohortError, match="another cohort"):
        list(write(out, mice, seed=1))
    with pytest.raises(CohortError, match="holds no cohort"):
        list(write(tables, mice, seed=0))


def test_a_dry_run_writes_nothing(tables: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, printed = command(out, "--cohort", tables, "--mice", 1, "--days", 2, "--dry-run")
    assert code == 0
    assert printed.splitlines() == [
        "fimbrialab SYN_301 2024-02-26 300 True",
        "fimbrialab SYN_301 2024-02-27 310 True",
        f"1 SYNTHETIC mice, 2 sessions would be written under {out}",
    ]
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--mice", "9"], "9 mice are asked for"),
        (["--labs", "../x"], "lab '../x'"),
        (["--labs", ","], "give at least one"),
        (["--trials-scale", "0"], "not in the range"),
    ],
)
def test_wrong_use_is_told_plainly(
    tables: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    code, printed = command(tmp_path / "out", "--cohort", tables, *arguments)
    assert code != 0
    assert says in " ".join(printed.split())
    assert not (tmp_path / "out").exists()


def test_a_folder_without_tables_is_no_cohort(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"no figure3_ibl_learning\.csv"):
        plan(tmp_path)
