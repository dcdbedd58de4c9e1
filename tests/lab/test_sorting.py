"""A probe's spikes, from the rig to units on the main clock: ``make ephys``.

The recording is simulated, so what is in it is known. It is sent by the rig agent, compressed,
aligned and sorted by a worker that builds the environment of sorters, and held against the truth.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab.simulate.board import BoardClock
from lab.simulate.ephys import PROBE, EphysRig, add_probe
from lab.simulate.recording import ProbeDrift
from lab.simulate.session import simulate_session
from lab.worker.environments import Environments
from shared.alf.path import without_uuid
from shared.datasets.freed import RAW, freed
from shared.datasets.read import datasets_of
from shared.records.items import Dataset
from shared.sessions import store as sessions
from shared.work import read
from tests.flow import DATE, FOLDER, LAB, SUBJECT
from tests.lab.sorting_truth import compare
from tests.lab.test_way import fornix  # noqa: F401
from tests.processes import until

IBLLIB = Path(__file__).parents[2] / ".venv" / "ibllib" / "bin" / "python"
CHANNELS, TRIALS, UNITS = 64, int(os.environ.get("FORNIX_EPHYS_TRIALS", "8")), 120
SORTED = f"alf/{PROBE}/tridesclous2"
WELL_FOUND, ACCURATE_MS = 0.9, 0.2
SECONDS = 7200

pytestmark = pytest.mark.proof


@pytest.mark.timeout(SECONDS)
def test_a_probe_is_sorted_on_the_main_clock_and_loaded_by_brainbox(
    system,
    fornix,  # noqa: F811
    tmp_path,
    capsys,
    monkeypatch,
):
    # Given a system that frees raw recordings
    monkeypatch.setenv("FORNIX_FREE_RAW", "yes")
    # Given a session of an ephys rig: behaviour, a board and a probe, each on a clock of its own
    board = BoardClock(offset=4.0, drift=50.0)
    rig = EphysRig(board, ProbeDrift(offset=0.004, drift=-12.0), channels=CHANNELS, units=UNITS)
    truth = simulate_session(
        tmp_path / "rig" / LAB / "Subjects", seed=1, subject=SUBJECT,
        date=date.fromisoformat(DATE), protocol="biased", n_trials=TRIALS, performance=0.9,
        board=board,
    )  # fmt: skip
    true = add_probe(truth, rig, seed=1)
    # When the rig agent sends it, and a worker works until nothing waits
    done(fornix("rig", "rig", "upload", truth.session, "--json"))
    session = until(lambda: sessions.find(SUBJECT, DATE, 1), SECONDS)
    until(lambda: read.of_session(session.id), SECONDS)
    # Environments are kept where the person's own are: they are built once, not for each proof.
    environment = {"FORNIX_WORKER_ENVIRONMENTS": "build", "XDG_STATE_HOME": _state()}
    began = time.monotonic()
    told = done(
        fornix("worker", "worker", "--until-idle", "20", "--lease", "600", env=environment)
    )
    took = time.monotonic() - began
    tasks = {task.name: task for task in read.of_session(session.id)}
    assert tasks["ephys.sort"].status == "Complete", (tasks["ephys.sort"].log, told[-2000:])
    # Then the raw recordings are freed once no task has yet to read them
    until(lambda: {freed(each) is not None for each in raw_of(session.id)} == {True}, SECONDS)
    # Then units and clock are those that were put in
    root = tmp_path / "cache"
    fetched(system, root / FOLDER)
    folder = root / FOLDER / SORTED
    spikes = {name: np.load(folder / f"spikes.{name}.npy") for name in ("times", "clusters")}
    highest = float(true["channels.localCoordinates.npy"][CHANNELS - 1, 1])
    seconds = float(spikes["times"].max())
    units = list(compare(true, spikes, highest, seconds))
    report = {
        "recording": {"channels": CHANNELS, "seconds": round(seconds, 1), "units": len(units)},
        "sorted units": len(np.unique(spikes["clusters"])),
        "well isolated": sum(bool(unit.isolated) for unit in units),
        "of these found": sum(bool(unit.isolated and unit.found) for unit in units),
        "median agreement": float(np.median([u.agreement for u in units if u.isolated])),
        **alignment(root / FOLDER / "raw_ephys_data" / PROBE, rig, units),
        "worker, s": round(took, 1),
        "sorting, s": tasks["ephys.sort"].time_elapsed_secs,
        "units": [
            {
                "unit": int(unit.number),
                "depth_um": round(unit.depth, 1),
                "amplitude_uv": round(unit.volts * 1e6, 1),
                "spikes": int(unit.n_spikes),
                "agreement": round(unit.agreement, 3),
                "isolated": bool(unit.isolated),
            }
            for unit in units
        ],
    }
    if IBLLIB.exists():
        report["brainbox"] = by_brainbox(root, folder / "clusters.metrics.pqt")
    with capsys.disabled():
        tell(report)
    assert report["of these found"] >= WELL_FOUND * report["well isolated"] > 0
    assert report["clock error, ms"] <= ACCURATE_MS
    assert report["spike time error (99 %), ms"] <= ACCURATE_MS
    if loaded := report.get("brainbox"):
        assert loaded["collection"] == SORTED
        assert loaded["spikes"]["times"] == [spikes["times"].size]
        assert {"label", "uuids", "channels", "depths"} <= set(loaded["clusters"])
        assert all(apart is not None and apart < 1e-6 for apart in loaded["apart"].values())


@pytest.mark.skipif(not IBLLIB.exists(), reason="`make ephys` installs ibllib, with real metadata")
def test_every_kind_of_probe_is_understood(tmp_path):
    # Given real metadata of Neuropixels 3A, 3B, 2.0 of one shank and of four (ibllib's fixtures)
    (fixtures,) = IBLLIB.parents[1].glob("lib/*/site-packages/ibllib/tests/fixtures/pipes")
    place = Environments(Path(_state()) / "fornix" / "environments").make("ephys-sorting")
    script = Path(__file__).with_name("probes_opened.py")
    done = subprocess.run(
        [place / "bin" / "python", script, script.parents[2], fixtures, tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert {name: one["shanks"] for name, one in found.items()} == {
        "sample3A": 1, "sample3B": 1, "sampleNP2.1": 1, "sampleNP2.4_1shank": 1,
        "sampleNP2.4_4shanks": 4,
    }  # fmt: skip
    for name, one in found.items():
        second = "NP2" in name
        assert one["microvolts"] == pytest.approx(0.763 if second else 2.344, abs=1e-3)
        assert one["delays"] == (16 if second else 12)
        assert one["rate"] == pytest.approx(30_000, abs=1)


def raw_of(eid: str) -> list[Dataset]:
    """Return the raw recordings of a session."""
    return [item for item in datasets_of(eid) if item.name.endswith(RAW)]


def done(process: subprocess.Popen[str]) -> str:
    """Wait for a command that may take long; return what it said."""
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, (out, err)
    return err


def _state() -> str:
    return os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")


def fetched(system, folder: Path) -> None:
    """Fetch the datasets of the session, without its recordings, as the ONE client keeps them."""
    for key in system.flow.keys("data/"):
        _, _, path = key.partition(f"{FOLDER}/")
        if path and not path.endswith((".ebin", ".bin")):
            target = folder / without_uuid(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            held = system.flow.s3.get_object(Bucket=system.flow.bucket, Key=f"data/{key}")
            target.write_bytes(held["Body"].read())


def alignment(folder: Path, rig: EphysRig, units: list) -> dict[str, float]:
    """Return how far the probe's clock is off anywhere, and how far spikes are (ms)."""
    (path,) = (p for p in folder.glob("*imec*.timestamps.npy") if ".lf." not in p.name)
    samples, main = np.load(path).T
    at = np.linspace(samples[0], samples[-1], 1000)
    told = np.interp(at, samples, main)
    # the probe reads offset + t * (1 + drift) at the main clock's t
    really = (at / 30_000 - rig.probe.offset) / (1 + rig.probe.drift * 1e-6)
    errors = np.concatenate([unit.errors for unit in units if unit.isolated and unit.found])
    return {
        "clock error, ms": float(np.abs(told - really).max() * 1e3),
        "spike time error (median), ms": float(np.median(np.abs(errors)) * 1e3),
        "spike time error (99 %), ms": float(np.percentile(np.abs(errors), 99) * 1e3),
    }


def by_brainbox(root: Path, metrics: Path) -> dict[str, Any]:
    """Return what brainbox loads, unmodified."""
    script = Path(__file__).with_name("loaded_by_brainbox.py")
    done = subprocess.run(
        [IBLLIB, script, root, PROBE, metrics], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def tell(report: dict[str, Any]) -> None:
    """Print the numbers as a table, and all of them as JSON where the environment says."""
    print()
    for name, value in report.items():
        if name not in ("units", "brainbox"):
            print(f"{name:32} {value}")
    print(f"{'unit':>5} {'µm':>7} {'µV':>7} {'spikes':>7} {'agreement':>10}")
    for unit in report["units"]:
        mark = "" if unit["isolated"] else "  (not well isolated)"
        print(
            f"{unit['unit']:5} {unit['depth_um']:7} {unit['amplitude_uv']:7} "
            f"{unit['spikes']:7} {unit['agreement']:10}{mark}"
        )
    if loaded := report.get("brainbox"):
        worst = max(loaded["apart"].values(), key=lambda apart: np.inf if apart is None else apart)
        print(f"brainbox loads {loaded['collection']}; metrics differ by at most {worst}")
    if path := os.environ.get("FORNIX_EPHYS_JSON"):
        Path(path).write_text(json.dumps(report, indent=1))
