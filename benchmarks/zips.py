"""Zips of releases against a plain copy of the same bytes to the same disk, in one run.

    python benchmarks/zips.py [--rounds 5] [--large 3] [--small 2000] [--folder .]

A release of a few large files, and one of many small ones, are written as zips: every byte is
read, hashed (SHA-256), summed (CRC-32) and written once. The peers are these: `copy` puts the same
files one after the other into one file, without checksums; `check` computes their SHA-256 and
writes nothing; `check, then copy` does both, as a careful copy must. Writing starts without the
file of the former run and ends with one fsync. Figures are medians of runs in turn. A zip with
checksums cannot be faster than the slower of `copy` and `check`. A ratio below 1 on that line
means that its parts slow each other down, for lack of processors or of memory bandwidth.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from lab.releases.folder import folder_release
from shared.model.release import ReleaseTerms
from shared.releases.copy import copied_files
from shared.releases.describe import ReleaseAddresses
from shared.releases.zipped import write_zip

BIG = 200 * 2**20
"""Bytes of a large file."""

SMALL = (1_000, 100_000)
"""Bytes of the smallest and the largest small file."""

WHERE = "fimbrialab/Subjects/FI_001/2024-07-01"
BLOCK = 2**20


def copied(sources: Sequence[Path], target: Path) -> None:
    """Copy files into one, synchronised to the disk, like a zip."""
    with target.open("wb") as file:
        for source in sources:
            with source.open("rb") as original:
                shutil.copyfileobj(original, file, BLOCK)
        file.flush()
        os.fsync(file.fileno())


def checked(sources: Sequence[Path]) -> None:
    """Compute the SHA-256 of files."""
    for source in sources:
        with source.open("rb") as file:
            hashlib.file_digest(file, "sha256")


def measured(
    runs: dict[str, Callable[[], object]], rounds: int, targets: Sequence[Path]
) -> dict[str, tuple[float, float]]:
    """Return median seconds, elapsed and of the processor, of runs in turn.

    Files of `targets` are removed before each run, since removing takes as long as writing some.
    """
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for round_ in range(rounds + 1):
        for name, run in runs.items():
            for path in targets:
                path.unlink(missing_ok=True)
            wall, spent = time.perf_counter(), time.process_time()
            run()
            if round_:  # the first warms up
                took = (time.perf_counter() - wall, time.process_time() - spent)
                taken[name].append(took)
    return {
        name: (statistics.median(w for w, _ in times), statistics.median(c for _, c in times))
        for name, times in taken.items()
    }


def compare(name: str, data: Path, root: Path, rounds: int) -> None:
    """Print the comparison of zipping a folder."""
    made = folder_release(data, "bench", ReleaseTerms())
    files = copied_files(made.manifest, ReleaseAddresses())
    sources = list(made.files.values())

    copy, made_zip = root / "copied", root / "made.zip"

    def check_and_copy() -> None:
        checked(sources)
        copied(sources, copy)

    taken = measured(
        {
            "copy": lambda: copied(sources, copy),
            "check": lambda: checked(sources),
            "check, then copy": check_and_copy,
            "zip": lambda: write_zip(files, made_zip, made.blocks),
        },
        rounds,
        (copy, made_zip),
    )
    size = sum(path.stat().st_size for path in sources) / 1e6
    zipped = taken["zip"]
    print(f"{name}: {len(sources):,} files, {size:,.0f} MB")
    for what, (wall, spent) in taken.items():
        line = f"  {what:24} {size / wall:7,.0f} MB/s, {spent:5.2f} s of the processor"
        print(f"{line}; zip {wall / zipped[0]:.2f}, by the processor {spent / zipped[1]:.2f}")
    bound = max(taken["copy"][0], taken["check"][0])
    print(
        f"  {'slower of copy and check':24} {size / bound:7,.0f} MB/s; zip {bound / zipped[0]:.2f}"
    )


def main() -> None:
    """Write the files, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", type=int, default=3, help="large files")
    parser.add_argument("--small", type=int, default=2_000, help="small files")
    parser.add_argument("--folder", type=Path, help="on the disk that is measured")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        root = Path(folder)
        for i in range(options.large):
            place = root / "large" / WHERE / f"{i + 1:03d}" / "raw_ephys_data/probe00"
            place.mkdir(parents=True)
            (place / "_spikeglx_ephysData_g0_t0.imec0.ap.ebin").write_bytes(rng.bytes(BIG))
        for i in range(options.small):
            place = root / "small" / WHERE / f"{i // 100 + 1:03d}" / "alf"
            place.mkdir(parents=True, exist_ok=True)
            body = rng.bytes(int(rng.integers(*SMALL)))
            (place / f"things.value{i % 100:02d}.npy").write_bytes(body)
        compare("large files", root / "large", root, options.rounds)
        compare("small files", root / "small", root, options.rounds)


if __name__ == "__main__":
    main()
