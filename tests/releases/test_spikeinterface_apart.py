"""SpikeInterface opens a recording of a public release by its address (`make spikeinterface`)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fornix
from tests.releases.conftest import TAG
from tests.releases.test_one_second import NAME, RATE, SECONDS
from tests.releases.test_one_second import recorded as recorded

pytestmark = pytest.mark.proof

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv" / "spikeinterface" / "bin" / "python"

PROGRAM = """
import json, sys
import numpy as np
from spikeinterface.core import load
from shared.recordings.spikeinterface import read_fornix

recording = read_fornix(sys.argv[1])
start = int(sys.argv[2])
rate = int(recording.get_sampling_frequency())
recording.dump(sys.argv[3] + "/recording.json")
again = load(sys.argv[3] + "/recording.json")
np.save(sys.argv[3] + "/second.npy", again.get_traces(start_frame=start, end_frame=start + rate))
print(json.dumps([rate, recording.get_num_samples(), recording.get_num_channels()]))
"""


def test_spikeinterface_opens_a_recording_of_a_release_by_its_address(
    recorded: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not PYTHON.exists():
        pytest.skip("SpikeInterface is installed apart: make spikeinterface")
    # Given the address that a stranger has from a public release
    url, samples = recorded["system"].url, recorded["samples"]
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")
    monkeypatch.delenv("FORNIX_API_URL")
    address = fornix.open(f"{url}/releases/{TAG}").address(recorded["eid"], NAME)
    assert address.startswith(f"{url}/")
    assert "Signature" not in address
    # When SpikeInterface reads a second there, opened anew from what it keeps of recordings
    start = 5 * RATE + 77
    environment = {name: os.environ[name] for name in ("PATH", "HOME")}
    done = subprocess.run(
        [PYTHON, "-c", PROGRAM, address, str(start), tmp_path],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    # Then it is what the rig recorded
    assert json.loads(done.stdout.splitlines()[-1]) == [RATE, RATE * SECONDS, samples.shape[1]]
    second = np.load(tmp_path / "second.npy")
    np.testing.assert_array_equal(second, samples[start : start + RATE])
