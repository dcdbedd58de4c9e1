"""Files: whole or absent, every damage named, the same whatever wrote them."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shared import codec, recordings
from shared.codec import chunk, header, writer
from shared.codec import index as chunk_index
from shared.codec import reader as reader_module
from shared.codec.decoder import Window
from shared.codec.files import LocalFile
from shared.recordings import mtscomp
from tests.codec.arrays import recording
from tests.codec.conftest import RATE


def flip(path: Path, position: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1 << bit
    path.write_bytes(data)


@pytest.mark.parametrize("where", ["header", "meta", "body", "end"])
def test_a_flipped_bit_is_named_by_chunk_and_spares_the_others(
    path: Path, samples: np.ndarray, where: str
) -> None:
    with recordings.open(path) as reader:
        start, stop = reader.index.offsets[4:6]
    position = {"header": start + 9, "meta": start + 80, "body": stop - 900, "end": stop - 1}
    flip(path, position[where], 3)
    with recordings.open(path) as reader:
        with pytest.raises(codec.CorruptionError, match="chunk 4") as caught:
            reader[4100:4200]
        assert caught.value.chunks == (4,)
        np.testing.assert_array_equal(reader[:4000], samples[:4000])
        np.testing.assert_array_equal(reader[5000:], samples[5000:])
    problems = recordings.verify(path)
    assert len(problems) == 1
    assert "chunk 4" in problems[0]


def test_a_flipped_bit_in_header_or_footer_is_detected_at_open(path: Path) -> None:
    size = path.stat().st_size
    for position in (3, 9, 12, 17, 25, 33, 41, 50, 62, size - 1, size - 10, size - 20, size - 40):
        flip(path, position)
        with pytest.raises(codec.CodecError):
            recordings.open(path)
        flip(path, position)
    recordings.open(path).close()


def test_every_truncation_is_detected_at_open(path: Path) -> None:
    data = path.read_bytes()
    for length in [*range(0, 200, 7), *range(200, len(data), 4999), len(data) - 1]:
        path.write_bytes(data[:length])
        with pytest.raises(codec.CodecError):
            recordings.open(path)


def test_reordered_chunks_are_detected(path: Path) -> None:
    with recordings.open(path) as reader:
        offsets = reader.index.offsets
    data = path.read_bytes()
    one, two = (data[offsets[i] : offsets[i + 1]] for i in (2, 3))
    index = json.loads(path.with_suffix(".eh").read_text())
    path.write_bytes(data[: offsets[2]] + two + one + data[offsets[4] :])
    problems = recordings.verify(path)
    assert len(problems) == 2
    assert "chunk 2" in problems[0]
    assert "chunk 3" in problems[1]
    # Even an index forged to fit cannot pass off one second as another.
    middle = offsets[2] + len(two)
    forged = chunk_index.RecordingIndex.from_json(json.dumps(index), "forged")
    forged.offsets[3] = middle
    forged.crcs[2:4] = forged.crcs[2:4][::-1]
    body = path.read_bytes()[: offsets[-1]]
    path.write_bytes(body + chunk_index.pack_footer(forged))
    path.with_suffix(".eh").write_text(forged.to_json())
    with (
        recordings.open(path) as reader,
        pytest.raises(codec.CorruptionError, match="another place"),
    ):
        reader[2000:2001]


def test_an_unknown_version_is_refused(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[8] = 2
    data[60:64] = struct.pack("<I", chunk.crc32(bytes(data[:60])))
    path.write_bytes(data)
    with pytest.raises(codec.UnsupportedVersionError, match="version 2"):
        recordings.open(path)
    sidecar = path.with_suffix(".eh")
    index = json.loads(sidecar.read_text()) | {"version": 7}
    with pytest.raises(codec.UnsupportedVersionError, match="version 7"):
        chunk_index.RecordingIndex.from_json(json.dumps(index), "x")


@pytest.mark.parametrize(
    ("offset", "kind", "value"),
    [
        (12, "<I", 0),
        (12, "<I", 65_537),
        (16, "<B", 9),
        (24, "<d", 0.0),
        (24, "<d", -1.0),
        (24, "<d", float("nan")),
        (24, "<d", float("inf")),
        (40, "<I", 0),
        (40, "<I", 2**32 - 1),
    ],
)
def test_impossible_values_of_a_header_are_refused(
    path: Path, offset: int, kind: str, value: float
) -> None:
    """Given a header whose checksum stands, what it says must still be possible."""
    data = bytearray(path.read_bytes())
    struct.pack_into(kind, data, offset, value)
    struct.pack_into("<I", data, 60, chunk.crc32(bytes(data[:60])))
    path.write_bytes(data)
    with pytest.raises(codec.FormatError, match="impossible"):
        recordings.open(path)


def test_salvage_recovers_all_undamaged_chunks(
    path: Path, samples: np.ndarray, tmp_path: Path
) -> None:
    with recordings.open(path) as reader:
        offsets = list(reader.index.offsets)
    data = bytearray(path.read_bytes())
    data[offsets[2]] ^= 255  # a chunk whose header is lost
    data[offsets[5] + 200] ^= 1  # one whose body is damaged
    del data[offsets[9] + 77 :]  # the end is missing, footer and all
    path.write_bytes(data)
    path.with_suffix(".eh").unlink()
    with pytest.raises(codec.TruncationError):
        recordings.decompress(path, tmp_path / "out.bin")
    assert not (tmp_path / "out.bin").exists()
    problems = recordings.decompress(path, tmp_path / "out.bin", salvage=True)
    restored = np.fromfile(tmp_path / "out.bin", "int16").reshape(-1, 12)
    expected = samples.copy()
    expected[2000:3000] = expected[5000:6000] = 0
    expected[9000:] = 0
    np.testing.assert_array_equal(restored, expected)
    text = "\n".join(problems)
    assert all(f"samples {a} to {b} are zeros" in text for a, b in [(2000, 3000), (5000, 6000)])


def test_a_chunk_of_another_recording_is_not_salvaged(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.ebin"
    recordings.compress(recording(3000, 7), other, sample_rate=RATE, chunk_length=1000)
    data = path.read_bytes()
    with recordings.open(other) as reader:
        a, b = reader.index.offsets[1:3]
    offsets = recordings.open(path).index.offsets
    path.write_bytes(data[: offsets[3]] + other.read_bytes()[a:b] + data[offsets[4] :])
    path.with_suffix(".eh").unlink()
    reader, problems = recordings.open_salvaged(path)
    with reader, pytest.raises(codec.CorruptionError):
        reader.chunk(3)
    assert problems


@pytest.mark.parametrize("suffix", [".bin", ".npy"])
@pytest.mark.parametrize("workers", [1, 2])
def test_decompress(
    path: Path, samples: np.ndarray, tmp_path: Path, workers: int, suffix: str
) -> None:
    target = tmp_path / f"out{suffix}"
    steps: list[tuple[int, int | None]] = []
    recordings.decompress(path, target, workers=workers, progress=lambda *step: steps.append(step))
    restored = np.load(target) if suffix == ".npy" else np.fromfile(target, "int16")
    np.testing.assert_array_equal(restored.reshape(samples.shape), samples)
    assert steps[-1] == (10_500, 10_500)
    with pytest.raises(codec.CodecError, match="exists"):
        recordings.decompress(path, target)


def test_spikeglx_metadata_gives_channels_and_rate(tmp_path: Path) -> None:
    samples = recording(500, 6)
    raw = tmp_path / "g0_t0.imec0.ap.bin"
    samples.tofile(raw)
    raw.with_suffix(".meta").write_text("nSavedChans=6\nimSampRate=29999.75\ntypeThis=imec\n")
    index = recordings.compress(raw)
    assert (index.n_channels, index.sample_rate) == (6, 29999.75)
    assert raw.with_suffix(".ebin").is_file()


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (np.zeros((3, 2), "float32"), {}, "float32"),
        (np.zeros((3, 2, 2), "int16"), {}, "3 dimensions"),
        (np.zeros((3, 0), "int16"), {}, "0 channels"),
        (np.zeros((3, 2), "int16"), {"sample_rate": None}, "sample rate"),
        (np.zeros((3, 2), "int16"), {"sample_rate": -1}, "sample rate of -1 Hz is impossible"),
        (np.zeros((3, 2), "int16"), {"sample_rate": float("nan")}, "sample rate of nan Hz"),
        (np.zeros((3, 2), "int16"), {"level": "best"}, "no level 'best'"),
        (np.zeros((3, 2), "int16"), {"chunk_length": 0}, "chunks of 0"),
        ("missing.bin", {}, "not a file"),
        (iter([]), {}, "no samples"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(
    tmp_path: Path, source: object, options: dict[str, object], message: str
) -> None:
    with pytest.raises(codec.CodecError, match=message):
        recordings.compress(source, tmp_path / "x.ebin", **({"sample_rate": 1000} | options))
    assert list(tmp_path.iterdir()) == []


def test_raw_files_that_do_not_fit_their_shape_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(1001))
    with pytest.raises(codec.CodecError, match="no whole number of samples"):
        recordings.compress(tmp_path / "a.bin", n_channels=5, sample_rate=1000)
    with pytest.raises(codec.CodecError, match="give n_channels"):
        recordings.compress(tmp_path / "a.bin", sample_rate=1000)


def test_a_failing_stream_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> Iterator[np.ndarray]:
        yield recording(5000, 4)
        raise RuntimeError("the cable was pulled")

    with pytest.raises(RuntimeError, match="cable"):
        recordings.compress(failing(), tmp_path / "x.ebin", sample_rate=1000)
    assert list(tmp_path.iterdir()) == []


def test_verification_failure_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a memory error while coding, then compression does not report success."""
    encode = writer.encoder.encode

    def faulty(samples: np.ndarray, *rest: object, **options: object) -> object:
        wrong = samples.copy()
        wrong[len(wrong) // 2, 0] ^= 1
        return encode(wrong, *rest, **options)

    monkeypatch.setattr(writer.encoder, "encode", faulty)
    with pytest.raises(codec.VerificationError, match="chunk 0"):
        recordings.compress(recording(), tmp_path / "x.ebin", sample_rate=1000)
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_leaves_what_it_had(tmp_path: Path) -> None:
    """Given a writer killed in the middle, then its chunks so far can be salvaged."""
    script = (
        "import sys, time\n"
        "from shared import codec, recordings\n"
        "from tests.codec.arrays import recording\n"
        "w = codec.Writer(sys.argv[1], 12, 'int16', 1000, chunk_length=1000)\n"
        "w.append(recording(4500, 12)); w.flush(); print('ready', flush=True); time.sleep(60)\n"
    )
    target = tmp_path / "x.ebin"
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(target)], stdout=subprocess.PIPE, cwd=root
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"ready\n"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not target.exists()
    part = tmp_path / "x.ebin.part"
    with pytest.raises(codec.TruncationError, match="never finished"):
        recordings.open(part)
    recordings.decompress(part, tmp_path / "x.bin", salvage=True)
    restored = np.fromfile(tmp_path / "x.bin", "int16").reshape(-1, 12)
    np.testing.assert_array_equal(restored, recording(4500, 12)[:4000])


def test_following_a_growing_file(tmp_path: Path) -> None:
    """Given a file another program writes, when it is followed, all of it is compressed."""
    samples = recording(9000, 8)
    raw = tmp_path / "growing.bin"
    done = threading.Event()

    def acquire() -> None:
        data = samples.tobytes()
        with raw.open("wb") as file:
            for start in range(0, len(data), 4001):  # never at sample bounds
                file.write(data[start : start + 4001])
                file.flush()
        done.set()

    thread = threading.Thread(target=acquire)
    thread.start()
    blocks = recordings.tail(raw, 8, "int16", finished=done.is_set, poll=0.001)
    recordings.compress(blocks, tmp_path / "a.ebin", sample_rate=1000)
    thread.join()
    assert recordings.verify(tmp_path / "a.ebin", samples) == []


def test_a_growing_file_that_shrinks_or_ends_within_a_sample(tmp_path: Path) -> None:
    raw = tmp_path / "a.bin"
    raw.write_bytes(bytes(1003))
    with pytest.raises(codec.CodecError, match="within a sample"):
        list(recordings.tail(raw, 5, idle=0, poll=0.001))
    blocks = recordings.tail(raw, 5, idle=60, poll=0.001)
    next(blocks)
    raw.write_bytes(b"")
    with pytest.raises(codec.CodecError, match="shorter"):
        next(blocks)


def test_streaming_needs_memory_for_a_few_chunks_only(tmp_path: Path) -> None:
    """Peak memory is measured in a process of its own: far less than the recording."""
    script = (
        "import resource, sys\n"
        "import numpy as np\n"
        "from shared import codec, recordings\n"
        "block = np.random.default_rng(0).normal(0, 5, (3000, 64)).astype('int16')\n"
        "recordings.compress(iter([block]), sys.argv[1] + 'warm', sample_rate=3000)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "recordings.compress((block for _ in range(400)), sys.argv[1], sample_rate=3000)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    root = Path(__file__).resolve().parents[2]
    output = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.ebin")],
        capture_output=True,
        check=True,
        cwd=root,
    ).stdout
    raw, chunk_bytes = 400 * 3000 * 64 * 2, header.MIN_CHUNK_BYTES + 3000 * 64 * 2
    assert int(output) * 1024 < 10 * chunk_bytes < raw / 5


def test_sha1_of_the_raw_bytes(tmp_path: Path) -> None:
    import hashlib

    samples = recording(2500, 6)
    index = recordings.compress(samples, tmp_path / "a.ebin", sample_rate=1000, sha1=True)
    assert index.facts["sha1_uncompressed"] == hashlib.sha1(samples.tobytes()).hexdigest()


def test_default_chunks_last_a_second_or_hold_two_megabytes() -> None:
    int16 = np.dtype("int16")
    assert header.default_chunk_length(30_000, 385, int16) == 30_000
    assert header.default_chunk_length(2_500, 385, int16) == 5_000
    assert header.default_chunk_length(30_000, 4, int16) == 270_000
    assert header.default_chunk_length(0.25, 65_536, int16) == 2048 // 128


@pytest.mark.parametrize(
    ("seconds", "lasting"), [(0.5, 1), (8, 8), (10.5, 11), (14, 7), (100, 10), (3600, 9)]
)
def test_default_chunks_of_several_seconds_are_about_even(seconds: float, lasting: int) -> None:
    length = header.default_chunk_length(30_000, 4, np.dtype("int16"), round(30_000 * seconds))
    assert length == lasting * 30_000


def test_a_short_recording_of_few_channels_is_one_chunk(tmp_path: Path) -> None:
    index = recordings.compress(recording(320_000, 4), tmp_path / "a.ebin", sample_rate=30_000)
    assert index.bounds == [0, 320_000]


def note_what_is_decoded(reader: codec.Reader) -> list[tuple[int, tuple[int, int] | None]]:
    """Return a list that grows by the number of each chunk decoded, and the window of it."""
    decoded: list[tuple[int, tuple[int, int] | None]] = []
    restore = reader._restore

    def noted(number: int, window: Window | None, **options: object) -> np.ndarray:
        decoded.append((number, None if window is None else (window.start, window.stop)))
        return restore(number, window, **options)

    reader._restore = noted
    return decoded


def test_a_reader_waits_for_no_one(path: Path) -> None:
    """Given a second across two chunks, then of each only its part is decoded, the first time."""
    with recordings.open(path) as reader:
        decoded = note_what_is_decoded(reader)
        reader[2000:3000]
        assert decoded == [(2, None)]
        reader[2500:3500]
        assert sorted(decoded[1:]) == [(2, (500, 1000)), (3, (0, 500))]
        reader[2500:2600]
        assert decoded[3:] == [(2, None)]
        reader[2700:2800]
        assert len(decoded) == 4


def test_a_reader_going_forward_decodes_each_part_once(path: Path) -> None:
    """Given seconds off the bounds, each part is decoded; given short pieces, the chunk is."""
    with recordings.open(path) as reader:
        decoded = note_what_is_decoded(reader)
        for start in range(300, 3300, 1000):
            reader[start : start + 1000]
        assert decoded == [
            (0, (300, 1000)),
            (1, (0, 300)),
            (1, (300, 1000)),
            (2, (0, 300)),
            (2, (300, 1000)),
            (3, (0, 300)),
        ]
        decoded.clear()
        for start in range(5000, 5900, 100):
            reader[start : start + 100]
        assert decoded == [(5, (0, 100)), (5, (100, 200)), (5, None)]


def test_damage_in_one_of_two_chunks_read_together_is_named(tmp_path: Path) -> None:
    """Given a frame that does not inflate under checksums that stand, its chunk is named."""
    samples = recording(18_000, 40)
    target = tmp_path / "a.ebin"
    index = recordings.compress(samples, target, sample_rate=1000, chunk_length=9000)
    data = bytearray(target.read_bytes())
    start, stop = index.offsets[1:]
    stored = data[start:stop]
    meta = struct.unpack_from("<I", stored, 24)[0]
    frame = chunk.HEADER.size + meta
    stored[frame + 8 : frame + 24] = bytes(16)
    data[start:stop] = stored
    target.write_bytes(data)
    index.crcs[1] = chunk.crc32(bytes(stored))
    with codec.Reader(LocalFile(target), index) as reader:
        np.testing.assert_array_equal(reader[:9000], samples[:9000])
        with pytest.raises(codec.CorruptionError, match="chunk 1: a frame does not") as caught:
            reader[5000:13_000]
    assert caught.value.chunks == (1,)


@pytest.mark.parametrize("suffix", [".ebin", ".cbin"])
def test_threads_inflate_what_one_restores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """Given threads, samples are the same as without, and damage is named in the same words."""
    samples = recording(5000, 40)
    target = tmp_path / f"a{suffix}"
    if suffix == ".ebin":
        recordings.compress(samples, target, sample_rate=1000, chunk_length=1000)
    else:
        mtscomp.compress(recordings.open_source(samples), target, sample_rate=1000)
    monkeypatch.setattr(reader_module, "WORTH_THREADS", 0)
    for threads in (2, 3):
        with recordings.open(target, threads=threads) as reader:
            for start, stop in [(0, 5000), (1000, 2000), (1500, 2500), (10, 4990), (4999, 5000)]:
                np.testing.assert_array_equal(reader[start:stop], samples[start:stop])
    data = bytearray(target.read_bytes())
    data[reader.index.offsets[2] + 3000] ^= 4
    target.write_bytes(data)
    messages = []
    for threads in (1, 2):
        with recordings.open(target, threads=threads) as reader:
            np.testing.assert_array_equal(reader[:2000], samples[:2000])
            with pytest.raises(codec.CorruptionError, match="chunk 2") as caught:
                reader[1500:2500]
            messages.append(str(caught.value))
    assert messages[0] == messages[1]
