"""Tests that run in several processes: those of a file stay together."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from tests.scheduling import ROOT, group

FILE = """
import pytest

@pytest.mark.parametrize("number", range(6))
def test_it(number):
    pass
"""


def test_a_file_is_run_by_one_process(tmp_path: Path) -> None:
    # Given files of tests, in a folder that has what all tests have
    (tmp_path / "conftest.py").write_text(
        "from tests.conftest import pytest_xdist_make_scheduler\n"
    )
    for name in "abcd":
        (tmp_path / f"test_{name}.py").write_text(FILE)
    # When they are run by two processes
    given = ("-v", "-n", "2", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *given, "--rootdir", str(tmp_path), str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    # Then each file was in one of them, and both had some
    seen = defaultdict(set)
    for process, file in re.findall(r"\[(gw\d)\].* PASSED .*(test_\w)\.py", done.stdout):
        seen[file].add(process)
    assert len(seen) == 4, done.stdout
    assert all(len(processes) == 1 for processes in seen.values())
    assert len(set().union(*seen.values())) == 2


def test_what_takes_minutes_is_made_in_one_process() -> None:
    for name in ("distribution", "roles", "settings", "stack", "tables"):
        assert group(f"tests/infra/test_{name}.py") == "syntheses"
    assert group("tests/docs/test_snippets.py") == "processed"
    assert group("tests/integration/test_my_lab.py") == "processed"
    assert group("tests/tasks/test_video.py") == "tests/tasks/test_video.py"
