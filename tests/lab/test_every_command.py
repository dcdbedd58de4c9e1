"""What holds for every command: it speaks JSON, and tells a wrong address plainly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest

from lab import cli
from lab.client import retries
from tests.flow import DATE, SUBJECT
from tests.processes import answering, free_port

PASSES_ON = {"codec benchmark"}
"""Hands its arguments, --json FILE among them, to a script of the checkout."""

ASKING = {
    "embargo lift": "M1",
    "embargo set": "M1 --until 2030-01-01",
    "embargo show": "M1",
    "export alyx-dump": "dump.json.gz",
    "export nwb": "00000000-0000-4000-8000-000000000000 --out nwb",
    "export sql": "tables",
    "import dump": "labs.json",
    "import folder": "data --upload",
    "login": "--user u --password p --url {url}",
    "mirror": "PAPER@1 copy",
    "one-setup": "",
    "password": "--current a --new b",
    "publish": "M1",
    "queues redrive": "ingest",
    "queues show": "",
    "release create": "PAPER --tag t --title x",
    "release diff": "PAPER@1 PAPER@2",
    "release list": "",
    "release publish": "PAPER",
    "release review": "PAPER",
    "release tag": "t M1",
    "release untag": "t M1",
    "release verify": "PAPER@1",
    "release withdraw": "PAPER@1 --reason x",
    "release zip": "PAPER@1 --out paper.zip",
    "rerun": "1",
    "rig doctor": "data",
    "rig upload": "data",
    "rig watch": "data --once --quiet 0",
    "status": "",
    "subject add": "M1",
    "task cancel": "1",
    "task hold": "1 --reason x",
    "task list": "",
    "task log": "1",
    "task retry": "1",
    "task show": "1",
    "withdraw": "M1",
    "worker": "--once --until-idle 1",
    "worker doctor": "",
}
"""Commands that ask the server of `fornix login`, with what they need besides."""

OTHERWISE = {
    *("analyse training-time", "codec benchmark", "codec compress", "codec decompress"),
    *("codec info", "codec rebuild-index", "codec verify", "datajoint down", "datajoint status"),
    *(
        "datajoint sync",
        "datajoint up",
        "deposit",
        "import alyx",
        "import dandi",
        "import one",
        "import zip",
    ),
    *("rig queue", "rig simulate", "rig simulate-cohort", "site build", "site demo"),
    *("site serve", "sql", "task installed", "task run", "up", "worker build-environments"),
    *("worker drain", "zip"),
    *("backup now", "backup verify", "redrive", "restore"),
}
"""Commands that ask none, or another one that is named in their arguments."""


def commands() -> Iterator[tuple[str, click.Command]]:
    """Walk through the command line as its own parser has it."""

    def below(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
        context = click.Context(command, info_name=name)
        if isinstance(command, click.Group):
            for each in command.list_commands(context):
                found = command.get_command(context, each)
                assert found is not None
                yield from below(found, f"{name} {each}".strip())
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield name, command

    yield from below(cli.fornix, "")


def test_every_command_has_json_and_a_help_text() -> None:
    without = [
        name
        for name, command in commands()
        if not any("--json" in each.opts for each in command.params) and name not in PASSES_ON
    ]
    assert without == []
    assert [name for name, command in commands() if not command.help] == []


def test_each_command_is_tried_with_wrong_addresses_or_asks_no_server() -> None:
    assert sorted(name for name, _ in commands()) == sorted([*ASKING, *OTHERWISE])


class Said(NamedTuple):
    """What a command ended with."""

    code: int
    text: str


Type = Callable[[str, str, str], Said]
"""Types a command with its arguments on a computer whose API is said to be at an address."""


@contextmanager
def site(status: int, page: bytes = b"<!doctype html><title>Mice</title>") -> Iterator[str]:
    """Serve the same answer at every address, to every kind of request."""

    class Page(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

        def log_message(self, format: str, *args: Any) -> None:
            """Stay silent."""

    with answering(Page) as url:
        yield url


@pytest.fixture
def fornix(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Type:
    """Type a command on a computer that has a session, and a login at an address."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("FORNIX_TOKEN", "t")
    monkeypatch.setattr(retries, "FIRST_DELAY", 0.0)
    monkeypatch.setattr(retries.time, "sleep", lambda seconds: None)
    raw = tmp_path / "data/Subjects/M1/2024-01-01/001/raw_behavior_data"
    raw.mkdir(parents=True)
    (raw / "_iblrig_taskSettings.raw.json").write_text('{"SUBJECT_NAME": "M1"}')
    lab = {"model": "misc.lab", "pk": "6f1a1d4e-0000-4000-8000-000000000000"}
    (tmp_path / "labs.json").write_text(json.dumps([lab | {"fields": {"name": "l"}}]))

    def type_in(name: str, rest: str, url: str) -> Said:
        arguments = [*name.split(), *(word.format(url=url) for word in rest.split())]
        monkeypatch.setenv("FORNIX_API_URL", url)
        monkeypatch.setenv("FORNIX_RIG_STATE", str(tmp_path / f"{len(list(tmp_path.iterdir()))}"))
        monkeypatch.setattr(sys, "argv", ["fornix", *arguments])
        caplog.clear()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out + said.err + caplog.text)

    return type_in


@pytest.mark.parametrize("status", [200, 404], ids=["any page", "no such page"])
def test_the_address_of_the_site_is_told_by_every_command(fornix: Type, status: int) -> None:
    """Given the results site's address in place of the API's, as people copy it."""
    with site(status) as url:
        said = {name: fornix(name, rest, url) for name, rest in ASKING.items()}
    assert {k: v for k, v in said.items() if "address of the results site" not in v.text} == {}
    assert {k: v for k, v in said.items() if v.code not in (1, 4)} == {}


def test_a_server_that_is_not_there_is_told_by_every_command(fornix: Type) -> None:
    """Given an address without a scheme where nothing listens."""
    url = f"127.0.0.1:{free_port()}"
    said = {name: fornix(name, rest, url) for name, rest in ASKING.items()}
    assert {k: v for k, v in said.items() if "did not answer" not in v.text} == {}
    looking = ("rig doctor", "rig watch", "worker doctor")
    assert {k: v for k, v in said.items() if v.code != (1 if k in looking else 3)} == {}


@pytest.mark.parametrize("url", ["http://", "ftp://api.example.org", "https:// example.org"])
def test_what_is_no_address_is_told_by_every_command(fornix: Type, url: str) -> None:
    said = {name: fornix(name, rest, url) for name, rest in ASKING.items()}
    assert {k: v for k, v in said.items() if "https://api.example.org/v1" not in v.text} == {}
    assert {k: v for k, v in said.items() if v.code not in (1, 4)} == {}


def test_an_address_without_the_api_s_stage_is_told(fornix: Type) -> None:
    """API Gateway answers so above the address that the deployment printed."""
    with site(403, b'{"message": "Missing Authentication Token"}') as url:
        said = fornix("status", "", url)
    assert "often ends in /v1" in said.text
    assert said.code == 4


def run(
    system: Any, role: str, *arguments: object, home: Path
) -> subprocess.CompletedProcess[str]:
    """Run a command as a user of the lab."""
    own = {"XDG_CONFIG_HOME": str(home / "config"), "XDG_STATE_HOME": str(home), "HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-m", "lab.cli", *map(str, arguments)],
        env=os.environ | system.environment(role) | own,
        capture_output=True,
        text=True,
    )


@pytest.mark.integration
def test_a_lab_that_is_not_one_s_own_or_not_there_is_told(system: Any, tmp_path: Path) -> None:
    raw = tmp_path / "data/Subjects/M1/2024-01-01/001/raw_behavior_data"
    raw.mkdir(parents=True)
    (raw / "_iblrig_taskSettings.raw.json").write_text('{"SUBJECT_NAME": "M1"}')
    for arguments in (
        ("rig", "upload", tmp_path / "data"),
        ("rig", "upload", tmp_path / "data", "--dry-run"),
        ("rig", "watch", tmp_path / "data", "--once", "--quiet", "0"),
        ("rig", "doctor", tmp_path / "data"),
        ("subject", "add", "M1"),
        ("status",),
        ("task", "list"),
    ):
        done = run(system, "member", *arguments, "--lab", "nosuchlab", home=tmp_path)
        said = done.stdout + done.stderr
        assert "Traceback" not in said, said
        assert done.returncode == 1, (arguments, said)
        assert "nosuchlab" in said, (arguments, said)


@pytest.mark.integration
def test_with_json_every_line_is_json(system: Any, tmp_path: Path) -> None:
    raw = tmp_path / "data/Subjects" / SUBJECT / DATE / "001/raw_behavior_data"
    raw.mkdir(parents=True)
    (raw / "_iblrig_taskSettings.raw.json").write_text("{}")
    (raw / "_iblrig_taskData.raw.jsonable").write_text('{"a": 1}\n')
    data = tmp_path / "data"
    told: dict[str, list[Any]] = {}
    for role, arguments in (
        ("rig", ("rig", "upload", data, "--dry-run")),
        ("rig", ("rig", "upload", data)),
        ("rig", ("rig", "watch", data, "--once")),
        ("rig", ("rig", "queue")),
        ("rig", ("rig", "doctor", data)),
        ("member", ("status",)),
        ("member", ("subject", "add", "M2")),
        ("member", ("task", "list")),
        ("member", ("task", "installed")),
        ("manager", ("publish", SUBJECT, "--dry-run")),
        ("manager", ("withdraw", SUBJECT)),
        ("manager", ("embargo", "show", SUBJECT)),
        ("manager", ("release", "list")),
        ("member", ("one-setup",)),
        ("worker", ("worker", "doctor")),
        ("worker", ("worker", "drain", "--off")),
        ("worker", ("worker", "--until-idle", "1")),
    ):
        done = run(system, role, *arguments, "--json", home=tmp_path)
        name = " ".join(map(str, arguments[:2]))
        assert done.returncode == 0, (name, done.stdout, done.stderr)
        try:
            told[name] = [json.loads(line) for line in done.stdout.splitlines()]
        except ValueError:
            told[name] = [json.loads(done.stdout)]  # one object, over several lines
    assert {event["event"] for event in told["rig upload"]} >= {"progress", "ended"}
    assert told["worker drain"] == [{"folder": tempfile.gettempdir(), "draining": False}]
