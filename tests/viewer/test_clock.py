"""A band of a recording is shown at its own rate, whatever clock the sorter gave."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "site/results/scripts/clock.js"

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")

CLOCK = {"time": [0.5, 10.5, 20.5], "sample": [15_000, 315_003, 615_006]}
"""10 ppm fast."""


def times(clock: dict | None, rate: float, samples: list[float]) -> list[float]:
    """Return when samples were taken, and back again."""
    code = (
        f"import {{ RecordingClock }} from '{SCRIPT.as_uri()}';"
        f"const clock = new RecordingClock({json.dumps(clock)}, {rate});"
        f"const at = {json.dumps(samples)}.map((each) => clock.timeOf(each));"
        "console.log(JSON.stringify([at, at.map((each) => clock.sampleAt(each))]));"
    )
    command = ["node", "--input-type=module", "-e", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    at, back = json.loads(done.stdout)
    assert back == pytest.approx(samples)
    return at


@pytest.mark.parametrize(
    ("rate", "every"), [(30_000.0, 1), (2_500.0, 12), (1_250.05, 24), (2_048.0, None)]
)
def test_a_sample_of_any_band_is_at_its_moment(rate: float, every: int | None) -> None:
    """Given a clock in samples of the AP band, then those of a slower band are where they were."""
    step = every or 30_000.3 / rate
    (at,) = times(CLOCK, rate, [315_003 / step])
    assert at == pytest.approx(10.5, abs=1e-6)


def test_without_a_clock_the_file_s_rate_counts() -> None:
    """Given no clock, then samples are taken at the file's own rate from 0 s on."""
    assert times(None, 2_500.0, [0, 2_500, 5_001]) == pytest.approx([0, 1, 2.0004])
