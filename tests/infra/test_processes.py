"""A function's processes: more start beside those at work, and nobody waits for one to start."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import SimpleNamespace
from typing import Any

import pytest

from infra.local import processes
from infra.local.processes import Processes

API = "fornix-api"


class Starting:
    """ministack's Worker: a real process that waits for its input's end."""

    def __init__(self, name: str) -> None:
        self.func_name = name

    def _spawn(self) -> None:
        self._proc = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


class Runtime(SimpleNamespace):
    """What of ministack lends processes; one starts when it is let."""

    def __init__(self) -> None:
        super().__init__(
            _lock=threading.Lock(),
            _workers={},
            _LOCAL_WORKER_TTL=20.0,
            Worker=type("Own", (Starting,), {}),
        )
        self.killed: list[Any] = []
        self.let = threading.Event()
        self.asked = threading.Semaphore(0)
        self.broken = False

    def _worker_key(self, name: str, config: Any, qualifier: str) -> str:
        return f"{name}:{qualifier}"

    def _worker_class_for(self, config: Any) -> Any:
        return lambda *_: SimpleNamespace(
            in_use=False, last_used=0.0, _proc=None, _start_time=None
        )

    def acquire_worker(self, *_: Any, **__: Any) -> tuple[Any, str]:
        return SimpleNamespace(in_use=True), "ministack's own"

    def reap_idle_workers(self, ttl: float | None = None) -> int:
        return 1

    def kill_workers(self, processes: list[Any]) -> None:
        self.killed += processes

    def release_worker(self, process: Any) -> None:
        with self._lock:
            process.in_use = False

    def ensure_spawned(self, process: Any) -> None:
        self.asked.release()
        self.let.wait()
        if self.broken:
            raise RuntimeError("no memory")


@pytest.fixture
def runtime() -> Iterator[Runtime]:
    runtime = Runtime()
    yield runtime
    runtime.let.set()


def later(pool: ThreadPoolExecutor, lent: Processes) -> Future[tuple[Any, str]]:
    return pool.submit(lent.acquire, API, {}, b"")


def test_who_finds_all_at_work_gets_the_first_that_is_free(runtime: Runtime) -> None:
    # Given one process at work
    lent = Processes(runtime)
    first, how = lent.acquire(API, {}, b"")
    assert how == "spawn"
    with ThreadPoolExecutor() as pool:
        # When two more requests come, one process starts beside it
        waiting = [later(pool, lent) for _ in range(2)]
        runtime.asked.acquire()
        assert not any(each.done() for each in waiting)
        # Then the first that comes back is lent again, though the other has not started yet
        lent.release(first)
        done, _ = wait(waiting, return_when=FIRST_COMPLETED)
        (got,) = done
        assert got.result() == (first, "reused")
        # And the last waits no longer than until the other has started
        runtime.let.set()
        rest = next(each for each in waiting if each is not got)
        assert rest.result(60)[0] is not first
    assert len(runtime._workers[f"{API}:$LATEST"]) == 2


def test_one_that_does_not_start_is_lent_so_that_its_error_is_told(runtime: Runtime) -> None:
    lent = Processes(runtime)
    lent.acquire(API, {}, b"")
    runtime.broken = True
    runtime.let.set()
    with ThreadPoolExecutor() as pool:
        process, how = later(pool, lent).result(60)
    assert (process.in_use, how) == (True, "reused")


def test_one_that_has_died_starts_again_while_others_answer(runtime: Runtime) -> None:
    # Given one process at work, and one that was killed when it was idle
    lent = Processes(runtime)
    first, _ = lent.acquire(API, {}, b"")
    runtime.let.set()
    with ThreadPoolExecutor() as pool:
        second, _ = later(pool, lent).result(60)
        lent.release(second)
        second._start_time, second._proc = 1.0, SimpleNamespace(poll=lambda: -9)
        runtime.asked.acquire()
        runtime.let.clear()
        # When a request comes, then the dead one is started and the request does not start it
        waiting = later(pool, lent)
        runtime.asked.acquire()
        assert not waiting.done()
        # And the first that is free takes the request
        lent.release(first)
        assert waiting.result(60) == (first, "reused")
        runtime.let.set()
    assert len(runtime._workers[f"{API}:$LATEST"]) == 2


def test_functions_that_nobody_waits_for_are_left_to_ministack(runtime: Runtime) -> None:
    assert Processes(runtime).acquire("fornix-ingest", {}, b"")[1] == "ministack's own"


@pytest.mark.parametrize(
    ("name", "nice"), [("fornix-analysis", processes.NICE), (API, 0), ("fornix-ingest", 0)]
)
def test_a_build_of_pages_leaves_the_processor_to_those_who_wait(name: str, nice: int) -> None:
    # Given the cloud's processes, when one of a function starts
    runtime = Runtime()
    Processes(runtime)
    process = runtime.Worker(name)
    process._spawn()
    # Then it has the priority of its function, beside that of the cloud
    try:
        given = os.getpriority(os.PRIO_PROCESS, process._proc.pid)
        assert given == min(19, os.getpriority(os.PRIO_PROCESS, 0) + nice)
    finally:
        process._proc.communicate()


def test_an_idle_process_that_has_grown_ends_unless_people_wait_for_it(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given processes of functions that have been idle for long, but one, and their memory in MB
    def process(name: str, megabytes: float, **state: Any) -> Any:
        given = {"in_use": False, "last_used": 0.0, **state}
        return SimpleNamespace(func_name=name, megabytes=megabytes, **given)

    monkeypatch.setattr(processes, "memory", lambda each: each.megabytes)
    grown, small = process("fornix-journal", 500), process("fornix-ingest", 50)
    at_work = process("fornix-analysis", 500, in_use=True)
    just_used = process("fornix-notices", 500, last_used=time.time())
    waited_for = process(API, 500)
    every = [grown, small, at_work, just_used, waited_for]
    runtime._workers = {each.func_name: [each] for each in every}
    # When idle ones are looked for, then the one that has grown ends, beside ministack's own
    assert Processes(runtime).reap() == 2
    assert runtime.killed == [grown]
    assert runtime._workers[grown.func_name] == []


def test_the_memory_of_a_process_is_that_of_the_system() -> None:
    assert 5 < processes.memory(SimpleNamespace(_proc=SimpleNamespace(pid=os.getpid()))) < 5000
    assert processes.memory(SimpleNamespace(_proc=None)) == 0
