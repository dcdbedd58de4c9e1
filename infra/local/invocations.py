"""Invocations of functions in the embedded cloud, without a thread for each step.

ministack starts two threads for an invocation through the API Gateway: one that waits, and one
that reads the process's answer, so that the first can stop it after the function's time. Here a
few threads stay, and each reads with its time as the limit.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import json
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

OTHER_LINES = 200
"""Lines of a process that are no answer, such as what a library prints, before it has failed."""

STOP_SECONDS = 2
"""How long a process that has failed may take to end."""

PART = 1 << 20
"""Bytes read or written at once."""

AT_ONCE = 64
"""Concurrent invocations through the API Gateway; the API's own queue lets fewer through
(`infra.local.front.AT_ONCE`), and its function never calls itself."""

_threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="invocation")


async def in_thread(function: Callable[..., Any], *arguments: Any, thread_name: str = "") -> Any:
    """Run an invocation in a thread that stays; replaces ministack's ``run_reentrant``.

    The invocation goes on when its client has hung up, as on AWS.
    """
    del thread_name
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    return await asyncio.shield(
        loop.run_in_executor(_threads, lambda: context.run(function, *arguments))
    )


def invoke(
    process: Any,
    event: Any,
    request_id: str,
    *,
    trace_id: str | None = None,
    depth: Any = None,
    durable: dict[str, Any] | None = None,
    invoked_function_arn: str | None = None,
) -> dict[str, Any]:
    """Run one invocation on a process; replaces ministack's ``Worker.invoke``.

    Parameters
    ----------
    process
        ministack's ``Worker``.
    event
        The function's event: any JSON.
    request_id, trace_id, depth, durable, invoked_function_arn
        What the function's context tells of the invocation.

    Returns
    -------
    answer : dict
        ``status`` (``ok`` or ``error``), ``result`` or ``error`` with ``trace``, and ``log``.
    """
    with process._lock:
        cold = process._proc is None or process._proc.poll() is not None
        if cold:
            process._spawn()
            process._cold = False
        seconds = float(process.config.get("Timeout", 30))
        arn = invoked_function_arn or process.config.get("FunctionArn", "")
        context = {
            "request_id": request_id,
            "invoked_function_arn": arn,
            "timeout_ms": int(seconds * 1000),
            "trace_id": trace_id,
            "depth": depth,
            "durable": durable or {},
        }
        answer = _exchanged(process._proc, {"event": event, "ctx": context}, seconds)
        if answer["status"] == "error":
            _ended(process)
        log = process._drain_stderr_bounded()
        return {**answer, "cold_start": cold, "log": log}


def _exchanged(system: Any, message: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Write one message to a process and return its answer, or an error after `seconds`."""
    until = time.monotonic() + seconds
    try:
        _write(system.stdin.fileno(), json.dumps(message).encode() + b"\n", until)
        for place, line in enumerate(_lines(system.stdout.fileno(), until), 1):
            answer = _decoded(line)
            if answer is not None:
                return answer
            if place == OTHER_LINES:
                reason = f"No answer of the process within {OTHER_LINES} lines"
                return {"status": "error", "error": reason}
    except TimeoutError:
        return {"status": "error", "error": f"Task timed out after {seconds:.2f} seconds"}
    except (OSError, ValueError) as error:
        return {"status": "error", "error": str(error)}
    return {"status": "error", "error": "Worker process died"}


def _write(pipe: int, message: bytes, until: float) -> None:
    """Write all of a message to a pipe; TimeoutError at a monotonic time if nobody reads it."""
    os.set_blocking(pipe, False)
    writable = select.poll()
    writable.register(pipe, select.POLLOUT)
    left = memoryview(message)
    while left:
        if not writable.poll(max(0.0, 1000 * (until - time.monotonic()))):
            raise TimeoutError
        left = left[os.write(pipe, left[:PART]) :]


def _lines(pipe: int, until: float) -> Iterator[bytes]:
    """Yield the lines of a pipe until it ends; TimeoutError at a monotonic time."""
    readable = select.poll()
    readable.register(pipe, select.POLLIN)
    parts: list[bytes] = []
    while True:
        if not readable.poll(max(0.0, 1000 * (until - time.monotonic()))):
            raise TimeoutError
        part = os.read(pipe, PART)
        if not part:
            return
        *lines, rest = part.split(b"\n")
        for line in lines:
            yield b"".join([*parts, line])
            parts = []
        parts.append(rest)


def _decoded(line: bytes) -> dict[str, Any] | None:
    """Return an answer; none if the line is something that was printed."""
    if not line.lstrip().startswith(b"{"):
        return None
    try:
        answer = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        try:
            answer = json.loads(line)  # NaN, which JSON lacks and Python's writer writes
        except ValueError:
            return None
    known = isinstance(answer, dict) and answer.get("status") in ("ok", "error")
    return answer if known else None


def _ended(process: Any) -> None:
    """End a process after an error; the next invocation starts another."""
    system, process._proc = process._proc, None
    if system is None:
        return
    system.terminate()
    try:
        system.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        system.kill()
        system.wait()
    for pipe in (system.stdin, system.stdout):
        with contextlib.suppress(OSError):  # what it has not read is lost with it
            pipe.close()
