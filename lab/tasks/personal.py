"""Unchanged extractors of ibllib's personal projects, run where ibllib is installed.

They come as a package ``projects`` beside ibllib: classes of Bpod extractors by protocol
(``task_extractor_map.json``) and classes of tasks (``projects.extraction_tasks``). ibllib's pins
clash with a worker's, so it has its own Python, which ``FORNIX_IBLLIB`` names. A lab declares a
task for its protocols and names `extract` as its implementation.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lab.tasks.trouble import MachineTrouble

PYTHON = "FORNIX_IBLLIB"
"""Variable with the path of the Python that has ibllib and the lab's ``projects``."""

PROGRAM = Path(__file__).with_name("personal_inside.py")

ENVIRONMENT_CODE = 70
"""Exit code of the program where ibllib or the project cannot be imported."""


def extract(session: Path, out: Path, arguments: Mapping[str, str]) -> list[Path] | None:
    """Run ibllib's extractors for a protocol's raw files; the session's folder stays unchanged.

    Parameters
    ----------
    session, out
        The session's folder; the folder for the outputs.
    arguments
        ``collection`` and ``output_collection``; ``extractors``, names separated by commas: of
        ibllib's tasks or of ``projects.extraction_tasks``, or paths of Bpod extractors as
        ``projects.module.Class``. Without any, ibllib chooses by the protocol.

    Returns
    -------
    list of Path, None
        The written files; None if there are none.

    Raises
    ------
    MachineTrouble
        ibllib or the project is missing on this computer.
    ValueError
        ibllib failed; its messages are in the log.
    """
    python = _python()
    with tempfile.TemporaryDirectory() as place:
        shadow = _shadow(session, Path(place))
        order = {"session": str(shadow), **arguments}
        done = subprocess.run(
            [python, str(PROGRAM), json.dumps(order)],
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode == ENVIRONMENT_CODE:
            raise MachineTrouble("environment", done.stdout.strip().rpartition("\n")[2])
        if done.returncode:
            raise ValueError(f"ibllib ended with {done.returncode}: see the log")
        return _bring(shadow, out) or None


def folders() -> list[str]:
    """Return the folders from which ibllib's Python loads; none if there is no such Python."""
    if not (named := os.environ.get(PYTHON)):
        return []
    prefix = Path(named).absolute().parents[1]
    return [str(prefix), str(Path(named).resolve().parents[1])]


def _python() -> str:
    """Return the Python that has ibllib."""
    if named := os.environ.get(PYTHON):
        return named
    if importlib.util.find_spec("ibllib") is None:
        text = f"there is no ibllib here: set {PYTHON} to the Python that has it"
        raise MachineTrouble("environment", text)
    return sys.executable


def _shadow(session: Path, place: Path) -> Path:
    """Return a folder like the session's, with links to its files, in which ibllib may write.

    ibllib identifies a session by its path: ``lab/Subjects/subject/date/number``.
    """
    parts = session.parts[-5:]
    named = len(parts) == 5 and parts[1] == "Subjects"
    shadow = place.joinpath(*(parts if named else ("lab", "Subjects", "a", "2000-01-01", "001")))
    for path in session.rglob("*"):
        if path.is_file():
            link = shadow / path.relative_to(session)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
    return shadow


def _bring(shadow: Path, out: Path) -> list[Path]:
    """Move the written files below the outputs' folder; return their paths."""
    moved = []
    for path in sorted(shadow.rglob("*")):
        if path.is_file() and not path.is_symlink():
            target = out / path.relative_to(shadow)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)
            moved.append(target)
    return moved
