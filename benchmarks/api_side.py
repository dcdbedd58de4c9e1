"""One measured system: starts a checkout's cloud, fills it, and sends requests on command.

``benchmarks/api.py`` runs it once for each checkout, with that checkout's Python. It reads a JSON
object per line, ``{"name": request, "turn": number}``, and answers with the cost of that request:
in the function called in this process, and over HTTP on a new connection, as the ONE client does.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

HERE = sys.path.pop(0)
CHECKOUT = Path(sys.argv[1]).resolve()
sys.path.insert(0, str(CHECKOUT))
sys.path.append(HERE)

from world import DATASETS, LABS, LOG, World  # noqa: E402

Ask = tuple[str, str, Any, int]
"""Method, path with query, body, and the status of the answer."""

HTTP_TURNS = 500
"""Added to a turn over HTTP, so that both ways write different records."""

SETTLED_SECONDS = 6
"""Seconds after which new records are no longer read again with each request."""


IMPORT_ROWS, IMPORT_TRIES, SENDERS = 150, 5, 3
"""Rows of one import (five sessions' datasets), tries of one that timed out, and how many of a
kind are sent at once."""


class UnexpectedStatus(RuntimeError):
    """An answer has another status than the one expected."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def requests_of(world: World, account: dict[str, str]) -> dict[str, Callable[[int], Ask]]:
    """Return the requests by name; each differs from turn to turn."""

    def get(path: str, **query: str) -> Ask:
        return "GET", path + ("?" + urlencode(query) if query else ""), None, 200

    def session(turn: int) -> str:
        return world.sessions[(7 * turn) % len(world.sessions)]

    def subject(turn: int) -> str:
        return world.subjects[(3 * turn) % len(world.subjects)]

    def registered(turn: int, count: int) -> Ask:
        names = [f"alf/run{turn}_{count}_{k}/spikes.times.npy" for k in range(count)]
        body = {
            "created_by": "admin",
            "path": f"{subject(turn)}/2025-01-{1 + turn % 28:02d}/{2 + turn // 28:03d}",
            "filenames": names,
            "hashes": ["0" * 32] * count,
            "filesizes": [10] * count,
            "name": f"{LABS[world.subjects.index(subject(turn)) % len(LABS)]}_server",
        }
        return "POST", "/register-file", body, 201

    def created(turn: int) -> Ask:
        day = f"2025-01-{1 + turn % 28:02d}T10:00:00"
        body = {"subject": subject(turn), "start_time": day, "number": 2 + turn // 28}
        return "POST", "/sessions", {**body, "users": ["admin"]}, 201

    waiting = f"session__lab__name__in,['{LABS[0]}']"
    types = "trials.table,spikes.times"
    return {
        "sessions by subject": lambda i: get("/sessions", subject=subject(i)),
        "sessions of a month by dataset types": lambda i: get(
            "/sessions", date_range=world.dates_of(i), dataset_types=types
        ),
        "sessions by dataset name": lambda i: get(
            "/sessions", datasets="spikes.times.npy", lab=LABS[i % len(LABS)]
        ),
        f"session detail ({DATASETS} datasets)": lambda i: get(f"/sessions/{session(i)}"),
        "datasets of a session": lambda i: get("/datasets", session=session(i)),
        "250 datasets": lambda i: get("/datasets", limit="250", offset=str(250 * i)),
        "insertions of a lab": lambda i: get("/insertions", lab=LABS[i % len(LABS)]),
        "subjects (100)": lambda i: get("/subjects"),
        "one subject": lambda i: get(f"/subjects/{subject(i)}"),
        "weights of a subject": lambda i: get("/weighings", nickname=subject(i)),
        "water of a subject": lambda i: get(
            f"/water-requirement/{subject(i)}", start_date="2023-04-01", end_date="2023-05-01"
        ),
        f"waiting tasks ({world.tasks})": lambda i: get(
            "/tasks", status="Waiting", django=waiting
        ),
        "schema": lambda i: get("/api/schema"),
        "login": lambda i: ("POST", "/auth-token", account, 200),
        "create session": created,
        "change a session's json": lambda i: (
            *("PATCH", f"/sessions/{session(i)}", {"json": {"turn": i}}, 200),
        ),
        "register 1 file": lambda i: registered(i, 1),
        "register 10 files": lambda i: registered(i, 10),
    }


YOUNG = ("sessions by subject", "datasets of a session", "subjects (100)")
"""Requests that are measured also when all their records are new."""


class Side:
    """A running system, measured in two ways.

    Parameters
    ----------
    folder : Path
        Its state folder.
    n_sessions : int
        Number of sessions to create.
    """

    def __init__(self, folder: Path, n_sessions: int) -> None:
        from tests.system import Cloud

        self.world = World(n_sessions)
        self.cloud = Cloud(folder)
        self.cloud.start()
        account = self.cloud.credentials["admin"]
        self.requests = requests_of(self.world, account)
        self.headers = {"Content-Type": "application/json"}
        token = self.over_http("POST", "/auth-token", account, 200)["token"]
        self.headers["Authorization"] = f"Token {token}"

    def fill(self) -> None:
        """Import the world."""
        by_resource: dict[str, list[dict[str, Any]]] = {}
        for resource, row in self.world.rows():
            by_resource.setdefault(resource, []).append(row)
        with ThreadPoolExecutor(SENDERS) as senders:
            for resource, rows in by_resource.items():
                starts = range(0, len(rows), IMPORT_ROWS)
                parts = [rows[start : start + IMPORT_ROWS] for start in starts]
                list(senders.map(partial(self._bring, resource), parts))
            list(senders.map(self._task, range(self.world.tasks)))

    def _task(self, turn: int) -> None:
        first_lab = self.world.sessions[:: len(LABS)]
        session = first_lab[turn % len(first_lab)]
        body = {"session": session, "name": f"t{turn}", "executable": "task.trials"}
        self.over_http("POST", "/tasks", {**body, "status": "Waiting", "log": LOG}, 201)

    def _bring(self, resource: str, rows: list[dict[str, Any]]) -> None:
        """Import rows; repeat a request that timed out on a busy machine."""
        for left in reversed(range(IMPORT_TRIES)):
            try:
                body = {"resource": resource, "rows": rows}
                answer = self.over_http("POST", "/import", body, 200)
            except UnexpectedStatus as error:
                if error.status not in (429, 502, 503, 504) or not left:
                    raise
            else:
                if answer["refused"]:
                    raise RuntimeError(f"{resource}: {answer['refused'][:2]}")
                return

    def settle(self) -> None:
        """Trigger the snapshot, and wait until the new records are old."""
        self.cloud.invoke("analysis", {"kind": "snapshot"})
        time.sleep(SETTLED_SECONDS)

    def over_http(self, method: str, path: str, body: Any, expected: int) -> Any:
        """Return an answer over a new connection."""
        address = urlsplit(self.cloud.api_url)
        line = http.client.HTTPConnection(str(address.hostname), address.port, timeout=300)
        content = json.dumps(body) if body is not None else None
        line.request(method, address.path + path, content, self.headers)
        answer = line.getresponse()
        read = answer.read()
        line.close()
        return checked(method, path, answer.status, expected, read)

    def open_function(self) -> None:
        """Load the function in this process, on the same table."""
        from tests.api import gateway

        environment = self.cloud.system.environment()
        database = self.cloud.system.home.ports.dynamodb
        os.environ |= environment | {"AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{database}"}
        from functions.api.app import app

        self._call = lambda method, path, raw: gateway.call(app, method, path, self.headers, raw)

    def in_process(self, method: str, path: str, body: Any, expected: int) -> Any:
        """Return an answer of the function in this process."""
        raw = json.dumps(body).encode() if body is not None else b""
        status, _, read = self._call(method, path, raw)
        return checked(method, path, status, expected, read)

    def measure(self, name: str, turn: int) -> dict[str, float]:
        """Return the cost of a request."""
        from shared.records.meter import metered

        request = self.requests[name]
        with metered() as cost:
            wall, cpu = time.perf_counter(), time.process_time()
            self.in_process(*request(turn))
            cpu = time.process_time() - cpu
            wall = time.perf_counter() - wall
        begin = time.perf_counter()
        self.over_http(*request(turn + HTTP_TURNS))
        over_http = time.perf_counter() - begin
        reads = ("GetItem", "Query", "BatchGetItem", "Scan", "TransactGetItems")
        read = sum(units for name, units in cost.by_operation.items() if name in reads)
        return {
            "function_ms": 1000 * wall,
            "cpu_ms": 1000 * cpu,
            "http_ms": 1000 * over_http,
            "requests": cost.requests,
            "read_units": read,
            "write_units": cost.units - read,
        }


def checked(method: str, path: str, status: int, expected: int, read: bytes) -> Any:
    """Return an answer's JSON; raise if its status is unexpected."""
    if status != expected:
        raise UnexpectedStatus(status, f"{method} {path}: {status} {read[:300]!r}")
    return json.loads(read)


def main() -> None:
    """Start, fill, and answer commands until the input ends."""
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # the system's output goes to stderr
    with tempfile.TemporaryDirectory() as folder:
        side = Side(Path(folder), int(sys.argv[2]))
        try:
            begin = time.perf_counter()
            side.fill()
            filled = time.perf_counter() - begin
            side.open_function()
            names = {"requests": list(side.requests), "young": list(YOUNG), "fill_s": filled}
            lines.write(json.dumps(names) + "\n")
            for line in sys.stdin:
                command = json.loads(line)
                if command["name"] == "settle":
                    side.settle()
                    lines.write("{}\n")
                else:
                    lines.write(json.dumps(side.measure(command["name"], command["turn"])) + "\n")
        finally:
            side.cloud.stop()


if __name__ == "__main__":
    main()
