"""Tasks under chaos: kills, messages lost, doubled and late, 503s, a full disk, a restart.

Every task ends exactly once: Complete, or Errored by its own fault with the reason in its log.
"""

from __future__ import annotations

import importlib
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from functions.api.auth import identify
from functions.api.errors import ApiError
from functions.dispatch.sweep import sweep
from shared.datasets.read import datasets_of
from shared.model.messages import TaskWaits, encode
from shared.records import audit
from shared.sessions import store as sessions
from shared.tasks import registry
from shared.tasks.states import TERMINAL
from shared.work import board, read
from tests.flow import DATE, LAB, SUBJECT

pytestmark = pytest.mark.integration

FORNIX = Path(sys.executable).with_name("fornix")

CODE = """
import time
from pathlib import Path
import numpy as np

PIPELINE = Path(__file__).with_name("pipeline.toml")


def step(session, out, arguments):
    bad = "faulty" in (session / "raw_behavior_data/_iblrig_taskSettings.raw.json").read_text()
    time.sleep(0.3)
    if bad and arguments["output_collection"] == "alf/e":
        raise ValueError("this session's own fault")
    target = out / arguments["output_collection"] / "licks.times.npy"
    target.parent.mkdir(parents=True)
    np.save(target, np.arange(3.0))
    return [target]
"""

TASK = """
[[task]]
name = "chaos.{name}"
evidence = ["_iblrig_taskSettings.raw.json"]
inputs = [{{ name = "_iblrig_taskSettings.raw.json", collection = "raw_behavior_data" }}]
outputs = [{{ name = "licks.times.npy", collection = "{{output_collection}}" }}]
arguments = {{ output_collection = "alf/{name}" }}
parents = [{parents}]
ram = 1
"""

GRAPH = {"a": "", "b": '"chaos.a"', "c": '"chaos.a"', "d": '"chaos.b"', "e": ""}
"""Five tasks: one after which two may run, one after one of these, and one by itself."""

DESCRIPTION = b"version: 1.0.0\ntasks: [{chaosTask: {collection: raw_behavior_data}}]\n"


@pytest.fixture
def pipeline(tmp_path):
    """A lab's pipeline of five tasks, installed for the functions and the workers alike."""
    place = tmp_path / "site"
    package, about = place / "fornix_chaos", place / "fornix_chaos-1.0.dist-info"
    package.mkdir(parents=True)
    about.mkdir()
    (package / "__init__.py").write_text(CODE)
    text = "".join(TASK.format(name=name, parents=parents) for name, parents in GRAPH.items())
    (package / "pipeline.toml").write_text(text)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: fornix-chaos\nVersion: 1.0\n")
    steps = "".join(f"chaos.{name} = fornix_chaos:step\n" for name in GRAPH)
    (about / "entry_points.txt").write_text(
        f"[fornix.pipelines]\nchaos = fornix_chaos:PIPELINE\n[fornix.tasks]\n{steps}"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(place))
        importlib.invalidate_caches()
        registry.pipelines.cache_clear()
        yield str(place)
    # Only now that nobody finds the package any more: functions go on in the background.
    importlib.invalidate_caches()
    registry.pipelines.cache_clear()


class Trouble:
    """Answers 503 to some requests, and to all while the cloud is down."""

    def __init__(self, chance, seed):
        self.down, self.chance, self.count = False, chance, 0
        self._random, self._caller = random.Random(seed), identify.caller

    def __call__(self, request):
        if self.down or self._random.random() < self.chance:
            self.count += 1
            raise ApiError(503, "try again", headers={"Retry-After": "1"})
        return self._caller(request)


class Workers:
    """Worker programs that are killed now and then; one begins with a full disk."""

    def __init__(self, system, place, site, number):
        self.place, self.kills, self.started = place, 0, 0
        self.env = os.environ | system.environment("worker") | {"PYTHONPATH": site}
        self.running = {n: self._start(n) for n in range(number)}

    def folder(self, n):
        folder = self.place / f"worker{n}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _start(self, n):
        self.started += 1
        with (self.place / f"worker{n}.log").open("ab") as log:
            return subprocess.Popen(
                [FORNIX, "worker", "--lease", "5", "--folder", self.folder(n), "--reserve", "0"],
                env=self.env,
                stdout=log,
                stderr=log,
            )

    def kill_one(self, chance):
        n = chance.choice(sorted(self.running))
        self.running[n].kill()
        self.running[n].wait()
        self.kills += 1
        self.running[n] = self._start(n)

    def stop(self):
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.wait(60)


@pytest.fixture
def full_disk(tmp_path):
    """The folder of the first worker, on a disk of 4 MB that is full; a function frees it."""
    folder = tmp_path / "workers" / "worker0"
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    mounted = shutil.which("mount") and not subprocess.run(mount, check=False).returncode
    filler = folder / "filler"
    if mounted:
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(2**16)):
                    pass
            except OSError:
                pass
    yield mounted, lambda: filler.unlink(missing_ok=True)
    if mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(
    ("number", "workers", "kills"),
    [
        pytest.param(4, 2, 2, marks=pytest.mark.timeout(420)),
        pytest.param(200, 4, 60, marks=[pytest.mark.proof, pytest.mark.timeout(3600)]),
    ],
    ids=["small", "whole"],
)
def test_every_task_ends_exactly_once(
    system,
    pipeline,
    full_disk,
    tmp_path,
    monkeypatch,
    number,
    workers,
    kills,
):
    chance = random.Random(number)
    trouble = Trouble(0.02, number)
    monkeypatch.setattr(identify, "caller", trouble)
    mounted, free_disk = full_disk
    began = time.monotonic()
    # Given sessions of five tasks each, every fourth with a fault of its own
    eids, faulty = [], set()
    for n in range(1, number + 1):
        own = b'{"faulty": 1}' if n % 4 == 0 else b"{}"
        files = {
            "raw_behavior_data/_iblrig_taskSettings.raw.json": own[:-1] + b" " * n + own[-1:],
            "_ibl_experiment.description.yaml": DESCRIPTION + b"# " + str(n).encode() + b"\n",
        }
        body = {"session": {"lab": LAB, "subject": SUBJECT, "date": DATE, "number": n}}
        answer = system.flow.open(files, **body)
        system.flow.send(answer, files)
        system.flow.deliver("ingest", {"kind": "finalise", "upload": answer["id"]})
        system.flow.until(lambda n=n: sessions.find(SUBJECT, DATE, n) is not None)
        eids.append(sessions.find(SUBJECT, DATE, n).id)
        if n % 4 == 0:
            faulty.add(eids[-1])
    system.flow.pump()
    ids = [task.id for eid in eids for task in read.of_session(eid)]
    assert len(ids) == len(set(ids)) == 5 * number
    # When workers run them, and everything goes wrong that can
    crew = Workers(system, tmp_path / "workers", pipeline, workers)
    url = system.flow.queues[f"work-{LAB}"]
    doubled = lost = 0
    done, restarted, rounds = set(), False, 0
    pause = threading.Event()
    try:
        while len(done) < len(ids):
            assert time.monotonic() - began < (400 if number < 100 else 3500), Counter(
                task.status for eid in eids for task in read.of_session(eid)
            )
            pause.wait(1)
            for task in chance.sample(ids, 3):  # messages that come twice, or late
                body = encode(TaskWaits(task))
                delay = chance.choice([0, 0, 5])
                system.flow.sqs.send_message(QueueUrl=url, MessageBody=body, DelaySeconds=delay)
                doubled += 1
            share = len(done) / len(ids)
            if share >= (crew.kills + 1) / (kills + 2) and crew.kills < kills:
                crew.kill_one(chance)
            if share >= 0.3:
                free_disk()
            if share >= 0.5 and not restarted:  # the cloud is away, and its messages with it
                trouble.down, restarted = True, True
                lost = len(system.flow.messages(f"work-{LAB}"))
                pause.wait(3)
                trouble.down = False
                sweep(at_start=True)
            rounds += 1
            sweep(at_start=rounds % 15 == 0)
            done = {
                task.id
                for eid in eids
                for task in read.of_session(eid)
                if task.state in TERMINAL
                or (eid in faulty and task.status == "Held" and not task.hold)
            }
    finally:
        crew.stop()
    # Then every task has ended once, by its own fault or none
    statuses: Counter[str] = Counter()
    for eid in eids:
        paths = Counter(item.path for item in datasets_of(eid))
        for task in read.of_session(eid):
            statuses[task.status] += 1
            fault = eid in faulty and task.name == "chaos.e"
            assert task.status == ("Errored" if fault else "Complete"), (task.name, task.log)
            if fault:
                assert "ValueError: this session's own fault" in task.log
            else:
                assert paths[f"alf/{task.name[-1]}/licks.times.npy"] == 1
            ends = [
                entry
                for entry in audit.history("task", task.id)
                if entry.after.get("status") in ("Complete", "Errored")
            ]
            assert len(ends) == 1, [entry.after for entry in ends]
        assert sum(path.startswith("alf/") for path in paths) == 5 - (eid in faulty)
        assert not [path for path in paths if "#" in path]  # nothing came twice, as a revision
    if mounted:
        assert any(seen.report.state for seen in board.workers(LAB))
    print(
        f"\n{number} sessions, {len(ids)} tasks, {workers} workers in "
        f"{time.monotonic() - began:.0f} s: {dict(statuses)}; {crew.kills} kills, {doubled} "
        f"messages doubled or late, {lost} lost, {trouble.count} answers 503, full disk: "
        f"{'yes' if mounted else 'cannot be mounted here'}, restarts: {int(restarted)}"
    )
