"""Each failure ends with the right final state and nothing lost: killed workers, clients and
clouds, events and messages that come twice, files that are not what they should be."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.demo import exists
from infra.local.seed import LABS, connect, subjects
from lab.client import RequestRefused
from tests.processes import ended, run, until

pytestmark = pytest.mark.timeout(900)

LAB = LABS[0]
SUBJECT = subjects(LAB)[0]
NUMBERS = iter(range(1, 1000))
"""Each test has a session of its own; they share one system."""

FORNIX = [sys.executable, "-m", "lab.cli"]


@pytest.fixture
def fornix(cloud, tmp_path):
    """Start a command as a user of the lab."""
    started = []

    def start(role, *arguments):
        env = cloud.user_env(f"{LAB}_{role}") | {"FORNIX_RIG_STATE": str(tmp_path / "rig.sqlite")}
        process = subprocess.Popen(
            [*FORNIX, *map(str, arguments)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def api(cloud):
    return connect(cloud._home, f"{LAB}_member")


@pytest.fixture
def folder(shared_data, tmp_path):
    """A real session on a rig's disk, under a subject of the demonstration."""
    real = shared_data / "rig_sessions" / "training_rig5.0.0" / "raw_behavior_data"
    folder = tmp_path / LAB / "Subjects" / SUBJECT / "2026-03-02" / f"{next(NUMBERS):03d}"
    shutil.copytree(real, folder / "raw_behavior_data")
    return folder


def upload(fornix, folder, *options, code=0):
    return ended(run(fornix("rig", "rig", "upload", folder, "--json", *options), code))[0]


def tasks_of(api, eid):
    return {row["name"]: row["status"] for row in api.get("/tasks", session=eid)["results"]}


def worked(fornix, api, eid, expected=("Complete", "Complete")):
    """Let a worker work until the session's tasks have ended."""
    until(lambda: len(tasks_of(api, eid)) == 2)
    worker = fornix("worker", "worker", "--lease", "30", "--until-idle", "60")
    wanted = dict(zip(("task.trials", "task.wheel"), expected, strict=True))
    until(lambda: tasks_of(api, eid) == wanted, 200)
    worker.send_signal(signal.SIGINT)
    worker.communicate(timeout=60)


def dataset_names(api, eid):
    return sorted(
        row["name"] for row in api.get(f"/sessions/{eid}")["data_dataset_session_related"]
    )


RAW = [
    "_iblrig_ambientSensorData.raw.jsonable",
    "_iblrig_encoderEvents.raw.ssv",
    "_iblrig_encoderPositions.raw.ssv",
    "_iblrig_encoderTrialInfo.raw.ssv",
    "_iblrig_taskData.raw.jsonable",
    "_iblrig_taskSettings.raw.json",
]


def given_back(cloud, api, eid):
    """Sweep, as the schedule does; tell whether the lease of the killed worker was ended."""
    cloud.invoke("dispatch", {"kind": "sweep"})
    return tasks_of(api, eid)["task.trials"] == "Waiting"


@pytest.mark.integration
def test_a_worker_killed_in_mid_task(cloud, fornix, api, folder):
    eid = upload(fornix, folder)["eid"]
    until(lambda: len(tasks_of(api, eid)) == 2)
    worker = fornix("worker", "worker", "--lease", "5")
    until(lambda: tasks_of(api, eid)["task.trials"] == "Started", every=0.05)
    worker.kill()
    worker.communicate()
    until(lambda: given_back(cloud, api, eid))
    worked(fornix, api, eid)


@pytest.mark.integration
def test_a_duplicated_event_and_a_message_delivered_twice(cloud, fornix, api, folder):
    report = upload(fornix, folder)
    eid, upload_id = report["eid"], report["upload"]
    until(lambda: len(tasks_of(api, eid)) == 2)
    sqs = cloud.client("sqs")

    def send(queue, body):
        url = sqs.get_queue_url(QueueName=f"fornix-{queue}")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body))

    # Given all messages of this session once more
    key = f"incoming/{upload_id}/raw_behavior_data/{RAW[0]}"
    send("ingest", {"Records": [{"s3": {"object": {"key": key}}}]})
    send("dispatch", {"kind": "session.registered", "session": eid})
    for row in api.get("/tasks", session=eid)["results"]:
        send(f"work-{LAB}", {"task": row["id"]})
    worked(fornix, api, eid)
    rows = api.get("/tasks", session=eid)["results"]
    assert [row["attempt"] for row in rows] == [1, 1]
    names = dataset_names(api, eid)
    assert len(names) == len(set(names))
    assert set(RAW) < set(names)


def arrived(cloud):
    """Return how many files of an upload have arrived and were not judged yet."""
    bucket = cloud.env["FORNIX_DATA_BUCKET"]
    listed = cloud.client("s3").list_objects_v2(Bucket=bucket, Prefix="incoming/")
    return sum("chunk" in item["Key"] for item in listed.get("Contents", []))


@pytest.mark.integration
def test_an_upload_cut_at_half(cloud, fornix, api, folder):
    (folder / "raw_ephys_data").mkdir()
    for n in range(30):
        (folder / "raw_ephys_data" / f"chunk{n:02}.data.bin").write_bytes(os.urandom(300_000))
    first = fornix("rig", "rig", "upload", folder)
    before = until(lambda: arrived(cloud), every=0.02)
    first.kill()
    first.communicate()
    report = upload(fornix, folder)
    assert report["state"] == "registered"
    assert report["sent"] <= 36 - before
    assert len(dataset_names(api, report["eid"])) == 36


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("while files are sent", marks=pytest.mark.integration),
        pytest.param("after the upload", marks=pytest.mark.integration),
        pytest.param("in mid-task", marks=pytest.mark.proof),
    ],
)
def test_the_cloud_killed_at_any_moment(cloud, fornix, api, folder, moment):
    (folder / "raw_ephys_data").mkdir()
    for n in range(10):
        (folder / "raw_ephys_data" / f"chunk{n:02}.data.bin").write_bytes(os.urandom(300_000))
    client = fornix("rig", "rig", "upload", folder)
    if moment == "while files are sent":
        until(lambda: arrived(cloud) or client.poll() is not None, every=0.02)
        cloud.kill()
    else:
        run(client)
        if moment == "in mid-task":
            eid = upload(fornix, folder)["eid"]
            until(lambda: len(tasks_of(api, eid)) == 2)
            worker = fornix("worker", "worker", "--lease", "5")
            until(lambda: tasks_of(api, eid)["task.trials"] == "Started", every=0.05)
        cloud.kill()
        if moment == "in mid-task":
            worker.kill()
            worker.communicate()
    cloud.start()
    if moment == "while files are sent":
        client.kill()  # it may still be trying, or have given up
        client.communicate()
    # When the same command is run again
    report = upload(fornix, folder)
    assert report["state"] == "registered"
    eid = report["eid"]
    if moment == "in mid-task":
        until(lambda: given_back(cloud, api, eid))
    until(lambda: len(tasks_of(api, eid)) == 2)
    # As at every start: a message may be lost, or with a worker that is no more
    cloud.invoke("dispatch", {"kind": "sweep", "start": True})
    worked(fornix, api, eid)
    names = dataset_names(api, eid)
    assert len(names) == len(set(names))
    assert set(RAW) < set(names)
    assert sum(name.startswith("chunk") for name in names) == 10


@pytest.mark.integration
def test_bad_files_are_refused_each_with_its_own_message(cloud, fornix, api, folder, shared_data):
    golden = shared_data / "rig_sessions" / "training_rig5.0.0" / "alf"
    alf = folder / "alf"
    alf.mkdir()
    (folder / "raw_behavior_data" / "wrong name.txt").write_text("x")
    whole = (golden / "_ibl_wheel.position.npy").read_bytes()
    (alf / "_ibl_wheel.position.npy").write_bytes(whole[:-10])
    for name in ("quiescencePeriod", "repNum"):
        shutil.copy(golden / f"_ibl_trials.{name}.npy", alf)
    import numpy as np

    np.save(alf / "_ibl_trials.stimOff_times.npy", np.arange(5.0))
    report = upload(fornix, folder, "--include", "alf/*", code=1)
    reasons = {file["path"]: file["reason"] for file in report["files"] if "reason" in file}
    assert set(reasons) == {
        "raw_behavior_data/wrong name.txt",
        "alf/_ibl_wheel.position.npy",
        "alf/_ibl_trials.stimOff_times.npy",
    }
    assert "bytes" in reasons["alf/_ibl_wheel.position.npy"]
    assert "differ in their number of rows" in reasons["alf/_ibl_trials.stimOff_times.npy"]
    assert set(RAW) < set(dataset_names(api, report["eid"]))
    # And a wrong checksum is refused by S3 itself
    rig = connect(cloud._home, f"{LAB}_rig")
    entry = {"path": "alf/spikes.times.npy", "size": 3, "sha256": "0" * 64}
    answer = rig.post("/uploads", {"session": {"id": report["eid"]}, "files": [entry]})
    import requests

    put = answer["files"][0]
    refused = requests.put(put["url"], data=b"abc", headers=put["headers"], timeout=20)
    assert refused.status_code == 400
    assert "BadDigest" in refused.text


@pytest.mark.integration
def test_a_session_of_an_unknown_subject(cloud, fornix, folder):
    rig = connect(cloud._home, f"{LAB}_rig")
    session = {"lab": LAB, "subject": "nobody", "date": "2026-03-02", "number": 1}
    with pytest.raises(RequestRefused, match="There is no subject 'nobody'"):
        rig.post(
            "/uploads",
            {"session": session, "files": [{"path": "a.b.npy", "size": 1, "sha256": "0" * 64}]},
        )


@pytest.mark.integration
def test_a_truncated_wheel_file(cloud, fornix, api, shared_data, tmp_path):
    real = shared_data / "rig_sessions" / "training_rig4_truncated" / "raw_behavior_data"
    folder = tmp_path / LAB / "Subjects" / SUBJECT / "2026-03-02" / f"{next(NUMBERS):03d}"
    shutil.copytree(real, folder / "raw_behavior_data")
    eid = upload(fornix, folder)["eid"]
    worked(fornix, api, eid, ("Complete", "Errored"))
    wheel = next(r for r in api.get("/tasks", session=eid)["results"] if r["name"] == "task.wheel")
    assert "_iblrig_encoder" in api.get(f"/tasks/{wheel['id']}")["log"]
    assert "_ibl_trials.table.pqt" in dataset_names(api, eid)


@pytest.mark.proof
def test_the_way_of_the_state_survives_a_clean_restart(cloud, api):
    before = api.get("/sessions", limit=1)["count"]
    cloud.stop()
    cloud.start()
    assert api.get("/sessions", limit=1)["count"] == before
    assert Path(cloud.home).is_dir()


@pytest.mark.proof
def test_a_page_whose_event_was_lost_is_built_by_the_next_start(cloud, fornix, api, folder):
    # Given a processed session that is made public after its analysis: nothing tells of that
    eid = upload(fornix, folder)["eid"]
    worked(fornix, api, eid)
    connect(cloud._home, f"{LAB}_manager").patch(f"/sessions/{eid}", {"public": True})
    page = f"{cloud.site_url}/sessions/{eid}.html"
    assert not exists(page)
    # When the system is started again, then the nightly build at the start finds it
    cloud.restart()
    until(lambda: exists(page), 200)


@pytest.mark.proof
def test_a_corrected_file_is_processed_again_and_comes_as_a_new_revision(
    cloud, fornix, api, folder
):
    eid = upload(fornix, folder)["eid"]
    worked(fornix, api, eid)
    # Given a raw file that is replaced by a better one
    path = folder / "raw_behavior_data" / "_iblrig_taskData.raw.jsonable"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    assert upload(fornix, folder)["state"] == "registered"

    # Then both tasks run once more
    def runs():
        rows = api.get("/tasks", session=eid)["results"]
        return sorted((row["status"], row["attempt"]) for row in rows)

    worker = fornix("worker", "worker", "--lease", "30", "--until-idle", "60")
    until(lambda: runs() == [("Complete", 2), ("Complete", 2)], 200)
    worker.send_signal(signal.SIGINT)
    worker.communicate(timeout=60)
    # And what is different is the new default, with the old kept
    tables = api.get("/datasets", session=eid, name="_ibl_trials.table.pqt")["results"]
    assert len(tables) == 2
    (new,) = [row for row in tables if row["default_dataset"]]
    assert new["revision"] is not None
    (old,) = [row for row in tables if not row["default_dataset"]]
    assert old["hash"] != new["hash"]
