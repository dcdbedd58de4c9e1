"""A level that searches longer never codes a recording in more bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.recordings import RECORDINGS
from shared import codec
from shared.codec import Writer

from .arrays import bursts, delayed, recording, smooth

LENGTHS = {"np1_ap": 8_000, "np2_wide": 8_000, "np1_lf": 12_000, "tetrode": 100_000}
"""Samples of those that would take long; the others are whole."""


def kinds() -> Iterator[tuple[str, Callable[[], tuple[np.ndarray, float]]]]:
    """Yield the makers of recordings with their rates, by name."""
    for name, make in RECORDINGS.items():
        yield name, partial(make, LENGTHS[name]) if name in LENGTHS else make
    for made in (recording(), delayed(), smooth(), bursts()):
        yield f"made-{made.shape[1]}", lambda made=made: (made, 30_000.0)  # type: ignore[misc]


KINDS = dict(kinds())


def written(samples: np.ndarray, rate: float, level: str, folder: Path) -> codec.RecordingIndex:
    """Return the index of a recording that was written at a level."""
    target, length = folder / f"{level}.ebin", len(samples)
    options = {"level": level, "check": False, "n_samples": length}
    with Writer(target, samples.shape[1], samples.dtype, rate, **options) as writer:  # type: ignore[arg-type]
        writer.append(samples)
    return writer.index


@pytest.mark.parametrize("kind", KINDS)
def test_a_level_that_searches_longer_is_never_larger(kind: str, tmp_path: Path) -> None:
    samples, rate = KINDS[kind]()
    # Chunks only: the file holds the level's name beside them.
    fast, default, high = (
        written(samples, rate, level, tmp_path).offsets[-1] for level in codec.LEVELS
    )
    assert default <= fast
    # The better of two kinds of models is chosen on an excerpt, which may mislead by a little.
    assert high <= 1.002 * default


def test_candidates_that_are_not_taken_change_nothing(tmp_path: Path) -> None:
    """Given a recording for which all levels choose the same model, they code the same bytes."""
    samples, rate = RECORDINGS["nidq"]()
    fast, default, high = (written(samples, rate, each, tmp_path).crcs for each in codec.LEVELS)
    assert fast == default == high
