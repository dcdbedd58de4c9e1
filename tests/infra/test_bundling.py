"""The functions' archive for AWS: what each start of a process would have to do again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra import bundling

HERE = "{}.{}".format(*sys.version_info)


def test_a_function_on_lambda_imports_what_was_compiled_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an archive with a module, and one of another Python's language
    monkeypatch.setattr(bundling, "PYTHON_VERSION", HERE)
    made = tmp_path / "made"
    (made / "functions").mkdir(parents=True)
    (made / "functions" / "__init__.py").touch()
    (made / "functions" / "one.py").write_text("def where(): raise ValueError\n")
    (made / "functions" / "later.py").write_text("match = = 1\n")
    # When it is compiled, and unpacked on a disk that keeps nothing, with other dates
    assert bundling.precompile(made)
    task = Path(shutil.copytree(made, tmp_path / "task", copy_function=shutil.copyfile))
    (task / "functions" / "one.py").write_text("raise ImportError('compiled anew')\n")
    code = "import traceback; from functions.one import where\ntry: where()\n"
    code += "except ValueError: traceback.print_exc()"
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=task, capture_output=True, text=True, check=False
    )
    # Then the compiled module is imported
    assert done.returncode == 0, done.stderr
    # and nothing in it tells of the computer that made it
    (compiled,) = (made / "functions" / "__pycache__").glob("one.*")
    assert b"/var/task/functions/one.py" in compiled.read_bytes()
    assert os.fsencode(tmp_path) not in compiled.read_bytes()


def test_an_archive_larger_than_lambda_takes_is_told_before_it_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundling, "PYTHON_VERSION", HERE)
    monkeypatch.setattr(bundling, "LARGEST", 1000)
    (tmp_path / "data.bin").write_bytes(bytes(1001))
    with pytest.raises(ValueError, match="Lambda takes 1000"):
        bundling.precompile(tmp_path)


def test_without_the_runtime_s_python_the_archive_stays_and_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bundling, "PYTHON_VERSION", "2.4")
    (tmp_path / "one.py").touch()
    assert not bundling.precompile(tmp_path)
    assert "python2.4 is not here" in capsys.readouterr().out
    assert [path.name for path in tmp_path.rglob("*")] == ["one.py"]
