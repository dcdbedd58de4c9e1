"""Functions of the embedded cloud answer, print, fail, end and overrun their time."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from infra.local import invocations

FUNCTION = """
import json, os, signal, sys
for line in sys.stdin:
    event = json.loads(line)["event"]
    what = event["do"]
    if what == "die":
        os._exit(1)
    if what == "hang":
        sys.stdin.read()
    if what == "stop reading":
        print(json.dumps({"status": "ok", "result": None}), flush=True)
        signal.pause()
    if what == "print":
        print("{a library prints", event["times"] * "\\n{}\\n")
    if what == "fail":
        print(json.dumps({"status": "error", "error": "no", "trace": "where"}))
    else:
        print(json.dumps({"status": "ok", "result": event["give"]}))
    sys.stdout.flush()
"""


class Worker:
    """As ministack's process of a function."""

    def __init__(self, seconds: float = 60) -> None:
        self.config = {"Timeout": seconds, "FunctionArn": "arn"}
        self._lock = threading.Lock()
        self._proc: Any = None
        self._cold = True
        self.started = 0

    def _spawn(self) -> None:
        self.started += 1
        self._proc = subprocess.Popen(
            [sys.executable, "-c", FUNCTION], stdin=-1, stdout=-1, text=True, bufsize=1
        )

    def _drain_stderr_bounded(self) -> str:
        return "log"


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    if worker._proc is not None:
        worker._proc.kill()
        worker._proc.communicate()


def ask(worker: Worker, do: str, give: Any = None, **more: Any) -> dict[str, Any]:
    return invocations.invoke(worker, {"do": do, "give": give, **more}, "request")


@pytest.mark.parametrize(
    "given", [None, {"body": "ä\n\u2028{}", "n": [1, 2.5]}, "x" * 3_000_000, float("inf")]
)
def test_an_answer_comes_whole_and_the_process_stays(worker: Worker, given: Any) -> None:
    for _ in range(2):
        answer = ask(worker, "give", given)
        assert (answer["status"], answer["result"], answer["log"]) == ("ok", given, "log")
    assert worker.started == 1


def test_what_a_library_prints_is_no_answer(worker: Worker) -> None:
    assert ask(worker, "print", 1, times=20)["result"] == 1
    # The answers after it are not mixed up
    assert ask(worker, "give", 2)["result"] == 2


def test_endless_other_lines_are_a_failure(worker: Worker) -> None:
    failed = ask(worker, "print", 1, times=300)
    assert failed["status"] == "error"
    assert failed["error"] == f"No answer of the process within {invocations.OTHER_LINES} lines"


@pytest.mark.parametrize(("do", "reason"), [("fail", "no"), ("die", "Worker process died")])
def test_after_a_failure_another_process_starts(worker: Worker, do: str, reason: str) -> None:
    failed = ask(worker, do)
    assert (failed["status"], failed["error"]) == ("error", reason)
    assert ask(worker, "give", 3)["result"] == 3
    assert worker.started == 2


def test_a_function_that_overruns_its_time_is_ended() -> None:
    worker = Worker(seconds=0.05)
    worker._spawn()
    process = worker._proc
    answer = ask(worker, "hang")
    assert answer["error"] == "Task timed out after 0.05 seconds"
    assert process.poll() is not None


def test_a_function_that_no_longer_reads_is_ended_after_its_time() -> None:
    # Given a process that answers, and then reads no more
    worker = Worker(seconds=60)
    assert ask(worker, "stop reading")["status"] == "ok"
    process = worker._proc
    # When more is sent than its pipe takes, then the request ends with the function's time
    worker.config["Timeout"] = 0.05
    answer = ask(worker, "give", "x" * 3_000_000)
    assert answer["error"] == "Task timed out after 0.05 seconds"
    assert process.poll() is not None


def test_an_invocation_has_the_context_of_its_request() -> None:
    from contextvars import ContextVar

    account: ContextVar[str] = ContextVar("account", default="none")

    async def request() -> tuple[str, bool]:
        account.set("lab")
        name = await invocations.in_thread(
            lambda: (account.get(), threading.current_thread() is threading.main_thread()),
            thread_name="ignored",
        )
        return name

    assert asyncio.run(request()) == ("lab", False)


def test_an_invocation_goes_on_when_its_client_has_hung_up() -> None:
    let, ended = threading.Event(), threading.Event()

    def function() -> None:
        let.wait()
        ended.set()

    async def request() -> None:
        waiting = asyncio.ensure_future(invocations.in_thread(function))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        let.set()

    asyncio.run(request())
    ended.wait()


def test_a_process_that_is_gone_is_an_error() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "wb") as stdin:
        gone = SimpleNamespace(stdin=stdin, stdout=None)
        assert invocations._exchanged(gone, {}, 1)["status"] == "error"
