"""Several processes write one file: the same bytes, and nothing left when one dies."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from shared import recordings
from shared.codec import chunk
from shared.recordings import parallel
from tests.codec.conftest import RATE


@pytest.mark.parametrize("kind", ["array", "npy", "raw", "stream", "odd blocks", "ebin"])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_bytes_do_not_depend_on_workers_or_on_the_way_in(
    path: Path, samples: np.ndarray, tmp_path: Path, kind: str, workers: int
) -> None:
    source: object = samples
    options: dict[str, object] = {"sample_rate": RATE}
    if kind == "npy":
        source = tmp_path / "a.npy"
        np.save(source, samples)
    elif kind == "raw":
        source = tmp_path / "a.bin"
        samples.tofile(source)
        options |= {"n_channels": 12, "dtype": "int16"}
    elif kind == "stream":
        source = iter(np.array_split(samples, 5))
    elif kind == "odd blocks":
        source = (samples[i : i + 777] for i in range(0, len(samples), 777))
    elif kind == "ebin":
        source = path
    target = tmp_path / "again.ebin"
    recordings.compress(source, target, chunk_length=1000, workers=workers, **options)
    assert target.read_bytes() == path.read_bytes()
    assert target.with_suffix(".eh").read_bytes() == path.with_suffix(".eh").read_bytes()


def test_an_array_is_compressed_alone_where_forking_is_not_safe(
    path: Path, samples: np.ndarray, tmp_path: Path
) -> None:
    """Given threads, and memory that fresh processes do not see, the result is the same."""
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        target = tmp_path / "again.ebin"
        recordings.compress(samples, target, sample_rate=RATE, chunk_length=1000, workers=2)
    finally:
        stop.set()
        other.join()
    assert target.read_bytes() == path.read_bytes()


def test_fresh_processes_work_where_forking_is_not_safe(
    path: Path, samples: np.ndarray, tmp_path: Path
) -> None:
    """Given other threads run and a file is the source, workers open it for themselves."""
    source, target, stop = tmp_path / "a.npy", tmp_path / "again.ebin", threading.Event()
    np.save(source, samples)
    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        recordings.compress(source, target, sample_rate=RATE, chunk_length=1000, workers=2)
        recordings.decompress(target, tmp_path / "a.bin", workers=2)
    finally:
        stop.set()
        other.join()
    assert target.read_bytes() == path.read_bytes()
    assert (tmp_path / "a.bin").read_bytes() == samples.tobytes()


WATCHED = """
import multiprocessing, sys, threading
import numpy as np
from shared import codec, recordings

methods, get_context = [], multiprocessing.get_context
multiprocessing.get_context = lambda method: methods.append(method) or get_context(method)
threading.Thread(target=threading.Event().wait, daemon=True).start()
recordings.compress(
    np.load(sys.argv[1]), sys.argv[2], sample_rate=1000, chunk_length=1000, workers=2
)
print(*methods)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_a_progress_bar_does_not_slow_the_start_of_workers(
    path: Path, samples: np.ndarray, tmp_path: Path
) -> None:
    """Given a daemon thread like that of a progress bar, then workers are forked all the same."""
    source, target = tmp_path / "source.npy", tmp_path / "x.ebin"
    np.save(source, samples)
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", WATCHED, source, target],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (run.stdout.strip(), run.stderr) == ("fork", "")
    assert target.read_bytes() == path.read_bytes()


# In a process of its own: workers are forked only where no other thread runs, and the threads of
# another test may still be ending here.
DYING_WORKER = """
import os, signal, sys
import numpy as np
from shared import codec, recordings
from shared.codec import writer

parent, encode = os.getpid(), writer.encoder.encode


def dying(*arguments, **options):
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return encode(*arguments, **options)


writer.encoder.encode = dying
try:
    recordings.compress(
        np.load(sys.argv[1]), sys.argv[2], sample_rate=1000, chunk_length=1000, workers=2
    )
except codec.CodecError as error:
    sys.exit(str(error))
"""


def test_a_dead_worker_is_told_and_leaves_nothing(tmp_path: Path, samples: np.ndarray) -> None:
    source, target = tmp_path / "source.npy", tmp_path / "x.ebin"
    np.save(source, samples)
    run = subprocess.run(
        [sys.executable, "-c", DYING_WORKER, source, target],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (run.returncode, run.stderr.strip()) == (
        1,
        "a worker process died; nothing was written",
    )
    assert list(tmp_path.iterdir()) == [source]


FAILING_WORKER = DYING_WORKER.replace(
    "    if os.getpid() != parent:\n        os.kill(os.getpid(), signal.SIGKILL)\n",
    "    if arguments[0][0, 0] == 2:\n        raise codec.VerificationError('chunk 2 is wrong')\n",
)


def test_a_failing_chunk_is_told_and_holds_nobody_up(tmp_path: Path) -> None:
    """Given a chunk that fails, then those after it do not wait for its place for ever."""
    source, target = tmp_path / "source.npy", tmp_path / "x.ebin"
    np.save(source, np.repeat(np.arange(9, dtype="int16"), 1000)[:, None] * np.ones(5, "int16"))
    run = subprocess.run(
        [sys.executable, "-c", FAILING_WORKER, source, target],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (run.returncode, run.stderr.strip()) == (1, "chunk 2 is wrong")
    assert list(tmp_path.iterdir()) == [source]


def test_results_find_their_places_whoever_is_first(tmp_path: Path) -> None:
    """Given the last of three is done first, then each waits for its place, and none is mixed."""
    pieces = [b"a" * 5, b"b", b"c" * 3]
    with (tmp_path / "x").open("w+b") as file, ThreadPoolExecutor(3) as pool:
        file.write(b"head")
        file.flush()
        places = parallel.FilePlaces(file.fileno(), 4, 3)
        written = []
        for number in (2, 1, 0):
            stored = chunk.Sealed((pieces[number],), len(pieces[number]), 1, 0)
            assert not any(each.done() for each in written)
            written.append(pool.submit(places.write, number, stored))
        assert [each.result().pieces for each in written] == [()] * 3
    assert (tmp_path / "x").read_bytes() == b"head" + b"".join(pieces)
