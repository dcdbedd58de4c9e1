"""What is checked before a commit is what CI checks; `make help` lists every target."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()


def commands_of(target: str) -> list[str]:
    """Return the commands of a target of the Makefile, without their folder and the tree."""
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert recipe, target
    lines = recipe[1].strip().splitlines()
    return [line.strip().removeprefix("$(BIN)/").removesuffix(" .") for line in lines]


def test_a_commit_is_checked_by_what_ci_checks_with() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    before_a_commit = {hook["entry"].removeprefix(".venv/bin/") for hook in hooks}

    (ci,) = re.findall(r"^test: (.*?) *##", MAKEFILE, re.MULTILINE)
    assert ci.split()[:2] == ["lint", "types"]
    assert {*commands_of("lint"), *commands_of("types")} <= before_a_commit
    assert "make test" in (ROOT / ".ci/run").read_text()


def test_help_lists_every_target() -> None:
    listed = subprocess.run(
        ["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    phony = " ".join(re.findall(r"^\.PHONY: (.*)", MAKEFILE.replace("\\\n", " "), re.MULTILINE))

    assert {line.split()[0] for line in listed.splitlines()} == set(phony.split())
