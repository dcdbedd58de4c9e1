"""Recipes for workers: container, systemd, Windows. None can be started here; all are checked."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from infra.batch import DOCKERFILE
from infra.settings import ROOT
from lab.worker.cli import worker

RECIPES = ROOT / "lab" / "worker" / "recipes"
UNIT = RECIPES / "fornix-worker.service"


@pytest.mark.parametrize("name", [DOCKERFILE, "infra/analysis.Dockerfile"])
def test_the_linter_of_dockerfiles_is_content(name: str) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, ROOT / name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_has_what_it_copies_and_starts_a_worker() -> None:
    text = (ROOT / DOCKERFILE).read_text()
    copied = [
        name
        for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE)
        for name in line.split()[:-1]
    ]
    assert [name for name in copied if not (ROOT / name).exists()] == []
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert {*packages["targets"]["wheel"]["packages"]} <= {*copied}
    assert "USER 10001" in text
    _is_a_worker_s(_line(r"^ENTRYPOINT \[(.+)\]$", text).replace('"', " "))


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    text = UNIT.read_text()
    _is_a_worker_s(_line(r"^ExecStart=(.+)$", text))
    # A drained worker ends well, and is not started again
    assert "Restart=on-failure" in text
    if not (verify := shutil.which("systemd-analyze")):
        pytest.skip("no systemd here")
    unit = Path(shutil.copy(UNIT, tmp_path))
    command = [verify, "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert UNIT.name not in done.stderr, done.stderr


def test_windows_gets_what_the_worker_asks_for() -> None:
    text = (RECIPES / "windows-service.ps1").read_text()
    _is_a_worker_s(_line(r"nssm install \$Service \$Fornix (.+)$", text))
    assert "FORNIX_API_URL=$ApiUrl" in text
    assert "FORNIX_TOKEN=$plain" in text


def _line(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    assert found
    return found[1]


def _is_a_worker_s(command: str) -> None:
    """Check that a command calls ``fornix worker`` with options that it has."""
    assert "worker" in command.split(" --")[0]
    known = {option for each in worker.params for option in each.opts}
    given = set(re.findall(r"--[a-z-]+", command))
    assert given
    assert given <= known
