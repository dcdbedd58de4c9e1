"""``fornix rig upload`` and its neighbours against the real API, S3 and functions."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from functions.ingest import finalise
from lab.commands.rig import rig
from lab.commands.subject import subject
from lab.rig.identity import DifferentMice, agreed
from lab.rig.session import find
from lab.simulate.recording import simulate_recording, write_recording
from lab.simulate.spikes import simulate_sorting
from shared.alf import parse_session_path
from shared.datasets.read import datasets_of
from shared.sessions import store as sessions
from shared.work import read
from tests.flow import DATE, LAB, SUBJECT
from tests.processes import until
from tests.rig.test_openephys import RECORDING
from tests.rig.test_openephys import write as openephys_write
from tests.site.conftest import trials_of

SETTINGS = "raw_behavior_data/_iblrig_taskSettings.raw.json"
DATA = "raw_behavior_data/_iblrig_taskData.raw.jsonable"


@pytest.fixture
def fornix(system, tmp_path, monkeypatch):
    """Run a command as a user of the lab; return its exit code, output, and JSON if asked for."""

    def run(command, *arguments, role="member"):
        for name, value in system.environment(role).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("FORNIX_RIG_STATE", str(tmp_path / "rig.sqlite"))
        return CliRunner().invoke(command, list(map(str, arguments)))

    return run


def record(folder: Path, **settings) -> Path:
    """Write a session as a rig does."""
    (folder / "raw_behavior_data").mkdir(parents=True)
    (folder / DATA).write_text('{"a": 1}\n')
    (folder / SETTINGS).write_text(json.dumps({"PYBPOD_PROTOCOL": "p", **settings}))
    return folder


def reports(result) -> list[dict]:
    """Return the reports of an upload with --json, by line."""
    rows = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return [row for row in rows if "left_out" in row]  # the functions here log to stdout, too


def test_the_first_upload_of_a_new_mouse_names_its_next_step_and_works(fornix, tmp_path):
    # Given a mouse that the server does not know, in a rig's usual folder
    data = tmp_path / "iblrigv8_data" / "Subjects"
    record(data / "NEW_1" / DATE / "001", SUBJECT_NAME="NEW_1")
    # When it is uploaded, then the message says what to do next
    first = fornix(rig, "upload", data)
    assert first.exit_code == 1
    assert f"`fornix subject add NEW_1 --lab {LAB}`" in first.output
    # When that is done, then the same command works: the lab is the account's only one
    added = fornix(subject, "add", "NEW_1", "--sex", "F")
    assert added.output == f"NEW_1 is a subject of {LAB}.\n"
    again = fornix(rig, "upload", data, "--json")
    assert again.exit_code == 0, again.output
    assert reports(again)[0]["state"] == "registered"
    assert sessions.find("NEW_1", DATE, 1).lab == LAB


def test_create_subject_adds_it_and_a_dry_run_only_says_so(fornix, tmp_path):
    folder = record(tmp_path / "NEW_2" / DATE / "001")
    dry = fornix(rig, "upload", folder, "--create-subject", "--dry-run")
    assert f"subject NEW_2 would be added to {LAB}" in dry.output
    assert sessions.find("NEW_2", DATE, 1) is None
    real = fornix(rig, "upload", folder, "--create-subject")
    assert real.exit_code == 0, real.output
    assert f"subject NEW_2 is new in {LAB}" in real.output


def test_a_rig_s_account_adds_no_subject_and_says_who_does(fornix, tmp_path):
    folder = record(tmp_path / "NEW_5" / DATE / "001")
    for options in ((), ("--dry-run",)):
        refused = fornix(rig, "upload", folder, "--create-subject", *options, role="rig")
        assert refused.exit_code == 1
        assert "a member of the lab does" in " ".join(refused.output.split())


def test_a_dry_run_says_what_an_upload_would_meet(fornix, tmp_path, monkeypatch):
    folder = record(tmp_path / "NEW_3" / DATE / "001")
    dry = fornix(rig, "upload", folder, "--dry-run")
    assert dry.exit_code == 1
    assert "there is no subject 'NEW_3'" in dry.output
    lab = fornix(rig, "upload", folder, "--dry-run", "--lab", "otherlab")
    assert f"belongs to {LAB}, not to otherlab: give --lab {LAB}" in lab.output
    # Without a server it says what it could not check
    monkeypatch.setattr("lab.client.settings", lambda: pytest.fail("not asked"))
    for name in ("FORNIX_API_URL", "FORNIX_TOKEN"):
        monkeypatch.delenv(name)
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    alone = CliRunner().invoke(rig, ["upload", str(folder), "--dry-run"])
    assert alone.exit_code == 0, alone.output
    assert "lab and subject are not checked" in alone.output


def test_data_of_one_mouse_never_land_under_another(fornix, tmp_path):
    # Given a session whose settings name another mouse than its folder
    folder = record(tmp_path / SUBJECT / DATE / "001", SUBJECT_NAME="OTHER_9")
    # When it is uploaded or tried, then it is refused with both names and the way on
    for options in ((), ("--dry-run",)):
        refused = fornix(rig, "upload", folder, *options)
        assert refused.exit_code == 1
        assert f"different mice: the folder says {SUBJECT}, {SETTINGS} says OTHER_9" in " ".join(
            refused.output.split()
        )
        assert "--trust path or --trust settings" in " ".join(refused.output.split())
    assert sessions.find(SUBJECT, DATE, 1) is None
    # When it is said which is right, then it goes there
    fornix(subject, "add", "OTHER_9")
    done = fornix(rig, "upload", folder, "--trust", "settings", "--json")
    assert done.exit_code == 0, done.output
    assert reports(done)[0]["session"] == f"OTHER_9/{DATE}/001"
    assert sessions.find("OTHER_9", DATE, 1) is not None
    assert sessions.find(SUBJECT, DATE, 1) is None


def test_other_days_numbers_and_births_are_told(fornix, system, tmp_path):
    fornix(subject, "add", "NEW_4", "--birth-date", "2025-01-01")
    folder = record(
        tmp_path / "NEW_4" / DATE / "002",
        SUBJECT_NAME="_iblrig_test_mouse", SESSION_DATE="2019-01-01", SESSION_NUMBER="007",
    )  # fmt: skip
    report = reports(fornix(rig, "upload", folder, "--json"))[0]
    assert report["state"] == "registered"
    told = "\n".join(report["notes"])
    for words in ("rig's test subject", "the day 2019-01-01", "the number 007", "was born"):
        assert words in told


def test_a_file_name_that_is_not_utf8_and_a_bad_session_stop_no_other(fornix, tmp_path):
    first = record(tmp_path / SUBJECT / DATE / "001")
    try:
        os.close(os.open(os.fsencode(first) + b"/raw_behavior_data/x.y\xff.npy", os.O_CREAT))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    record(tmp_path / SUBJECT / DATE / "002", SUBJECT_NAME="OTHER")
    record(tmp_path / SUBJECT / DATE / "003")
    result = fornix(rig, "upload", tmp_path, "--json")
    one, two, three = reports(result)
    assert result.exit_code == 1
    assert (one["state"], two["state"], three["state"]) == ("partial", "refused", "registered")
    (odd,) = [file for file in one["files"] if file.get("code") == "name_not_utf8"]
    assert odd["path"] == "raw_behavior_data/x.y\\udcff.npy"
    assert len(datasets_of(sessions.find(SUBJECT, DATE, 1).id)) == 2
    assert "different mice" in two["error"]


@pytest.mark.parametrize("role", ["member", "rig"])
def test_facts_of_the_settings_reach_the_session(fornix, system, tmp_path, role):
    client = system.client("member")
    folder = record(
        tmp_path / SUBJECT / DATE / "001",
        SUBJECT_NAME=SUBJECT, IBLRIG_VERSION="8.2.1", PROJECTS=["nowhere"],
        ALYX_USER=f"{LAB}_member", SESSION_START_TIME=f"{DATE}T10:00:00",
        SESSION_END_TIME=f"{DATE}T11:00:00",
    )  # fmt: skip
    report = reports(fornix(rig, "upload", folder, "--json", role=role))[0]
    assert report["state"] == "registered", report
    assert any("no project nowhere: left out" in note for note in report["notes"])
    session = client.get(f"/sessions/{report['eid']}")
    assert session["task_protocol"] == "p8.2.1"
    assert session["start_time"][:19] == f"{DATE}T10:00:00"
    assert session["end_time"][:19] == f"{DATE}T11:00:00"
    if role == "member":
        assert session["users"] == [f"{LAB}_member"]


def test_reported_inputs_come_in_by_upload(fornix, tmp_path, shared_data):
    # Given the inputs that were reported, each a session of FI_001 at another number
    names = [
        "ssv-without-trailing-space", "task-data-partial-last-line", "trial-lines-doubled",
        "waveforms-of-the-ibl-sorter", "wheel-short-aborted-session",
        "encoder-rollover-at-second-event",
    ]  # fmt: skip
    fornix(subject, "add", "FI_001")
    for number, name in enumerate(names, start=1):
        source = shared_data / "reported" / name / "sessions" / "FI_001" / "2024-02-29" / "001"
        shutil.copytree(source, tmp_path / "FI_001" / "2024-02-29" / f"{number:03d}")
    result = fornix(rig, "upload", tmp_path, "--include", "alf/*", "--json")
    assert result.exit_code == 0, result.output
    assert [report["state"] for report in reports(result)] == ["registered"] * len(names)


def test_doctor_says_what_is_wrong_and_what_is_not(fornix, tmp_path):
    record(tmp_path / "data" / SUBJECT / DATE / "001")
    well = fornix(rig, "doctor", tmp_path / "data")
    assert well.exit_code == 0, well.output
    assert f"{SUBJECT}/{DATE}/001 of {LAB}" in well.output
    empty = fornix(rig, "doctor", tmp_path / "data", "--lab", "otherlab", "--json")
    rows = [json.loads(line) for line in empty.stdout.splitlines() if '"what"' in line]
    assert empty.exit_code == 1
    assert [row["what"] for row in rows if not row["ok"]] == ["latest session"]


@pytest.mark.parametrize(
    ("description", "says"),
    [
        ("version: 1.0.0\nsubject: M2\n", "M2"),
        ("subject_name: 'M2'  # by hand\n", "M2"),
        ("devices:\n  subject: M2\n", None),
        ("subject: M1\n", None),
    ],
)
def test_the_description_is_heard_too(tmp_path, description, says):
    folder = record(tmp_path / "M1" / DATE / "001", SUBJECT_NAME="M1")
    (folder / "_ibl_experiment.description.yaml").write_text(description)
    path = parse_session_path(f"M1/{DATE}/001")
    if says is None:
        assert agreed(folder, path)[0] == path
    else:
        with pytest.raises(DifferentMice, match=r"description.yaml says M2"):
            agreed(folder, path)
        assert agreed(folder, path, "description")[0].subject == "M2"


@pytest.mark.parametrize(
    "name", ["iblrigv8_data", "iblrig_data", "data", "local_data", "iblrigv7_data"]
)
def test_folders_of_rigs_are_no_labs(tmp_path, name):
    record(tmp_path / name / "Subjects" / "M1" / DATE / "001")
    (found,) = find(tmp_path)
    assert found.path.lab is None


def test_the_queue_tells_times_and_takes_orders(tmp_path, monkeypatch):
    from lab.rig.queue import Queue

    monkeypatch.setenv("FORNIX_RIG_STATE", str(tmp_path / "rig.sqlite"))
    empty = CliRunner().invoke(rig, ["queue"])
    assert "fornix rig watch FOLDER" in empty.output
    known = Queue()
    for name in ("a", "b"):
        known.put(tmp_path / name, name)
    first, second = known.entries()
    known.postpone(first, "no network")
    known.settle(second, "refused", "partial")
    shown = CliRunner().invoke(rig, ["queue"]).output.splitlines()
    for words in ("waiting", "next try in", "no network"):
        assert words in shown[0]
    retried = CliRunner().invoke(rig, ["queue", "--retry"])
    assert "2 sessions are tried at the next look" in retried.output
    assert [entry.state for entry in known.due()] == ["waiting", "waiting"]
    forgotten = CliRunner().invoke(rig, ["queue", "--forget", str(tmp_path / "a"), "--json"])
    assert [row["folder"] for row in json.loads(forgotten.output)] == [str(tmp_path / "b")]
    unknown = CliRunner().invoke(rig, ["queue", "--retry", str(tmp_path / "c")])
    assert unknown.exit_code == 1
    assert "not in the queue" in unknown.output


def test_an_upload_that_the_server_gives_up_ends_and_says_why(fornix, tmp_path, monkeypatch):
    def broken(intake):
        raise RuntimeError("the parser was hit by a meteorite")

    monkeypatch.setattr(finalise, "TRIES", 1)
    monkeypatch.setattr(finalise, "judge", broken)
    folder = record(tmp_path / SUBJECT / DATE / "001")
    ended = fornix(rig, "upload", folder)
    assert ended.exit_code == 1
    assert "meteorite" in " ".join(ended.output.split())


def test_a_recording_of_open_ephys_is_uploaded_under_the_names_of_one(fornix, tmp_path):
    # Given a session of a probe that the Open Ephys GUI recorded
    sorting = simulate_sorting(trials_of(20, 1), seed=1, n_units=2)
    samples = simulate_recording(sorting, seconds=0.2, channels=4, seed=1)
    places = sorting["channels.localCoordinates.npy"]
    source = write_recording(samples, places, tmp_path / "source")
    folder = record(tmp_path / SUBJECT / DATE / "001")
    openephys_write(folder / RECORDING, {"Neuropix-PXI-100.ProbeA-AP": (source, 2.34375)})
    # When it is checked, then nothing is written; when it is uploaded, then all is registered
    dry = fornix(rig, "upload", folder, "--dry-run", "--json")
    assert not (folder / "raw_ephys_data" / "probe00").exists()
    assert dry.exit_code == 0, dry.output
    sent = fornix(rig, "upload", folder, "--json")
    assert sent.exit_code == 0, sent.output
    (report,) = reports(sent)
    assert report["state"] == "registered"
    assert any("written under ONE's names" in note for note in report["notes"])
    stem = "raw_ephys_data/probe00/_openephys_ephysData_g0_t0.imec0.ap"
    eid = sessions.find(SUBJECT, DATE, 1).id
    assert {item.path for item in datasets_of(eid)} >= {f"{stem}.bin", f"{stem}.meta"}
    # Then its tasks are those of a probe
    until(lambda: read.of_session(eid))
    assert {"ephys.compress", "ephys.rawqc"} <= {task.name for task in read.of_session(eid)}
