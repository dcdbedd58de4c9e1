"""A small working Fornix for tests: real S3 and SQS (ministack), a real table, handlers called
with the messages that really lie in the queues."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from functions.analysis import handler as analysis
from functions.analysis.pauses import KeptPauses, Pauses
from shared.datasets.read import datasets_of, hashes_by_path
from shared.model.copies import OWN, own_repository
from shared.model.json import plain
from shared.records import aws, documents
from shared.uploads.progress import describe
from shared.uploads.request import parse
from shared.uploads.state import get_upload, open_upload
from shared.uploads.target import resolve_target
from tests.processes import free_port, serving

LAB, SUBJECT, DATE = "fimbrialab", "FI_001", "2024-07-01"
FOLDER = f"{LAB}/Subjects/{SUBJECT}/{DATE}/001"
SESSION = {"lab": LAB, "subject": SUBJECT, "date": DATE, "number": 1}
RAW = [
    f"raw_behavior_data/_iblrig_{name}"
    for name in (
        "taskData.raw.jsonable",
        "taskSettings.raw.json",
        "encoderEvents.raw.ssv",
        "encoderPositions.raw.ssv",
    )
]
"""Raw files of a behaviour session."""


@pytest.fixture(scope="session")
def aws_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an S3 and SQS server of this test process."""
    port = free_port()
    env = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port)}
    command = [Path(sys.executable).with_name("ministack")]
    with serving(command, port, env=env, cwd=tmp_path_factory.mktemp("ministack")) as url:
        yield url


FUNCTIONS = ("ingest", "dispatch", "analysis", "notices")
"""Queues whose messages wake a function."""


def deliver(queue: str, *messages: dict[str, Any]) -> dict[str, Any]:
    """Call a queue's function with messages, as SQS does; return what it could not handle."""
    from functions.dispatch.handler import handler as dispatch
    from functions.ingest.handler import handler as ingest

    records = [
        {
            "messageId": str(i),
            "receiptHandle": str(i),
            "body": json.dumps(message),
            "attributes": {},
            "messageAttributes": {},
            "md5OfBody": "",
            "eventSource": "aws:sqs",
            "eventSourceARN": f"arn:aws:sqs:us-east-1:0:{queue}",
            "awsRegion": "us-east-1",
        }
        for i, message in enumerate(messages)
    ]
    return {"ingest": ingest, "dispatch": dispatch}[queue]({"Records": records}, None)


class Flow:
    """Buckets, queues and handlers of one test."""

    def __init__(self) -> None:
        name = f"t{uuid.uuid4().hex[:12]}"
        self._alone = threading.RLock()  # one at a time takes messages and ends with them
        self.bucket = f"fornix-{name}"
        self.s3, self.sqs = aws.client("s3"), aws.client("sqs")
        self.s3.create_bucket(Bucket=self.bucket)
        self.queues = {
            queue: self.sqs.create_queue(QueueName=f"{name}-{queue}")["QueueUrl"]
            for queue in (*FUNCTIONS, f"work-{LAB}")
        }
        arn = self.sqs.get_queue_attributes(
            QueueUrl=self.queues["ingest"], AttributeNames=["QueueArn"]
        )["Attributes"]["QueueArn"]
        self.s3.put_bucket_notification_configuration(
            Bucket=self.bucket,
            NotificationConfiguration={
                "QueueConfigurations": [
                    {
                        "QueueArn": arn,
                        "Events": ["s3:ObjectCreated:*"],
                        "Filter": {
                            "Key": {"FilterRules": [{"Name": "prefix", "Value": "incoming/"}]}
                        },
                    }
                ]
            },
        )
        self.env = {
            "FORNIX_DATA_BUCKET": self.bucket,
            "FORNIX_LABS": LAB,
            "FORNIX_WORK_QUEUE_PREFIX": self.queues[f"work-{LAB}"].removesuffix(LAB),
            **{f"FORNIX_{q.upper()}_QUEUE_URL": self.queues[q] for q in FUNCTIONS},
        }

    def receive(self, queue: str) -> list[dict[str, Any]]:
        """Take the messages that lie in a queue."""
        found = self.sqs.receive_message(
            QueueUrl=self.queues[queue], MaxNumberOfMessages=10, WaitTimeSeconds=0
        ).get("Messages", [])
        for message in found:
            self.sqs.delete_message(
                QueueUrl=self.queues[queue], ReceiptHandle=message["ReceiptHandle"]
            )
        return [json.loads(message["Body"]) for message in found]

    def messages(self, queue: str) -> list[dict[str, Any]]:
        """Take all messages that lie in a queue."""
        every: list[dict[str, Any]] = []
        while batch := self.receive(queue):
            every += batch
        return every

    def deliver(self, queue: str, *messages: dict[str, Any]) -> dict[str, Any]:
        """Call a queue's function with messages."""
        return deliver(queue, *messages)

    def pump(self, *, times: int = 1) -> None:
        """Deliver what lies in the queues until they are empty, each message ``times`` times."""
        with self._alone:
            while self._round(times):
                pass

    def until(self, condition: Callable[[], bool]) -> None:
        """Deliver what comes until something is so: events of S3 may come late."""
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, "what was waited for did not happen"
            self.pump()
            time.sleep(0.02)

    def _round(self, times: int) -> bool:
        """Deliver what lies in the queues now; tell whether there was anything."""
        work = {queue: self.messages(queue) for queue in ("ingest", "dispatch")}
        for queue, messages in work.items():
            for _ in range(times if messages else 0):
                assert self.deliver(queue, *messages) == {"batchItemFailures": []}
        return any(work.values())

    def keys(self, prefix: str) -> list[str]:
        """List the objects under a prefix, without it."""
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return [item["Key"].removeprefix(prefix) for item in listed]

    def open(self, files: dict[str, bytes], by: str = "rig", **body: Any) -> dict[str, Any]:
        """Announce files as the API does; return its answer."""
        request = parse(
            {"session": SESSION, "files": [announced(*item) for item in files.items()]} | body
        )
        target = resolve_target(request)
        upload, _ = open_upload(target, request, by)
        return self.describe(upload.id)

    def describe(self, upload: str) -> dict[str, Any]:
        """Return what the API tells of an upload."""
        from shared.sessions import store as sessions

        found = sessions.find(SUBJECT, DATE, 1)
        known = hashes_by_path(datasets_of(found.id)) if found else {}
        return plain(describe(get_upload(upload), known))

    def send(self, answer: dict[str, Any], files: dict[str, bytes]) -> list[int]:
        """Put the wanted files where the answer says; return the HTTP statuses."""
        return send(answer, files)

    def upload(self, files: dict[str, bytes], **body: Any) -> dict[str, Any]:
        """Upload files and let the functions work; return the final answer."""
        answer = self.open(files, **body)
        with self._alone:
            assert set(self.send(answer, files)) <= {200}
            self.deliver("ingest", {"kind": "finalise", "upload": answer["id"]})
            self.pump()
        return self.describe(answer["id"])


def send(answer: dict[str, Any], files: Mapping[str, bytes]) -> list[int]:
    """Put the files that are wanted where the API says; return the HTTP statuses."""
    return [
        requests.put(
            file["url"], data=files[file["path"]], headers=file["headers"], timeout=10
        ).status_code
        for file in answer["files"]
        if file["state"] == "wanted"
    ]


def announced(path: str, content: bytes) -> dict[str, Any]:
    """Return a file's entry of a request."""
    return {
        "path": path,
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "md5": hashlib.md5(content).hexdigest(),
    }


def npy(*values: float) -> bytes:
    """Return a vector as the bytes of an npy file."""
    file = io.BytesIO()
    np.save(file, np.array(values), allow_pickle=False)
    return file.getvalue()


def states(answer: dict[str, Any]) -> dict[str, str]:
    """Return the state of each file."""
    return {file["path"]: file["state"] for file in answer["files"]}


def reasons(answer: dict[str, Any]) -> dict[str, str]:
    """Return why files were refused."""
    return {file["path"]: file["reason"] for file in answer["files"] if "reason" in file}


@pytest.fixture
def flow(table: str, aws_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flow]:
    """A lab with a subject, its bucket and queues."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_url)
    aws.forget()
    # No pause after a build that a slow computer took long for
    monkeypatch.setattr(analysis, "_pauses", Pauses(KeptPauses(), lambda: 0.0))
    flow = Flow()
    for name, value in flow.env.items():
        monkeypatch.setenv(name, value)
    documents.create("data-repository", OWN, own_repository(), who="installation")
    documents.create("lab", LAB, {"name": LAB, "timezone": "Europe/Lisbon"}, who="admin")
    documents.create("subject", SUBJECT, {"nickname": SUBJECT, "lab": LAB}, who="admin")
    rig = {"username": "rig", "role": "rig", "lab": [LAB], "is_active": True}
    documents.create("user", "rig", rig, who="admin")
    yield flow
    aws.forget()


class System:
    """A flow with its API on a socket, and its functions at work in the background."""

    def __init__(self, flow: Flow, url: str) -> None:
        self.flow, self.url = flow, url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._over.wait(0.05):
            self.flow.pump()

    def rest(self) -> None:
        """Let the functions rest; what lies in the queues is the test's from now on."""
        self._over.set()
        self._thread.join(60)
        assert not self._thread.is_alive(), "the functions are still at work"

    def environment(self, role: str) -> dict[str, str]:
        """Return the variables of a command of a user of the lab."""
        return self.environment_of(f"{LAB}_{role}")

    def environment_of(self, username: str) -> dict[str, str]:
        """Return the variables of a command of any user."""
        from functions.api.auth import tokens

        return {"FORNIX_API_URL": self.url, "FORNIX_TOKEN": tokens.issue(username)}

    def client(self, role: str) -> Any:
        """Return an API client of a user of the lab."""
        return self.client_of(f"{LAB}_{role}")

    def client_of(self, username: str) -> Any:
        """Return an API client of any user."""
        from functions.api.auth import tokens
        from lab.client import Client, Settings

        return Client(Settings(self.url, token=tokens.issue(username)))


@pytest.fixture
def system(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """The whole way of the data in one process: API, S3, SQS, functions."""
    from functions.api.app import app
    from shared import catalog
    from tests.api import gateway

    catalog.reset_for_tests()
    for role in ("member", "manager", "rig", "worker"):
        body = {"username": f"{LAB}_{role}", "role": role, "lab": [LAB], "is_active": True}
        body |= {"is_public_user": False, "email": "", "allowed_users": []}
        documents.create("user", f"{LAB}_{role}", body, who="test")
    body = {"username": "admin", "role": "administrator", "lab": [], "is_active": True}
    documents.create("user", "admin", body, who="test")
    monkeypatch.setenv(
        "FORNIX_WORKER_ROLE_PREFIX", "arn:aws:iam::000000000000:role/fornix-worker-"
    )
    with gateway.serve(app) as url:
        monkeypatch.setenv("FORNIX_API_URL", url)
        system = System(flow, url)
        yield system
        system.rest()
    catalog.reset_for_tests()
