"""The wheel, installed as a rig's client, on its first upload."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from shared.sessions import store as sessions
from tests.flow import DATE, LAB
from tests.processes import ended

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built from the checkout."""
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [UV, "build", "--wheel", "--no-build-isolation", "--quiet", "-o", out, ROOT], check=True
    )
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def client(wheel, tmp_path_factory) -> Path:
    """`fornix` as `uv tool install` puts it, without any extra."""
    home = tmp_path_factory.mktemp("tools")
    env = os.environ | {"UV_TOOL_DIR": str(home / "tools"), "UV_TOOL_BIN_DIR": str(home / "bin")}
    done = subprocess.run(
        [UV, "tool", "install", "--quiet", "--python", sys.executable, wheel],
        env=env, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode and ("Failed to fetch" in done.stderr or "error sending" in done.stderr):
        pytest.skip(f"the package index cannot be reached: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return home / "bin" / "fornix"


def run(client: Path, *arguments, env=None):
    """Run a command of the client without the checkout in sight."""
    kept = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **(env or {})}
    return subprocess.run(
        [client, *map(str, arguments)],
        env=kept,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_wheel_holds_what_is_no_python(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("shared/alf/dataset_types.tsv", "shared/results/static/templates/base.html"):
        assert name in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "site/"))]


def test_a_client_is_three_libraries_and_theirs(client):
    listed = subprocess.run(
        [UV, "pip", "list", "--format", "json", "--python", client.resolve().parent / "python"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    names = {row["name"] for row in json.loads(listed.stdout)}
    assert {"click", "requests", "rich", "fornix"} <= names
    assert len(names) <= 12
    assert not names & {"numpy", "pandas", "boto3", "scipy", "pyarrow"}


def test_the_first_upload_of_a_client(client, system, tmp_path):
    # Given a client that is logged in, and a session of a mouse that is not registered
    env = system.environment("member") | {"HOME": str(tmp_path)}
    raw = tmp_path / "data" / "Subjects" / "NEW_7" / DATE / "001" / "raw_behavior_data"
    raw.mkdir(parents=True)
    (raw / "_iblrig_taskData.raw.jsonable").write_text('{"a": 1}\n')
    (raw / "_iblrig_taskSettings.raw.json").write_text('{"SUBJECT_NAME": "NEW_7"}')
    (raw / "_iblrig_leftCamera.GPIO.npy").write_bytes(b"no array")
    data = tmp_path / "data"
    # When it is tried, then it says the next step, and what it could not look into
    dry = run(client, "rig", "upload", data, "--dry-run", env=env)
    assert dry.returncode == 1, dry.stderr
    assert f"fornix subject add NEW_7 --lab {LAB}" in dry.stdout
    assert "numpy is not installed; the server does" in dry.stdout
    # When that is done, then the upload works, and the server refuses what is no array
    assert run(client, "subject", "add", "NEW_7", env=env).returncode == 0
    sent = run(client, "rig", "upload", data, "--json", env=env)
    (report,) = ended(sent.stdout)
    assert (sent.returncode, report["state"]) == (1, "partial"), sent.stderr
    assert sessions.find("NEW_7", DATE, 1) is not None
    assert run(client, "rig", "doctor", data, env=env).returncode == 0
    assert run(client, "rig", "queue", env=env).returncode == 0
    assert run(client, "status", env=env).returncode == 0


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (("worker", "--once"), "worker"),
        (("codec", "info", "x"), "ephys"),
        (("rig", "simulate", "x"), "science"),
        (("analyse", "training-time", "--sessions", "/tmp"), "science"),
        (("site", "build", "/tmp", "--out", "/tmp/no-such-folder/site"), "science"),
        (("export", "nwb", "/tmp"), "nwb"),
        (("datajoint", "status"), "datajoint"),
        (("sql", "SELECT 1"), "sql"),
        (("up",), "local"),
    ],
)
def test_each_command_says_which_extra_it_lacks(client, tmp_path, command, extra):
    env = {"HOME": str(tmp_path), "FORNIX_API_URL": "http://127.0.0.1:9", "FORNIX_TOKEN": "t"}
    done = run(client, *command, env=env)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"the extra [{extra}] brings" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [(), ("rig",), ("codec",), ("worker",), ("site",)])
def test_help_is_there_without_any_extra(client, command):
    done = run(client, *command, "--help")
    assert done.returncode == 0 or "the extra [" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_a_client_needs_no_module_of_posix_alone():
    """What a rig runs imports on Windows: no fcntl, no resource, no pwd, no termios."""
    code = (
        "import sys\n"
        "for name in ('fcntl', 'resource', 'pwd', 'grp', 'termios'): sys.modules[name] = None\n"
        "import lab.cli, lab.commands.rig, lab.commands.subject, lab.commands.status\n"
        "import lab.account, lab.rig.watch, lab.rig.doctor, lab.transfer, shared.alf.acceptance\n"
    )
    # The standard library's own getpass falls back by itself.
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
