"""The rows of a list as a Parquet file, written by the site's script, read by Arrow."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

SCRIPT = Path(__file__).parents[2] / "site" / "results" / "scripts" / "parquet.js"

PROGRAM = """
const { parquet } = await import(process.argv[1]);
const { writeFileSync, readFileSync } = await import("node:fs");
const tables = JSON.parse(readFileSync(process.argv[2], "utf8"));
tables.forEach(({ columns, rows }, i) => {
  writeFileSync(`${process.argv[3]}/${i}.pqt`, parquet(columns, rows));
});
"""

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")


def written(folder: Path, *tables: dict[str, Any]) -> list[Any]:
    """Return the tables that the script writes, as Arrow reads them."""
    (folder / "tables.json").write_text(json.dumps(tables))
    command = [
        "node",
        "--input-type=module",
        "-e",
        PROGRAM,
        SCRIPT,
        folder / "tables.json",
        folder,
    ]
    subprocess.run([str(part) for part in command], check=True)
    return [pq.read_table(folder / f"{i}.pqt") for i in range(len(tables))]


def test_a_file_has_the_rows_that_are_shown_in_their_order(tmp_path: Path) -> None:
    columns = {
        "id": ["a", "ü → 🐭", None, 'd"\n,'],
        "n": [1, 2, None, 2**53 - 1],
        "x": [0.5, None, -1e300, 3],
        "public": [True, None, False, True],
        "recent": [[0.5], [], None, [1]],
    }
    some, none, all_ = written(
        tmp_path,
        {"columns": columns, "rows": [3, 1, 0]},
        {"columns": columns, "rows": []},
        {"columns": columns, "rows": [0, 1, 2, 3]},
    )
    # Lists are left out; types do not depend on what is filtered
    types = {"id": "string", "n": "int64", "x": "double", "public": "bool"}
    for table in (some, none, all_):
        assert {field.name: str(field.type) for field in table.schema} == types
    assert some.to_pydict() == {
        "id": ['d"\n,', "ü → 🐭", "a"],
        "n": [2**53 - 1, 2, 1],
        "x": [3.0, None, 0.5],
        "public": [True, None, True],
    }
    assert none.num_rows == 0
    assert all_.column("id").to_pylist() == columns["id"]


CELL = st.none() | st.text(st.characters(codec="utf-8"), max_size=30)
NUMBER = st.none() | st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=1, deadline=None)
@given(
    st.lists(
        st.lists(st.tuples(CELL, NUMBER, st.none() | st.booleans()), min_size=1, max_size=70),
        min_size=40,
        max_size=40,
    )
)
def test_whatever_is_written_is_read_again(tmp_path_factory: Any, tables: Any) -> None:
    asked = [
        {
            "columns": {name: [row[i] for row in rows] for i, name in enumerate("txb")},
            "rows": list(range(len(rows))),
        }
        for rows in tables
    ]
    read = written(tmp_path_factory.mktemp("pqt"), *asked)
    for one, table in zip(asked, read, strict=True):
        for name, values in one["columns"].items():
            found = table.column(name).to_pylist()
            assert all(
                a == b or (a is not None and b is not None and math.isclose(float(a), float(b)))
                for a, b in zip(found, values, strict=True)
            ), name


def test_a_hundred_thousand_rows_are_one_file(tmp_path: Path) -> None:
    columns = {"id": [f"{i:06d}" for i in range(100_000)], "n": list(range(100_000))}
    (table,) = written(tmp_path, {"columns": columns, "rows": list(range(100_000))})
    frame: pd.DataFrame = table.to_pandas()
    assert frame["n"].sum() == sum(range(100_000))
    assert frame["id"].iloc[-1] == "099999"
