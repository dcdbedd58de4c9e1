"""Compare the codec with its peers on the same recordings in the same run.

    python benchmarks/codec.py                       # synthetic recordings
    python benchmarks/codec.py FILE.bin --channels 385 --rate 30000
    python benchmarks/codec.py FILE.npy FILE.cbin --json results.json

The ratio counts the bytes that decoding needs: a data file of Fornix, whose footer has the index
(the sidecar repeats it); data file and header of mtscomp; the bare blocks of the others.

Peers: mtscomp 1.0.2, WavPack (wavpack-numcodecs, if installed) and zstandard. Every codec works on
files or buffers in memory-backed storage, so no disk is measured. Speeds with one worker are raw
megabytes per second of processor time; with two (Fornix: processes, the others: threads), elapsed.
Reads are the elapsed time to open the recording and read a second of it, once at the start of a
chunk and once anywhere, by one process with each codec's own default of threads. Fornix and
mtscomp are each measured with their own verification of the output, which is their default, and
without it.
The codecs take turns and the best of each counts, so that other load on the machine has no effect.

The gain of two processes is measured on the recording repeated to a minute, since a few chunks
mostly measure the start, into files that do not exist yet. It is compared with two independent
processes that take half of the recording each: the most that this machine gives.
"""

import argparse
import contextlib
import functools
import importlib
import importlib.metadata
import io
import json
import math
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

# One worker means one core for every codec: set before numpy loads its BLAS.
for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402
import zstandard  # noqa: E402

from benchmarks.recordings import RECORDINGS, Recording  # noqa: E402
from shared import codec, recordings  # noqa: E402
from shared.recordings import mtscomp as pairs  # noqa: E402

ENOUGH = 24.0  # seconds; after this total time a measurement is not repeated
BIG = 30_000_000  # bytes; smaller recordings are measured more often, and not with two workers
READS = 5  # seconds read at random
LONG = 60  # seconds of the recording that compares two processes with one
#: WavPack gets blocks as large as its authors use, its best case.
WAVPACK_BLOCK = 8_000_000

Run = Callable[[], object]
Key = TypeVar("Key")


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
    aligned_ms: float | None = None
    random_ms: float | None = None


@dataclass
class Entry:
    """A codec ready for measurement: its result so far, and the runs for each of its speeds."""

    result: Result
    one: Mapping[str, Run]
    two: Mapping[str, Run]
    read: Callable[[int, int], np.ndarray]


@dataclass
class Bench:
    """A recording, and a folder for the files of its measurement."""

    name: str
    samples: np.ndarray
    rate: float
    folder: Path
    repeats: int

    @property
    def second(self) -> int:
        """Samples of a second, or all if there are fewer."""
        return min(len(self.samples), max(1, round(self.rate)))

    def speeds(self, entries: list[Entry], two: bool) -> None:
        """Fill in the speeds: by processor time with one worker, elapsed with two."""
        results = {entry.result.name: entry.result for entry in entries}
        runs_of_one = {
            (entry.result.name, kind): run for entry in entries for kind, run in entry.one.items()
        }
        turns = self.repeats * (1 if self.samples.nbytes > BIG else 3)
        best = take_turns(runs_of_one, turns, time.process_time)
        if two:
            both = {
                (entry.result.name, f"{kind}_2"): run
                for entry in entries
                for kind, run in entry.two.items()
            }
            best |= take_turns(both, self.repeats, time.perf_counter)
        for (name, kind), seconds in best.items():
            setattr(results[name], kind, self.samples.nbytes / 1e6 / seconds)

    def reads(self, entries: list[Entry]) -> None:
        """Fill in the times to open the recording and read a second of it, in ms.

        The best turn of each second counts; of the random seconds, their median.
        """
        last = len(self.samples) - self.second
        anywhere = np.random.default_rng(0).integers(0, last + 1, READS).tolist()
        random: dict[str, list[float]] = {entry.result.name: [] for entry in entries}
        # Take the second second: mtscomp reads the end of a file in less time.
        for start in [min(self.second, last), *anywhere]:
            stop = start + self.second
            runs = {
                entry.result.name: functools.partial(entry.read, start, stop) for entry in entries
            }
            for name, run in runs.items():
                if not np.array_equal(run(), self.samples[start:stop]):
                    raise SystemExit(f"{self.name}: {name} read a wrong second")
            for name, seconds in take_turns(runs, 5, time.perf_counter).items():
                random[name].append(1e3 * seconds)
        for entry in entries:
            entry.result.aligned_ms = random[entry.result.name][0]
            entry.result.random_ms = statistics.median(random[entry.result.name][1:])


def take_turns(
    runs: Mapping[Key, Run],
    turns: int,
    clock: Callable[[], float],
    before: Callable[[Key], object] = lambda key: None,
) -> dict[Key, float]:
    """Return the shortest time of each run in seconds, without its preparation."""
    spent: dict[Key, list[float]] = {key: [] for key in runs}
    for _ in range(turns):
        for key, run in runs.items():
            if sum(spent[key]) < ENOUGH:
                before(key)
                start = clock()
                run()
                spent[key].append(max(clock() - start, 1e-6))
    return {key: min(times) for key, times in spent.items()}


# ---- codecs -----------------------------------------------------------------------------------


class Opened(Protocol):
    """A recording open for reading."""

    def __getitem__(self, key: Any, /) -> Any:
        """Return samples."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


def files(
    bench: Bench,
    name: str,
    parts: tuple[Path, ...],
    compress: Callable[[bool, int], object],
    decompress: Callable[[Path, int], object],
    opens: Callable[[], Opened],
) -> Entry:
    """Prepare a codec that works through files.

    `parts` are the files that decoding needs. `compress` takes whether to verify, and the number
    of workers; `decompress` takes the target and the number of workers.
    """
    back = bench.folder / "back.bin"
    compress(False, 1)
    decompress(back, 1)
    if back.read_bytes() != bench.samples.tobytes():
        raise SystemExit(f"{bench.name}: {name} did not restore the samples")

    def read(start: int, stop: int) -> np.ndarray:
        with contextlib.closing(opens()) as opened:
            return np.asarray(opened[start:stop])

    size = sum(path.stat().st_size for path in parts)
    single: dict[str, Run] = {
        "compress_checked": lambda: compress(True, 1),
        "compress": lambda: compress(False, 1),
        "decompress": lambda: decompress(back, 1),
    }
    two: dict[str, Run] = {
        "compress": lambda: compress(False, 2),
        "decompress": lambda: decompress(back, 2),
    }
    return Entry(Result(bench.name, name, bench.samples.nbytes / size), single, two, read)


def fornix(bench: Bench, level: str) -> Entry:
    """Prepare one of our settings."""
    target = bench.folder / f"{level}.ebin"

    def compress(check: bool, workers: int) -> None:
        source, rate = bench.folder / "a.npy", bench.rate
        options: dict[str, Any] = {"level": level, "check": check, "workers": workers}
        recordings.compress(source, target, sample_rate=rate, overwrite=True, **options)

    return files(
        bench,
        f"fornix {level}",
        (target,),
        compress,
        lambda back, workers: recordings.decompress(target, back, overwrite=True, workers=workers),
        lambda: recordings.open(target),
    )


def fornix_cbin(bench: Bench) -> Entry:
    """Prepare our writing and reading of mtscomp's format."""
    target = bench.folder / "l.cbin"

    def compress(check: bool, workers: int) -> None:
        source, rate = bench.folder / "a.npy", bench.rate
        options: dict[str, Any] = {"check": check, "workers": workers}
        opened = recordings.open_source(source)
        pairs.compress(opened, target, sample_rate=rate, overwrite=True, **options)

    return files(
        bench,
        "fornix .cbin",
        (target, target.with_suffix(".ch")),
        compress,
        lambda back, workers: recordings.decompress(target, back, overwrite=True, workers=workers),
        lambda: recordings.open(target),
    )


def mtscomp(bench: Bench) -> Entry:
    """Prepare mtscomp, by its own functions."""
    import logging

    import mtscomp as package

    logging.getLogger("mtscomp").setLevel(logging.ERROR)
    source, target = bench.folder / "m.bin", bench.folder / "m.cbin"
    bench.samples.tofile(source)

    def compress(check: bool, threads: int) -> None:
        with contextlib.redirect_stderr(io.StringIO()):
            package.compress(
                source,
                target,
                target.with_suffix(".ch"),
                check_after_compress=check,
                n_threads=threads,
                sample_rate=bench.rate,
                n_channels=bench.samples.shape[1],
                dtype=bench.samples.dtype,
                quiet=True,
            )

    def opens(**options: Any) -> Any:
        reader = package.Reader(quiet=True, **options)
        reader.open(target)
        return reader

    def decompress(back: Path, threads: int) -> None:
        # Plain decoding to a file, without the second decoding of mtscomp's own check.
        with contextlib.closing(opens(n_threads=threads, check_after_decompress=False)) as reader:
            reader.tofile(back, overwrite=True)

    return files(
        bench, "mtscomp", (target, target.with_suffix(".ch")), compress, decompress, opens
    )


def buffers(
    bench: Bench,
    name: str,
    block: int,
    encode: Callable[[np.ndarray], bytes],
    decode: Callable[[bytes], Any],
) -> Entry:
    """Prepare a codec of buffers, block by block."""
    length = max(bench.second, block // (bench.samples.itemsize * bench.samples.shape[1]))
    pieces = [
        np.ascontiguousarray(bench.samples[start : start + length])
        for start in range(0, len(bench.samples), length)
    ]
    coded = [encode(piece) for piece in pieces]

    def by_two(run: Callable[[Any], Any], items: list[Any]) -> list[Any]:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(run, items))

    def plain(number: int) -> np.ndarray:
        samples = np.frombuffer(decode(coded[number]), bench.samples.dtype)
        return samples.reshape(-1, bench.samples.shape[1])

    def read(start: int, stop: int) -> np.ndarray:
        blocks = range(start // length, -(-stop // length))
        first = blocks[0] * length
        return np.concatenate([plain(block_number) for block_number in blocks])[
            start - first : stop - first
        ]

    for number, piece in enumerate(pieces):
        if not np.array_equal(plain(number), piece):
            raise SystemExit(f"{bench.name}: {name} did not restore the samples")
    single: dict[str, Run] = {
        "compress": lambda: [encode(piece) for piece in pieces],
        "decompress": lambda: [decode(data) for data in coded],
    }
    two: dict[str, Run] = {
        "compress": lambda: by_two(encode, pieces),
        "decompress": lambda: by_two(decode, coded),
    }
    ratio = bench.samples.nbytes / sum(map(len, coded))
    return Entry(Result(bench.name, name, ratio), single, two, read)


def wavpack(bench: Bench) -> list[Entry]:
    """Prepare WavPack's levels, if it is installed."""
    if bench.samples.dtype != np.int16:
        return []
    try:
        # With Zarr 3 its package exports a different class, for arrays.
        coder = importlib.import_module("wavpack_numcodecs.wavpack").WavPack
    except ImportError:
        print("  WavPack is not measured: wavpack-numcodecs is not installed", file=sys.stderr)
        return []
    entries = []
    for level in (1, 2, 3, 4):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            own = coder(level=level)
        try:
            entries.append(
                buffers(bench, f"wavpack {level}", WAVPACK_BLOCK, own.encode, own.decode)
            )
        except RuntimeError as error:
            print(f"  wavpack {level} fails on {bench.name}: {error}", file=sys.stderr)
    return entries


def zstd(bench: Bench) -> Entry:
    """Prepare plain zstandard."""
    return buffers(
        bench,
        "zstd 3",
        0,
        lambda piece: zstandard.ZstdCompressor(level=3).compress(np.ascontiguousarray(piece).data),
        lambda data: zstandard.ZstdDecompressor().decompress(data),
    )


# ---- two processes ----------------------------------------------------------------------------


def compress_file(folder: Path, name: str, rate: float, workers: int) -> None:
    """Compress `name.npy` to `name.ebin`."""
    target = folder / f"{name}.ebin"
    options: dict[str, Any] = {"check": False, "workers": workers, "overwrite": True}
    recordings.compress(folder / f"{name}.npy", target, sample_rate=rate, **options)


def decompress_file(folder: Path, name: str, rate: float, workers: int) -> None:
    """Decompress `name.ebin` to `name.bin`."""
    source, target = folder / f"{name}.ebin", folder / f"{name}.bin"
    recordings.decompress(source, target, overwrite=True, workers=workers)


def scaling(bench: Bench) -> dict[str, tuple[float, float]]:
    """Return the gain of two processes over one, and of two independent ones, both ways."""
    seconds = len(bench.samples) / bench.rate
    times = max(2, 2 * math.ceil(LONG / seconds / 2))
    names = {"long": times, "half0": times // 2, "half1": times // 2}
    for name, count in names.items():
        np.save(bench.folder / f"{name}.npy", np.concatenate([bench.samples] * count))
    gains = {}
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for kind, made, run in (
            ("compress", ".ebin", compress_file),
            ("decompress", ".bin", decompress_file),
        ):

            def clear(key: str, made: str = made) -> None:
                for name in ("half0", "half1") if key == "strangers" else ("long",):
                    (bench.folder / f"{name}{made}").unlink(missing_ok=True)

            def own(workers: int, run: Any = run) -> None:
                run(bench.folder, "long", bench.rate, workers)

            def strangers(run: Any = run) -> None:
                pool.starmap(
                    run, [(bench.folder, f"half{i}", bench.rate, 1) for i in (0, 1)], chunksize=1
                )

            runs: dict[str, Run] = {
                "one": functools.partial(own, 1),
                "two": functools.partial(own, 2),
                "strangers": strangers,
            }
            best = take_turns(runs, max(5, bench.repeats), time.perf_counter, clear)
            gains[kind] = best["one"] / best["two"], best["one"] / best["strangers"]
    return gains


# ---- goals ------------------------------------------------------------------------------------


def goals(
    name: str, results: Mapping[str, Result], scales: Mapping[str, tuple[float, float]]
) -> list[tuple[str, float, float]]:
    """Return (goal, least, reached) for a recording, without values that were not measured."""
    ours, peer = results["fornix default"], results["mtscomp"]
    fast = results.get("fornix fast", ours)
    wav = [result for key, result in results.items() if key.startswith("wavpack")]
    best_wav = max((each.ratio for each in wav), default=None)
    quick_wav = results.get("wavpack 1")
    rows: list[tuple[str, float, float]] = []

    def goal(text: str, least: float, one: float | None, other: float | None) -> None:
        if one is not None and other is not None:
            rows.append((text, least, one / other))

    # Equal up to a ten-thousandth: a fit varies that much by chance.
    goal("default's ratio vs fast", 0.9999, ours.ratio, fast.ratio)
    goal("high's ratio vs default", 0.9999, results.get("fornix high", ours).ratio, ours.ratio)
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
        goal("aligned second vs mtscomp", 6, peer.aligned_ms, ours.aligned_ms)
        goal("random second vs mtscomp", 6, peer.random_ms, ours.random_ms)
        for kind, (scale, most) in scales.items():
            goal(f"two processes, {kind} (strangers: {most:.2f})", 1.8, scale, 1)
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


def load(path: Path, arguments: argparse.Namespace) -> Recording:
    """Read a recording given by the user."""
    source = recordings.open_source(path, arguments.channels, arguments.dtype, arguments.rate)
    rate = arguments.rate or source.sample_rate
    if rate is None:
        raise SystemExit(f"{path.name}: give --rate")
    length = source.shape[0]
    if arguments.seconds:
        length = min(length, round(arguments.seconds * rate))
    return np.array(source.read(0, length)), float(rate)


def measure(bench: Bench, levels: list[str], two: bool) -> dict[str, Result]:
    """Measure every codec on one recording."""
    np.save(bench.folder / "a.npy", bench.samples)
    entries = [mtscomp(bench), *wavpack(bench), zstd(bench), fornix_cbin(bench)]
    entries += [fornix(bench, level) for level in levels]
    bench.speeds(entries, two)
    bench.reads(entries)
    return {entry.result.name: entry.result for entry in entries}


def table(results: Mapping[str, Result]) -> str:
    """Return the results of one recording as text."""
    columns = {
        "C": "compress",
        "C+check": "compress_checked",
        "D": "decompress",
        "C×2": "compress_2",
        "D×2": "decompress_2",
        "aligned ms": "aligned_ms",
        "random ms": "random_ms",
    }
    lines = [f"{'':16s}{'ratio':>8s}" + "".join(f"{head:>11s}" for head in columns)]
    for result in results.values():
        numbers = [getattr(result, column) for column in columns.values()]
        texts = ["-" if x is None else f"{x:.1f}" if x < 100 else f"{x:.0f}" for x in numbers]
        lines.append(f"{result.name:16s}{result.ratio:8.3f}" + "".join(f"{x:>11s}" for x in texts))
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
    jobs: list[tuple[str, Callable[[], Recording]]] = [(name, RECORDINGS[name]) for name in made]
    jobs += [(path.stem, functools.partial(load, path, arguments)) for path in arguments.files]
    levels = ["default", *(each for each in arguments.levels.split(",") if each != "default")]
    fast_storage = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    for name, make in jobs:
        samples, rate = make()
        if arguments.seconds:
            samples = samples[: round(arguments.seconds * rate)]
        print(f"\n{name}: {samples.shape[0]} × {samples.shape[1]} {samples.dtype}, {rate:g} Hz")
        two = not arguments.no_two and samples.nbytes > BIG
        with tempfile.TemporaryDirectory(dir=fast_storage) as folder:
            bench = Bench(name, samples, rate, Path(folder), arguments.repeats)
            results = measure(bench, levels, two)
            print(table(results))
            scales = scaling(bench) if two else {}
        for kind, (scale, most) in scales.items():
            print(f"  two processes {kind} {scale:.2f} × as fast as one, strangers {most:.2f} ×")
        reached = goals(name, results, scales)
        for text, least, value in reached:
            failed += value < least
            print(f"  {'met   ' if value >= least else 'MISSED'} {text}: {value:.3f} (≥ {least})")
        everything.append(
            {
                "recording": name,
                "results": [asdict(each) for each in results.values()],
                "two processes": scales,
                "goals": reached,
            }
        )
        sys.stdout.flush()
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"versions": versions, "recordings": everything}, indent=1)
        )
    print(f"\n{failed} goals missed" if failed else "\nall goals met")


if __name__ == "__main__":
    main()
