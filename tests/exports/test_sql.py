"""``fornix export sql`` and ``fornix sql``: tables that DuckDB reads where they lie."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("duckdb", reason="the extra [sql] is not installed")

from lab.commands.analyse import load_subject
from lab.commands.export import export
from lab.commands.sql import sql
from lab.exports.datajoint.sources import folder_subjects
from lab.exports.sql import connect
from shared.results.sql import INDEX
from shared.science.cohort.features import as_table, subject_features
from shared.science.tables.declared import TABLES
from shared.science.tables.rows import rows_of
from tests.exports import databases
from tests.exports.by_one import assert_same_by_one
from tests.processes import answering

FEATURES = """
WITH sessions AS (
    SELECT s.*, st.training_status, s.session_start_time::date AS day
    FROM acquisition_session s
    JOIN analyses_behavior_session_training_status st USING (subject_uuid, session_start_time)
), trained AS (
    SELECT subject_uuid, min(day) AS day FROM sessions
    WHERE training_status IN ('trained_1a', 'trained_1b') GROUP BY ALL
), before AS (
    SELECT s.* FROM sessions s JOIN trained t USING (subject_uuid) WHERE s.day < t.day
), first_days AS (
    SELECT t.*, d.training_day, t.trial_response_time - t.trial_stim_on_time AS rt
    FROM behavior_trial_set_trial t
    JOIN analyses_behavior_behavioral_summary_by_date d
      ON t.subject_uuid = d.subject_uuid AND t.session_start_time::date = d.session_date
    WHERE d.training_day <= 5
), rt AS (
    SELECT subject_uuid, training_day, median(rt) AS rt, max(trial_id) AS n
    FROM first_days WHERE trial_stim_contrast_left + trial_stim_contrast_right >= 0.5 GROUP BY ALL
), size AS (
    SELECT subject_uuid, session_start_time, count(*) AS n, max(trial_start_time) AS last
    FROM first_days GROUP BY ALL
), wheel AS (
    SELECT subject_uuid,
        sum(n * abs(total_displacement / total_distance)) / sum(n) AS disp_norm,
        sum(n * total_distance / last) / sum(n) AS moves_time
    FROM size JOIN group_shared_wheel_wheel_move_set USING (subject_uuid, session_start_time)
    GROUP BY ALL
), sensor AS (
    SELECT subject_uuid, session_start_time, avg(temperature_c) AS celsius
    FROM behavior_ambient_sensor_data JOIN before USING (subject_uuid, session_start_time)
    GROUP BY ALL
)
SELECT subject_nickname AS subject,
    (SELECT count(DISTINCT day) FROM before b WHERE b.subject_uuid = m.subject_uuid)
        AS training_time,
    (SELECT performance_easy FROM analyses_behavior_behavioral_summary_by_date d
        WHERE d.subject_uuid = m.subject_uuid AND training_day = 1) AS perf_init,
    (SELECT rt FROM rt WHERE rt.subject_uuid = m.subject_uuid AND training_day = 1) AS RT_init,
    (SELECT sum(n) FROM rt WHERE rt.subject_uuid = m.subject_uuid) AS trials_sum,
    w.disp_norm, w.moves_time,
    (SELECT median(celsius) FROM sensor s WHERE s.subject_uuid = m.subject_uuid)
        AS temperature_c,
    (SELECT min(day) FROM sessions s WHERE s.subject_uuid = m.subject_uuid)
        - subject_birth_date AS age_start,
    (SELECT weight FROM action_weighing g WHERE g.subject_uuid = m.subject_uuid
        ORDER BY weighing_time LIMIT 1) AS weight_start
FROM subject_subject m JOIN wheel w USING (subject_uuid) ORDER BY subject
"""
"""Features of Fig. 2, as somebody would ask for them."""


def write(out: Path, root: Path) -> dict[str, str]:
    """Run the command that writes; return what it did by mouse."""
    done = CliRunner().invoke(export, ["sql", str(out), "--sessions", str(root), "--json"])
    assert done.exit_code == 0, done.output
    return {row["subject"]: row["did"] for row in map(json.loads, done.stdout.splitlines())}


def test_the_tables_hold_all_rows_and_change_by_mouse(tmp_path):
    root, out = databases.cohort(tmp_path / "data"), tmp_path / "tables"
    assert write(out, root) == {"FI_000": "written", "FI_001": "written"}
    rows: dict[str, set] = {table.name: set() for table in TABLES}
    for one in folder_subjects(root):
        for name, found in rows_of(one.load()).items():
            rows[name] |= set(found)
    with connect(str(out)) as connection:
        for table in TABLES:
            found = connection.execute(f"SELECT * FROM {table.parquet_name}").fetchall()
            assert set(found) == rows[table.name], table.name
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    assert write(out, root) == {"FI_000": "unchanged", "FI_001": "unchanged"}
    # When one mouse has other trials and the other leaves
    databases.rewrite(root / "cortexlab/Subjects/FI_000/2019-07-01/001", seed=9)
    shutil.rmtree(root / "cortexlab/Subjects/FI_001")
    assert write(out, root) == {"FI_000": "written", "FI_001": "removed"}
    after = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    kept = before.keys() & after.keys()
    assert any("acquisition_session" in str(path) for path in kept)
    assert not [path for path in kept if "trial_set_trial" in str(path)]
    index = json.loads((out / INDEX).read_text())
    named = {key for one in index["subjects"].values() for key in one["files"].values()}
    named |= set(index["shared"].values())
    assert {path.relative_to(out).as_posix() for path in after} == named


def test_fig_2_s_numbers_by_sql_and_by_one_equal_those_from_files(tmp_path):
    root = databases.cohort(tmp_path / "data", mice=2, days=11, n=40, trained_from=6)
    write(tmp_path / "tables", root)
    done = CliRunner().invoke(sql, [FEATURES, "--tables", str(tmp_path / "tables"), "--json"])
    assert done.exit_code == 0, done.output
    facts = json.loads((root / "subjects.json").read_text())
    by_files = as_table(
        [
            subject_features(load_subject(mouse, mouse.parts[-3], facts[mouse.name]))
            for mouse in sorted(root.glob("*/Subjects/*"))
        ]
    ).set_index("subject")
    assert_same_by_one(root, by_files)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row.pop("subject") for row in rows] == list(by_files.index)
    for mouse, row in zip(by_files.index, rows, strict=True):
        assert len(row) == 9
        for name, value in row.items():
            expected = by_files.loc[mouse, name]
            np.testing.assert_allclose(float(value), expected, rtol=1e-12, err_msg=name)


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Serve a folder as CloudFront does, by ranges; note what was asked and how much given."""
    asked: list[tuple[str, int]] = []

    class Files(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = folder / unquote(self.path.lstrip("/"))
            if not path.is_file():
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body, status = path.read_bytes(), 200
            total = len(body)
            span = self.headers.get("Range")
            if span:
                first, _, last = span.removeprefix("bytes=").partition("-")
                stop = min(int(last or total - 1), total - 1)
                body, status = body[int(first) : stop + 1], 206
            self.send_response(status)
            if span:
                self.send_header("Content-Range", f"bytes {first}-{stop}/{total}")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                asked.append((self.path, len(body)))
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with answering(Files) as url:
        yield url, asked


def test_over_http_only_the_files_of_the_animal_asked_for_are_read(tmp_path):
    root, out = databases.cohort(tmp_path / "data", mice=4), tmp_path / "tables"
    write(out, root)
    index = json.loads((out / INDEX).read_text())
    wanted = sorted(index["subjects"])[1]
    query = f"SELECT count(*) AS n FROM behavior_trial_set_trial WHERE subject_uuid = '{wanted}'"
    with served(out) as (url, asked):
        done = CliRunner().invoke(sql, [query, "--tables", url, "--json"])
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout) == {"n": 90}
    # Then the index came, the columns by the first file, and the one file: three requests
    assert asked[0][0] == f"/{INDEX}"
    assert len(asked) == 3
    assert wanted in unquote(asked[-1][0])


def test_it_tells_what_there_is_and_refuses_with_the_next_step(tmp_path):
    root, out = databases.cohort(tmp_path / "data", mice=1, days=1), tmp_path / "tables"
    write(out, root)
    runner = CliRunner()
    told = runner.invoke(sql, ["--tables", str(out)]).output
    assert "action_weighing: subject_uuid varchar, weighing_time timestamp, weight double" in told
    csv = runner.invoke(sql, ["SELECT 1 AS a, NULL AS b", "--tables", str(out), "--csv"]).output
    assert csv.splitlines() == ["a,b", "1,"]
    shown = runner.invoke(sql, ["SELECT 'x' AS a", "--tables", str(out)]).output
    assert "x" in shown
    # Tables without rows are there, empty
    empty = ["SELECT count(*) AS n FROM ephys_default_cluster", "--tables", str(out), "--json"]
    assert json.loads(runner.invoke(sql, empty).output) == {"n": 0}
    wrong = runner.invoke(sql, ["SELECT * FROM nothing", "--tables", str(out)])
    assert wrong.exit_code == 1
    assert "nothing does not exist" in wrong.output
    assert "fornix export sql" in runner.invoke(sql, ["--tables", str(tmp_path)]).output
    assert runner.invoke(sql, ["SELECT 1"]).exit_code == 2
