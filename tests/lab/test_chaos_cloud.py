"""Tasks under chaos on the whole system: its cloud is killed (`kill -9`) and comes back.

The cloud is the embedded one, with its own queues, functions and schedules; sessions come by
`fornix rig upload`, workers are programs that meet 503s, kills and a full disk. The test only
watches: what was lost with the cloud the system itself finds again.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from lab.client import Client, ClientError, Settings
from shared.model.messages import TaskWaits, encode
from tests.lab.test_chaos import DESCRIPTION, FORNIX, Workers, full_disk, pipeline  # noqa: F401
from tests.system import Cloud

pytestmark = [pytest.mark.integration, pytest.mark.proof]

LAB, SUBJECT, DATE = "fimbrialab", "CHAOS_001", "2024-07-01"
SETTINGS = "raw_behavior_data/_iblrig_taskSettings.raw.json"

WHOLE = int(os.environ.get("CHAOS_SESSIONS") or 200)
"""Sessions of the whole size (`make chaos SESSIONS=…`)."""

SWEEP_SECONDS = 15
"""Interval of the sweep, so that the test need not wait for its usual five minutes."""


class Quiet(ThreadingHTTPServer):
    """A server that says nothing of clients that were killed."""

    def handle_error(self, request, client_address):
        pass


class Front:
    """A server before the API that answers some requests 503."""

    def __init__(self, api, chance, seed):
        self.count, self._random = 0, random.Random(seed)
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def _pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if front._random.random() < chance:
                    front.count += 1
                    return self._answer(503, {"Retry-After": "1"}, b'{"detail": "try again"}')
                headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
                try:
                    got = requests.request(
                        self.command, api + self.path, data=body, headers=headers,
                        timeout=60, allow_redirects=False,
                    )  # fmt: skip
                except requests.RequestException:  # the cloud is down
                    return self._answer(503, {"Retry-After": "1"}, b'{"detail": "away"}')
                kept = {
                    k: v
                    for k, v in got.headers.items()
                    if k.lower() in ("content-type", "location")
                }
                return self._answer(got.status_code, kept, got.content)

            def _answer(self, status, headers, body):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class Lab:
    """What the workers are given: the way to the API through the front."""

    def __init__(self, cloud, url):
        self.cloud, self.url = cloud, url

    def environment(self, role):
        return self.cloud.user_env(f"{LAB}_{role}") | {"FORNIX_API_URL": self.url}


@pytest.fixture
def killable(pipeline, tmp_path, monkeypatch):  # noqa: F811
    """A system whose functions know the chaotic pipeline."""
    monkeypatch.setenv("PYTHONPATH", pipeline)
    cloud = Cloud(tmp_path / "fornix")
    cloud.start()
    yield cloud
    cloud.stop()


def record(folder, number):
    """Write sessions, every fourth with a fault of its own; return how many have one."""
    for n in range(1, number + 1):
        session = folder / LAB / "Subjects" / SUBJECT / DATE / f"{n:03d}"
        (session / "raw_behavior_data").mkdir(parents=True)
        own = '{"faulty": 1}' if n % 4 == 0 else "{}"
        (session / SETTINGS).write_text(own[:-1] + " " * n + own[-1:])
        text = DESCRIPTION + b"# " + str(n).encode() + b"\n"
        (session / "_ibl_experiment.description.yaml").write_bytes(text)
    return number // 4


def rows(client, path, **query):
    """Return all rows of a list."""
    found = []
    while True:
        page = client.get(path, limit=250, offset=len(found), **query)
        found += page["results"]
        if not page["next"]:
            return found


@pytest.mark.parametrize(
    ("number", "workers", "kills"),
    [
        pytest.param(8, 2, 2, marks=pytest.mark.timeout(900)),
        pytest.param(WHOLE, 4, 3 * WHOLE // 10, marks=pytest.mark.timeout(7200)),
    ],
    ids=["few", "whole"],
)
def test_a_killed_cloud_loses_no_task_and_does_none_twice(
    killable, pipeline, full_disk, tmp_path, number, workers, kills  # noqa: F811
):  # fmt: skip
    chance, pause = random.Random(number), threading.Event()
    mounted, free_disk = full_disk
    # Given sessions of five tasks each, sent by a rig
    faulty = record(tmp_path / "rig", number)
    rig = killable.user_env(f"{LAB}_member") | {"FORNIX_RIG_STATE": str(tmp_path / "rig.sqlite")}
    command = [FORNIX, "rig", "upload", tmp_path / "rig", "--create-subject"]
    sent = subprocess.run(command, env=rig, capture_output=True, text=True, check=False)
    assert sent.returncode == 0, sent.stdout[-3000:] + sent.stderr[-3000:]
    client = Client(Settings(killable.api_url, rig["FORNIX_USER"], rig["FORNIX_PASSWORD"]))
    began = time.monotonic()
    # When workers run their tasks, and everything goes wrong that can
    front = Front(killable.api_url, 0.02, number)
    crew = Workers(Lab(killable, front.url), tmp_path / "workers", pipeline, workers)
    doubled, restarts, done, swept = 0, 0, 0, 0.0
    counts = {}
    try:
        while done < 5 * number:
            pause.wait(1)
            try:
                counts = client.get("/board", lab=LAB)["counts"]
            except ClientError:
                continue
            done = counts["Complete"] + counts["Errored"]
            share = done / (5 * number)
            ids = [row["id"] for row in client.get("/tasks", lab=LAB, limit=250)["results"]]
            sqs = killable.client("sqs")
            url = sqs.get_queue_url(QueueName=f"fornix-work-{LAB}")["QueueUrl"]
            for task in chance.sample(ids, min(3, len(ids))):  # come twice, or late
                delay = chance.choice([0, 0, 5])
                body = encode(TaskWaits(task))
                sqs.send_message(QueueUrl=url, MessageBody=body, DelaySeconds=delay)
                doubled += 1
            if share >= (crew.kills + 1) / (kills + 2) and crew.kills < kills:
                crew.kill_one(chance)
            if share >= 0.3:
                free_disk()
            if share >= 0.5 and not restarts:
                killable.kill()
                pause.wait(3)
                killable.start()
                restarts += 1
            if time.monotonic() - swept > SWEEP_SECONDS:
                killable.invoke("dispatch", {"kind": "sweep"})
                swept = time.monotonic()
    finally:
        crew.stop()
        front.close()
        print(f"\n{time.monotonic() - began:.0f} s: {counts}, {crew.kills} kills")
    # Then every task has ended once, by its own fault or none
    tasks = rows(client, "/tasks", lab=LAB)
    assert len(tasks) == 5 * number
    statuses = Counter((task["name"], task["status"]) for task in tasks)
    assert sum(n for (_, status), n in statuses.items() if status == "Complete") == (
        5 * number - faulty
    ), statuses
    assert statuses["chaos.e", "Errored"] == faulty
    for task in tasks:
        if task["status"] == "Errored":
            told = client.get(f"/tasks/{task['id']}")["log"]
            assert "ValueError: this session's own fault" in told
    ends = Counter()
    for entry in audit_of(killable, tasks):
        ends[entry] += 1
    assert set(ends.values()) == {1}
    assert len(ends) == 5 * number
    # Then each result is there once, and nothing came as a second revision
    made = rows(client, "/datasets", lab=LAB, name="licks.times.npy")
    assert len(made) == 5 * number - faulty
    assert not [one for one in made if one["revision"]]
    report = {
        "sessions": number,
        "tasks": len(tasks),
        "workers": workers,
        "seconds": round(time.monotonic() - began),
        "statuses": {status: n for status, n in counts.items() if n},
        "kills of workers": crew.kills,
        "messages doubled or late": doubled,
        "answers 503": front.count,
        "full disk": bool(mounted),
        "kills of the cloud": restarts,
    }
    print(f"\n{json.dumps(report)}")


def audit_of(cloud, tasks):
    """Yield each task once for each time that it ended."""
    admin = cloud.credentials["admin"]
    client = Client(Settings(cloud.api_url, admin["username"], admin["password"]))
    for task in tasks:
        for entry in client.get("/audit", kind="task", key=task["id"], limit=500)["results"]:
            if (entry.get("after") or {}).get("status") in ("Complete", "Errored"):
                yield task["id"]
