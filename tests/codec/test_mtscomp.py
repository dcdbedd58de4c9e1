"""Both directions with mtscomp itself."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import mtscomp
import numpy as np
import pytest

from shared import codec, recordings
from shared.recordings import mtscomp as pairs
from tests.codec.arrays import adversarial, recording

REPORTED = Path(__file__).resolve().parents[3] / "shared" / "data" / "reported"
UUID = "0b3e1a52-9d0a-4c5e-8f2c-0c9a6a8d3b11"


def write(folder: Path, samples: np.ndarray, **options: object) -> Path:
    """Let mtscomp write a pair."""
    raw = folder / "x.bin"
    samples.tofile(raw)
    settings = {"sample_rate": 500, "n_channels": samples.shape[1], "dtype": samples.dtype}
    settings |= {"n_threads": 1, "check_after_compress": False, "quiet": True}
    mtscomp.compress(raw, folder / "x.cbin", folder / "x.ch", **(settings | options))
    return folder / "x.cbin"


def compress(source: object, target: Path, **options: object) -> Path:
    return pairs.compress(recordings.open_source(source), target, **options)


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "uint8", "int64", "float32"])
@pytest.mark.parametrize("order", ["F", "C"])
@pytest.mark.parametrize(("in_time", "in_space"), [(1, 0), (0, 1), (1, 1), (0, 0)])
def test_every_pair_mtscomp_writes_is_read_as_it_reads_it(
    tmp_path: Path, dtype: str, order: str, in_time: int, in_space: int
) -> None:
    samples = recording(1234, 9).astype(dtype)
    options = {"do_time_diff": bool(in_time), "do_spatial_diff": bool(in_space)}
    path = write(tmp_path, samples, chunk_order=order, chunk_duration=0.5, **options)
    theirs = mtscomp.Reader(n_threads=1)
    theirs.open(path)
    with recordings.open(path) as reader:
        assert (reader.shape, reader.dtype) == (samples.shape, samples.dtype)
        expected = theirs[0 : len(samples)]
        np.testing.assert_array_equal(reader[:], expected)
        np.testing.assert_array_equal(reader[240:260, 3], expected[240:260, 3])
    theirs.close()
    if np.dtype(dtype).kind != "f":
        np.testing.assert_array_equal(expected, samples)


@pytest.mark.parametrize("method", ["fast", "small", "zlib"])
@pytest.mark.parametrize("workers", [1, 2])
def test_mtscomp_reads_what_we_write(tmp_path: Path, method: str, workers: int) -> None:
    samples = recording(7000, 9)
    target = tmp_path / "y.cbin"
    compress(samples, target, sample_rate=2000, method=method, workers=workers)
    reader = mtscomp.Reader(n_threads=1, quiet=True)
    reader.open(target)
    np.testing.assert_array_equal(reader[0:7000], samples)
    reader.tofile(tmp_path / "y.bin")  # with mtscomp's own check, checksums and all
    reader.close()
    assert (tmp_path / "y.bin").read_bytes() == samples.tobytes()
    header = json.loads((tmp_path / "y.ch").read_text())
    assert header["version"] == "1.0"
    assert header["chunk_bounds"] == [0, 2000, 4000, 6000, 7000]


def test_chunks_of_slow_recordings_last_whole_seconds(tmp_path: Path) -> None:
    samples = recording(9000, 5)
    header = compress(samples, tmp_path / "y.cbin", sample_rate=1000)
    assert json.loads(header.read_text())["chunk_bounds"] == [0, 6000, 9000]
    reader = mtscomp.Reader(n_threads=1, quiet=True)
    reader.open(tmp_path / "y.cbin")
    np.testing.assert_array_equal(reader[5500:6500], samples[5500:6500])
    reader.close()


def test_adversarial_arrays_through_mtscomp(tmp_path: Path) -> None:
    for name, samples in adversarial().items():
        compress(samples, tmp_path / "z.cbin", sample_rate=500, overwrite=True)
        reader = mtscomp.Reader(n_threads=1, quiet=True)
        reader.open(tmp_path / "z.cbin")
        got = np.concatenate([reader.read_chunk(*each) for each in reader.iter_chunks()])
        np.testing.assert_array_equal(got, samples, err_msg=name)
        reader.close()


def test_transcoding_both_ways(tmp_path: Path) -> None:
    samples = recording(2600, 9)
    path = write(tmp_path, samples)
    recordings.compress(path, tmp_path / "n.ebin", workers=2)
    assert recordings.verify(tmp_path / "n.ebin", samples) == []
    compress(tmp_path / "n.ebin", tmp_path / "back.cbin", method="zlib")
    assert (tmp_path / "back.cbin").read_bytes() == path.read_bytes()


def test_damage_that_passes_adler32_is_found_by_verify(tmp_path: Path) -> None:
    samples = recording(1000, 4)
    path, header = write(tmp_path, samples), json.loads((tmp_path / "x.ch").read_text())
    assert recordings.verify(path) == []
    first, middle, *_ = header["chunk_offsets"]
    content = zlib.decompress(path.read_bytes()[first:middle])
    # Three neighbours whose sum and weighted sum stay.
    triples = zip(content, content[1:], content[2:], strict=False)
    at = next(i for i, (a, b, c) in enumerate(triples) if a < 255 and b > 1 and c < 255)
    forged = bytearray(content)
    forged[at] += 1
    forged[at + 1] -= 2
    forged[at + 2] += 1
    assert zlib.adler32(forged) == zlib.adler32(content)
    data = zlib.compress(bytes(forged))
    shift = len(data) - middle
    path.write_bytes(data + path.read_bytes()[middle:])
    header["chunk_offsets"] = [0, *(each + shift for each in header["chunk_offsets"][1:])]
    (tmp_path / "x.ch").write_text(json.dumps(header))
    assert recordings.verify(path) == ["x.cbin: the samples have another SHA-1 than it says"]


@pytest.mark.parametrize(
    ("data", "header"),
    [
        ("x.cbin", "x.ch"),
        (
            f"x.ap.{UUID}.cbin",
            f"x.ap.{UUID[::-1].replace('-', '0')[:8]}-9d0a-4c5e-8f2c-0c9a6a8d3b11.ch",
        ),
        (f"x.ap.{UUID}.stream.cbin", "x.ap.ch"),
    ],
)
def test_names_with_identifiers_find_their_header(tmp_path: Path, data: str, header: str) -> None:
    samples = recording(600, 4)
    path = write(tmp_path, samples)
    path.rename(tmp_path / data)
    (tmp_path / "x.ch").rename(tmp_path / header)
    with recordings.open(tmp_path / data) as reader:
        np.testing.assert_array_equal(reader[:], samples)


def test_a_chopped_pair_without_checksums(tmp_path: Path) -> None:
    samples = recording(1600, 4)
    reader = mtscomp.Reader(n_threads=1)
    reader.open(write(tmp_path, samples))
    reader.chop(2, tmp_path / "chopped.cbin")
    reader.close()
    with recordings.open(tmp_path / "chopped.cbin") as ours:
        np.testing.assert_array_equal(ours[:], samples[:1000])


def test_damage(tmp_path: Path) -> None:
    path = write(tmp_path, recording(1600, 4))
    data = bytearray(path.read_bytes())
    header = json.loads((tmp_path / "x.ch").read_text())
    data[header["chunk_offsets"][1] + 50] ^= 1
    path.write_bytes(data)
    with recordings.open(path) as reader, pytest.raises(codec.CorruptionError, match="chunk 1"):
        reader[:]
    assert [p for p in recordings.verify(path) if "chunk 1" in p]
    path.write_bytes(data[:-1])
    with pytest.raises(codec.TruncationError, match="cut short"):
        recordings.open(path)


@pytest.mark.parametrize(
    "change",
    [
        {"version": "2.0"},
        {"algorithm": "lzma"},
        {"dtype": "object"},
        {"dtype": "nonsense"},
        {"n_channels": 0},
        {"chunk_bounds": [0, 10**12]},
        {"chunk_bounds": [0, 5, 3]},
        {"chunk_offsets": [0]},
        {"chunk_order": "K"},
        {"sample_rate": 0},
        {"sample_rate": -1},
        {"sample_rate": float("nan")},
        {"sample_rate": 10**400},
    ],
)
def test_hostile_headers(tmp_path: Path, change: dict[str, object]) -> None:
    path = write(tmp_path, recording(100, 4))
    header = tmp_path / "x.ch"
    header.write_text(json.dumps(json.loads(header.read_text()) | change))
    with pytest.raises(codec.FormatError):
        recordings.open(path)


def test_a_deflate_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """Given a stream of 64 megabytes of zeros in place of a small chunk, it is refused unread."""
    import zlib

    path = write(tmp_path, recording(100, 4))
    coder = zlib.compressobj(9)
    bomb = b"".join([coder.compress(bytes(1 << 24)) for _ in range(4)]) + coder.flush()
    path.write_bytes(bomb)
    header = json.loads((tmp_path / "x.ch").read_text())
    header["chunk_offsets"] = [0, len(bomb)]
    (tmp_path / "x.ch").write_text(json.dumps(header))
    with (
        recordings.open(path) as reader,
        pytest.raises(codec.CorruptionError, match="does not hold"),
    ):
        reader[:]


def test_a_missing_header(tmp_path: Path) -> None:
    (tmp_path / "lonely.cbin").write_bytes(b"x")
    with pytest.raises(codec.CodecError, match=r"no header lonely\.ch"):
        recordings.open(tmp_path / "lonely.cbin")


def test_a_pair_of_the_beta_is_read() -> None:
    """Given a pair that the published 0.1.0b1 wrote, it is read as mtscomp 1.0.2 reads it."""
    folder = REPORTED / "mtscomp-0.1.0b1"
    if not folder.is_dir():
        pytest.skip("the reported recordings are not here")
    raw = np.fromfile(folder / "raw.bin", "int16").reshape(-1, 7)
    with recordings.open(folder / "b1.cbin") as reader:
        np.testing.assert_array_equal(reader[:], raw)
        assert reader.sample_rate == 1000


def test_before_the_order_could_be_chosen_it_was_that_in_memory(tmp_path: Path) -> None:
    """Given a header without `chunk_order`, chunks are in C order, as when it had none."""
    samples = recording(700, 5)
    path = write(tmp_path, samples, chunk_order="C")
    header = json.loads((tmp_path / "x.ch").read_text()) | {"version": "0.0"}
    del header["chunk_order"]
    (tmp_path / "x.ch").write_text(json.dumps(header))
    with recordings.open(path) as reader:
        np.testing.assert_array_equal(reader[:], samples)


def test_an_impossible_sample_rate_is_told() -> None:
    path = REPORTED / "mtscomp-sample-rate-0" / "z.cbin"
    if not path.is_file():
        pytest.skip("the reported recordings are not here")
    with pytest.raises(codec.FormatError, match="sample rate of 0 Hz"):
        recordings.open(path)


def test_a_torn_pair_is_salvaged(tmp_path: Path) -> None:
    samples = recording(1600, 4)
    path = write(tmp_path, samples)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(codec.TruncationError, match="--salvage"):
        recordings.decompress(path, tmp_path / "out.bin")
    problems = recordings.decompress(path, tmp_path / "out.bin", salvage=True)
    restored = np.fromfile(tmp_path / "out.bin", "int16").reshape(-1, 4)
    np.testing.assert_array_equal(restored[:1500], samples[:1500])
    assert not restored[1500:].any()
    assert any("samples 1500 to 1600 are zeros" in each for each in problems)
