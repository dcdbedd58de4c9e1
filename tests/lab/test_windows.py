"""What a rig's computer runs works where POSIX is missing, and reads paths of Windows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path, PureWindowsPath
from typing import Any

import pytest

from lab.rig.session import session_path
from shared.sessions import store as sessions
from tests.flow import DATE, LAB, SUBJECT
from tests.lab import as_on_windows
from tests.processes import ended

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("path", "lab"),
    [
        (rf"D:\iblrigv8_data\{LAB}\Subjects\M1\2024-02-29\001", LAB),
        (r"D:\iblrigv8_data\Subjects\M1\2024-02-29\001", None),
        (r"\\server\share\Subjects\M1\2024-02-29\1", None),
        (r"C:\Users\rig one\data\M1\2024-02-29\001", None),
    ],
)
def test_sessions_are_known_by_paths_with_drives_and_shares(path: str, lab: str | None) -> None:
    found = session_path(PureWindowsPath(path))  # type: ignore[arg-type]  # its parts alone count
    assert found is not None
    assert (found.lab, found.subject, str(found.date), found.number) == (
        lab,
        "M1",
        "2024-02-29",
        1,
    )


def test_a_file_that_is_open_is_not_replaced_in_these_tests(tmp_path: Path) -> None:
    """Else they would show nothing."""
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    program = f"""
import os
from tests.lab import as_on_windows
as_on_windows.take_away()
os.chdir({str(tmp_path)!r})
for change, names in ((os.rename, ("a", "b")), (os.replace, ("a", "b")), (os.remove, ("b",))):
    with open("b"):
        try:
            change(*names)
        except OSError as error:
            print(type(error).__name__)
try:
    os.rename("a", "b")
except FileExistsError:
    print("exists")
os.replace("a", "b")
try:
    import fcntl
except ImportError:
    print("no fcntl", hasattr(os, "getuid"))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n") == [*["PermissionError"] * 3, "exists", "no fcntl False", ""]


@pytest.mark.integration
def test_a_rig_on_windows_logs_in_uploads_watches_and_looks_into_its_queue(
    system: Any, tmp_path: Path
) -> None:
    # Given a rig with two sessions, one of which is finished, on a computer without POSIX
    data, local = tmp_path / "iblrigv8_data" / "Subjects", tmp_path / "AppData"
    for number in ("001", "002"):
        raw = data / SUBJECT / DATE / number / "raw_behavior_data"
        raw.mkdir(parents=True)
        (raw / "_iblrig_taskData.raw.jsonable").write_text('{"a": 1}\n')
        (raw / "_iblrig_taskSettings.raw.json").write_text("{}")
    (data / SUBJECT / DATE / "002" / "transfer_me.flag").touch()
    own = {
        "HOME": str(tmp_path), "LOCALAPPDATA": str(local), "PYTHONPATH": str(ROOT),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }  # fmt: skip

    def fornix(*arguments: object, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", as_on_windows.__name__, *map(str, arguments)],
            env=os.environ | system.environment("rig") | own,
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    # When it uploads the first, and watches for the second
    assert fornix("rig", "doctor", data)
    fornix("rig", "upload", data / SUBJECT / DATE / "001", "--dry-run")
    first = ended(fornix("rig", "upload", data / SUBJECT / DATE / "001", "--json"))
    assert [report["state"] for report in first] == ["registered"]
    fornix("rig", "watch", data, "--once", "--quiet", "600000", "--json")
    # Then both are registered, the flag is gone, and the queue is where Windows keeps such things
    assert sessions.find(SUBJECT, DATE, 1) is not None
    assert sessions.find(SUBJECT, DATE, 2) is not None
    assert not list(data.rglob("*.flag"))
    assert (local / "fornix" / "rig.sqlite").is_file()
    assert "done" in fornix("rig", "queue")
    fornix("rig", "queue", "--forget")
    # and nothing is sent twice
    again = ended(fornix("rig", "upload", data, "--json"))
    assert [report["sent"] for report in again] == [0, 0]
    fornix("status")
