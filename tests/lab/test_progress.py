"""What an upload tells while it runs: steps, what the server does, tasks; and how it goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lab.commands.rig import rig
from lab.rig.follow import STEADY, follow
from lab.rig.show import lines
from lab.transfer import TransferStep
from tests.flow import FOLDER, npy

FORNIX = Path(sys.executable).with_name("fornix")
RAW = "raw_behavior_data"


def test_lines_of_progress_are_few_and_the_last_has_all() -> None:
    # Given a clock that stands still for the first steps, and goes on later
    written: list[str] = []
    clock = iter([0.0, 0.0, 0.1, 0.2, 5.0, 5.0, 5.1, 5.1])
    with lines("M/2024-07-01/001", 30, written.append, now=lambda: next(clock)) as notice:
        for event, size in (("hashed", 10), ("hashed", 10), ("hashed", 10), ("skipped", 10)):
            notice(TransferStep(event, "a", size))  # type: ignore[arg-type]
        notice(TransferStep("server", state="open"))
        notice(TransferStep("sent", "b", 20))
    events = [json.loads(line) for line in written]
    assert {event["session"] for event in events} == {"M/2024-07-01/001"}
    told = [(e.get("hashed"), e.get("sent"), e.get("skipped"), e.get("state")) for e in events]
    assert told == [
        (10, 0, 0, None),  # at once
        (30, 0, 0, None),  # all are hashed; those between came too soon after
        (30, 0, 10, None),
        (None, None, None, "open"),
        (30, 20, 10, None),
    ]


class Board:
    """A server whose session's tasks go on from look to look."""

    def __init__(self, *looks: dict[str, str]) -> None:
        self.looks, self.asked = list(looks), 0

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        assert (path, query) == ("/tasks", {"session": "e"})
        look = self.looks[min(self.asked, len(self.looks) - 1)]
        self.asked += 1
        rows = [
            {"id": name, "name": name, "status": status, "log": "first\nit lacks the wheel\n"}
            for name, status in look.items()
        ]
        return {"results": rows}


def test_tasks_are_followed_until_nothing_is_to_be_done() -> None:
    board = Board(
        {},
        {"trials": "Waiting", "wheel": "Held"},
        {"trials": "Complete", "wheel": "Held"},  # for a moment nothing is in progress
        {"trials": "Complete", "wheel": "Started"},
        {"trials": "Complete", "wheel": "Errored"},
    )
    seen = list(follow(board, "e", sleep=lambda seconds: None))  # type: ignore[arg-type]
    assert [(one.task, one.status) for one in seen] == [
        *(("trials", "Waiting"), ("wheel", "Held"), ("trials", "Complete")),
        *(("wheel", "Started"), ("wheel", "Errored")),
    ]
    assert seen[-1].reason == "it lacks the wheel"
    assert board.asked == len(board.looks) + STEADY


def test_a_session_without_tasks_is_not_followed_for_ever() -> None:
    board = Board({})
    assert list(follow(board, "e", sleep=lambda seconds: None)) == []  # type: ignore[arg-type]
    assert board.asked == STEADY


@pytest.mark.integration
def test_an_upload_tells_its_steps_and_the_tasks_that_follow(
    system: Any, shared_data: Path, tmp_path: Path
) -> None:
    # Given a session on a rig, and a worker
    folder = tmp_path / "rig" / FOLDER
    shutil.copytree(shared_data / "rig_sessions/training_rig5.0.0" / RAW, folder / RAW)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    start = lambda role, *arguments: subprocess.Popen(  # noqa: E731
        [FORNIX, *map(str, arguments)],
        env=os.environ | system.environment(role) | state,
        stdout=subprocess.PIPE,
        text=True,
    )
    worker = start("worker", "worker", "--until-idle", "20")
    # When it is uploaded by somebody who wants to see what becomes of it
    with start("rig", "rig", "upload", folder, "--follow", "--json") as process:
        assert process.stdout is not None
        events = [json.loads(line) for line in process.stdout]
    worker.terminate()
    worker.communicate()
    # Then each line is an event, in the order in which things happened
    kinds = [event["event"] for event in events]
    assert kinds[0] == "progress"
    assert [e["state"] for e in events if e["event"] == "server"][-1] == "registered"
    last = [event for event in events if event["event"] == "progress"][-1]
    assert last == {
        "event": "progress", "session": events[-1]["session"],
        "hashed": size, "sent": size, "skipped": 0, "bytes": size,
    }  # fmt: skip
    assert kinds.index("ended") > max(i for i, k in enumerate(kinds) if k == "server")
    ends = {event["task"]: event["status"] for event in events if event["event"] == "task"}
    assert ends == {"task.trials": "Complete", "task.wheel": "Complete"}


@pytest.mark.integration
def test_a_killed_upload_goes_on_with_what_is_missing(system: Any, tmp_path: Path) -> None:
    # Given an upload that is killed when it begins to send the second of two large files
    folder = tmp_path / "rig" / FOLDER / "alf"
    folder.mkdir(parents=True)
    for name in ("spikes.times.npy", "clusters.depths.npy"):
        (folder / name).write_bytes(npy(*range(500_000)))
    command = [FORNIX, "rig", "upload", folder.parent, "--include", "alf/*", "--json"]
    env = os.environ | system.environment("rig") | {"XDG_STATE_HOME": str(tmp_path / "state")}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "progress" and event["sent"] > 0:
            process.send_signal(signal.SIGKILL)
            break
    process.communicate()
    # When the same command is given again
    again = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    events = [json.loads(line) for line in again.stdout.splitlines()]
    # Then all is there, and each byte was either sent or skipped as it was there
    assert events[-1]["state"] == "registered"
    last = [event for event in events if event["event"] == "progress"][-1]
    assert last["sent"] + last["skipped"] == last["bytes"]


def test_the_help_names_the_events() -> None:
    text = CliRunner().invoke(rig, ["upload", "--help"]).output
    assert "Example: fornix rig upload" in text
    for event in ("progress", "server", "ended", "task"):
        assert event in text
    assert "--follow" in text
