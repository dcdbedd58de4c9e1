"""A recording is indexed like the array it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from shared import codec, recordings
from tests.codec.arrays import recording

SHAPE = (1050, 7)


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    return recording(*SHAPE)


@pytest.fixture(scope="module")
def reader(samples: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> codec.Reader:
    target = tmp_path_factory.mktemp("reader") / "a.ebin"
    recordings.compress(samples, target, sample_rate=100, chunk_length=100)
    return recordings.open(target, cache_bytes=3 * 100 * 7 * 2)


slices = [st.slices(length) for length in SHAPE]
integers = [st.integers(-length, length - 1) for length in SHAPE]
lists = [st.lists(each, max_size=9) for each in integers]
masks = [hnp.arrays(bool, length) for length in SHAPE]


@settings(max_examples=300, deadline=None)
@given(slices[0] | integers[0], slices[1] | integers[1] | lists[1] | masks[1])
def test_like_numpy(
    reader: codec.Reader, samples: np.ndarray, rows: object, columns: object
) -> None:
    columns = np.array(columns, int) if isinstance(columns, list) else columns
    got, expected = reader[rows, columns], samples[rows, columns]
    np.testing.assert_array_equal(got, expected)
    assert np.asarray(got).dtype == expected.dtype
    assert np.shape(got) == np.shape(expected)
    np.testing.assert_array_equal(reader[rows], samples[rows])


@settings(max_examples=100, deadline=None)
@given(lists[0] | masks[0], lists[1] | slices[1])
def test_lists_of_samples(
    reader: codec.Reader, samples: np.ndarray, rows: object, columns: object
) -> None:
    rows = np.array(rows, int) if isinstance(rows, list) else rows
    columns = np.array(columns, int) if isinstance(columns, list) else columns
    np.testing.assert_array_equal(reader[rows, columns], samples[rows][:, columns])


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64, np.uint64, np.intp])
def test_numpy_integers(reader: codec.Reader, samples: np.ndarray, kind: type) -> None:
    np.testing.assert_array_equal(reader[kind(99)], samples[99])
    assert reader[kind(100), kind(6)] == samples[100, 6]


def test_other_ways_in(reader: codec.Reader, samples: np.ndarray) -> None:
    np.testing.assert_array_equal(reader[...], samples)
    np.testing.assert_array_equal(reader[..., 2], samples[..., 2])
    np.testing.assert_array_equal(reader[5, ...], samples[5, ...])
    np.testing.assert_array_equal(np.asarray(reader), samples)
    np.testing.assert_array_equal(np.array(reader, dtype="float32"), samples.astype("float32"))
    np.testing.assert_array_equal(np.stack(list(reader)[:3]), samples[:3])
    out = np.empty((350, 7), "int16")
    assert reader.read(50, 400, out=out) is out
    np.testing.assert_array_equal(out, samples[50:400])
    assert (reader.ndim, len(reader), reader.size, reader.nbytes) == (2, 1050, 7350, 14_700)
    assert (reader.n_samples, reader.n_channels) == SHAPE
    assert "1050 × 7 int16" in repr(reader)
    with pytest.raises(ValueError, match="without a copy"):
        np.asarray(reader, copy=False)


@pytest.mark.parametrize(
    "key",
    [
        1050,
        -1051,
        (0, 7),
        (0, -8),
        (0, 0, 0),
        "a",
        1.5,
        ([0, 1050],),
        np.ones(3, bool),
        [[0], [1]],
    ],
)
def test_wrong_indices(reader: codec.Reader, key: object) -> None:
    with pytest.raises(IndexError):
        reader[key]


def test_what_is_read_is_the_callers_own(reader: codec.Reader, samples: np.ndarray) -> None:
    """Given someone writes into what they read, then the next reader sees nothing of it."""
    reader[10:20][:] = 0
    reader[10:120][:] = 0
    reader[10][:] = 0
    reader[10:20:3][:] = 0
    np.testing.assert_array_equal(reader[10:120], samples[10:120])


def test_threads_read_the_same(reader: codec.Reader, samples: np.ndarray) -> None:
    path = reader.source.path  # type: ignore[attr-defined]
    with recordings.open(path, threads=3) as threaded:
        np.testing.assert_array_equal(threaded[33:1000], samples[33:1000])


def test_the_cache_is_bounded_in_bytes(reader: codec.Reader) -> None:
    reader[:]
    assert sum(each.nbytes for each in reader._cache.values()) <= 3 * 100 * 7 * 2


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(codec.CodecError, match="cannot open"):
        recordings.open(tmp_path / "no.ebin")
