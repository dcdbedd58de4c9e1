"""``fornix import`` as its users run it: as a process, killed, repeated, with wrong arguments."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.importers.alyx import CHUNK, ROUND
from tests.importers.dumps import Dump

SESSION = "cortexlab/Subjects/KS022/2020-06-20/001"


@pytest.fixture
def environment(tmp_path: Path, fornix_url: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "FORNIX_API_URL": fornix_url,
        "FORNIX_TOKEN": "t" * 40,
        "ALYX_LOGIN": "ada",
        "ALYX_PWD": "pw",
        "PYTHONWARNINGS": "error",
    }


def command(*args: Any) -> list[str]:
    return [sys.executable, "-c", "from lab.cli import main; main()", "import", *map(str, args)]


def run(environment: dict[str, str], *args: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*args), env=environment, capture_output=True, text=True, timeout=120
    )


def folder(tmp_path: Path, *paths: str) -> Path:
    for path in paths:
        file = tmp_path / "data" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(path)
    return tmp_path / "data"


def test_alyx_is_copied_and_the_report_says_so(alyx, fornix, environment):
    eid = alyx.session()
    done = run(environment, "alyx", alyx.url, "--rate", "0", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["source"] == f"alyx {alyx.url}"
    assert report["rows"]["sessions"] == {"created": 1}
    assert report["rows"]["datasets"] == {"created": 2}
    assert eid in fornix.rows["sessions"]
    saved = json.loads(Path(report["report"]).read_text())
    assert saved["rows"] == report["rows"]
    assert saved["not_carried"] == []


def test_what_is_not_carried_is_told_and_saved_and_the_exit_code_says_so(
    fornix, environment, tmp_path
):
    root = folder(tmp_path, f"{SESSION}/alf/a.b.npy", f"{SESSION}/alf/._a.b.npy")
    report = tmp_path / "report.json"
    options = ("--repository", "nas", "--url", "https://nas.example.org", "--report", report)
    done = run(environment, "folder", root, *options)
    assert done.returncode == 1
    assert "1 files: AppleDouble file" in done.stdout + done.stderr
    (item,) = json.loads(report.read_text())["not_carried"]
    assert item["id"] == f"data/{SESSION}/alf/._a.b.npy"
    assert fornix.rows["data-repository"]["nas"]["data_url"] == "https://nas.example.org"


def test_a_dry_run_sends_nothing_and_leaves_no_journal(alyx, fornix, environment, tmp_path):
    alyx.session()
    options = ("--rate", "0", "--dry-run", "--json")
    done = run(environment, "alyx", alyx.url, *options)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"]["datasets"] == {"to send": 2}
    assert fornix.rows == {}
    assert list((tmp_path / "home").rglob("*.sqlite")) == []


def test_the_server_is_told_of_the_end_once_and_only_of_new_rows(alyx, fornix, environment):
    # Given an import with new rows, when it ends, then the server is told so
    alyx.session()
    arguments = ("alyx", alyx.url, "--rate", "0")
    assert run(environment, *arguments, "--dry-run").returncode == 0
    assert fornix.ends == 0
    assert run(environment, *arguments).returncode == 0
    assert fornix.ends == 1
    # and not again by an import that finds all rows there
    assert run(environment, *arguments).returncode == 0
    assert fornix.ends == 1
    # but where more has come
    alyx.session()
    assert run(environment, *arguments).returncode == 0
    assert fornix.ends == 2


def test_a_process_killed_in_the_middle_goes_on(alyx, fornix, environment):
    # Given an import that the system kills in the second round of sessions, of which each is kept
    first = CHUNK * ROUND
    eids = {alyx.session() for _ in range(first + 10)}
    process: subprocess.Popen[str] | None = None

    def kill(resource: str) -> None:
        in_second = resource == "sessions" and len(fornix.rows["sessions"]) > first
        if in_second and process is not None and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()

    fornix.after = kill
    arguments = ("alyx", alyx.url, "--rate", "0", "--json")
    process = subprocess.Popen(
        command(*arguments), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    listed = sum(r.startswith("/sessions?") for r in alyx.requests)
    read = sum(r.startswith("/sessions/") for r in alyx.requests)
    # When the same command is given again
    done = run(environment, *arguments)
    # Then it goes on behind the last commit, and all is there
    assert done.returncode == 0, done.stderr
    assert set(fornix.rows["sessions"]) == eids
    assert len(fornix.rows["datasets"]) == 2 * len(eids)
    assert sum(r.startswith("/sessions?") for r in alyx.requests) == listed
    assert sum(r.startswith("/sessions/") for r in alyx.requests) - read == 10


def test_a_repeat_reads_the_source_again(alyx, fornix, environment):
    alyx.session()
    run(environment, "alyx", alyx.url, "--rate", "0")
    new = alyx.session()
    done = run(environment, "alyx", alyx.url, "--rate", "0", "--json")
    assert json.loads(done.stdout)["rows"]["sessions"] == {"created": 1, "unchanged": 1}
    assert new in fornix.rows["sessions"]


def test_a_journal_of_another_import_is_not_used(alyx, environment, tmp_path):
    journal = tmp_path / "journal.sqlite"
    run(environment, "alyx", alyx.url, "--rate", "0", "--journal", journal)
    root = folder(tmp_path, f"{SESSION}/alf/a.b.npy")
    options = ("--repository", "nas", "--url", "https://x.org", "--journal", journal)
    done = run(environment, "folder", root, *options)
    assert done.returncode == 1
    assert "journal of another import" in done.stderr


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("folder", "/nowhere"), 2, "does not exist"),
        (("folder", "."), 2, "--repository"),
        (("one", "."), 1, "sessions.pqt"),
        (("one", ".", "--url", "https://x.org"), 2, "--repository"),
        (("alyx", "http://127.0.0.1:9", "--server-timezone", "Mars/Base"), 2, "Mars/Base"),
    ],
)
def test_wrong_use_is_told_in_one_line(environment, tmp_path, args, code, words):
    done = subprocess.run(
        command(*args), env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_is_not_copied_into_itself(environment):
    done = run(environment, "alyx", environment["FORNIX_API_URL"])
    assert done.returncode == 2
    assert "the same server" in done.stderr


def test_wrong_credentials_of_the_source(alyx, environment):
    environment["ALYX_PWD"] = "wrong"
    done = run(environment, "alyx", alyx.url)
    assert done.returncode == 4
    assert "password" in done.stderr
    assert "wrong" not in done.stderr + done.stdout


def test_a_dump_that_is_killed_goes_on_and_leaves_no_copy_of_it(fornix, environment, tmp_path):
    # Given an import of a dump that the system kills while it sends sessions
    dump = Dump(20)
    file = tmp_path / "dump.json"
    file.write_text(json.dumps(dump.rows))
    process: subprocess.Popen[bytes] | None = None

    def kill(resource: str) -> None:
        if resource == "sessions" and process is not None and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()

    fornix.after = kill
    process = subprocess.Popen(
        command("dump", file), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    (shelf,) = (tmp_path / "home").rglob("*.dump")
    assert b"s3cret" not in shelf.read_bytes()
    animals = fornix.requests["subjects"]
    # When the same command is given again
    done = run(environment, "dump", file, "--json")
    # Then it goes on behind the last answer: what was carried is not sent again
    assert done.returncode == 1, done.stderr
    report = json.loads(done.stdout)
    steps = [json.loads(line) for line in done.stderr.splitlines()]
    assert {"carrying": "actions.cull", "done": 3, "of": 3} in steps
    assert fornix.requests["subjects"] == animals
    assert len(fornix.rows["sessions"]) == len(dump.of("actions.session"))
    assert len(fornix.rows["culls"]) == len(dump.of("actions.cull"))
    for model, counts in report["rows"].items():
        assert counts.pop("rows in") == sum(counts.values()) == len(dump.of(model))
    assert not list((tmp_path / "home").rglob("*.dump*"))


def test_a_damaged_dump_sends_nothing(fornix, environment, tmp_path):
    file = tmp_path / "dump.json"
    file.write_text('[{"model": "misc.lab", "pk": 1, "fields": {"name": "alab"}}, {"mod')
    done = run(environment, "dump", file)
    assert done.returncode == 1
    assert "row 2" in done.stderr
    assert "nothing was sent" in done.stderr
    assert not fornix.requests
    unknown = run(environment, "dump", file, "--only", "subjects.subjct")
    assert unknown.returncode == 2
    assert "subjects.subject" in unknown.stderr
