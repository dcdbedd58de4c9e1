"""The functions' code, unpacked once for all their processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra.local import unpacked


def archive(place: Path, body: str) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(place, "w") as file:
        file.writestr("rooms/__init__.py", "")
        file.writestr("rooms/one.py", body)
    return place


def unpack(module: object, source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    with module.ZipFile(source) as file:  # type: ignore[attr-defined]
        file.extractall(target)


def test_processes_of_one_archive_share_what_the_first_has_compiled(tmp_path: Path) -> None:
    # Given two processes' folders of one archive
    module = unpacked.shared(tmp_path / "code")
    for name in ("first", "second"):
        source = archive(tmp_path / name / "code.zip", "WHO = __file__")
        unpack(module, source, tmp_path / name / "code")
    # When the first imports
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", "import sys; sys.path.insert(0, ''); import rooms.one"]
    subprocess.run(command, cwd=tmp_path / "first/code", env=environment, check=True)
    # Then the second finds the compiled code
    (compiled,) = (tmp_path / "second/code/rooms/__pycache__").glob("one.*")
    assert compiled.stat().st_size > 0


def test_the_end_of_a_process_leaves_the_shared_folder(tmp_path: Path) -> None:
    module = unpacked.shared(tmp_path / "code")
    unpack(module, archive(tmp_path / "a.zip", "1"), tmp_path / "first/code")
    unpack(module, archive(tmp_path / "a.zip", "1"), tmp_path / "second/code")
    # ministack removes the whole work folder of a process
    shutil.rmtree(tmp_path / "first")
    assert (tmp_path / "second/code/rooms/one.py").read_text() == "1"


def test_other_code_has_a_folder_of_its_own_and_old_ones_are_removed(tmp_path: Path) -> None:
    # Given the code of more deployments than are kept, used one after the other
    module = unpacked.shared(tmp_path / "code")
    for number in range(unpacked.KEPT + 1):
        unpack(module, archive(tmp_path / "a.zip", str(number)), tmp_path / f"{number}/code")
        assert (tmp_path / f"{number}/code/rooms/one.py").read_text() == str(number)
        os.utime((tmp_path / f"{number}/code").resolve(), (number, number))
    # When the cloud starts again, then the oldest is gone
    unpacked.shared(tmp_path / "code")
    left = {(each / "rooms/one.py").read_text() for each in (tmp_path / "code").iterdir()}
    assert left == {str(number) for number in range(1, unpacked.KEPT + 1)}


def test_a_cloud_that_was_killed_while_it_unpacked_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an archive whose unpacking stopped in the middle
    module = unpacked.shared(tmp_path / "code")
    source = archive(tmp_path / "a.zip", "1")

    def killed(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", killed)
        with pytest.raises(KeyboardInterrupt):
            unpack(module, source, tmp_path / "first/code")
    # When the next process starts, then its code is whole
    unpack(module, source, tmp_path / "second/code")
    assert (tmp_path / "second/code/rooms/one.py").read_text() == "1"
