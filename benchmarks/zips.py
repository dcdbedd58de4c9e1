"""Zips of releases against what the disk takes of the same bytes, in one run.

    python benchmarks/zips.py [--rounds 3] [--large 20] [--small 2000] [--folder .] [--warm]

A release of a few large files, several GB in all, and one of many small ones are written as zips.
The rows:

- `disk`: the same number of bytes written from memory to one file, the disk's own throughput;
- `copy`: the same files one after the other into one file, without checksums;
- `check`: their SHA-256, and nothing is written;
- `zip`: as `fornix zip` writes it: each byte is read, summed (CRC-32, which proves that it is what
  was hashed just before) and written once;
- `hash, then zip`: the whole of `fornix zip`, with the SHA-256 and MD5 that go into its manifest;
- `zip, hashed`: as `fornix release zip` writes it: each byte is hashed (SHA-256), summed and
  written once.

Each run begins without the file of the former and ends with one fsync, so the page cache holds
nothing back. The sources are dropped from the page cache before (`--warm` leaves them there), so
they are read from the disk that is written. Figures are medians of runs in turn.
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


def written(size: int, target: Path) -> None:
    """Write bytes from memory, synchronised to the disk."""
    block = memoryview(np.random.default_rng(0).bytes(BLOCK))
    with target.open("wb", buffering=0) as file:
        for start in range(0, size, BLOCK):
            file.write(block[: size - start])
        os.fsync(file.fileno())


def dropped(sources: Sequence[Path]) -> None:
    """Drop files from the page cache."""
    for source in sources:
        with source.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def checked(sources: Sequence[Path]) -> None:
    """Compute the SHA-256 of files."""
    for source in sources:
        with source.open("rb") as file:
            hashlib.file_digest(file, "sha256")


def measured(
    runs: dict[str, Callable[[], object]],
    rounds: int,
    targets: Sequence[Path],
    cold: Sequence[Path],
) -> dict[str, tuple[float, float]]:
    """Return median seconds, elapsed and of the processor, of runs in turn.

    Files of `targets` are removed before each run, since removing takes as long as writing some;
    files of `cold` are dropped from the page cache.
    """
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for round_ in range(rounds + 1):
        for name, run in runs.items():
            for path in targets:
                path.unlink(missing_ok=True)
            dropped(cold)
            wall, spent = time.perf_counter(), time.process_time()
            run()
            if round_:  # the first warms up
                took = (time.perf_counter() - wall, time.process_time() - spent)
                taken[name].append(took)
    return {
        name: (statistics.median(w for w, _ in times), statistics.median(c for _, c in times))
        for name, times in taken.items()
    }


def compare(name: str, data: Path, root: Path, rounds: int, warm: bool) -> None:
    """Print the comparison of zipping a folder."""
    made = folder_release(data, "bench", ReleaseTerms())
    files = copied_files(made.manifest, ReleaseAddresses())
    sources = list(made.files.values())
    total = sum(path.stat().st_size for path in sources)
    copy, made_zip = root / "copied", root / "made.zip"

    def hash_and_zip() -> None:
        again = folder_release(data, "bench", ReleaseTerms())
        write_zip(
            copied_files(again.manifest, ReleaseAddresses()),
            made_zip,
            again.blocks,
            sums=again.sums,
        )

    taken = measured(
        {
            "disk": lambda: written(total, copy),
            "copy": lambda: copied(sources, copy),
            "check": lambda: checked(sources),
            "zip": lambda: write_zip(files, made_zip, made.blocks, sums=made.sums),
            "zip, hashed": lambda: write_zip(files, made_zip, made.blocks),
            "hash, then zip": hash_and_zip,
        },
        rounds,
        (copy, made_zip),
        () if warm else sources,
    )
    size = total / 1e6
    disk, copying = taken["disk"][0], taken["copy"][0]
    print(f"{name}: {len(sources):,} files, {size:,.0f} MB")
    for what, (wall, spent) in taken.items():
        print(
            f"  {what:16} {size / wall:7,.0f} MB/s, {spent:5.2f} s of the processor; "
            f"{disk / wall:.2f} of disk, {copying / wall:.2f} of copy"
        )


def main() -> None:
    """Write the files, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", type=int, default=20, help="large files")
    parser.add_argument("--small", type=int, default=2_000, help="small files")
    parser.add_argument("--folder", type=Path, help="on the disk that is measured")
    parser.add_argument("--warm", action="store_true", help="leave sources in the page cache")
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
        for name in ("large", "small"):
            if (root / name).is_dir():
                compare(f"{name} files", root / name, root, options.rounds, options.warm)


if __name__ == "__main__":
    main()
