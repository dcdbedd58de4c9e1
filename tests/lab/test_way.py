"""The way of the data, with the rig agent and the worker as their users run them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
import requests

from lab.simulate.board import BoardClock
from lab.simulate.ephys import EphysRig, add_probe
from lab.simulate.habituation import simulate_habituation
from lab.simulate.recording import ProbeDrift
from lab.simulate.session import simulate_session
from shared.datasets.read import datasets_of
from shared.releases.manifest import decode_manifest
from shared.sessions import store as sessions
from shared.work import read
from tests.flow import DATE, FOLDER, LAB, SUBJECT, npy
from tests.processes import ended, run, until

pytestmark = pytest.mark.integration

FORNIX = Path(sys.executable).with_name("fornix")


@pytest.fixture
def fornix(system, tmp_path):
    """Start the command line as a user of a role."""

    def start(role, *arguments, **options):
        env = (
            os.environ
            | system.environment(role)
            | {
                "XDG_STATE_HOME": str(tmp_path / "state"),
                "FORNIX_WORKER_ENVIRONMENTS": "none",  # nothing is downloaded
            }
        )
        return subprocess.Popen(
            [FORNIX, *map(str, arguments)],
            env=env | options.pop("env", {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    return start


def session_folder(shared_data, tmp_path, name="training_rig5.0.0"):
    folder = tmp_path / "rig" / FOLDER
    shutil.copytree(
        shared_data / "rig_sessions" / name / "raw_behavior_data", folder / "raw_behavior_data"
    )
    return folder


def status_of(eid):
    return {task.name: task.status for task in read.of_session(eid)}


def found():
    return sessions.find(SUBJECT, DATE, 1)


def test_a_real_session_goes_the_whole_way(system, fornix, shared_data, tmp_path):
    # Given a session on a rig
    folder = session_folder(shared_data, tmp_path)
    # When it is uploaded
    report = ended(run(fornix("rig", "rig", "upload", folder, "--json")))[0]
    assert report["state"] == "registered"
    assert report["eid"] == found().id
    assert len(report["files"]) == 6
    assert found().task_protocol == "_iblrig_tasks_trainingChoiceWorld5.0.0"
    until(lambda: status_of(report["eid"]))
    # And a worker is started
    out = run(fornix("worker", "worker", "--until-idle", "3", "--json"))
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["name"], row["status"]) for row in rows] == [
        ("task.trials", "Complete"),
        ("task.wheel", "Complete"),
    ]
    # Then the results are there, with where they come from
    datasets = {item.path: item for item in datasets_of(found().id)}
    table = datasets["alf/_ibl_trials.table.pqt"]
    trials = next(t for t in read.of_session(found().id) if t.name == "task.trials")
    assert table.provenance["task"] == trials.id
    record = json.loads(trials.run_record)
    assert table.version == record["code"] == f"fornix {record['version']}"
    assert {one["id"] for one in record["inputs"]} <= {item.uuid for item in datasets.values()}
    assert "alf/_ibl_wheel.position.npy" in datasets
    # And the session's own fields, by which it is found
    member = system.client("member")
    session = member.get(f"/sessions/{found().id}")
    assert (session["n_trials"], session["n_correct_trials"]) == (12, 6)
    assert member.get("/sessions", django="n_trials,12")["count"] == 1
    assert member.get("/sessions", django="n_trials,13")["count"] == 0
    # And how good its trials are, check by check, as Alyx keeps it
    assert (session["qc"], session["extended_qc"]["task"]) == ("FAIL", "FAIL")
    assert session["extended_qc"]["_task_goCue_delays"] == 1
    assert len(session["extended_qc"]) == 28
    assert member.get("/sessions", qc="FAIL")["count"] == 1
    assert member.get("/sessions", extended_qc="_task_goCue_delays__gte,0.9")["count"] == 1
    assert system.flow.messages("analysis")[-1] == {
        "kind": "session.finished",
        "session": found().id,
    }
    # And the same again is no change
    again = ended(run(fornix("rig", "rig", "upload", folder, "--json")))[0]
    assert (again["state"], again["sent"], again["upload"]) == ("registered", 0, report["upload"])
    # And a release tells of each file what made it: a task's code, or nothing of ours
    run(fornix("manager", "release", "tag", "2026_Mice", SUBJECT))
    about = ("--title", "Mice", "--creator", "Garrett, Ada;;Fimbria")
    run(fornix("manager", "release", "create", "2026_Mice", *about))
    manager = system.client("manager")
    told = manager.get("/releases/2026_Mice/1")
    token = {"Authorization": f"Token {manager.login()}"}
    content = requests.get(told["manifest_url"], headers=token, timeout=10).content
    manifest = decode_manifest(content, told["manifest"])
    made_by = {file.path: file.code_version for file in manifest.files}
    assert made_by == {
        path: record["code"] if path.startswith("alf/") else None for path in datasets
    }
    assert len([path for path in made_by if path.startswith("alf/")]) > 3


def test_what_a_labs_own_server_extracted_and_registered_is_not_extracted_again(
    system, fornix, shared_data, tmp_path
):
    # Given trials that ibllib registered of a session, with their bytes on the lab's server
    folder = session_folder(shared_data, tmp_path)
    member = system.client("member")
    start = {"subject": SUBJECT, "start_time": f"{DATE}T10:00:00", "number": 1}
    eid = member.post("/sessions", start)["id"]
    server = {"name": "lab_server", "globus_is_personal": True}
    system.client("manager").post("/data-repository", server)
    registered = {
        "name": "lab_server",
        "path": f"{SUBJECT}/{DATE}/001",
        "created_by": f"{LAB}_member",
        "filenames": ["alf/_ibl_trials.table.pqt"],
        "hashes": ["0123456789abcdef" * 2],
        "filesizes": [100],
    }
    member.post("/register-file", registered)
    # When the rig uploads the raw files, and a worker does what there is to do
    run(fornix("rig", "rig", "upload", folder))
    until(lambda: status_of(eid))
    run(fornix("worker", "worker", "--until-idle", "3"))
    # Then the wheel is extracted, and of the trials there is no second revision
    assert status_of(eid) == {"task.wheel": "Complete"}
    trials = [item for item in datasets_of(eid) if item.path.endswith("_ibl_trials.table.pqt")]
    assert [(item.path, item.default) for item in trials] == [("alf/_ibl_trials.table.pqt", True)]


def test_habituation_goes_the_whole_way(system, fornix, tmp_path):
    # Given a session of habituation on a rig
    folder = simulate_habituation(
        tmp_path / "rig" / LAB / "Subjects",
        seed=1, subject=SUBJECT, date=date.fromisoformat(DATE), n_trials=9, lab=LAB,
    )  # fmt: skip
    # When it is uploaded and a worker is started
    eid = ended(run(fornix("rig", "rig", "upload", folder, "--json")))[0]["eid"]
    until(lambda: status_of(eid))
    run(fornix("worker", "worker", "--until-idle", "3"))
    # Then its trials and their quality are there
    assert status_of(eid) == {"task.habituation": "Complete"}
    paths = {item.path for item in datasets_of(eid)}
    assert len([path for path in paths if path.startswith("alf/_ibl_trials.")]) == 12
    session = system.client("member").get(f"/sessions/{eid}")
    assert (session["n_trials"], session["extended_qc"]["_task_reward_volumes"]) == (8, 1)
    assert session["extended_qc"]["task"] == session["qc"] != "NOT_SET"


def test_a_session_without_its_main_clock_is_held_with_the_reason(
    system, fornix, shared_data, tmp_path
):
    # Given a session whose description says that its clock is the nidq's, which is not there
    folder = session_folder(shared_data, tmp_path)
    (folder / "_ibl_experiment.description.yaml").write_text(
        "version: 1.0.0\nsync: {nidq: {collection: raw_ephys_data, extension: bin, "
        "acquisition_software: spikeglx}}\n"
        "tasks: [{_iblrig_tasks_ephysChoiceWorld: {collection: raw_behavior_data}}]\n"
    )
    # When it is uploaded, and a worker looks for work
    eid = ended(run(fornix("rig", "rig", "upload", folder, "--json")))[0]["eid"]
    until(lambda: status_of(eid))
    run(fornix("worker", "worker", "--until-idle", "1"))
    # Then nothing is extracted on the Bpod's clock, and the board says why
    held = ("sync.pulses", "task.trials_nidq", "task.wheel_nidq")
    assert status_of(eid) == dict.fromkeys(held, "Held")
    assert not [item.path for item in datasets_of(eid) if item.path.startswith("alf/")]
    told = {task.name: task.log for task in read.of_session(eid)}
    assert "input raw_ephys_data/*.*bin is missing" in told["sync.pulses"]
    assert "_spikeglx_sync.times.*npy is missing" in told["task.trials_nidq"]


def test_a_session_of_an_ephys_rig_goes_to_its_main_clock(system, fornix, tmp_path):
    # Given a session whose clock is a board's, which drifts and has missed a pulse, and a probe
    board = BoardClock(offset=4.0, drift=50.0, rate=10_000.0, lost=(2,))
    probe = EphysRig(board, ProbeDrift(drift=-12.0), channels=1, units=3)
    truth = simulate_session(
        tmp_path / "rig" / LAB / "Subjects", seed=1, subject=SUBJECT,
        date=date.fromisoformat(DATE), protocol="biased", n_trials=8, performance=0.9, board=board,
    )  # fmt: skip
    add_probe(truth, probe, seed=1)
    # When it is uploaded, and a worker works
    eid = ended(run(fornix("rig", "rig", "upload", truth.session, "--json")))[0]["eid"]
    until(lambda: status_of(eid))
    run(fornix("worker", "worker", "--until-idle", "3"))
    # Then trials, wheel and the probe are on the main clock
    behaviour = ("sync.pulses", "task.trials_nidq", "task.wheel_nidq")
    tasks = (*behaviour, "ephys.compress", "ephys.align", "ephys.rawqc")
    # … and its spikes wait for a worker with the environment of sorters
    assert status_of(eid) == {**dict.fromkeys(tasks, "Complete"), "ephys.sort": "Waiting"}
    paths = {item.path for item in datasets_of(eid)}
    assert {"alf/_ibl_trials.table.pqt", "alf/_ibl_wheel.position.npy"} <= paths
    assert {f"raw_ephys_data/_spikeglx_sync.{n}.npy" for n in ("times", "polarities")} <= paths
    told = system.client("member").get(f"/sessions/{eid}")["extended_qc"]
    assert told["_sync_task_missing_pulses"] == 1
    assert told["_sync_task_drift_ppm"] == pytest.approx(50, abs=5)
    assert told["sync_probe00"] == "PASS"
    assert told["_sync_probe00_drift_ppm"] == pytest.approx(12, abs=2)
    assert told["_raw_probe00_ap_saturated"] == 0
    assert {
        "raw_ephys_data/probe00/_spikeglx_ephysData_g0_t0.imec0.timestamps.npy",
        "raw_ephys_data/probe00/_iblqc_ephysTimeRmsLF.rms.npy",
    } <= paths


def test_a_truncated_wheel_ends_errored_and_trials_complete(system, fornix, shared_data, tmp_path):
    folder = session_folder(shared_data, tmp_path, "training_rig4_truncated")
    eid = ended(run(fornix("rig", "rig", "upload", folder, "--json")))[0]["eid"]
    run(fornix("worker", "worker", "--until-idle", "3"))
    assert status_of(eid) == {"task.trials": "Complete", "task.wheel": "Errored"}
    wheel = next(task for task in read.of_session(eid) if task.name == "task.wheel")
    assert "_iblrig_encoder" in wheel.log
    told = system.client("member").get(f"/tasks/{wheel.id}")
    assert told["status"] == "Errored"
    assert told["log"] == wheel.log


def test_a_killed_worker_s_task_is_done_by_another(system, fornix, shared_data, tmp_path):
    folder = session_folder(shared_data, tmp_path)
    eid = ended(run(fornix("rig", "rig", "upload", folder, "--json")))[0]["eid"]
    # Given a worker that is killed in mid-task
    first = fornix("worker", "worker", "--lease", "5", "--folder", tmp_path)
    until(lambda: status_of(eid).get("task.trials") == "Started")
    first.kill()
    first.communicate()
    assert status_of(eid)["task.trials"] == "Started"
    # When its lease has ended and the sweep has come by
    from functions.dispatch.sweep import sweep

    until(lambda: sweep()["expired"], 20)
    assert status_of(eid)["task.trials"] == "Waiting"
    # Then another worker does the work, and clears away what was left
    run(fornix("worker", "worker", "--until-idle", "3", "--folder", tmp_path))
    assert status_of(eid) == {"task.trials": "Complete", "task.wheel": "Complete"}
    assert int(next(t for t in read.of_session(eid) if t.name == "task.trials").attempt) == 2
    assert list(tmp_path.glob("fornix-worker-*")) == []


def test_a_worker_that_is_interrupted_gives_its_task_back(system, fornix, shared_data, tmp_path):
    folder = session_folder(shared_data, tmp_path)
    eid = ended(run(fornix("rig", "rig", "upload", folder, "--json")))[0]["eid"]
    worker = fornix("worker", "worker", "--folder", tmp_path)
    until(lambda: status_of(eid).get("task.trials") == "Started")
    worker.send_signal(signal.SIGINT)
    run(worker)
    assert status_of(eid)["task.trials"] == "Waiting"
    assert list(tmp_path.glob("fornix-worker-*")) == []


def test_a_message_delivered_twice_runs_the_task_once(system, fornix, shared_data, tmp_path):
    folder = session_folder(shared_data, tmp_path)
    eid = ended(run(fornix("rig", "rig", "upload", folder, "--json")))[0]["eid"]
    until(lambda: status_of(eid))
    trials = next(task.id for task in read.of_session(eid) if task.name == "task.trials")
    for body in (
        json.dumps({"kind": "task.waits", "task": trials}),
        "nonsense",
        '{"kind": "task.waits", "task": "../x"}',
    ):
        system.flow.sqs.send_message(QueueUrl=system.flow.queues[f"work-{LAB}"], MessageBody=body)
    out = run(fornix("worker", "worker", "--until-idle", "3", "--json"))
    assert [json.loads(line)["name"] for line in out.splitlines()] == ["task.trials", "task.wheel"]
    assert all(int(task.attempt) == 1 for task in read.of_session(eid))


def test_an_upload_killed_half_way_goes_on_where_it_stopped(system, fornix, shared_data, tmp_path):
    folder = session_folder(shared_data, tmp_path)
    (folder / "raw_ephys_data").mkdir()
    for n in range(40):
        (folder / "raw_ephys_data" / f"chunk{n:02}.data.bin").write_bytes(os.urandom(200_000))
    first = fornix("rig", "rig", "upload", folder)
    until(lambda: len([key for key in system.flow.keys("incoming/") if "/" in key]) > 3)
    first.kill()
    first.communicate()
    assert found() is None
    stored = len([key for key in system.flow.keys("incoming/") if "/" in key])
    report = ended(run(fornix("rig", "rig", "upload", folder, "--json")))[0]
    assert report["state"] == "registered"
    assert report["sent"] <= 46 - stored
    assert len(datasets_of(report["eid"])) == 46


def test_bad_files_are_shown_with_their_reasons_and_the_good_ones_go_in(
    system, fornix, shared_data, tmp_path
):
    folder = session_folder(shared_data, tmp_path)
    (folder / "raw_behavior_data" / "my notes.txt").write_text("x")
    (folder / "alf").mkdir()
    shutil.copy(
        shared_data / "rig_sessions/training_rig5.0.0/alf/_ibl_trials.repNum.npy", folder / "alf"
    )
    whole = folder / "alf" / "_ibl_trials.repNum.npy"
    whole.write_bytes(whole.read_bytes()[:-3])
    # Given the same verdict of a dry run
    upload = ("rig", "rig", "upload", folder, "--include", "alf/*")
    dry = ended(run(fornix(*upload, "--dry-run", "--json"), 1))[0]
    report = ended(run(fornix(*upload, "--json"), 1))[0]
    assert report["state"] == dry["state"] == "partial"
    bad = {
        file["path"]: (file["code"], file["reason"]) for file in dry["files"] if "reason" in file
    }
    assert bad == {
        file["path"]: (file["code"], file["reason"])
        for file in report["files"]
        if "reason" in file
    }
    assert set(bad) == {"raw_behavior_data/my notes.txt", "alf/_ibl_trials.repNum.npy"}
    assert len(datasets_of(report["eid"])) == 6
    text = run(fornix(*upload), 1)
    assert "✗ alf/_ibl_trials.repNum.npy" in text
    assert "To fix:" in text


def test_only_what_the_rig_recorded_is_uploaded_and_the_rest_is_named(
    system, fornix, shared_data, tmp_path
):
    folder = session_folder(shared_data, tmp_path)
    (folder / "alf" / "probe00").mkdir(parents=True)
    for path in ("alf/a.times.npy", "alf/probe00/b.times.npy", "alf/probe00/c.times.npy"):
        (folder / path).write_bytes(npy(1, 2))
    (folder / "_ibl_experiment.description.yaml").write_text("version: 1.0.0\n")
    text = run(fornix("rig", "rig", "upload", folder))
    assert "left out, as no raw data: 1 in alf, 2 in alf/probe00 (--include" in text
    report = ended(run(fornix("rig", "rig", "upload", folder, "--json")))[0]
    assert report["left_out"] == [
        "alf/a.times.npy",
        "alf/probe00/b.times.npy",
        "alf/probe00/c.times.npy",
    ]
    paths = {item.path for item in datasets_of(report["eid"])}
    assert "_ibl_experiment.description.yaml" in paths
    assert {path.partition("/")[0] for path in paths if "/" in path} == {"raw_behavior_data"}
    # A folder without raw data is refused in plain words
    empty = tmp_path / "other" / "2024-07-02" / "001" / "alf"
    empty.mkdir(parents=True)
    (empty / "a.times.npy").write_bytes(npy(1))
    text = run(fornix("rig", "rig", "upload", empty.parent, "--lab", LAB), 1)
    assert "the session has no raw data: none of its 1 files is in a folder raw_…" in text


def test_an_unknown_subject_is_refused_before_a_byte_is_sent(
    system, fornix, shared_data, tmp_path
):
    folder = session_folder(shared_data, tmp_path)
    text = run(fornix("rig", "rig", "upload", folder, "--subject", "nobody", "--lab", LAB), 1)
    assert "there is no subject 'nobody'" in text
    assert system.flow.keys("incoming/") == []


def test_another_lab_s_session_is_refused(system, fornix, shared_data, tmp_path):
    folder = session_folder(shared_data, tmp_path)
    text = run(fornix("rig", "rig", "upload", folder, "--lab", "septumlab"), 1)
    assert "septumlab" in text


def test_no_server_is_another_exit_code(fornix, shared_data, tmp_path):
    folder = session_folder(shared_data, tmp_path)
    process = fornix("rig", "rig", "upload", folder, env={"FORNIX_API_URL": ""})
    _, err = process.communicate(timeout=60)
    assert process.returncode == 4
    assert "fornix login" in err
