"""Load of many parallel clients on one computer: throughput, longest wait, errors, memory.

The benchmark starts the system of ``fornix up`` in a temporary folder and requests lists by HTTP::

    python benchmarks/load.py [--requests 200] [--json FILE]

Memory is the sum of the private memory of the system's processes and of their shares of common
memory (PSS, ``/proc/PID/smaps_rollup``).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
CLIENTS = (1, 4, 16, 64)
PATHS = ("/sessions?limit=50", "/subjects?limit=50", "/labs", "/dataset-types?limit=50")


def children(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    pids = [pid]
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in thread.read_text().split():
            pids += children(int(child))
    return pids


def megabytes() -> float:
    """Return the memory of this process's children."""
    total = 0
    for pid in children(os.getpid())[1:]:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def burst(url: str, headers: dict[str, str], clients: int, requests: int) -> dict[str, Any]:
    """Send requests by several clients that start at once."""
    import requests as http

    gate = threading.Barrier(clients)
    per_client = max(1, requests // clients)

    def client(place: int) -> list[tuple[int, float]]:
        session = http.Session()
        session.headers.update(headers)
        gate.wait()
        seen = []
        for i in range(per_client):
            start = time.perf_counter()
            answer = session.get(url + PATHS[(place + i) % len(PATHS)], timeout=120)
            seen.append((answer.status_code, time.perf_counter() - start))
        return seen

    begin = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        seen = [sample for many in pool.map(client, range(clients)) for sample in many]
    taken = time.perf_counter() - begin
    waits = [wait for _, wait in seen]
    return {
        "clients": clients,
        "requests": len(seen),
        "per second": round(len(seen) / taken, 1),
        "median ms": round(1000 * statistics.median(waits)),
        "longest ms": round(1000 * max(waits)),
        "not 200": sum(status != 200 for status, _ in seen),
        "memory MB": round(megabytes()),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    from tests.system import Cloud

    with tempfile.TemporaryDirectory() as folder:
        cloud = Cloud(Path(folder))
        begin = time.perf_counter()
        cloud.start()
        started = {
            "ready s": round(time.perf_counter() - begin, 1),
            "memory MB": round(megabytes()),
        }
        print("started", started)
        try:
            import requests as http

            account = cloud.credentials["fimbrialab_member"]
            token = http.post(f"{cloud.api_url}/auth-token", json=account, timeout=60).json()
            headers = {"Authorization": f"Token {token['token']}"}
            rows = []
            for clients in CLIENTS:
                for warmth in ("at first", "warm"):
                    result = {"when": warmth} | burst(
                        cloud.api_url, headers, clients, chosen.requests
                    )
                    rows.append(result)
                    print(result)
        finally:
            cloud.stop()
    if chosen.json:
        chosen.json.write_text(json.dumps({"started": started, "bursts": rows}, indent=1))


if __name__ == "__main__":
    main()
