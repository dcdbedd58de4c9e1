"""Processes that tests start: servers and commands."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def free_port() -> int:
    """Return a loopback port that nothing listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextmanager
def serving(
    command: Sequence[str | Path],
    port: int,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[str]:
    """Run a server while the block runs; yield its address once it listens."""
    server = subprocess.Popen(
        command,
        env=os.environ | dict(env or {}),
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: server.poll() is not None or listens(port), 60, every=0.02)
        assert server.poll() is None, f"{command[0]} ended with code {server.returncode}"
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(20)


@contextmanager
def answering(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Answer requests on loopback by a handler while the block runs; yield the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def status(method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None) -> int:
    """Return the status of a plain HTTP request."""
    request = urllib.request.Request(url, data=body or None, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def listens(port: int) -> bool:
    """Tell whether something listens on a loopback port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def runs(pid: int) -> bool:
    """Tell whether a process runs, and is not only waited for (Linux)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def until(true: Callable[[], Any], seconds: float = 120, every: float = 0.1) -> Any:
    """Return the first true answer; fail when there is none for so long."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(every)
    return found


def ended(out: str) -> list[dict[str, Any]]:
    """Return what became of each session, of the events that an upload with --json tells."""
    events = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return [event for event in events if event["event"] == "ended"]


def run(process: subprocess.Popen[str], code: int = 0) -> str:
    """Wait for a command; return what it printed, if it ended with this exit code."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, (out, err)
    return out
