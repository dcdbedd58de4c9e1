"""A recording and its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shared import recordings
from tests.codec.arrays import recording

RATE = 1000


@pytest.fixture
def samples() -> np.ndarray:
    return recording(10_500, 12)


@pytest.fixture
def path(tmp_path: Path, samples: np.ndarray) -> Path:
    target = tmp_path / "_spikeglx_ephysData_g0_t0.imec0.ap.ebin"
    recordings.compress(samples, target, sample_rate=RATE, chunk_length=1000)
    return target
