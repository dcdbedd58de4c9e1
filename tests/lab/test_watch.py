"""The rig's watch: sessions are uploaded as they finish, whatever happens in between."""

from __future__ import annotations

import json
import os
import threading
import time

import pytest

from lab.client import Client, LoginFailed, Settings, Unreachable
from lab.rig import watch as module
from lab.rig.queue import LONGEST_RETRY, Queue
from lab.rig.session import FLAGS, NoSession, find, metadata, session_path, walk
from lab.rig.upload import Report, chosen
from lab.rig.watch import Watch
from shared.alf import parse_session_path


def record(folder, *names, age=0.0):
    """Write files as a rig does, some seconds ago."""
    for name in names or ("raw_behavior_data/_iblrig_taskData.raw.jsonable",):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}\n")
        os.utime(path, (time.time() - age,) * 2)
    return folder


@pytest.fixture
def sent(monkeypatch):
    """What was uploaded; ``sent.trouble`` is raised or reported instead."""

    class Sent(list):
        trouble = None

    sent = Sent()

    def upload(account, found, paths, options, **rest):
        if isinstance(sent.trouble, Exception):
            raise sent.trouble
        sent.append((found.name, paths))
        return sent.trouble or Report(found.name, str(found.folder), "registered", upload="u")

    monkeypatch.setattr(module, "upload", upload)
    return sent


@pytest.fixture
def clock():
    class Clock:
        at = time.time()

        def __call__(self):
            return self.at

    return Clock()


@pytest.fixture
def watch(tmp_path, clock, sent):
    def make(**options):
        return Watch(
            tmp_path / "data",
            Client(Settings("http://127.0.0.1:9", token="t")),
            Queue(tmp_path / "rig.sqlite"),
            now=clock,
            **options,
        )

    (tmp_path / "data").mkdir()
    return make


SESSION = "lab1/Subjects/M1/2024-07-01/001"


def test_a_session_is_sent_when_it_has_been_quiet(watch, tmp_path, clock, sent):
    record(tmp_path / "data" / SESSION)
    agent = watch(quiet=60)
    agent.once()
    assert sent == []
    clock.at += 61
    agent.once()
    agent.once()
    assert sent == [("M1/2024-07-01/001", ["raw_behavior_data/_iblrig_taskData.raw.jsonable"])]


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_says_that_a_session_is_finished_and_is_taken_away(watch, tmp_path, sent, flag):
    folder = record(tmp_path / "data" / SESSION)
    watch(flags_only=True).once()
    assert sent == []
    (folder / flag).touch()
    watch(flags_only=True).once()
    assert len(sent) == 1
    assert not (folder / flag).exists()


def test_what_could_not_be_sent_is_sent_when_the_network_is_back(watch, tmp_path, clock, sent):
    folder = record(tmp_path / "data" / SESSION, age=3600)
    (folder / "transfer_me.flag").touch()
    sent.trouble = Unreachable("no network")
    watch().once()
    assert (folder / "transfer_me.flag").exists()
    # Given that the rig is restarted, and the network comes back
    sent.trouble = None
    watch().once()
    assert sent == []  # not yet due
    clock.at += 31
    watch().once()
    assert len(sent) == 1
    assert [entry.state for entry in watch().queue.entries()] == ["done"]


def test_retries_become_rare_but_never_end(watch, tmp_path, clock, sent):
    record(tmp_path / "data" / SESSION, age=3600)
    sent.trouble = LoginFailed("no")
    agent = watch()
    agent.once()
    waits = []
    for _ in range(12):
        (entry,) = agent.queue.entries()
        waits.append(entry.next_try - clock.at)
        clock.at = entry.next_try
        agent.once()
    assert waits == sorted(waits)
    assert waits[0] == 30
    assert waits[-1] == LONGEST_RETRY


def test_a_session_that_grew_is_sent_again(watch, tmp_path, clock, sent):
    folder = record(tmp_path / "data" / SESSION, age=3600)
    agent = watch(quiet=60)
    agent.once()
    record(folder, "raw_video_data/_iblrig_leftCamera.raw.mp4", age=3600)
    agent.once()
    assert [len(files) for _, files in sent] == [1, 2]


def test_a_session_the_server_refused_is_not_sent_for_ever(watch, tmp_path, sent):
    record(tmp_path / "data" / SESSION, age=3600)
    bad = [{"path": "x", "state": "rejected", "reason": "no"}]
    sent.trouble = Report("M1", "f", "partial", upload="u", files=bad)
    agent = watch()
    agent.once()
    agent.once()
    assert len(sent) == 1
    assert [entry.state for entry in agent.queue.entries()] == ["refused"]


def test_a_subject_that_is_not_there_yet_is_tried_again(watch, tmp_path, clock, sent):
    record(tmp_path / "data" / SESSION, age=3600)
    sent.trouble = Report("M1", "f", "refused", error="There is no subject M1")
    agent = watch()
    agent.once()
    assert [(e.state, e.message) for e in agent.queue.entries()] == [
        ("waiting", "There is no subject M1")
    ]


def test_a_folder_that_is_gone_is_forgotten(watch, tmp_path, clock, sent):
    import shutil

    folder = record(tmp_path / "data" / SESSION, age=3600)
    sent.trouble = Unreachable("no")
    agent = watch()
    agent.once()
    shutil.rmtree(folder)
    clock.at += 100
    agent.once()
    assert [entry.message for entry in agent.queue.entries()] == ["the folder is gone"]


def test_watching_stops_at_once(watch):
    agent = watch()
    thread = threading.Thread(target=agent.forever)
    thread.start()
    agent.stopped.set()
    thread.join(5)
    assert not thread.is_alive()


# -- sessions on disk --------------------------------------------------------------------------


def test_flags_hidden_files_and_system_files_do_not_belong_to_a_session(tmp_path):
    folder = record(
        tmp_path / "M1/2024-07-01/001",
        "a.b.npy",
        "x.flag",
        ".hidden",
        "alf/.DS_Store",
        "alf/c.d.npy",
    )
    (found,) = find(folder)
    assert found.files() == ["a.b.npy", "alf/c.d.npy"]


@pytest.mark.parametrize(
    ("path", "lab"), [("lab1/Subjects/M1/2024-07-01/001", "lab1"), ("M1/2024-07-01/1", None)]
)
def test_a_session_is_known_by_its_path(tmp_path, path, lab):
    found = session_path(tmp_path / path)
    assert (found.lab, found.short) == (lab, "M1/2024-07-01/001")


def test_a_tree_has_all_its_sessions(tmp_path):
    for path in ("lab1/Subjects/M2/2024-07-01/001", SESSION, "lab1/Subjects/M1/2024-07-01/002"):
        record(tmp_path / path)
    assert [found.name for found in walk(tmp_path)] == [
        "M1/2024-07-01/001",
        "M1/2024-07-01/002",
        "M2/2024-07-01/001",
    ]


def test_a_folder_of_any_name_is_known_by_the_rig_s_settings(shared_data):
    (found,) = find(shared_data / "rig_sessions" / "training_rig5.0.0")
    assert found.name == "_iblrig_test_mouse/2019-07-01/001"
    assert found.facts()["start_time"] == "2019-07-01T12:15:18.145140"


def test_a_folder_that_is_no_session_is_refused(tmp_path):
    with pytest.raises(NoSession, match="there is no session in"):
        find(tmp_path)
    record(tmp_path, "raw_behavior_data/x.y.bin")
    with pytest.raises(NoSession, match="give --subject, --date and --number"):
        find(tmp_path)
    (found,) = find(tmp_path, subject="M1", date="2024-07-01", number=2)
    assert found.name == "M1/2024-07-01/002"


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ({}, {}),
        (
            {
                "PYBPOD_PROTOCOL": "p",
                "IBLRIG_VERSION": "8.1",
                "SESSION_START_TIME": "2024-07-01T09",
            },
            {"task_protocol": "p8.1", "start_time": "2024-07-01T09"},
        ),
        ({"SESSION_DATETIME": "1999-01-01T09", "SESSION_END_TIME": "1999-01-01T10"}, {}),
        ({"SYNTHETIC": True}, {"synthetic": True}),
    ],
)
def test_settings_tell_of_the_session(settings, fields):
    assert metadata(settings, parse_session_path("M1/2024-07-01/001")) == fields


def test_settings_that_cannot_be_read_tell_nothing(tmp_path):
    folder = record(tmp_path / "M1/2024-07-01/001")
    (folder / "raw_behavior_data" / "_iblrig_taskSettings.raw.json").write_text("{")
    (found,) = find(folder)
    assert set(found.announced("x", found.facts())) == {"lab", "subject", "date", "number"}


# -- the queue on disk -------------------------------------------------------------------------


def test_the_queue_s_command_shows_it(tmp_path, monkeypatch):
    from click.testing import CliRunner

    from lab.commands.rig import rig

    monkeypatch.setenv("FORNIX_RIG_STATE", str(tmp_path / "rig.sqlite"))
    Queue().put(tmp_path, "x")
    rows = json.loads(CliRunner().invoke(rig, ["queue", "--json"]).output)
    assert [(row["folder"], row["state"]) for row in rows] == [(str(tmp_path), "waiting")]


def test_a_session_is_not_finished_while_open_ephys_records(tmp_path):
    # Given a recording of the GUI, and what the rig made of it
    files = [
        "raw_ephys_data/now/Record Node 101/experiment1/recording1/continuous/P/continuous.dat",
        "raw_ephys_data/now/Record Node 101/experiment1/recording1/structure.oebin",
        "raw_ephys_data/now/Record Node 101/settings.xml",
        "raw_ephys_data/probe00/_openephys_ephysData_g0_t0.imec0.ap.bin",
        "raw_video_data/_iblrig_leftCamera.raw.avi",
    ]
    (found,) = find(record(tmp_path / "FI_001" / "2024-07-01" / "001", *files))
    # Then the GUI's own files say whether it grows, and the others are sent
    agent = Watch(tmp_path, None, Queue(tmp_path / "queue.sqlite"), choose=chosen)
    assert agent._watched(found) == [*files[:3], files[4]]
    assert chosen(found) == files[3:]
