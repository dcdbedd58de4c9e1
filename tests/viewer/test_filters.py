"""The page's filters are those of signal processing's textbooks."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, sosfiltfilt

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")


def test_filters_equal_scipys_and_extremes_lose_no_spike() -> None:
    """Given noise with one spike, when it is filtered, then it is as by scipy's Butterworth."""
    rate, n, rows = 30_000.0, 4200, 9
    rng = np.random.default_rng(1)
    x = rng.normal(0, 6, (rows, n)) + 50 * np.sin(2 * np.pi * 8 * np.arange(n) / rate)
    x[4, 2000] -= 300
    done = subprocess.run(
        ["node", "tests/viewer/filter.mjs"],
        input=json.dumps({"x": x.tolist(), "rate": rate}),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    answer = {name: np.reshape(each, (rows, -1)) for name, each in json.loads(done.stdout).items()}
    wanted = sosfiltfilt(butter(3, 300, "high", fs=rate, output="sos"), x, axis=1)
    inner = slice(600, -600)  # the page reads that much more, and does not show it
    np.testing.assert_allclose(answer["high"][:, inner], wanted[:, inner], atol=0.05)
    shared = wanted - np.median(wanted, axis=0)
    np.testing.assert_allclose(answer["shared"][:, inner], shared[:, inner], atol=0.1)
    column = 2000 * 50 // n
    assert answer["seen"][4, column] == answer["shared"][4, 1990:2010].min()
