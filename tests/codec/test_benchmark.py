"""`make bench-codec` where WavPack is missing: it says so, and tries again the next time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


def build(folder: Path, worked: bool) -> str:
    """Have make build WavPack, by programs that all work or all fail, and return what it says."""
    for name in ("programs/apt-get", ".venv/bin/uv", ".venv/bin/python"):
        program = folder / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\nexit {0 if worked else 1}\n")
        program.chmod(0o755)
    command = ["make", "-s", "-f", ROOT / "Makefile", "-o", ".venv/.installed", ".venv/.wavpack"]
    path = f"{folder / 'programs'}:{os.environ['PATH']}"
    run = subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_a_failed_build_is_told_and_not_recorded_as_done(tmp_path: Path) -> None:
    """Given a build that fails, the benchmark goes on without, and the next run builds again."""
    assert "WavPack could not be built: it is not measured" in build(tmp_path, worked=False)
    assert not (tmp_path / ".venv/.wavpack").exists()
    assert build(tmp_path, worked=True) == ""
    assert (tmp_path / ".venv/.wavpack").exists()


def test_the_benchmark_says_what_it_does_not_measure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import codec as benchmark

    for name in ("wavpack_numcodecs", "wavpack_numcodecs.wavpack"):
        monkeypatch.setitem(sys.modules, name, None)
    bench = SimpleNamespace(samples=np.zeros((10, 2), "int16"), name="x")
    assert benchmark.wavpack(bench) == []
    assert "WavPack is not measured" in capsys.readouterr().err
