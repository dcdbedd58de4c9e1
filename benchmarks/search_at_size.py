"""The search index at size: cost of a process that has just started, and of a warm one.

A simulated table (100,000 sessions of 150 datasets; 15 million rows) is written as a snapshot into
a folder that stands for S3, with S3's delay for each request. A new process then answers the ONE
client's searches. The benchmark prints its time, memory, requests and bytes::

    python benchmarks/search_at_size.py [--sessions 100000] [--wait-ms 25] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shared.catalog.columns.coded import Coded, Lists
from shared.catalog.columns.numbers import Numbers
from shared.catalog.columns.table import Columns
from shared.catalog.listings import KEYS, ORDER, row_key

DATASETS = 150
AT = "2026-01-01T00:00:00.000000"
LABS, SUBJECTS_OF_100 = 12, 2


def eids(n: int) -> list[str]:
    """Return the ids of n sessions, in order."""
    draw = np.random.default_rng(7)
    digits = np.sort(draw.integers(0, 2**63, n, dtype=np.uint64) * 2)
    return [
        f"{d >> 32:08x}-{d >> 16 & 0xFFFF:04x}-4{i % 4096:03x}-8000-{i:012x}"
        for i, d in enumerate(digits.tolist())
    ]


def table(kind: str, columns: dict[str, Any], n: int) -> Columns:
    """Return columns as the index of a kind holds them."""
    return Columns(
        columns, n, ORDER[kind], lambda row: row_key(kind, row), KEYS.get(kind, ("key",))
    )


def datasets(n: int) -> Columns:
    """Return the datasets of n sessions."""
    draw = np.random.default_rng(1)
    rows = n * DATASETS
    numbers = np.arange(n, dtype=np.uint32)
    names = [f"object{i:03d}.attribute.npy" for i in range(DATASETS)]
    folders = [f"alf/probe0{i % 2}" for i in range(DATASETS)]
    revised = [f"{folder}/#2024-0{1 + v % 9}-01#" for v in range(20) for folder in folders]
    paths = [f"{folder}/{name}" for folder, name in zip(folders, names, strict=True)]
    paths += [f"{folder}/{name}" for folder, name in zip(revised, names * 20, strict=True)]
    revision = np.repeat(np.where(draw.random(n) < 0.1, draw.integers(1, 21, n), 0), DATASETS)
    path = np.tile(np.arange(DATASETS), n) + DATASETS * revision
    rank = np.argsort(np.argsort(np.array(paths)))
    order = np.lexsort([rank[path], np.repeat(numbers, DATASETS)])
    path = path[order]
    which = path % DATASETS
    places = [(), ("aws_lab",), ("aws_lab", "flatiron"), ("fornix",)]
    return table(
        "dataset",
        {
            "session": Coded(np.repeat(numbers, DATASETS), eids(n)),
            "path": Coded(path, paths),
            "dataset_type": Coded(which % 60, [f"t{i}" for i in range(60)]),
            "data_format": Coded(which % 5, list("abcde")),
            "file_size": Numbers(draw.integers(0, 10**9, rows)),
            "qc": Coded(
                draw.choice(5, rows, p=[0.9, 0.04, 0.03, 0.02, 0.01]), [0, 10, 30, 40, 50]
            ),
            "default_dataset": Coded(np.zeros(rows, np.uint8), [True]),
            "version": Coded(np.zeros(rows, np.uint8), ["3.1.0"]),
            "created_by": Coded(draw.integers(0, 50, rows), [f"u{i}" for i in range(50)]),
            "created_datetime": Coded(
                np.repeat(numbers, DATASETS), [f"2024-01-01T00:00:00.{i:06d}" for i in range(n)]
            ),
            "repositories": Lists(draw.choice(4, rows, p=[0.01, 0.2, 0.3, 0.49]), places),
            "tags": Lists((which % 10 == 0).astype(np.uint8), [(), ("2024_Q1_release",)]),
        },
        rows,
    )


def sessions(n: int) -> Columns:
    """Return n sessions in the index's order, the last ones first."""
    draw = np.random.default_rng(2)
    ids = eids(n)
    session_numbers, shuffled = np.arange(n), draw.permutation(n)
    subjects = max(n * SUBJECTS_OF_100 // 100, 1)
    days = np.datetime64("2019-01-01") + (session_numbers * 2400 // n)[::-1]
    starts = [
        f"{day}T{8 + i % 10:02d}:{i % 60:02d}:{i // 60 % 60:02d}.{i:06d}+00:00"
        for i, day in enumerate(days.tolist())
    ]
    start = sorted(range(n), key=lambda i: starts[i], reverse=True)
    quality = {"_task_reward": 0.5, "behavior": 1, "note": "x" * 200}
    columns: dict[str, Any] = {
        "id": Coded(shuffled, ids),
        "key": Coded(shuffled, ids),
        "start_time": Coded.of([starts[i] for i in start]),
        "date": Coded.of([starts[i][:10] for i in start]),
        "subject": Coded(draw.integers(0, subjects, n), [f"S_{i:05d}" for i in range(subjects)]),
        "lab": Coded(draw.integers(0, LABS, n), [f"lab{i}" for i in range(LABS)]),
        "number": Coded.of([1 + i % 3 for i in range(n)]),
        "projects": Lists(draw.integers(0, 3, n), [("ibl",), ("ibl", "brainwide"), ()]),
        "users": Lists(draw.integers(0, 40, n), [(f"u{i}",) for i in range(40)]),
        "procedures": Lists(draw.integers(0, 2, n), [("Behavior",), ("Behavior", "Ephys")]),
        "task_protocol": Coded(draw.integers(0, 30, n), [f"_iblrig_task{i}" for i in range(30)]),
        "qc": Coded(draw.integers(0, 3, n), [0, 10, 40]),
        "public": Coded(draw.integers(0, 2, n), [True, False]),
        "n_trials": Coded(draw.integers(0, 900, n), list(range(900))),
        "n_correct_trials": Coded(draw.integers(0, 900, n), list(range(900))),
        "extended_qc": Coded.of([{**quality, "n": i} for i in range(n)]),
        "json": Coded.of([{"POOP_COUNT": i, "WEIGHT": i / 7} for i in range(n)]),
        "narrative": Coded.of([f"narrative {i}" for i in range(n)]),
        "_version": Coded.of(list(range(n))),
    }
    for name in ("location", "type", "end_time", "parent_session", "embargo_until", "synthetic"):
        columns[name] = Coded(np.zeros(n, np.uint8), [None])
    return table("session", columns, n)


class Folder:
    """Files of a folder, read like S3: with a delay for each request."""

    def __init__(self, place: Path, wait: float) -> None:
        self.place, self.wait = place, wait
        self.requests, self.nbytes = 0, 0

    def fetch(self, key: str, offset: int, length: int) -> bytes:
        """Return a range of a file."""
        time.sleep(self.wait)
        self.requests += 1
        self.nbytes += length
        with (self.place / key).open("rb") as file:
            file.seek(offset)
            return file.read(length)


def resident() -> float:
    """Return the resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def searches(tables: dict[str, Any], eid: str) -> dict[str, Callable[[], Any]]:
    """Return the ONE client's searches of the index, by name."""
    from shared.records.where import Where

    dataset, session = tables["dataset"], tables["session"]
    elsewhere = Where("repositories", "test", lambda x: x is not None and x != "aws_personal")
    good = Where("qc", "lte", 40)

    def page(wheres: Sequence[Where]) -> Any:
        chosen = session.select(wheres)
        return len(chosen), chosen.page(0, 250)

    def having(*wheres: Where) -> Where:
        return Where("id", "in", dataset.select(wheres).values("session"))

    name = Where("name", "exact", "object007.attribute.npy")
    kind = Where("dataset_type", "exact", "t5")
    days = [Where("start_time", "gte", "2023-01-01"), Where("start_time", "lt", "2023-02-01")]
    return {
        "subject": lambda: page([Where("subject", "iexact", "s_00042")]),
        "month": lambda: page(days),
        "lab, project": lambda: page(
            [Where("lab", "iexact", "lab3"), Where("projects", "icontains", "brainwide")]
        ),
        "dataset name": lambda: page([having(name, good, elsewhere)]),
        "dataset type": lambda: page([having(kind)]),
        "month, two dataset types": lambda: page(
            [*days, having(kind), having(Where("dataset_type", "exact", "t7"))]
        ),
        "a release": lambda: page([having(Where("tags", "icontains", "2024_Q1"))]),
        "quality of datasets": lambda: page([having(Where("qc", "lte", 10))]),
        "task protocol": lambda: page([Where("task_protocol", "icontains", "task7")]),
        "last page": lambda: session.select().page(10**6, 250),
        "datasets of a session": lambda: dataset.select([Where("session", "exact", eid)]).page(
            0, 250
        ),
        "all datasets, a page": lambda: dataset.select().page(5_000_000, 250),
    }


def answer(place: Path, wait: float, first: str) -> dict[str, Any]:
    """Answer searches in this process, which has just started; ``first`` is the first one."""
    from shared.catalog import snapshot
    from shared.catalog.versions import Table

    begin = time.perf_counter()
    folder = Folder(place, wait)
    snapshot._fetch = folder.fetch
    sizes = json.loads((place / "sizes.json").read_text())
    tables = {
        kind: Table(
            kind,
            lambda kind=kind: snapshot.read(
                kind, {"key": f"{kind}.columns", "bytes": sizes[kind]}, ORDER[kind], False
            ),
            AT,
        )
        for kind in ("session", "dataset")
    }
    every = searches(tables, sizes["eid"])
    every[first]()
    measured: dict[str, Any] = {
        "first": first,
        "s": time.perf_counter() - begin,
        "CPU s": time.process_time(),
        "MB": resident(),
        "requests": folder.requests,
        "fetched MB": folder.nbytes / 1e6,
        "warm ms": {},
        "warm CPU ms": {},
    }
    for name, search in every.items():
        search()
        times, works = [], []
        for _ in range(7):
            start, work = time.perf_counter(), time.process_time()
            search()
            times.append(1000 * (time.perf_counter() - start))
            works.append(1000 * (time.process_time() - work))
        measured["warm ms"][name] = statistics.median(times)
        measured["warm CPU ms"][name] = statistics.median(works)
    measured["MB after all"] = resident()
    lines = Path("/proc/self/status").read_text().splitlines()
    measured["MB at most"] = next(int(x.split()[1]) for x in lines if x.startswith("VmHWM")) / 1000
    return measured


def main() -> None:
    """Make the snapshot, start processes that answer, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--wait-ms", type=float, default=25)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--place", type=Path, help="keep the snapshot here, or use the one there")
    parser.add_argument("--answer", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.answer:
        print(json.dumps(answer(chosen.place, chosen.wait_ms / 1000, chosen.answer)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        place = chosen.place or Path(temporary)
        if not (place / "sizes.json").exists():
            make(place, chosen.sessions)
        results = []
        for first in ("subject", "dataset type", "dataset name"):
            command = [sys.executable, __file__, "--place", str(place), "--answer", first]
            command += ["--wait-ms", str(chosen.wait_ms)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            results.append(json.loads(done.stdout))
            measured = results[-1]
            print(
                f"first answer ({first}): {measured['s']:.2f} s ({measured['CPU s']:.2f} s "
                f"of the processor, with imports), {measured['MB']:.0f} MB, "
                f"{measured['requests']} requests, {measured['fetched MB']:.1f} MB fetched"
            )
        for name in results[0]["warm ms"]:
            wall, work = (
                min(result[what][name] for result in results)
                for what in ("warm ms", "warm CPU ms")
            )
            print(f"  {name:28}{wall:8.1f} ms, {work:.1f} of the processor")
        print(
            f"after all: {results[0]['MB after all']:.0f} MB, at most "
            f"{max(result['MB at most'] for result in results):.0f} MB"
        )
        if chosen.json:
            chosen.json.write_text(json.dumps(results, indent=1))


def make(place: Path, n: int) -> None:
    """Write the snapshot of n sessions."""
    from shared.catalog.columns import mapped

    place.mkdir(parents=True, exist_ok=True)
    sizes: dict[str, Any] = {"eid": eids(n)[n // 3]}
    for kind, made in (("session", sessions), ("dataset", datasets)):
        columns = made(n)
        start = time.perf_counter()
        body = mapped.pack(columns)
        print(
            f"{kind}: {columns.n} rows, {len(body) / 1e6:.1f} MB, "
            f"packed in {time.perf_counter() - start:.1f} s"
        )
        (place / f"{kind}.columns").write_bytes(body)
        sizes[kind] = len(body)
    (place / "sizes.json").write_text(json.dumps(sizes))


if __name__ == "__main__":
    main()
