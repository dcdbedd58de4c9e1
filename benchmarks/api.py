"""What requests to the API cost: wall and CPU milliseconds, requests to the table, capacity units.

Requests go in process through the Lambda entry point, to an embedded DynamoDB that holds 2,000
sessions of 30 datasets. Beside each median stands what a PostgreSQL-backed Alyx 3.6.1 takes for
the same request on the same two cores::

    python benchmarks/api.py [--sessions 2000] [--repeats 15] [--json FILE] [--beside CHECKOUT]

With ``--beside`` another checkout, which has its own ``.venv``, the import of the function is
timed in both in turn, compiled and not (as on Lambda, whose disk keeps nothing).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
LABS = ("fimbrialab", "septumlab")
ALYX_MS = {
    "sessions by subject": 35,
    "sessions by dates and dataset types": 108,
    "session detail (30 datasets)": 196,
    "datasets of a session": 93,
    "create session": 55,
    "register 1 file": 156,
    "register 10 files": 1321,
    "subjects (100)": 1663,
    "waiting tasks": 688,
    "schema": 406,
    "login": 328,
}
TARGET_MS = dict.fromkeys(list(ALYX_MS)[:4], 20) | {
    "register 10 files": 60,
    "subjects (100)": 20,
    "waiting tasks": 20,
}


@dataclass
class Cost:
    """Medians over the repeats of one request."""

    name: str
    wall_ms: float
    cpu_ms: float
    requests: float
    units: float


def start_database(stack: ExitStack) -> None:
    """Start an in-memory DynamoDB and create the table."""
    from tests.conftest import free_port

    port = free_port()
    binary = ROOT / "node_modules" / "@dynoxide" / "linux-x64" / "dynoxide"
    server = subprocess.Popen(
        [str(binary), "serve", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stack.callback(server.terminate)
    os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = f"http://127.0.0.1:{port}"
    time.sleep(0.5)
    from shared.records.table import TABLE_SCHEMA, connection, table_name

    client: Any = connection().client
    client.create_table(TableName=table_name(), BillingMode="PAY_PER_REQUEST", **TABLE_SCHEMA)


def fill(n_sessions: int) -> list[str]:
    """Write the records by batches, as an import would; return the sessions' ids."""
    from shared.records import documents, reference
    from shared.records.items import Dataset, Document, Pointer, Session
    from shared.records.table import Record
    from shared.sessions import store as sessions
    from shared.work import write

    def document(kind: str, key: str, body: dict[str, Any]) -> Document:
        body = {"id": key, **body}
        return Document(pk=f"DOC#{kind}#{key}", sk="A", what=kind, id=key, body=body, version=1)

    draw = random.Random(1)
    ids = []
    with Record.batch_write() as batch:
        for kind, key, body in reference.rows():
            batch.save(document(kind, key, body))
        for lab in LABS:
            body = {"name": lab, "timezone": "Europe/Lisbon", "repositories": ["fornix"]}
            batch.save(document("lab", lab, body))
        user = {"username": "admin", "role": "administrator", "lab": [], "is_active": True}
        batch.save(document("user", "admin", user))
        for i in range(100):
            body = {
                "nickname": f"S_{i:03d}",
                "lab": LABS[i % 2],
                "sex": "F",
                "birth_date": "2024-01-01",
                "projects": [],
                "responsible_user": "admin",
            }
            batch.save(document("subject", body["nickname"], body))
        for i in range(n_sessions):
            subject, day = f"S_{i % 100:03d}", 1 + i // 100
            eid = str(uuid.UUID(int=draw.getrandbits(128), version=4))
            ids.append(eid)
            date = f"2024-{1 + day // 28:02d}-{1 + day % 28:02d}"
            item = Session(
                pk=f"SES#{eid}",
                sk="A",
                id=eid,
                subject=subject,
                lab=LABS[i % 2],
                date=date,
                number=1,
                start_time=f"{date}T10:00:00+00:00",
                users=["admin"],
                projects=["demo"] if i % 3 else [],
                task_protocol="_iblrig_tasks_trainingChoiceWorld6.4.2",
                n_trials=600,
                n_correct_trials=400,
            )
            sessions._index(item)
            batch.save(item)
            batch.save(Pointer(pk=f"UNIQ#{subject}#{date}#1", sk="A", to=eid))
            batch.save(Pointer(pk=f"EID#{eid.replace('-', '')[:12]}", sk="A", to=eid))
            for j in range(30):
                kind = "spikes.times" if j == 0 and i % 2 else "trials.table"
                batch.save(
                    Dataset.of(
                        eid,
                        f"alf/probe0{j % 2}/object{j:02d}.times.npy",
                        dataset_type=kind,
                        data_format="npy",
                        file_size=1000 + j,
                        hash=f"{j:032x}",
                        created_by="admin",
                    )
                )
    for eid in ids[:230]:
        write.create(eid, LABS[0], None, {"name": "task.trials", "executable": "task.trials"})
    documents.create("project", "demo", {"name": "demo"}, who="admin")
    return ids


def measure(name: str, call: Callable[[int], Any], repeats: int) -> Cost:
    """Return the medians of a request."""
    from shared.records.meter import metered

    call(-1)
    walls, cpus, requests, units = [], [], [], []
    for i in range(repeats):
        with metered() as cost:
            wall, cpu = time.perf_counter(), time.process_time()
            call(i)
            walls.append(1000 * (time.perf_counter() - wall))
            cpus.append(1000 * (time.process_time() - cpu))
        requests.append(cost.requests)
        units.append(cost.units)
    middle = statistics.median
    return Cost(name, middle(walls), middle(cpus), middle(requests), middle(units))


def run(n_sessions: int, repeats: int) -> list[Cost]:
    """Measure all the requests."""
    os.environ.setdefault("AWS_ACCESS_KEY_ID", "test")
    os.environ.setdefault("AWS_SECRET_ACCESS_KEY", "test")
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    os.environ["FORNIX_API_URL"] = "http://fornix.test"
    os.environ.pop("FORNIX_DATA_BUCKET", None)
    os.environ.pop("FORNIX_DISPATCH_QUEUE_URL", None)
    with ExitStack() as stack:
        start_database(stack)
        ids = fill(n_sessions)
        time.sleep(6)  # what was just written would be read again with each request
        from functions.api.app import app
        from functions.api.auth import passwords, tokens
        from tests.api import gateway

        passwords.set_password("admin", "correct horse")
        token = tokens.issue("admin")
        headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}

        def call(method: str, path: str, body: Any = None, expect: int = 200) -> Any:
            raw = json.dumps(body).encode() if body is not None else b""
            status, _, content = gateway.call(app, method, path, headers, raw)
            if status != expect:
                raise RuntimeError(f"{method} {path}: {status} {content[:300]!r}")
            return json.loads(content)

        def register(i: int, n: int) -> None:
            names = [f"alf/run{i}_{n}_{k}/spikes.times.npy" for k in range(n)]
            body = {
                "created_by": "admin",
                "path": f"S_{(i + 1) % 100:03d}/2024-01-02/001",
                "filenames": names,
                "hashes": ["0" * 32] * n,
                "filesizes": [10] * n,
                "name": "fornix",
                "check_protected": True,
            }
            call("POST", "/register-file", body, 201)

        def eid(i: int) -> str:
            return ids[i % len(ids)]

        dates = "date_range=2024-01-03,2024-01-20"
        login = {"username": "admin", "password": "correct horse"}
        requests: dict[str, Callable[[int], Any]] = {
            "sessions by subject": lambda i: call("GET", f"/sessions?subject=S_{i + 1:03d}"),
            "sessions by dates and dataset types": lambda i: call(
                "GET", f"/sessions?{dates}&dataset_types=spikes.times,trials.table"
            ),
            "session detail (30 datasets)": lambda i: call("GET", f"/sessions/{eid(i + 500)}"),
            "datasets of a session": lambda i: call("GET", f"/datasets?session={eid(i + 700)}"),
            "create session": lambda i: call(
                "POST",
                "/sessions",
                {"subject": f"S_{i + 1:03d}", "start_time": "2025-01-01T10:00:00", "number": 1},
                201,
            ),
            "register 1 file": lambda i: register(i, 1),
            "register 10 files": lambda i: register(i, 10),
            "subjects (100)": lambda i: call("GET", "/subjects"),
            "waiting tasks": lambda i: call(
                "GET", f"/tasks?status=Waiting&django=session__lab__name__in,{LABS[0]}"
            ),
            "schema": lambda i: call("GET", "/api/schema"),
            "login": lambda i: call("POST", "/auth-token", login),
        }
        return [measure(name, request, repeats) for name, request in requests.items()]


def cold_import(checkout: Path, *, compiled: bool) -> float:
    """Return the CPU milliseconds that importing the API takes in a new process."""
    code = (
        "import time; start = time.process_time(); import functions.api.app; "
        "print(1000 * (time.process_time() - start))"
    )
    environment = {"PATH": os.environ["PATH"]}
    if not compiled:
        environment |= {"PYTHONPYCACHEPREFIX": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    python = checkout / ".venv" / "bin" / "python"
    done = subprocess.run(
        [python, "-c", code], cwd=checkout, env=environment, capture_output=True, check=True
    )
    return float(done.stdout)


def compare_imports(other: Path, repeats: int = 9) -> None:
    """Print how long the import takes beside another checkout's, in turn."""
    for compiled in (True, False):
        cold_import(ROOT, compiled=compiled)
        cold_import(other, compiled=compiled)
        pairs = [
            (cold_import(ROOT, compiled=compiled), cold_import(other, compiled=compiled))
            for _ in range(repeats)
        ]
        here, there = (statistics.median(times) for times in zip(*pairs, strict=True))
        what = "compiled" if compiled else "from source"
        print(f"import, {what}: {here:.0f} ms, there {there:.0f} ms, ratio {here / there:.2f}")


def main() -> None:
    """Run and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--beside", type=Path)
    options = parser.parse_args()
    if options.beside:
        compare_imports(options.beside.resolve())
    rows = run(options.sessions, options.repeats)
    print(
        f"{'request':38}{'wall ms':>9}{'CPU ms':>8}{'requests':>9}{'units':>7}{'Alyx':>7}{'x':>6}"
    )
    for row in rows:
        peer = ALYX_MS[row.name]
        mark = "" if row.wall_ms <= TARGET_MS.get(row.name, 1e9) else "  above target"
        print(
            f"{row.name:38}{row.wall_ms:9.1f}{row.cpu_ms:8.1f}{row.requests:9.0f}"
            f"{row.units:7.1f}{peer:7}{peer / row.wall_ms:6.0f}{mark}"
        )
    if options.json:
        options.json.write_text(json.dumps([vars(row) for row in rows], indent=1))


if __name__ == "__main__":
    main()
