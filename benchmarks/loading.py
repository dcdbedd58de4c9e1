"""Loading: ratios against raw numpy and the ONE client, in one run.

    python benchmarks/loading.py [--rounds 5]

Twenty small arrays of an object are read from a copy of a release: by `fornix`, by ``np.load`` of
the same files, and by the ONE client (with and without its hash check). Ratios are medians of runs
in turn; times depend on the machine.
"""

from __future__ import annotations

import argparse
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
WHERE = "fimbrialab/Subjects/FI_001/2024-07-01/001"


def seconds(run: Callable[[], object]) -> float:
    """Return the seconds of a run."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def in_turn(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of several runs in turn, after one unmeasured run of each."""
    for run in runs.values():
        run()
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            taken[name].append(seconds(run))
    return {name: statistics.median(times) for name, times in taken.items()}


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
    """Print the comparison of loading."""
    copy = copy_of(root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from one.api import One

        client = One(cache_dir=copy, mode="local")
        eid = str(client.search()[0])
        data, zipped = fornix.open(copy), fornix.open(root / "bench.zip")
        paths = sorted((copy / WHERE / "alf").glob("*.npy"))
        taken = in_turn(
            {
                "np.load": lambda: [np.load(path) for path in paths],
                "fornix, folder": lambda: dict(data.load(eid, "things")),
                "fornix, zip": lambda: dict(zipped.load(eid, "things")),
                "ONE": lambda: client.load_object(eid, "things"),
                "ONE, unchecked": lambda: client.load_object(eid, "things", check_hash=False),
            },
            rounds,
        )
    print(f"{ARRAYS} arrays of {ROWS} numbers, as multiples of np.load:")
    for name, times in taken.items():
        print(f"  {name:16} {times / taken['np.load']:8.2f}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    with tempfile.TemporaryDirectory() as folder:
        loading(Path(folder), parser.parse_args().rounds)


if __name__ == "__main__":
    main()
