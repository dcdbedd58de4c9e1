"""Compare the codec with its peers on the same recordings in the same run.

    python benchmarks/codec.py                       # recordings of its own making
    python benchmarks/codec.py FILE.bin --channels 385 --rate 30000
    python benchmarks/codec.py FILE.npy FILE.cbin --json results.json

Peers: mtscomp 1.0.2, WavPack (wavpack-numcodecs, where it is installed) and zstandard. Every
codec works on files or buffers in memory-backed storage, so that no disk is measured. Speeds with
one worker are raw megabytes per second of processor time; with two, and for the random read, of
elapsed time. Fornix and mtscomp are each measured as they come, with their own verification of
what they wrote, and without it. The codecs take turns and the best of each counts, so that what
else the machine does decides nothing.
"""

import argparse
import contextlib
import importlib.metadata
import io
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# One core is one core for everybody: set before numpy loads its BLAS.
for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402
import zstandard  # noqa: E402

from benchmarks.recordings import RECORDINGS  # noqa: E402
from shared import codec  # noqa: E402
from shared.codec import mtscomp as pairs  # noqa: E402

ENOUGH = 24.0  # seconds: what took longer in all is not measured again
BIG = 30_000_000  # bytes: what is smaller is measured more often
READS = 5  # seconds read at random
#: WavPack gets blocks as large as its authors use, to be at its best.
WAVPACK_BLOCK = 8_000_000


@dataclass
class Result:
    """One codec on one recording; speeds in MB/s, times in ms, None where not measured."""

    recording: str
    name: str
    ratio: float
    compress: float | None = None
    compress_checked: float | None = None
    decompress: float | None = None
    compress_2: float | None = None
    decompress_2: float | None = None
    scale_compress: float | None = None
    scale_decompress: float | None = None
    read_ms: float | None = None


@dataclass
class Entry:
    """A codec ready to be measured: its result so far, and what to run for each speed of it."""

    result: Result
    runs: dict[str, Callable[[], object]]
    read: Callable[[int], np.ndarray]


@dataclass
class Bench:
    """A recording, and where to put files while it is measured."""

    name: str
    samples: np.ndarray
    rate: float
    folder: Path
    repeats: int
    two: bool

    @property
    def megabytes(self) -> float:
        """Raw size."""
        return self.samples.nbytes / 1e6

    def speeds(self, entries: list[Entry]) -> None:
        """Fill in the speeds with one worker: processor time, best of several turns."""
        spent: dict[tuple[str, str], list[float]] = {}
        for _ in range(self.repeats * (1 if self.samples.nbytes > BIG else 3)):
            for entry in entries:
                for kind, run in entry.runs.items():
                    times = spent.setdefault((entry.result.name, kind), [])
                    if sum(times) > ENOUGH:
                        continue
                    start = time.process_time()
                    run()
                    times.append(max(time.process_time() - start, 1e-6))
                    setattr(entry.result, kind, self.megabytes / min(times))

    def scaling(self, run: Callable[[int], object], rounds: int) -> tuple[float, float]:
        """Return the speed with two workers, and how much faster that is than with one.

        One and two workers take turns, so that what else the machine does troubles both; the
        best of each counts.
        """
        best = {1: np.inf, 2: np.inf}
        for _ in range(rounds):
            for workers in (1, 2):
                start = time.perf_counter()
                run(workers)
                best[workers] = min(best[workers], time.perf_counter() - start)
        return self.megabytes / best[2], best[1] / best[2]

    def reads(self, entries: list[Entry]) -> None:
        """Fill in the time to open the recording and read a second of it, in ms.

        Of each second the best of three turns counts, and of these the median.
        """
        second = round(self.rate)
        starts = np.random.default_rng(0).integers(0, max(1, len(self.samples) - second), READS)
        best: dict[str, list[float]] = {entry.result.name: [] for entry in entries}
        for start in starts.tolist():
            times = dict.fromkeys(best, np.inf)
            for _ in range(3):
                for entry in entries:
                    name = entry.result.name
                    begin = time.perf_counter()
                    got = entry.read(start)
                    times[name] = min(times[name], 1e3 * (time.perf_counter() - begin))
                    if not np.array_equal(got, self.samples[start : start + second]):
                        raise SystemExit(f"{self.name}: {name} read a wrong second")
            for name, taken in times.items():
                best[name].append(taken)
        for entry in entries:
            entry.result.read_ms = statistics.median(best[entry.result.name])


def fornix(bench: Bench, level: str) -> Entry:
    """Make ready one of our settings, through files."""
    source, target = bench.folder / "a.npy", bench.folder / f"{level}.ebin"
    back = bench.folder / "back.bin"

    def compress(check: bool = True, workers: int = 1) -> codec.Index:
        return codec.compress(
            source,
            target,
            sample_rate=bench.rate,
            level=level,
            check=check,
            workers=workers,
            overwrite=True,
        )

    def decompress(workers: int = 1) -> None:
        codec.decompress(target, back, overwrite=True, workers=workers)

    def read(start: int) -> np.ndarray:
        with codec.open(target) as reader:
            return reader[start : start + round(bench.rate)]

    compress()
    decompress()
    if back.read_bytes() != bench.samples.tobytes():
        raise SystemExit(f"{bench.name}: Fornix did not restore the samples")
    size = target.stat().st_size + target.with_suffix(".eh").stat().st_size
    result = Result(bench.name, f"fornix {level}", bench.samples.nbytes / size)
    if bench.two and level == "default":
        result.compress_2, result.scale_compress = bench.scaling(lambda n: compress(workers=n), 5)
        result.decompress_2, result.scale_decompress = bench.scaling(decompress, 5)
    runs = {
        "compress_checked": compress,
        "compress": lambda: compress(check=False),
        "decompress": decompress,
    }
    return Entry(result, runs, read)


def mtscomp(bench: Bench) -> Entry:
    """Make ready mtscomp, through files and by its own functions."""
    import logging

    import mtscomp as package

    logging.getLogger("mtscomp").setLevel(logging.ERROR)

    source, target = bench.folder / "m.bin", bench.folder / "m.cbin"
    back = bench.folder / "back.bin"
    bench.samples.tofile(source)
    options = {
        "sample_rate": bench.rate,
        "n_channels": bench.samples.shape[1],
        "dtype": bench.samples.dtype,
        "quiet": True,
    }

    def compress(check: bool = True, threads: int = 1) -> None:
        with contextlib.redirect_stderr(io.StringIO()):
            package.compress(
                source,
                target,
                target.with_suffix(".ch"),
                check_after_compress=check,
                n_threads=threads,
                **options,
            )

    def decompress(threads: int = 1) -> None:
        # Without the second decoding that its own check is: plain decoding to a file.
        reader = package.Reader(n_threads=threads, check_after_decompress=False, quiet=True)
        reader.open(target)
        reader.tofile(back, overwrite=True)
        reader.close()

    def read(start: int) -> np.ndarray:
        reader = package.Reader(n_threads=1, quiet=True)
        reader.open(target)
        got = reader[start : start + round(bench.rate)]
        reader.close()
        return got

    compress()
    decompress()
    size = target.stat().st_size + target.with_suffix(".ch").stat().st_size
    result = Result(bench.name, "mtscomp", bench.samples.nbytes / size)
    if bench.two:
        result.compress_2, result.scale_compress = bench.scaling(lambda n: compress(False, n), 1)
        result.decompress_2, result.scale_decompress = bench.scaling(decompress, 1)
    runs = {
        "compress_checked": compress,
        "compress": lambda: compress(check=False),
        "decompress": decompress,
    }
    return Entry(result, runs, read)


def legacy(bench: Bench) -> Entry:
    """Make ready our writing and reading of mtscomp's format."""
    source, target = bench.folder / "a.npy", bench.folder / "l.cbin"

    def compress(check: bool = True) -> Path:
        return pairs.compress(source, target, sample_rate=bench.rate, check=check, overwrite=True)

    def read(start: int) -> np.ndarray:
        with codec.open(target) as reader:
            return reader[start : start + round(bench.rate)]

    compress()
    size = target.stat().st_size + target.with_suffix(".ch").stat().st_size
    back = bench.folder / "back.bin"
    runs = {
        "compress_checked": compress,
        "compress": lambda: compress(check=False),
        "decompress": lambda: codec.decompress(target, back, overwrite=True),
    }
    return Entry(Result(bench.name, "fornix .cbin", bench.samples.nbytes / size), runs, read)


def buffers(
    bench: Bench,
    name: str,
    block: int,
    encode: Callable[[np.ndarray], Any],
    decode: Callable[[Any], Any],
) -> Entry:
    """Make ready a codec of buffers, block by block."""
    length = max(round(bench.rate), block // (bench.samples.itemsize * bench.samples.shape[1]))
    pieces = [
        np.ascontiguousarray(bench.samples[start : start + length])
        for start in range(0, len(bench.samples), length)
    ]
    coded = [encode(piece) for piece in pieces]

    def plain(number: int) -> np.ndarray:
        samples = np.frombuffer(decode(coded[number]), bench.samples.dtype)
        return samples.reshape(-1, bench.samples.shape[1])

    def read(start: int) -> np.ndarray:
        stop = min(start + round(bench.rate), len(bench.samples))
        blocks = range(start // length, -(-stop // length))
        first = blocks[0] * length
        return np.concatenate([plain(each) for each in blocks])[start - first : stop - first]

    for number, piece in enumerate(pieces):
        if not np.array_equal(plain(number), piece):
            raise SystemExit(f"{bench.name}: {name} did not restore the samples")
    result = Result(bench.name, name, bench.samples.nbytes / sum(map(len, coded)))
    runs = {
        "compress": lambda: [encode(piece) for piece in pieces],
        "decompress": lambda: [decode(data) for data in coded],
    }
    return Entry(result, runs, read)


def wavpack(bench: Bench) -> list[Entry]:
    """Make ready WavPack's three levels."""
    if bench.samples.dtype != np.int16:
        return []
    from wavpack_numcodecs import WavPack

    results = []
    for level in (1, 2, 3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            coder = WavPack(level=level)
        try:
            results.append(
                buffers(bench, f"wavpack {level}", WAVPACK_BLOCK, coder.encode, coder.decode)
            )
        except RuntimeError as error:
            print(f"  wavpack {level} fails on {bench.name}: {error}", file=sys.stderr)
    return results


def zstd(bench: Bench) -> Entry:
    """Make ready plain zstandard."""
    encoder, decoder = zstandard.ZstdCompressor(level=3), zstandard.ZstdDecompressor()
    return buffers(bench, "zstd 3", 0, encoder.compress, decoder.decompress)


# ---- goals ------------------------------------------------------------------------------------


def goals(name: str, results: dict[str, Result], two: bool) -> list[tuple[str, float, float]]:
    """Return (goal, least, reached) for a recording; what could not be measured is left out."""
    ours, peer = results["fornix default"], results["mtscomp"]
    fast = results.get("fornix fast", ours)
    wav = [result for key, result in results.items() if key.startswith("wavpack")]
    best_wav = max((each.ratio for each in wav), default=None)
    quick_wav = results.get("wavpack 1")
    rows: list[tuple[str, float, float]] = []

    def goal(text: str, least: float, one: float | None, other: float | None) -> None:
        if one is not None and other is not None:
            rows.append((text, least, one / other))

    goal(".cbin compress vs mtscomp", 5, results["fornix .cbin"].compress, peer.compress)
    if name == "np1_ap":
        goal("ratio vs mtscomp", 1.38, ours.ratio, peer.ratio)
        goal("ratio vs WavPack's best", 1.03, ours.ratio, best_wav)
        goal("compress vs mtscomp", 25, ours.compress, peer.compress)
        goal(
            "compress vs mtscomp, both verified", 25, ours.compress_checked, peer.compress_checked
        )
        goal("decompress vs mtscomp", 3, ours.decompress, peer.decompress)
        if quick_wav:
            goal("compress vs WavPack 1", 4.5, ours.compress, quick_wav.compress)
            goal("decompress vs WavPack 1", 3.5, ours.decompress, quick_wav.decompress)
        goal("fast: ratio vs mtscomp", 1.33, fast.ratio, peer.ratio)
        goal("fast: compress vs mtscomp", 40, fast.compress, peer.compress)
        goal("fast: decompress vs mtscomp", 4, fast.decompress, peer.decompress)
        goal("one second vs mtscomp", 6, peer.read_ms, ours.read_ms)
        if two:
            goal("two processes, compress", 1.8, ours.scale_compress, 1)
            goal("two processes, decompress", 1.8, ours.scale_decompress, 1)
    elif name == "np1_lf":
        goal("ratio vs mtscomp", 1.45, ours.ratio, peer.ratio)
    elif name == "np2_wide":
        goal("ratio vs mtscomp", 1.34, ours.ratio, peer.ratio)
        goal("decompress vs mtscomp", 2, ours.decompress, peer.decompress)
    else:
        goal("ratio vs mtscomp", 1.28, ours.ratio, peer.ratio)
        goal("ratio vs WavPack's best", 0.995, ours.ratio, best_wav)
        goal("decompress vs mtscomp", 1, ours.decompress, peer.decompress)
    return rows


# ---- the run ----------------------------------------------------------------------------------


def load(path: Path, arguments: argparse.Namespace) -> tuple[np.ndarray, float]:
    """Read a recording given by the user."""
    from shared.codec.source import open_source

    source = open_source(path, arguments.channels, arguments.dtype, arguments.rate)
    rate = arguments.rate or source.sample_rate
    if rate is None:
        raise SystemExit(f"{path.name}: give --rate")
    length = source.shape[0]
    if arguments.seconds:
        length = min(length, round(arguments.seconds * rate))
    return np.array(source.read(0, length)), float(rate)


def measure(bench: Bench, levels: list[str]) -> dict[str, Result]:
    """Measure every codec on one recording."""
    np.save(bench.folder / "a.npy", bench.samples)
    entries = [mtscomp(bench)]
    try:
        entries += wavpack(bench)
    except ImportError:
        print("  WavPack is not measured: wavpack-numcodecs is not installed", file=sys.stderr)
    entries += [zstd(bench), legacy(bench), *(fornix(bench, level) for level in levels)]
    bench.speeds(entries)
    bench.reads(entries)
    return {entry.result.name: entry.result for entry in entries}


def table(results: dict[str, Result]) -> str:
    """Return the results of one recording as text."""
    head = ("", "ratio", "C", "C+check", "D", "C×2", "D×2", "1 s read")
    lines = [f"{head[0]:16s}" + "".join(f"{each:>10s}" for each in head[1:])]
    for each in results.values():
        numbers = (
            f"{each.ratio:.3f}",
            *(
                "-" if value is None else f"{value:.1f}" if value < 100 else f"{value:.0f}"
                for value in (
                    each.compress,
                    each.compress_checked,
                    each.decompress,
                    each.compress_2,
                    each.decompress_2,
                )
            ),
            "-" if each.read_ms is None else f"{each.read_ms:.1f} ms",
        )
        lines.append(f"{each.name:16s}" + "".join(f"{number:>10s}" for number in numbers))
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark as the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, help=".bin, .npy or .cbin recordings")
    parser.add_argument("--only", action="append", choices=RECORDINGS, help="made recordings")
    parser.add_argument("--channels", type=int, help="channels of a .bin file")
    parser.add_argument("--dtype", default="int16", help="sample type of a .bin file")
    parser.add_argument("--rate", type=float, help="sample rate in Hz")
    parser.add_argument("--seconds", type=float, help="use only the start")
    parser.add_argument(
        "--levels", default=",".join(codec.LEVELS), help="the default level is always one"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-two", action="store_true", help="skip the runs with two workers")
    parser.add_argument("--json", type=Path, help="write all numbers here")
    arguments = parser.parse_args()
    versions = {
        name: importlib.metadata.version(name) for name in ("numpy", "zstandard", "mtscomp")
    }
    print("MB/s of raw samples;", ", ".join(f"{k} {v}" for k, v in versions.items()))
    everything: list[dict[str, Any]] = []
    failed = 0
    made = arguments.only or ([] if arguments.files else list(RECORDINGS))
    jobs: list[tuple[str, Callable[[], tuple[np.ndarray, float]]]] = [
        (name, RECORDINGS[name]) for name in made
    ]
    jobs += [(path.stem, lambda path=path: load(path, arguments)) for path in arguments.files]
    fast_storage = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    for name, make in jobs:
        samples, rate = make()
        if arguments.seconds:
            samples = samples[: round(arguments.seconds * rate)]
        print(f"\n{name}: {samples.shape[0]} × {samples.shape[1]} {samples.dtype}, {rate:g} Hz")
        two = not arguments.no_two and samples.nbytes > BIG
        with tempfile.TemporaryDirectory(dir=fast_storage) as folder:
            bench = Bench(name, samples, rate, Path(folder), arguments.repeats, two)
            results = measure(
                bench,
                ["default", *(each for each in arguments.levels.split(",") if each != "default")],
            )
        print(table(results))
        reached = goals(name, results, two)
        for text, least, value in reached:
            failed += value < least
            print(f"  {'met   ' if value >= least else 'MISSED'} {text}: {value:.3f} (≥ {least})")
        everything += [
            asdict(each) | {"goals": [list(row) for row in reached]} for each in results.values()
        ]
        sys.stdout.flush()
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"versions": versions, "results": everything}, indent=1)
        )
    print(f"\n{failed} goals missed" if failed else "\nall goals met")


if __name__ == "__main__":
    main()
