"""DataJoint's own clients, of both lines, on the tables (`make datajoint`)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("pymysql", reason="the extra [datajoint] is not installed")
pytest.importorskip("duckdb", reason="the extra [sql] is not installed")

from lab.commands.analyse import load_subject
from lab.exports.datajoint.database import Database
from lab.exports.datajoint.sources import folder_subjects
from lab.exports.datajoint.sync import sync
from lab.exports.sql import connect, write_tables
from shared.science.cohort.features import as_table, subject_features
from tests.exports import databases, sessions
from tests.exports.by_one import assert_same_by_one
from tests.exports.test_sql import FEATURES

pytestmark = pytest.mark.proof

ROOT = Path(__file__).resolve().parents[2]
QUERIES = Path(__file__).with_name("datajoint_queries.py")
SORTED = "cortexlab/Subjects/FI_000/2019-07-01/001"
LINES = ("0.14", "2")
MICE = int(os.environ.get("MICE") or 3)

PAPER = """
import json, sys, warnings
warnings.filterwarnings("ignore")
import datajoint as dj
for name, value in json.load(open(sys.argv[1])).items():
    dj.config[name] = value
sys.path.insert(0, sys.argv[2])
import random_forest_functions as paper
subjects = paper.query_subjects(as_dataframe=False, criterion="trained")
trials = paper.training_trials(subjects)
matrix = paper.design_matrix(trials, subjects, 5)
matrix["subject_uuid"] = matrix["subject_uuid"].astype(str)
print("ANSWER " + matrix.to_json(orient="records", double_precision=15))
"""
"""The cells of the paper's notebook up to the design matrix."""


def python(line: str) -> Path:
    """Return the interpreter that has a line of DataJoint's client."""
    found = ROOT / ".venv" / f"datajoint-{line}" / "bin" / "python"
    if not found.exists():
        pytest.skip(f"DataJoint {line} is installed apart: make datajoint")
    return found


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Trained mice in the tables: the settings of a client, and the same mice's features."""
    root = databases.cohort(
        tmp_path_factory.mktemp("cohort"), mice=MICE, days=11, n=40, trained_from=6
    )
    sessions.write_spikes(root / SORTED, "probe00", 1)
    with databases.running(tmp_path_factory.mktemp("mariadb") / "db") as server:
        with Database(server.account()) as database:
            assert {step.did for step in sync(database, folder_subjects(root))} == {"written"}
        settings = server.folder / "settings.json"
        settings.write_text(json.dumps(server.settings()))
        facts = json.loads((root / "subjects.json").read_text())
        mice = sorted(root.glob("*/Subjects/*"))
        by_files = as_table(
            [subject_features(load_subject(one, one.parts[-3], facts[one.name])) for one in mice]
        )
        by_files = by_files.set_index("subject")
        assert_same_by_one(root, by_files)
        probe = root / SORTED / "alf" / "probe00"
        yield settings, by_files, by_sql(root, settings.parent / "tables"), probe


def by_sql(root: Path, out: Path) -> pd.DataFrame:
    """Return the features that SQL gives on the Parquet tables of the same mice."""
    list(write_tables(out, folder_subjects(root)))
    with connect(str(out)) as connection:
        return connection.execute(FEATURES).df().set_index("subject")


def ask(line: str, settings: Path, *arguments: str, code: str = "") -> object:
    program = ["-c", code] if code else [str(QUERIES)]
    done = subprocess.run(
        [str(python(line)), *program, str(settings), *arguments],
        capture_output=True,
        text=True,
        timeout=280 + 10 * MICE,
        check=False,
    )
    answers = [one[7:] for one in done.stdout.splitlines() if one.startswith("ANSWER ")]
    assert answers, done.stdout[-2000:] + done.stderr[-3000:]
    return json.loads(answers[0])


@pytest.mark.parametrize("line", LINES)
def test_fig_2_s_table_by_datajoint_equals_those_from_files_and_by_sql(line, served):
    settings, by_files, tables, _ = served
    rows = ask(line, settings, "features")
    assert {row["subject"] for row in rows} == set(by_files.index)
    compared = 0
    for row in rows:
        for name, value in row.items():
            if name in ("id", "subject", "lab"):
                continue
            expected = by_files.loc[row["subject"], name]
            np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12, err_msg=name)
            compared += 1
    assert compared == MICE * 19
    # and SQL on the Parquet tables gives the same numbers
    asked = {row["subject"]: row for row in rows}
    for mouse, row in tables.iterrows():
        for name, value in row.items():
            np.testing.assert_allclose(float(value), asked[mouse][name], rtol=1e-12, err_msg=name)
    assert tables.shape == (MICE, 9)


@pytest.mark.parametrize("line", LINES)
def test_a_user_s_computed_table_is_populated_with_jobs_reserved(line, served):
    settings, *_ = served
    answer = ask(line, settings, "populate")
    n = MICE * 11
    assert answer == {"sessions": n, "made": n, "refused": "AccessError"}


@pytest.mark.parametrize("line", LINES)
def test_spike_trains_of_units_are_those_of_the_files(line, served):
    settings, *_, probe = served
    files = {name: np.load(probe / f"spikes.{name}.npy") for name in ("times", "amps", "depths")}
    owners = np.load(probe / "spikes.clusters.npy")
    units = ask(line, settings, "spikes")
    assert sorted(row["unit"] for row in units) == np.unique(owners).tolist()
    for row in units:
        for name, values in files.items():
            expected = values[owners == row["unit"]]
            np.testing.assert_array_equal(row[f"cluster_spikes_{name}"], expected)


def test_the_paper_s_own_functions_run_unmodified_and_give_the_same_numbers(served):
    """`NOTEBOOK` is the folder with random_forest_functions.py of paper-data-architecture."""
    notebook = os.environ.get("NOTEBOOK", "")
    if not (Path(notebook) / "random_forest_functions.py").is_file():
        pytest.skip("the paper's notebook is not here: make datajoint NOTEBOOK=FOLDER")
    settings, by_files, *_ = served
    rows = ask("0.14", settings, notebook, code=PAPER)
    by_mouse = {row["subject_nickname"]: row for row in rows}
    assert set(by_mouse) == set(by_files.index)
    # The paper's code takes the sensor of the first five days, ours of all days until trained.
    sensor = {"temperature_c", "air_pressure_mb", "relative_humidity"}
    for mouse, row in by_mouse.items():
        for name in set(row) & set(by_files.columns) - sensor - {"subject", "id", "lab"}:
            np.testing.assert_allclose(
                float(row[name]), by_files.loc[mouse, name], rtol=1e-9, atol=1e-9, err_msg=name
            )
        for name in sensor:
            np.testing.assert_allclose(row[name], by_files.loc[mouse, name], rtol=0.05)
