"""Times from the last byte to the claimed task, and to the page: whole system, idle worker.

The benchmark starts the system of ``fornix up`` in a temporary folder and a ``fornix worker``. It
sends simulated behaviour sessions, each after the page of the one before has appeared::

    python benchmarks/arrival.py [--sessions 10] [--trials 300]

The start is the client's report that all bytes are there. The time of the claim comes from the
table's audit trail; the page is requested every 50 ms.
"""

from __future__ import annotations

import argparse
import datetime as dt
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

LAB, SUBJECT = "fimbrialab", "SYN_900"


class TimedClient:
    """A client that records the time of its report that all bytes are there."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.last_byte = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def post(self, path: str, body: Any = None) -> Any:
        """Send, and record the time of an upload's completion."""
        if path.startswith("/uploads/") and path.endswith("/complete"):
            self.last_byte = time.time()
        return self.client.post(path, body)


def wait_for(what: Any, seconds: float = 300) -> float:
    """Wait until a condition is true; return that time."""
    end = time.time() + seconds
    while time.time() < end:
        if what():
            return time.time()
        time.sleep(0.05)
    raise TimeoutError("it did not come")


def send(cloud: Any, admin: Any, folder: Path, day: dt.date, trials: int) -> tuple[float, float]:
    """Upload one session; return the seconds to its first claim and to its page."""
    from lab.client import Client, RecordMissing, RequestRefused, Settings
    from lab.simulate.session import simulate_session
    from lab.transfer import Transfer
    from shared.results import addresses

    simulate_session(folder, seed=1, subject=SUBJECT, date=day, n_trials=trials)
    session = folder / SUBJECT / day.isoformat() / "001"
    paths = [p.relative_to(session).as_posix() for p in session.rglob("*") if p.is_file()]
    rig = cloud.credentials[f"{LAB}_rig"]
    client = TimedClient(
        Client(Settings(cloud.api_url, user=rig["username"], password=rig["password"]))
    )
    identity = {"lab": LAB, "subject": SUBJECT, "date": day.isoformat(), "number": 1}
    answer = Transfer(client, session).upload(identity, paths).answer
    eid = str(answer["session"])

    def page_is_there() -> bool:
        try:
            shown = admin.get(f"/lab-pages/{LAB}/{addresses.session_data(eid)}")
        except (RecordMissing, RequestRefused):
            return False
        # A page is there from the registration on; this one has what the tasks made.
        return bool(shown.get("trials"))

    page = wait_for(page_is_there)
    claims = []
    for task in admin.get("/tasks", session=eid, limit=50)["results"]:
        for entry in admin.get("/audit", kind="task", key=task["id"])["results"]:
            if (entry.get("after") or {}).get("status") == "Started":
                claims.append(dt.datetime.fromisoformat(entry["at"]).timestamp())
    return min(claims) - client.last_byte, page - client.last_byte


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--trials", type=int, default=300)
    chosen = parser.parse_args()
    from lab.client import Client, Settings
    from tests.system import Cloud

    with tempfile.TemporaryDirectory() as place:
        cloud = Cloud(Path(place) / "state")
        cloud.start()
        who = cloud.credentials["admin"]
        admin = Client(Settings(cloud.api_url, user=who["username"], password=who["password"]))
        admin.post("/subjects", {"nickname": SUBJECT, "lab": LAB})
        (Path(place) / "work").mkdir()
        fornix = Path(sys.executable).with_name("fornix")
        worker = subprocess.Popen(
            [fornix, "worker", "--folder", Path(place) / "work"],
            env=cloud.user_env(f"{LAB}_worker"),
            stderr=subprocess.DEVNULL,
        )
        try:
            first = dt.date(2026, 1, 5)
            times = []
            for n in range(chosen.sessions + 1):
                claim, page = send(
                    cloud, admin, Path(place) / "rig", first + dt.timedelta(n), chosen.trials
                )
                note = " (the first, which starts functions: not counted)" if not n else ""
                print(f"claimed after {claim:.2f} s, page after {page:.1f} s{note}", flush=True)
                times.append((claim, page))
        finally:
            worker.terminate()
            worker.wait(60)
            cloud.stop()
    claims, pages = zip(*times[1:], strict=True)
    print(
        f"{len(claims)} sessions: last byte → claimed, median {statistics.median(claims):.2f} s "
        f"(longest {max(claims):.2f}); → page, median {statistics.median(pages):.1f} s "
        f"(longest {max(pages):.1f})"
    )


if __name__ == "__main__":
    main()
