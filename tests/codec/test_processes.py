"""Writers, readers and their workers as processes: killed, interrupted, forked, out of space."""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from shared import codec, recordings
from shared.codec import files
from shared.codec.files import replacing
from tests.codec.arrays import recording

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks at processes by /proc")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many chunks, each of them quick."""
    path = tmp_path_factory.mktemp("source") / "source.npy"
    np.save(path, recording(60_000, 40))
    return path


def start(*arguments: object, limit: int | None = None) -> subprocess.Popen[str]:
    """Start `fornix codec …` in a process group of its own."""

    def prepare() -> None:
        os.setpgrp()
        if limit is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-c", "from lab.codec import codec; codec()"]
    return subprocess.Popen(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=prepare,
    )


def processes_of(target: Path) -> list[int]:
    """Return the processes that were started to write a target: forked ones have its name, too."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if str(target).encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended meanwhile
    return found


def wait_until(true: Callable[[], object]) -> None:
    """Wait for something that must happen, however busy the machine is."""
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def end(process: subprocess.Popen[str]) -> str:
    """Wait for a process, and return what it said."""
    output, _ = process.communicate(timeout=120)
    return output


def compress(source: Path, target: Path, workers: int, **limits: int) -> subprocess.Popen[str]:
    options = ["-r", 1000, "--chunk", 0.2, "-j", workers, "--overwrite"]
    return start("compress", source, target, *options, **limits)


@pytest.mark.parametrize("turn", range(4))
def test_an_interrupt_ends_all_at_once(source: Path, tmp_path: Path, turn: int) -> None:
    """Given Ctrl-C at any moment, which all processes of the terminal hear, nothing hangs."""
    target = tmp_path / "x.ebin"
    process = compress(source, target, 3)
    wait_until(lambda: len(processes_of(target)) > 1 or process.poll() is not None)
    time.sleep(random.Random(turn).uniform(0, 0.3))  # at whatever point of its work
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    end(process)
    wait_until(lambda: not processes_of(target))
    assert {each.name for each in tmp_path.iterdir()} in (set(), {"x.ebin", "x.eh"})


@pytest.mark.parametrize("turn", range(6))
def test_whoever_is_killed_leaves_a_whole_file_or_none(
    source: Path, tmp_path: Path, turn: int
) -> None:
    """Given a writer or a worker is killed at random, the file before it or the new one is there.

    No worker outlives its parent, and the next writer succeeds.
    """
    chance = random.Random(turn)
    target = tmp_path / "x.ebin"
    before, after = recording(700, 40, seed=3), np.load(source)
    recordings.compress(before, target, sample_rate=1000)
    process = compress(source, target, 2)
    wait_until(lambda: len(processes_of(target)) > 1 or process.poll() is not None)
    time.sleep(chance.uniform(0, 0.4))
    victims = [process.pid] if turn % 2 else processes_of(target)
    if victims:
        os.kill(chance.choice(victims), signal.SIGKILL)
    end(process)
    wait_until(lambda: not processes_of(target))
    with recordings.open(target) as reader:
        found = np.asarray(reader)
    assert any(np.array_equal(found, each) for each in (before, after))
    assert "ratio" in end(compress(source, target, 2))
    assert recordings.verify(target, source) == []


@pytest.mark.parametrize("turn", range(3))
def test_a_killed_decompression_leaves_no_workers(source: Path, tmp_path: Path, turn: int) -> None:
    stored, target = tmp_path / "x.ebin", tmp_path / "out.bin"
    recordings.compress(np.load(source), stored, sample_rate=1000, chunk_length=200, check=False)
    process = start("decompress", stored, target, "-j", 3)
    wait_until(lambda: len(processes_of(target)) > 1 or process.poll() is not None)
    time.sleep(random.Random(turn).uniform(0, 0.2))
    process.kill()
    end(process)
    wait_until(lambda: not processes_of(target))
    assert not target.exists() or target.stat().st_size == np.load(source).nbytes


def test_a_second_writer_of_a_target_is_told(tmp_path: Path) -> None:
    """Given a writer at work, another gives up at once, and the first ends undisturbed."""
    target = tmp_path / "x.ebin"
    samples = recording(3000, 6)
    writer = codec.Writer(target, 6, "int16", 1000)
    writer.append(samples[:2000])
    with pytest.raises(codec.CodecError, match="another process is writing"):
        recordings.compress(samples, target, sample_rate=1000, overwrite=True)
    writer.append(samples[2000:])
    writer.close()
    assert recordings.verify(target, samples) == []


def test_a_target_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    """Given another writer ends between a look and the lock, its file stays."""
    (tmp_path / "x").write_bytes(b"theirs")
    with pytest.raises(codec.CodecError, match="exists"), replacing(tmp_path / "x", False):
        pass
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"theirs"]


def test_what_a_dead_stream_left_is_not_written_over(tmp_path: Path) -> None:
    """Given the only copy of a stream in an unfinished file, the next stream is refused."""
    target, samples = tmp_path / "x.ebin", recording(3000, 6)
    (tmp_path / "x.ebin.part").write_bytes(b"precious")
    blocks = lambda: iter([samples])  # noqa: E731
    with pytest.raises(codec.CodecError, match="--salvage"):
        recordings.compress(blocks(), target, sample_rate=1000)
    assert (tmp_path / "x.ebin.part").read_bytes() == b"precious"
    recordings.compress(blocks(), target, sample_rate=1000, overwrite=True)
    assert recordings.verify(target, samples) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_told_and_leaves_nothing(
    source: Path, tmp_path: Path, workers: int
) -> None:
    target = tmp_path / "x.ebin"
    process = compress(source, target, workers, limit=200_000)
    output = end(process)
    assert process.returncode == 1
    assert f"Error: cannot write {target}: File too large" in output
    assert "Free some space" in output
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fills_while_decompressing_is_told(source: Path, tmp_path: Path) -> None:
    stored, target = tmp_path / "x.ebin", tmp_path / "out.bin"
    recordings.compress(source, stored, sample_rate=1000, check=False)
    before = set(tmp_path.iterdir())
    process = start("decompress", stored, target, limit=200_000)
    output = end(process)
    assert process.returncode == 1
    assert f"Error: cannot write {target}: File too large" in output
    assert set(tmp_path.iterdir()) == before


def test_a_read_only_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a disk that was mounted to be read only, the message says so and what to do."""

    def refused(path: str, flags: int) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    monkeypatch.setattr(files, "_keeping", refused)
    target = tmp_path / "x.ebin"
    message = f"cannot write {target}: Read-only file system.*choose a place"
    with pytest.raises(codec.CodecError, match=message):
        recordings.compress(recording(300, 6), target, sample_rate=1000)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to_is_told(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    output = end(compress(source, tmp_path / "file" / "x.ebin", 1))
    assert "Error: cannot write" in output
    assert "Traceback" not in output


# ---- readers ----------------------------------------------------------------------------------


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[codec.Reader]:
    """A reader that was used, forward, with threads that fetch ahead."""
    target = tmp_path / "a.ebin"
    recordings.compress(recording(6000, 40), target, sample_rate=1000, chunk_length=500)
    with recordings.open(target, threads=3, read_ahead=2) as reader:
        for begin in range(0, 2000, 500):
            reader[begin : begin + 500]
        reader[100:200]
        yield reader


def read_in_child(reader: codec.Reader, pipe: object) -> None:
    pipe.send(np.asarray(reader[900:4000]))  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_reader_used_before_a_fork_works_in_the_child(reader: codec.Reader) -> None:
    """Given threads and locks that a fork does not copy, the child reads all the same."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    reader._lock.acquire()  # as another thread may hold it in that moment
    try:
        child = context.Process(target=read_in_child, args=(reader, theirs))
        child.start()
    finally:
        reader._lock.release()
    assert ours.poll(60), "the child hangs"
    np.testing.assert_array_equal(ours.recv(), recording(6000, 40)[900:4000])
    child.join()
    np.testing.assert_array_equal(reader[:], recording(6000, 40))


def mean_of(reader: codec.Reader, start: int) -> float:
    return float(reader[start : start + 100].mean())


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_readers_go_to_other_processes(reader: codec.Reader, method: str) -> None:
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, context) as pool:
        jobs = [pool.submit(mean_of, reader, start) for start in (0, 3000)]
        means = [job.result(timeout=120) for job in jobs]
    expected = recording(6000, 40)
    assert means == [expected[:100].mean(), expected[3000:3100].mean()]


def test_a_pickled_reader_opens_the_same_recording(reader: codec.Reader) -> None:
    with pickle.loads(pickle.dumps(reader)) as again:
        np.testing.assert_array_equal(again[5:50], reader[5:50])
        assert again.index == reader.index


def test_a_reader_has_mtscomps_attributes(reader: codec.Reader) -> None:
    assert (reader.n_samples, reader.n_channels, reader.n_chunks) == (6000, 40, 12)
    assert reader.duration == 6.0
    assert reader.chunk_bounds == list(range(0, 6001, 500))
    assert len(reader.chunk_offsets) == 13
    assert reader.cmeta["sample_rate"] == reader.sample_rate == 1000
