"""Loading and zipping: ratios against raw numpy, the ONE client and a plain copy, in one run.

    python benchmarks/loading.py [--rounds 5]

Twenty small arrays of an object are read from a copy of a release: by `fornix`, by ``np.load`` of
the same files, and by the ONE client (with and without its check of hashes). Then a folder is
zipped and copied. Ratios are medians of runs taken in turn; times depend on the machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

import fornix
from lab.releases.folder import folder_release
from shared.model.release import ReleaseTerms
from shared.releases.copy import copied_files
from shared.releases.describe import ReleaseAddresses
from shared.releases.zipped import write_zip

ARRAYS, ROWS = 20, 1_000
BIG = 200 * 2**20
"""Bytes of the file that is zipped and copied."""

WHERE = "fimbrialab/Subjects/FI_001/2024-07-01/001"


def seconds(run: Callable[[], object]) -> float:
    """Return how long a run takes (s)."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def in_turn(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of several runs taken in turn, after one of each unmeasured."""
    for run in runs.values():
        run()
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            taken[name].append(seconds(run))
    return {name: statistics.median(each) for name, each in taken.items()}


def copy_of(root: Path) -> Path:
    """Write a session of small arrays, and return the copy that its zip unpacks to."""
    session = root / "data" / WHERE / "alf"
    session.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i in range(ARRAYS):
        np.save(session / f"things.value{i:02d}.npy", rng.normal(size=ROWS))
    made = folder_release(root / "data", "bench", ReleaseTerms())
    files = copied_files(made.manifest, ReleaseAddresses())
    path = write_zip(files, root / "bench.zip", made.blocks)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(root / "copy")
    return root / "copy"


def loading(root: Path, rounds: int) -> None:
    """Print how loading compares."""
    copy = copy_of(root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from one.api import One

        one = One(cache_dir=copy, mode="local")
        eid = str(one.search()[0])
        data, zipped = fornix.open(copy), fornix.open(root / "bench.zip")
        paths = sorted((copy / WHERE / "alf").glob("*.npy"))
        taken = in_turn(
            {
                "np.load": lambda: [np.load(path) for path in paths],
                "fornix, folder": lambda: dict(data.load(eid, "things")),
                "fornix, zip": lambda: dict(zipped.load(eid, "things")),
                "ONE": lambda: one.load_object(eid, "things"),
                "ONE, unchecked": lambda: one.load_object(eid, "things", check_hash=False),
            },
            rounds,
        )
    print(f"{ARRAYS} arrays of {ROWS} numbers, as multiples of np.load:")
    for name, each in taken.items():
        print(f"  {name:16} {each / taken['np.load']:8.2f}")


def copied(source: Path, target: Path) -> None:
    """Copy a file to the disk itself, as the zip is written."""
    with source.open("rb") as original, target.open("wb") as file:
        shutil.copyfileobj(original, file, 2**20)
        file.flush()
        os.fsync(file.fileno())


def zipping(root: Path, rounds: int) -> None:
    """Print how zipping compares with copying, hashing included."""
    session = root / "big" / WHERE / "raw_ephys_data/probe00"
    session.mkdir(parents=True)
    source = session / "_spikeglx_ephysData_g0_t0.imec0.ap.cbin"
    source.write_bytes(np.random.default_rng(0).bytes(BIG))
    made = folder_release(root / "big", "big", ReleaseTerms())
    files = copied_files(made.manifest, ReleaseAddresses())
    taken = in_turn(
        {
            "copy": lambda: copied(source, root / "copied"),
            "zip": lambda: write_zip(files, root / "big.zip", made.blocks),
        },
        rounds,
    )
    print(f"throughput of a zip: {taken['copy'] / taken['zip']:.2f} of a plain copy's")


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        loading(Path(folder), rounds)
        zipping(Path(folder), rounds)


if __name__ == "__main__":
    main()
