"""The command line: how it is put together, and the commands of an account."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from click.testing import CliRunner

from lab import cli
from tests.flow import LAB

FORNIX = [sys.executable, "-m", "lab.cli"]


def fornix(*arguments, env=None):
    return subprocess.run(
        [*FORNIX, *arguments],
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_help_lists_the_commands():
    shown = fornix("--help")
    assert shown.returncode == 0
    for name in ("login", "rig", "status", "task", "up", "worker"):
        assert f"\n  {name} " in shown.stdout
    assert "not installed here" not in shown.stdout


def test_wrong_use_is_told():
    assert fornix("nonsense").returncode == 2
    assert "No such command 'nonsense'" in fornix("nonsense").stderr
    assert fornix("rig", "upload", "/nowhere/at/all").returncode == 2


def test_a_part_that_is_not_installed_takes_nothing_else_away(monkeypatch):
    gone = EntryPoint("up", "no.such.module:up", cli.GROUP)
    there = EntryPoint("login", "lab.account:login", cli.GROUP)
    monkeypatch.setattr(cli, "entry_points", lambda group: [gone, there])
    shown = CliRunner().invoke(cli.fornix, ["--help"])
    assert shown.exit_code == 0
    assert "(not installed here: No module named 'no')" in shown.output
    assert CliRunner().invoke(cli.fornix, ["up"]).exit_code == 1
    assert CliRunner().invoke(cli.fornix, ["login", "--help"]).exit_code == 0


def test_commands_of_the_rig_import_no_heavy_library():
    code = (
        "import sys, lab.commands.rig, lab.worker.cli, lab.account, lab.commands.status\n"
        "import lab.tasks.cli\n"
        "print([m for m in ('numpy', 'pandas', 'boto3', 'botocore', 'pynamodb', 'rich')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.integration
def test_an_account_logs_in_once(system, tmp_path, monkeypatch):
    from functions.api.auth import passwords

    passwords.set_password(f"{LAB}_member", "correct horse")
    env = {"XDG_CONFIG_HOME": str(tmp_path)}
    arguments = ("login", "--url", system.url, "--user", f"{LAB}_member", "--password")
    wrong = fornix(*arguments, "battery", env=env)
    assert wrong.returncode == 4
    assert "does not accept" in wrong.stderr
    done = fornix(*arguments, "correct horse", env=env)
    assert done.returncode == 0, done.stderr
    assert f"Logged in as {LAB}_member (member of {LAB})" in done.stdout
    saved = Path(tmp_path / "fornix" / "config.json")
    assert saved.stat().st_mode & 0o777 == 0o600
    assert "correct horse" not in saved.read_text()
    # And later commands need nothing else
    for name in ("API_URL", "USER", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"FORNIX_{name}", raising=False)
    system.flow.upload({"raw_behavior_data/_iblrig_taskData.raw.jsonable": b"{}\n"})
    shown = fornix("status", env=env)
    assert shown.returncode == 0, shown.stderr
    assert f"as {LAB}_member (member)" in shown.stdout
    assert f"tasks of {LAB}: 1 Held" in shown.stdout
    assert "registered" in shown.stdout
    state = json.loads(fornix("status", "--json", env=env).stdout)
    assert state["tasks"]["Held"] == 1
    assert state["uploads"][0]["files"] == 1
