"""What histology decides about a probe through the API becomes a task, and then the same anew."""

from __future__ import annotations

import json

import msgspec
import pytest

from shared.model.histology import HistologyRecord
from shared.work import read
from tests.dispatch.graph import register, registered, the, waits, worker_runs
from tests.flow import LAB

pytestmark = pytest.mark.usefixtures("server_of_the_lab")

PROBE = "raw_ephys_data/probe00"
META = f"{PROBE}/_spikeglx_ephysData_g0_t0.imec0.ap.meta"
PICKS = [[-1000, 500, -200], [-1000, 500, -4200]]
SITES = [
    f"alf/probe00/electrodeSites.{name}.npy"
    for name in ("localCoordinates", "mlapdv", "brainLocationIds_ccf_2017")
]


def decided(track: list[float], *, is_resolved: bool = True) -> tuple[dict, dict]:
    """Return the ``json`` of the insertion and of its aligned trajectory."""
    quality = {"alignment_resolved": is_resolved, "alignment_stored": "key"}
    return {"xyz_picks": PICKS, "extended_qc": quality}, {"key": [[-0.006, 0.006], track]}


@pytest.fixture
def api(system):
    """The API, as a member of the lab asks it."""
    return system.client("member")


@pytest.fixture
def probe(api, eid):
    """Given a probe with its recording's .meta and a trajectory that is aligned, not resolved."""
    register(eid, META)
    insertion = api.post("/insertions", {"session": eid, "name": "probe00"})
    about, alignments = decided([-0.006, 0.006], is_resolved=False)
    api.patch(f"/insertions/{insertion['id']}", {"json": about})
    trajectory = {
        "probe_insertion": insertion["id"], "x": 1, "y": 2, "z": 3, "depth": 4000, "theta": 5,
        "phi": 6, "provenance": "Ephys aligned histology track", "json": alignments,
    }  # fmt: skip
    return insertion["id"], api.post("/trajectories", trajectory)["id"]


def sites(eid):
    return [task for task in read.of_session(eid) if task.executable == "histology.sites"]


def told(task) -> HistologyRecord:
    return msgspec.json.decode(json.loads(task.arguments)["histology"], type=HistologyRecord)


def test_a_resolved_alignment_becomes_a_task_with_the_record(flow, api, eid, probe):
    insertion, _ = probe
    registered(flow, eid)
    assert sites(eid) == []  # until then the places are no data
    api.patch(f"/insertions/{insertion}", {"json": decided([])[0]})
    registered(flow, eid)
    (task,) = sites(eid)
    assert (task.status, told(task).track) == ("Waiting", (-0.006, 0.006))
    assert told(task).picks == tuple(map(tuple, PICKS))
    registered(flow, eid)
    assert len(sites(eid)) == 1


def test_a_write_of_histology_tells_dispatch(flow, api, eid, probe, monkeypatch):
    sent = []
    monkeypatch.setattr("shared.records.queues.send", lambda *message: sent.append(message))
    insertion, trajectory = probe
    api.patch(f"/insertions/{insertion}", {"json": decided([])[0]})
    api.patch(f"/trajectories/{trajectory}", {"json": decided([-0.005, 0.007])[1]})
    assert [message.session for _, message, _ in sent] == [eid, eid]
    sent.clear()
    api.patch(f"/insertions/{insertion}", {"serial": "18005116102"})
    assert sent == []


def test_a_later_decision_runs_the_same_task_again(flow, api, eid, probe):
    insertion, trajectory = probe
    api.patch(f"/insertions/{insertion}", {"json": decided([])[0]})
    registered(flow, eid)
    (first,) = sites(eid)
    worker_runs(flow, eid, "histology.sites")
    flow.messages(f"work-{LAB}")
    api.patch(f"/trajectories/{trajectory}", {"json": decided([-0.005, 0.007])[1]})
    registered(flow, eid)
    (again,) = sites(eid)
    assert (again.id, again.status) == (first.id, "Waiting")
    assert told(again).track == (-0.005, 0.007)
    assert waits(first.id) in flow.messages(f"work-{LAB}")
    assert again.log.endswith("What it is to use has changed.\n")


def test_places_that_came_with_the_session_are_kept(flow, api, eid, probe):
    register(eid, *SITES)
    api.patch(f"/insertions/{probe[0]}", {"json": decided([])[0]})
    registered(flow, eid)
    assert sites(eid) == []


def test_without_the_recording_s_meta_there_is_nothing_to_place(flow, api, eid):
    insertion = api.post("/insertions", {"session": eid, "name": "probe07"})
    api.patch(f"/insertions/{insertion['id']}", {"json": decided([])[0]})
    registered(flow, eid)
    assert sites(eid) == []


@pytest.mark.parametrize(
    "about", [{"extended_qc": "x"}, {"xyz_picks": 1, "extended_qc": {"alignment_resolved": "?"}}]
)
def test_what_is_no_histology_stops_nothing(flow, api, eid, probe, about):
    api.patch(f"/insertions/{probe[0]}", {"json": about})
    registered(flow, eid)
    assert sites(eid) == []
    assert the(eid, "task.trials").status == "Waiting"
