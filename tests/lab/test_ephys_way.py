"""The way of probes: rigs without a board, and what histology decides, as their users run them."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from lab.simulate.board import BoardClock
from lab.simulate.phase3a import add_probes_3a
from lab.simulate.recording import ProbeDrift, simulate_recording, write_recording
from lab.simulate.session import simulate_session
from lab.simulate.spikes import simulate_sorting
from lab.tasks.histology import ATLAS
from shared.datasets.read import datasets_of
from shared.work import read
from tests.flow import DATE, FOLDER, LAB, SUBJECT
from tests.lab import test_way
from tests.lab.test_way import status_of
from tests.processes import ended, run, until
from tests.site.conftest import trials_of
from tests.tasks.test_histology import ALIGNMENTS, JSON, LOWER, UPPER, made_atlas

pytestmark = pytest.mark.integration

fornix = test_way.fornix
"""The command line, as there."""

PROBE = "raw_ephys_data/probe00"


def test_a_session_of_two_probes_without_a_board_goes_to_the_clock_of_the_main_one(
    system,
    fornix,
    tmp_path,
):
    # Given a rig of phase 3A, whose devices are wired to the second of two probes
    truth = simulate_session(
        tmp_path / "rig" / LAB / "Subjects", seed=1, subject=SUBJECT,
        date=date.fromisoformat(DATE), protocol="biased", n_trials=5, performance=0.9,
        board=BoardClock(offset=4.0, drift=50.0, is_probe=True),
    )  # fmt: skip
    add_probes_3a(truth, (ProbeDrift(offset=1.0, drift=-12.0), ProbeDrift()), seed=1, main=1)
    # When it is uploaded, and a worker works
    eid = ended(run(fornix("rig", "rig", "upload", truth.session, "--json")))[0]["eid"]
    until(lambda: status_of(eid))
    run(fornix("worker", "worker", "--until-idle", "3"))
    # Then trials, wheel and both probes are on the main clock; spikes wait for a sorter
    tasks = {(task.name, task.status) for task in read.of_session(eid)}
    waits = {("ephys.sort", "Waiting")}
    assert {status for _, status in tasks - waits} == {"Complete"}
    assert waits < tasks
    assert {"task.wheel_nidq", "ephys.align_probes", "ephys.rawqc"} <= {name for name, _ in tasks}
    told = system.client("member").get(f"/sessions/{eid}")["extended_qc"]
    assert told["_sync_task_drift_ppm"] == pytest.approx(50, abs=5)
    assert told["_sync_probe00_drift_ppm"] == pytest.approx(12, abs=2)
    assert told["_sync_probe01_drift_ppm"] == 0


@pytest.fixture
def placed(system, fornix, tmp_path):
    """Given a probe in the brain, sorted elsewhere, and a member who resolves its alignment."""
    folder = tmp_path / "rig" / FOLDER
    sorting = simulate_sorting(trials_of(20, 1), seed=1, n_units=3)
    samples = simulate_recording(sorting, seconds=0.2, channels=8, seed=1)
    write_recording(samples, sorting["channels.localCoordinates.npy"], folder / PROBE)
    eid = ended(run(fornix("rig", "rig", "upload", folder, "--json")))[0]["eid"]
    until(lambda: status_of(eid))
    api = system.client("member")
    insertion = api.post("/insertions", {"session": eid, "name": "probe00"})["id"]
    trajectory = {
        "probe_insertion": insertion, "x": -1000, "y": 500, "z": -200, "depth": 4000, "theta": 0,
        "phi": 180, "provenance": "Ephys aligned histology track", "json": ALIGNMENTS,
    }  # fmt: skip
    api.post("/trajectories", trajectory)
    api.patch(f"/insertions/{insertion}", {"json": JSON})
    until(lambda: "histology.sites" in status_of(eid))
    return eid


def test_a_resolved_alignment_gives_a_probe_its_regions(
    system,
    placed,
    fornix,
    tmp_path,
):
    # When a worker without an atlas looks for work, then the task is left to others
    run(fornix("worker", "worker", "--until-idle", "2"))
    assert status_of(placed)["histology.sites"] == "Waiting"
    assert not [one for one in datasets_of(placed) if "electrodeSites" in one.path]
    # When one comes that has it, then the sites have places and regions
    (tmp_path / "atlas").mkdir()
    np.save(tmp_path / "atlas/annotation.npy", made_atlas())
    env = {ATLAS: str(tmp_path / "atlas/annotation.npy")}
    until(lambda: status_of(placed)["histology.sites"] == "Waiting")
    run(fornix("worker", "worker", "--until-idle", "40", "--once", env=env))
    task = next(one for one in read.of_session(placed) if one.name == "histology.sites")
    assert task.status == "Complete", task.log
    names = {one.name for one in datasets_of(placed) if one.collection == "alf/probe00"}
    assert names == {
        f"electrodeSites.{name}.npy"
        for name in ("localCoordinates", "mlapdv", "brainLocationIds_ccf_2017")
    }
    key = next(key for key in system.flow.keys("data/") if "electrodeSites.brainLocation" in key)
    body = system.flow.s3.get_object(Bucket=system.flow.bucket, Key=f"data/{key}")["Body"].read()
    (tmp_path / "regions.npy").write_bytes(body)
    assert set(np.load(tmp_path / "regions.npy").tolist()) <= {UPPER, LOWER}
