"""The search index at scale: memory, time per query and size of the snapshot, as it grows.

Sessions with 150 datasets each, in columns as the API holds them; 100,000 such sessions are the
plan (15 million rows). Beside each query stands the same answered from a pandas table as the ONE
client holds it (``--peer``, up to 10,000 sessions: it needs gigabytes)::

    python benchmarks/search.py [--sessions 1000 10000 100000] [--peer]
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shared.catalog.columns.coded import Coded, Many
from shared.catalog.columns.numbers import Numbers
from shared.catalog.columns.table import Columns, read_parquet
from shared.catalog.versions import Table
from shared.records.where import Where

DATASETS = 150


def key(row: Any) -> str:
    """Return the key of a dataset's row."""
    return f"{row['session']}|{row['path']}"


def datasets(n: int) -> Columns:
    """Return the datasets of n sessions, as they lie in a snapshot."""
    draw = np.random.default_rng(1)
    rows = n * DATASETS
    eids = [f"{i:08x}-0000-4000-8000-000000000000" for i in range(n)]
    paths = [f"alf/probe0{i % 2}/object{i:03d}.attribute.npy" for i in range(2 * DATASETS)]
    tags = Coded(np.zeros(rows // 10, np.uint8), ["2024_Q1_release"])
    starts = np.concatenate([[0], np.cumsum(np.arange(rows) % 10 == 0)]).astype(np.uint32)
    shift = np.repeat(draw.integers(0, 2, n) * 7, DATASETS)
    columns = {
        "session": Coded(np.repeat(np.arange(n, dtype=np.uint32), DATASETS), list(eids)),
        "path": Coded(np.tile(np.arange(DATASETS), n) + shift, list(paths)),
        "dataset_type": Coded(np.tile(np.arange(DATASETS) % 60, n), [f"t{i}" for i in range(60)]),
        "data_format": Coded(np.tile(np.arange(DATASETS) % 5, n), list("abcde")),
        "file_size": Numbers(draw.integers(0, 10**9, rows)),
        "qc": Coded(draw.choice(5, rows, p=[0.9, 0.04, 0.03, 0.02, 0.01]), [0, 10, 30, 40, 50]),
        "default_dataset": Coded(np.zeros(rows, np.uint8), [True]),
        "version": Coded(np.zeros(rows, np.uint8), ["3.1.0"]),
        "created_by": Coded(draw.integers(0, 50, rows), [f"u{i}" for i in range(50)]),
        "created_datetime": Coded(
            np.repeat(np.arange(n, dtype=np.uint32), DATASETS),
            [f"2024-01-01T00:00:00.{i:06d}" for i in range(n)],
        ),
        "repositories": Many(
            np.arange(rows + 1, dtype=np.uint32),
            Coded(draw.integers(0, 10, rows), [f"aws_lab{i}" for i in range(10)]),
        ),
        "tags": Many(starts[: rows + 1], tags),
    }
    return Columns(columns, rows, ("session", "path"), key, ("session", "path"))


def timed(call: Callable[[], Any], repeats: int = 5) -> tuple[float, float]:
    """Return the milliseconds of the first call, and the median of those after it."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return times[0], statistics.median(times[1:])


def queries(table: Table) -> dict[str, Callable[[], Any]]:
    """Return queries that the API makes of datasets, by name."""
    name = Where("name", "exact", "object007.attribute.npy")
    there = Where("repositories", "test", lambda x: x is not None and x != "aws_lab0")
    good = Where("qc", "lte", 40)
    eid = "00000010-0000-4000-8000-000000000000"
    return {
        "sessions that have a dataset": lambda: table.select([name, good, there]).values(
            "session"
        ),
        "sessions of a dataset type": lambda: table.select(
            [Where("dataset_type", "exact", "t5")]
        ).values("session"),
        "datasets of a session": lambda: table.select([Where("session", "exact", eid)]).page(
            0, 250
        ),
        "names that contain a text": lambda: len(
            table.select([Where("name", "icontains", "t007")])
        ),
        "all of a release": lambda: len(table.select([Where("tags", "exact", "2024_Q1_release")])),
        "QC fails, last page": lambda: table.select([Where("qc", "exact", 40)]).page(10**6, 250),
    }


def peer(columns: Columns) -> dict[str, float]:
    """Return the milliseconds of some of the queries in pandas."""
    import pandas as pd

    rows = np.arange(columns.n)
    frame = pd.DataFrame(
        {
            "eid": columns.columns["session"].pick(rows),
            "rel_path": columns.columns["path"].pick(rows),
            "qc": columns.columns["qc"].pick(rows),
        }
    )
    bytes_ = frame.memory_usage(deep=True).sum()
    print(f"  pandas: {bytes_ / 1e6:.0f} MB for three of the twelve columns")
    wanted = frame["rel_path"].str.endswith("/object007.attribute.npy")

    def sessions() -> Any:
        found = frame["rel_path"].str.endswith("/object007.attribute.npy") & (frame["qc"] <= 40)
        return frame.loc[found, "eid"].unique()

    del wanted
    return {"sessions that have a dataset": timed(sessions, 3)[1]}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--peer", action="store_true")
    options = parser.parse_args()
    for n in options.sessions:
        columns = datasets(n)
        table = Table("dataset", lambda columns=columns: columns, "2024-01-01T00:00:00.0")
        start = time.perf_counter()
        packed = columns.to_parquet()
        wrote = time.perf_counter() - start
        start = time.perf_counter()
        read_parquet(
            io.BytesIO(packed), frozenset(), ("session", "path"), key, ("session", "path")
        )
        read = time.perf_counter() - start
        print(
            f"{n} sessions, {columns.n} datasets: {columns.nbytes / 1e6:.0f} MB in memory, "
            f"{columns.nbytes / columns.n:.1f} bytes each; snapshot {len(packed) / 1e6:.1f} MB, "
            f"written in {wrote:.1f} s, read in {read:.1f} s"
        )
        others = peer(columns) if options.peer and n <= 10_000 else {}
        for name, query in queries(table).items():
            first, usual = timed(query)
            beside = f", pandas {others[name]:.0f} ms" if name in others else ""
            print(f"  {name:32}{usual:9.1f} ms (first {first:.0f} ms){beside}")
        print(f"  with posting lists: {columns.nbytes / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
