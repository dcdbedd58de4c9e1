"""What ibllib's pipelines ask of the server, in ibllib's words, by a lab worker's account."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from PIL import Image

from shared.records import documents
from tests.api.conftest import PASSWORD, Api, bring
from tests.one.conftest import LAB, SUBJECT, WORKER, Connect, described

EPHYS = ["alf/probe00/spikes.times.npy", "alf/wheel.position.npy"]


@pytest.fixture
def one(connect: Connect) -> Any:
    return connect(WORKER)


@pytest.fixture
def registered(one: Any, api: Api, eid: str, bucket: str) -> list[dict[str, Any]]:
    """Two files, registered and stored."""
    body = {"created_by": WORKER, "path": f"{SUBJECT}/2024-07-01/001", **described(EPHYS)}
    rows = one.alyx.post("/register-file", data=body)
    bring(api, eid)
    return list(rows)


def deck(one: Any, eid: str) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in one.alyx.rest("tasks", "list", session=eid, no_cache=True)}


def task(eid: str, name: str, parents: list[str], **more: Any) -> dict[str, Any]:
    """Return a task as ibllib makes it, keys that Alyx does not know among them."""
    return {
        "executable": f"ibllib.pipes.tasks.{name}",
        "priority": 60,
        "io_charge": 5,
        "gpu": 0,
        "cpu": 1,
        "ram": 4,
        "module": "ibllib.pipes.tasks",
        "parents": parents,
        "level": 1 if parents else 0,
        "time_out_sec": 3600,
        "session": eid,
        "status": "Waiting",
        "log": None,
        "name": name,
        "graph": "SomePipeline",
        "arguments": {},
        **more,
    }


def test_a_pipeline_is_made_run_and_run_again(one: Any, eid: str) -> None:
    """As `Pipeline.create_alyx_tasks`, `run_alyx_task` and `Pipeline.rerun_failed` do."""
    first = one.alyx.rest("tasks", "create", data=task(eid, "First", []))
    second = one.alyx.rest("tasks", "create", data=task(eid, "Second", [first["id"]]))
    assert second["parents"] == [first["id"]]
    assert len(one.alyx.rest("tasks", "list", session=eid, graph="SomePipeline")) == 2
    waiting = one.alyx.rest(
        "tasks",
        "list",
        status="Waiting",
        django=f"session__lab__name__in,{LAB}",
        no_cache=True,
    )
    assert [row["name"] for row in waiting] == ["First", "Second"]  # by level
    # The first errs: its log is kept, and the second is put on hold
    one.alyx.rest("tasks", "partial_update", id=first["id"], data={"status": "Started"})
    outcome = {"time_elapsed_secs": 1.5, "log": "dumb", "version": "4.1.0", "status": "Errored"}
    one.alyx.rest("tasks", "partial_update", id=first["id"], data=outcome)
    one.alyx.rest("tasks", "partial_update", id=second["id"], data={"status": "Held"})
    shown = deck(one, eid)
    assert {name: row["status"] for name, row in shown.items()} == {
        "First": "Errored",
        "Second": "Held",
    }
    assert (shown["First"]["log"], shown["Second"]["log"]) == ("dumb", None)
    # Run again, it completes; the second waits, runs and is done
    restarted = one.alyx.rest(
        "tasks", "partial_update", id=first["id"], data={"status": "Started"}
    )
    assert restarted["log"].startswith("dumb")
    one.alyx.rest(
        "tasks", "partial_update", id=first["id"], data={**outcome, "status": "Complete"}
    )
    if deck(one, eid)["Second"]["status"] == "Held":  # unless the server was faster
        one.alyx.rest("tasks", "partial_update", id=second["id"], data={"status": "Waiting"})
    for status in ("Started", "Complete"):
        one.alyx.rest("tasks", "partial_update", id=second["id"], data={"status": status})
    assert {row["status"] for row in deck(one, eid).values()} == {"Complete"}


def test_quality_is_written_field_by_field(one: Any, eid: str) -> None:
    one.alyx.json_field_update("sessions", eid, "extended_qc", {"_task_stimOn_delays": 0.9})
    found = one.alyx.json_field_update("sessions", eid, "extended_qc", {"task": "PASS"})
    assert found == {"_task_stimOn_delays": 0.9, "task": "PASS"}
    one.alyx.rest("sessions", "partial_update", id=eid, data={"qc": "WARNING"})
    assert one.alyx.get(f"/sessions/{eid}", clobber=True)["qc"] == "WARNING"
    for query in (
        "extended_qc=_task_stimOn_delays__gte,0.8",
        "extended_qc=_task_stimOn_delays__lt,1,task,PASS",
        "django=extended_qc___task_stimOn_delays__gte,0.8",
        "django=~extended_qc__task,FAIL",
    ):
        rows = one.alyx.get(f"/sessions?&{query}", clobber=True)
        assert [row["id"] for row in rows] == [eid], query
    # By its full address too
    url = one.alyx.rest("sessions", "read", id=eid)["url"]
    assert one.alyx.get(url, clobber=True)["id"] == eid


def test_probes_tracks_and_channels(
    one: Any, eid: str, registered: list[dict[str, Any]], api: Api
) -> None:
    for number, acronym, parent in ((997, "root", None), (382, "CA1", 997)):
        body = {"id": number, "acronym": acronym, "name": acronym, "parent": parent}
        api.ok("POST", "/brain-regions", body, user="admin")
    # Given a probe, made once
    assert (
        len(one.alyx.rest("insertions", "list", session=eid, name="probe00", no_cache=True)) == 0
    )
    probe = one.alyx.rest(
        "insertions",
        "create",
        data={"session": eid, "name": "probe00", "model": "3B2", "json": {"qc": "NOT_SET"}},
    )
    pid = probe["id"]
    assert [each["name"] for each in probe["datasets"]] == ["spikes.times.npy"]
    one.alyx.json_field_update("insertions", pid, data={"xyz_picks": [[1, 2, 3]]})
    extended = {"extended_qc": {"tracing_exists": True}}
    assert one.alyx.json_field_update("insertions", pid, data=extended)["qc"] == "NOT_SET"
    assert [str(each) for each in one.eid2pid(eid)[0]] == [pid]
    assert [str(one.pid2eid(pid)[0]), one.pid2eid(pid)[1]] == [eid, "probe00"]
    # When its track is put in, first unknown and then aligned
    unknown = dict.fromkeys(("x", "y", "z", "depth", "theta", "phi", "roll"))
    track = {
        "probe_insertion": pid,
        "chronic_insertion": None,
        "provenance": "Histology track",
        "coordinate_system": "IBL-Allen",
        **unknown,
    }
    one.alyx.rest("trajectories", "create", data=track)
    aligned = one.alyx.rest(
        "trajectories",
        "create",
        data={
            **track,
            **dict.fromkeys(("x", "y", "z", "depth", "theta", "phi"), 1.0),
            "provenance": "Ephys aligned histology track",
            "json": {"2024-07-02_someone": [[0], [1]]},
        },
    )
    # The space in the provenance is sent as it is, in an address made by hand
    found = one.alyx.get(
        f"/trajectories?&probe_insertion={pid}&provenance=Ephys aligned histology track",
        clobber=True,
    )
    assert [row["id"] for row in found] == [aligned["id"]]
    # Then its channels come as one list, and say where the probe is
    channels = [
        {
            "x": 0.0,
            "y": 0.0,
            "z": float(i),
            "axial": 20.0 * i,
            "lateral": 16.0,
            "brain_region": 382,
            "trajectory_estimate": aligned["id"],
        }
        for i in range(384)
    ]
    assert len(one.alyx.rest("channels", "create", data=channels)) == 384
    assert len(one.alyx.rest("channels", "list", trajectory_estimate=aligned["id"])) == 384
    assert [str(each) for each in one.search_insertions(atlas_acronym="CA1")] == [pid]
    assert [str(each) for each in one.search(atlas_acronym="root", query_type="remote")] == [eid]
    # And go with the track
    one.alyx.rest("trajectories", "delete", id=aligned["id"])
    assert len(one.alyx.rest("channels", "list", trajectory_estimate=aligned["id"])) == 0
    assert len(one.search_insertions(atlas_acronym="CA1")) == 0


def test_snapshots_are_replaced_by_name(one: Any, eid: str) -> None:
    """As `Snapshot.register_image` does."""
    from one.webclient import http_download_file

    picture = io.BytesIO()
    Image.new("RGB", (1000, 100)).save(picture, format="PNG")

    def register(about: str) -> Any:
        query = f"object_id,{about},text,drift,json__name,drift"
        (old, *_) = [*one.alyx.rest("notes", "list", django=query, no_cache=True), None]
        if old:
            one.alyx.rest("notes", "delete", id=old["id"])
        note = {
            "user": WORKER,
            "content_type": "session",
            "object_id": about,
            "text": "drift",
            "width": 100,
            "json": json.dumps({"tag": "## report ##", "name": "drift"}),
        }
        picture.seek(0)
        return one.alyx.rest("notes", "create", data=note, files={"image": ("a.png", picture)})

    register(eid)
    kept = register(eid)
    assert kept["json"]["name"] == "drift"
    assert [row["id"] for row in one.alyx.rest("notes", "list", object_id=eid)] == [kept["id"]]
    path = http_download_file(
        kept["image"], target_dir=one.cache_dir, username=WORKER, password=PASSWORD, silent=True
    )
    with Image.open(path) as shown:
        assert shown.size == (100, 10)
    other = "11111111-1111-4111-8111-111111111111"
    with pytest.raises(Exception, match="matching query does not exist"):
        register(other)


def test_files_are_found_moved_and_forgotten(one: Any, eid: str, bucket: str, api: Api) -> None:
    """As the patchers and the data handlers do, with the files on a server of the lab."""
    api.ok("POST", "/data-repository", {"name": f"{LAB}_server"}, user="admin")
    body = {"created_by": WORKER, "path": f"{SUBJECT}/2024-07-01/001", **described(EPHYS)}
    registered = one.alyx.post("/register-file", data={**body, "name": f"{LAB}_server"})
    query = f"dataset__session,{eid},data_repository__name,{LAB}_server"
    records = one.alyx.rest("files", "list", django=query, no_cache=True)
    assert [record["exists"] for record in records] == [True, True]
    one.alyx.rest("files", "partial_update", id=records[0]["url"][-36:], data={"exists": False})
    listed = one.alyx.rest("datasets", "list", session=eid, exists=True, no_cache=True)
    assert len(listed) == 1
    found = one.alyx.rest(
        "datasets", "list", session=eid, collection="alf", name="wheel.position.npy", no_cache=True
    )
    assert [row["url"][-36:] for row in found] == [registered[1]["id"]]
    ids = [row["id"] for row in registered]
    assert len(one.alyx.rest("datasets", "list", django=f"pk__in,{ids}", no_cache=True)) == 2
    # What a public release holds cannot be deleted
    documents.create("tag", "paper", {"name": "paper", "protected": True}, who="admin")
    with pytest.raises(Exception, match="managers and administrators"):
        one.alyx.rest("datasets", "partial_update", id=ids[0], data={"tags": ["paper"]})
    api.ok("PATCH", f"/datasets/{ids[0]}", {"tags": ["paper"]}, user=f"{LAB}_manager")
    with pytest.raises(Exception, match="protected"):
        one.alyx.rest("datasets", "delete", id=ids[0])
    one.alyx.rest("datasets", "delete", id=ids[1])
    assert one.alyx.rest("tags", "read", id="paper")["protected"] is True


def test_the_lab_server_tells_its_state(one: Any, api: Api) -> None:
    """As `report_health` does."""
    endpoint = "15f76c0c-10ee-11e8-a7ed-0a448319c2f8"
    name = f"{LAB}_server"
    body = {"name": name, "globus_endpoint_id": endpoint, "globus_is_personal": True}
    api.ok("POST", "/data-repository", body, user="admin")
    (row,) = one.alyx.rest("data-repository", "list", globus_endpoint_id=endpoint)
    state = {"python_version": "3.11", "last_updated": "2024-07-01"}
    one.alyx.json_field_update("data-repository", row["name"], data=state)
    assert one.alyx.rest("data-repository", "read", id=name)["json"] == state
    api.ok("PATCH", f"/labs/{LAB}", {"repositories": ["fornix", name]}, user="admin")
    query = f"repositories__globus_endpoint_id,{endpoint}"
    (lab,) = one.alyx.rest("labs", "list", django=query)
    assert lab["name"] == LAB
