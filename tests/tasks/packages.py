"""A lab's own package, installed beside Fornix as its users install it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def installed_beside(package: Path, folder: Path) -> dict[str, str]:
    """Return the environment of a Python that has a package installed beside Fornix.

    It is installed into ``site`` of the folder, from a copy: building leaves files in a source.
    """
    place = folder / "site"
    source = shutil.copytree(package, folder / "source")
    uv = Path(sys.executable).with_name("uv")
    command = [uv, "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--offline"]
    subprocess.run(
        [*command, "--python", sys.executable, "--target", place, source], check=True, timeout=120
    )
    return os.environ | {"PYTHONPATH": str(place)}


def run_task(
    name: str, session: Path, out: Path, arguments: Mapping[str, str], env: Mapping[str, str]
) -> dict[str, Any]:
    """Run a task in a session's folder with `fornix task run`, and return what it reports."""
    command = [sys.executable, "-m", "lab.cli", "task", "run", name, session, "--out", out]
    given = [each for key, value in arguments.items() for each in ("-a", f"{key}={value}")]
    done = subprocess.run(
        [*command, *given, "--json"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (outcome,) = json.loads(done.stdout)
    assert outcome["status"] == "Complete"
    return outcome
