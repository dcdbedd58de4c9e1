"""The site's decoder gives the samples of every recording, bit for bit; damage is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shared import recordings
from shared.codec.levels import LEVELS
from tests.codec import golden
from tests.codec.arrays import DTYPES, adversarial, bursts, faint, recording, stretched

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    not shutil.which("node") or not (ROOT / "node_modules/fzstd").exists(),
    reason="node and the packages of package.json are needed (make setup)",
)

Window = tuple[int, int, list[int] | None]


class Decoder:
    """A node process that answers line by line."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            ["node", str(ROOT / "tests/viewer/decode.mjs")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    def decode(self, data: Path, index: object, windows: Sequence[Window]) -> Any:
        """Return the SHA-256 of each window, or what refused the recording."""
        assert self.process.stdin
        assert self.process.stdout
        asked = {"data": str(data), "index": index, "windows": windows}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


@pytest.fixture(scope="module")
def decoder():
    one = Decoder()
    yield one
    one.close()


def sidecar(path: Path) -> dict[str, Any]:
    return json.loads(path.with_suffix(".eh").read_text())


def by_channel(samples: np.ndarray, window: Window, chunk_length: int) -> str:
    """Return the SHA-256 of a window as the decoder hands it out: chunk by chunk, by channel."""
    first, last, channels = window
    hashed = hashlib.sha256()
    for start in range(first // chunk_length * chunk_length, last, chunk_length):
        piece = samples[max(first, start) : min(last, start + chunk_length)]
        hashed.update(np.ascontiguousarray(piece[:, channels or slice(None)].T).tobytes())
    return hashed.hexdigest()


@pytest.mark.parametrize("name", golden.FILES)
def test_kept_files(tmp_path: Path, decoder: Decoder, name: str) -> None:
    """Given a file of this version, when it is decoded whole, then its samples are the kept."""
    kept = golden.FILES[name]
    path = tmp_path / "a.ebin"
    path.write_bytes(kept.data)
    with recordings.open(path) as reader:
        samples, index = reader[:], json.loads(reader.index.to_json(len(kept.data)))
    assert hashlib.sha256(samples.tobytes()).hexdigest() == kept.sha256
    window: Window = (0, kept.shape[0], None)
    assert decoder.decode(path, index, [window]) == [
        by_channel(samples, window, index["chunk_length"])
    ]


def windows_of(samples: np.ndarray, seed: int) -> list[Window]:
    """Return the whole, and stretches of some channels, also out of order and twice."""
    rng = np.random.default_rng(seed)
    length, channels = samples.shape
    found: list[Window] = [(0, length, None)]
    for _ in range(6):
        first, last = sorted(int(each) for each in rng.integers(0, length + 1, 2))
        if first < last:
            some = rng.integers(0, channels, int(rng.integers(1, channels + 1)))
            found.append((first, last, [int(each) for each in some]))
    return found


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_window_of_hard_arrays(
    tmp_path: Path, decoder: Decoder, dtype: str, level: str
) -> None:
    """Given arrays that break codecs, then any window is right, and damage is refused."""
    cases = adversarial(dtype)
    if dtype == "int16":
        cases |= {"probe": recording(6100, 100), "faint": faint(), "bursts": bursts()}
        cases["stretched"] = stretched(recording(3000, 6))
    for number, (name, samples) in enumerate(cases.items()):
        path = tmp_path / "a.ebin"
        recordings.compress(
            samples, path, sample_rate=1000, chunk_length=2080, level=level, overwrite=True
        )
        windows = windows_of(samples, number)
        found = decoder.decode(path, sidecar(path), windows)
        assert found == [by_channel(samples, each, 2080) for each in windows], name


def test_a_damaged_byte_is_refused(tmp_path: Path, decoder: Decoder) -> None:
    """Given one flipped bit, when its chunk is decoded, then it is refused before it is opened."""
    path, hurt = tmp_path / "a.ebin", tmp_path / "hurt.ebin"
    recordings.compress(recording(2000, 12), path, sample_rate=1000, chunk_length=1000)
    data, index = path.read_bytes(), sidecar(path)
    end = 64 + sum(index["chunk_sizes"])
    rng = np.random.default_rng(3)
    for at in [64, 68, 72, 80, 84, 88, 112, *map(int, rng.integers(64, end, 20))]:
        broken = bytearray(data)
        broken[at] ^= 1 << int(rng.integers(8))
        hurt.write_bytes(broken)
        answer = decoder.decode(hurt, index, [(0, 2000, None)])
        assert answer == {"refused": "FormatError: a damaged chunk"}, at


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"algorithm": "mtscomp"}, "not a recording of this format"),
        ({"version": 2}, "not a recording of this format"),
        ({"dtype": "constructor"}, "an unknown sample type"),
        ({"shape": [2000, 11]}, "a wrong number of channels"),
        ({"shape": [4000, 12]}, "a wrong number of chunks"),
        ({"chunk_length": 0}, "a wrong number of samples"),
        ({"chunk_sizes": ["x", 1]}, "a wrong chunk"),
        ({"chunk_sizes": None}, "a wrong number of chunks"),
        ({"sample_rate": 0}, "a wrong sample rate"),
        ({"file_size": 70}, "a file shorter than its chunks"),
    ],
)
def test_a_wrong_sidecar_is_refused(
    tmp_path: Path, decoder: Decoder, change: dict[str, Any], reason: str
) -> None:
    path = tmp_path / "a.ebin"
    recordings.compress(recording(2000, 12), path, sample_rate=1000, chunk_length=1000)
    answer = decoder.decode(path, {**sidecar(path), **change}, [(0, 2000, None)])
    assert answer == {"refused": f"FormatError: {reason}"}


def test_another_recordings_sidecar_is_refused(tmp_path: Path, decoder: Decoder) -> None:
    """Given a chunk that proves itself but is not the one asked for, then it is refused."""
    path = tmp_path / "a.ebin"
    recordings.compress(recording(3000, 12), path, sample_rate=1000, chunk_length=1000)
    index = sidecar(path)
    data = path.read_bytes()
    first, second = index["chunk_sizes"][:2]
    swapped = data[:64] + data[64 + first : 64 + first + second] + data[64 : 64 + first]
    path.write_bytes(swapped + data[64 + first + second :])
    for name in ("chunk_sizes", "chunk_crc32"):
        index[name][:2] = index[name][1::-1]
    answer = decoder.decode(path, index, [(0, 1000, None)])
    assert answer == {"refused": "FormatError: another chunk"}
