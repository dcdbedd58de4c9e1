"""Tasks with libraries of their own run in an environment that the worker builds from a lock."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest

from lab.tasks.trouble import MachineTrouble
from lab.worker import environments as built
from lab.worker.environments import Environments, offers
from lab.worker.run import Worker
from shared.sessions import store as sessions
from shared.tasks import planning, registry
from shared.work import read
from tests.flow import DATE, SUBJECT

PIPELINE = """
[[task]]
name = "piezo.version"
evidence = ["_lab_lickPiezo.raw.npy"]
inputs = [{ name = "_lab_lickPiezo.raw.npy", collection = "raw_behavior_data" }]
outputs = [{ name = "piezo.version.json", collection = "alf" }]
environment = "ENVIRONMENT"
"""

CODE = """
import json
from importlib.util import find_spec
from pathlib import Path

PIPELINE = Path(__file__).with_name("piezo.toml")
VERSION = "of the environment"

def tell(session, out, arguments):
    target = out / "alf" / "piezo.version.json"
    target.parent.mkdir(parents=True)
    target.write_text(json.dumps({"version": VERSION, "numpy": find_spec("numpy") is not None}))
    return [target]
"""


def npy() -> bytes:
    """Return an array as a file."""
    file = io.BytesIO()
    np.save(file, np.arange(3))
    return file.getvalue()


def wheel(folder: Path, name: str, version: str, files: dict[str, bytes]) -> str:
    """Write a wheel; return its line of a lock."""
    about = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    rows = []
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
        rows.append(f"{path},sha256={digest},{len(content)}")
    files[f"{about}/RECORD"] = "\n".join([*rows, f"{about}/RECORD,,"]).encode()
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name_, content in files.items():
            archive.writestr(name_, content)
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def again(folder: Path, name: str) -> str:
    """Write a wheel of a package that is installed here."""
    found = distribution(name)
    files = {
        str(path): Path(str(path.locate())).read_bytes()
        for path in found.files or ()
        if path.parts[0] == name
    }
    return wheel(folder, name, found.version, files)


@pytest.fixture
def piezo(tmp_path, monkeypatch):
    """Given a task whose environment has a lock, and an index that is a folder of two wheels."""
    name = f"piezo-{tmp_path.name}"
    text = PIPELINE.replace("ENVIRONMENT", name)
    index, locks = tmp_path / "index", tmp_path / "locks"
    index.mkdir()
    locks.mkdir()
    entries = (
        b"[fornix.tasks]\npiezo.version = piezo:tell\n[fornix.pipelines]\np = piezo:PIPELINE\n"
    )
    files = {
        "piezo.py": CODE.encode(),
        "piezo.toml": text.encode(),
        "piezo-1.0.dist-info/entry_points.txt": entries,
    }
    lock = locks / f"{name}.lock"
    lock.write_text(wheel(index, "piezo", "1.0", files) + again(index, "msgspec"))
    toml = tmp_path / "piezo.toml"
    toml.write_text(text)
    pipelines = {"piezo": registry.read_pipeline(toml)}
    for module in (registry, planning):
        monkeypatch.setattr(module, "pipelines", lambda: pipelines)
    monkeypatch.setattr(built, "LOCKS", locks)
    monkeypatch.setattr(built, "names", lambda: ["task.trials", "piezo.version"])
    for setting in ("UV_NO_INDEX", "PIP_NO_INDEX", "UV_OFFLINE"):
        monkeypatch.setenv(setting, "1")
    for setting in ("UV_FIND_LINKS", "PIP_FIND_LINKS"):
        monkeypatch.setenv(setting, str(index))
    return lock


def worker_with(system, tmp_path, environments, monkeypatch):
    monkeypatch.setattr("lab.worker.run.names", lambda: ["task.trials", "piezo.version"])
    return Worker(
        system.client("worker"), lease=5, folder=tmp_path, poll=1, environments=environments
    )


def task_of(system):
    system.flow.upload({"raw_behavior_data/_lab_lickPiezo.raw.npy": npy()})
    (task,) = read.of_session(sessions.find(SUBJECT, DATE, 1).id)
    return task


def test_a_task_runs_with_the_libraries_of_its_environment_which_is_built_once(
    system, piezo, tmp_path, monkeypatch
):
    told = []
    here = Environments(tmp_path / "environments", tell=told.append)
    task = task_of(system)
    worker_with(system, tmp_path, here, monkeypatch).run(most=1)
    done = read.get_task(task.id)
    assert done.status == "Complete", done.log
    record = json.loads(done.run_record)
    # Then it saw the environment's libraries, none of the worker's, and its record names the lock
    name = built.environment_of("piezo.version")
    assert record["environment"]["numpy"] is None
    assert record["code"] == f"piezo {record['environment']['piezo']}"
    digest = hashlib.sha256(piezo.read_bytes()).hexdigest()
    assert record["environment"]["environment"] == f"{name} sha256:{digest}"
    assert [text.split()[0] for text in told] == ["building", "built"]
    assert here.make(name) == next((tmp_path / "environments").iterdir())
    assert len(told) == 2


def test_an_environment_that_cannot_be_built_keeps_only_its_task_away(
    system, piezo, tmp_path, monkeypatch
):
    with piezo.open("a") as lock:
        lock.write(f"nowhere==1.0 --hash=sha256:{'0' * 64}\n")
    here = Environments(tmp_path / "environments")
    task = task_of(system)
    worker = worker_with(system, tmp_path, here, monkeypatch)
    worker.run(most=1, idle=0.5)
    waiting = read.get_task(task.id)
    assert waiting.status == "Waiting"
    assert "cannot be built from" in waiting.log
    assert "nowhere" in waiting.log
    assert worker.tasks() == ("task.trials",)
    assert list((tmp_path / "environments").iterdir()) == []


def test_a_changed_lock_is_another_environment_and_a_half_built_one_is_none(piezo, tmp_path):
    name = built.environment_of("piezo.version")
    here = Environments(tmp_path / "environments", build=False)
    # a build that was killed
    (here.folder / f"{name}.1-2.partial" / "bin").mkdir(parents=True)
    assert not offers(here, "piezo.version")
    with pytest.raises(MachineTrouble, match="fornix worker build-environments"):
        here.command("piezo.version")
    first = here.make(name)
    assert offers(here, "piezo.version")
    piezo.write_text(piezo.read_text() + "# renewed\n")
    assert not offers(here, "piezo.version")
    assert here.make(name) != first
    assert first.exists()


def test_a_worker_without_environments_leaves_their_tasks_to_others(piezo):
    assert not offers(None, "piezo.version")
    assert offers(None, "task.trials")
    assert built.needed(gpu=0) == [built.environment_of("piezo.version")]
