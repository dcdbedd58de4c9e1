"""The sidecar: what range readers need, and what of it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from shared import codec, recordings
from shared.codec import chunk
from tests.codec.conftest import RATE


def test_the_sidecar_tells_what_range_readers_need(path: Path, samples: np.ndarray) -> None:
    sidecar = json.loads(path.with_suffix(".eh").read_text())
    assert sidecar["algorithm"] == "fornix-ephys"
    assert sidecar["version"] == 1
    assert (sidecar["n_channels"], sidecar["sample_rate"], sidecar["dtype"]) == (12, RATE, "int16")
    assert sidecar["shape"] == [10_500, 12]
    assert sidecar["chunk_length"] == 1000
    assert sidecar["file_size"] == path.stat().st_size
    assert len(sidecar["chunk_sizes"]) == len(sidecar["chunk_crc32"]) == 11
    data, start = path.read_bytes(), 64
    for number, size in enumerate(sidecar["chunk_sizes"]):
        stored = data[start : start + size]
        assert chunk.crc32(stored) == sidecar["chunk_crc32"][number]
        here = chunk.read_header(stored, "a chunk")
        assert (here.number, here.first, here.size) == (number, 1000 * number, size)
        raw = samples[here.first : here.first + here.length].tobytes()
        assert chunk.crc32(raw) == here.raw_crc
        start += size


def test_the_footer_suffices_without_the_sidecar(path: Path, samples: np.ndarray) -> None:
    path.with_suffix(".eh").unlink()
    with recordings.open(path) as reader:
        np.testing.assert_array_equal(reader[:], samples)


def test_a_swapped_sidecar_is_detected(path: Path, samples: np.ndarray, tmp_path: Path) -> None:
    other = tmp_path / "other.ebin"
    recordings.compress(samples[::-1], other, sample_rate=RATE, chunk_length=1000)
    with pytest.raises(codec.CorruptionError, match="sidecar is not the index of"):
        recordings.open(path, sidecar=other.with_suffix(".eh"))


@pytest.mark.parametrize(
    "change",
    [
        {"chunk_length": 10**15},
        {"chunk_length": -5},
        {"chunk_length": 0},
        {"chunk_length": 2000},
        {"chunk_sizes": "no"},
        {"chunk_sizes": [10]},
        {"chunk_sizes": [10**15] * 11},
        {"chunk_sizes": [10] * 11},
        {"chunk_sizes": [1.5] * 11},
        {"n_channels": 10**9},
        {"n_channels": True},
        {"sample_rate": 0},
        {"sample_rate": "30000"},
        {"dtype": "float64"},
        {"dtype": ["int16"]},
        {"shape": [1, 12]},
        {"chunk_crc32": [2**32]},
        {"algorithm": "mtscomp"},
    ],
)
def test_hostile_sidecars_are_refused(path: Path, change: dict[str, object]) -> None:
    sidecar = path.with_suffix(".eh")
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | change))
    with pytest.raises(codec.FormatError):
        recordings.open(path)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, "\x00"])
def test_files_that_are_no_sidecars_are_refused(path: Path, text: str) -> None:
    path.with_suffix(".eh").write_text(text)
    with pytest.raises(codec.FormatError):
        recordings.open(path)
