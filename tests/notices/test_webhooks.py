"""Webhooks over real sockets and queues: signed; nothing lost, nothing sent elsewhere."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from functions.notices.handler import handler
from shared.datasets.register import register_datasets
from shared.model.release import ReleaseState
from shared.records import aws, documents, queues
from shared.records.items import Dataset
from shared.records.meter import metered
from shared.webhooks import addresses, follow
from shared.webhooks.addresses import RefusedAddress
from shared.webhooks.deliver import WAITS
from shared.work import write
from tests.api.conftest import Api
from tests.notices.conftest import Clock, later

MANAGER: dict[str, Any] = {"user": "fimbrialab_manager"}
SECRET = "a secret of both sides"


class Receiver:
    """Another system: remembers what it is sent, answers as it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 204
        self.location = ""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers), body))
                self.send_response(receiver.status)
                if receiver.location:
                    self.send_header("Location", receiver.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?from=fornix"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def bodies(self) -> list[dict[str, Any]]:
        """Return what was sent, checked as a receiver does."""
        for headers, body in self.got:
            at, _, signed = headers["Fornix-Signature"].removeprefix("t=").partition(",v1=")
            made = hmac.new(SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256)
            assert hmac.compare_digest(made.hexdigest(), signed)
            assert json.loads(body)["id"] == headers["Fornix-Delivery"]
        return [json.loads(body) for _, body in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver on loopback."""
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


class Queue:
    """The queue of the notices function, and its dead letters."""

    def __init__(self) -> None:
        self.sqs = aws.client("sqs")
        self.url = self.sqs.create_queue(QueueName=f"w{uuid.uuid4().hex[:10]}")["QueueUrl"]
        self.sqs.create_queue(QueueName=f"{self.url.rpartition('/')[2]}-dead")

    def work(self, times: int = 1) -> int:
        """Deliver the messages that are there now; return how many there were."""
        done = 0
        while batch := self.sqs.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, WaitTimeSeconds=0
        ).get("Messages", []):
            for each in batch:
                for _ in range(times):
                    assert later(json.loads(each["Body"])) == {"batchItemFailures": []}
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=each["ReceiptHandle"])
                done += 1
        return done

    @property
    def delayed(self) -> int:
        """Messages whose time has not come."""
        name = "ApproximateNumberOfMessagesDelayed"
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=[name])
        return int(found["Attributes"][name])


@pytest.fixture
def queue(aws_url: str, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> Iterator[Queue]:
    """A queue on a socket; the clock stands at the present."""
    clock.now = datetime.now(UTC)
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", aws_url)
    monkeypatch.setenv("FORNIX_LOCAL", "yes")
    aws.forget()
    made = Queue()
    monkeypatch.setenv("FORNIX_NOTICES_QUEUE_URL", made.url)
    follow._lab_of.cache_clear()
    yield made
    aws.forget()


def minute() -> int:
    """Let the schedule fire."""
    return int(handler({"kind": "changes"})["deliveries"])


def hook(api: Api, receiver: Receiver, *events: str, **more: Any) -> str:
    """Make a webhook; the feed is read up to then."""
    body = {"url": receiver.url, "secret": SECRET, "events": list(events or ("task.failed",))}
    minute()
    made: str = api.ok("POST", "/webhooks", {**body, **more}, **MANAGER)["id"]
    return made


def session(api: Api, **more: Any) -> str:
    body = {"subject": "FI_001", "start_time": "2024-07-01T10:00:00", **more}
    eid: str = api.ok("POST", "/sessions", body, user="admin")["id"]
    return eid


def fail(api: Api, eid: str, lab: str = "fimbrialab") -> str:
    """Let a task of a session fail."""
    task = write.create(eid, lab, "2024-07-01", {"name": "Spikes", "executable": "x"})
    worker = {"user": f"{lab}_worker"}
    claimed = api.ok("POST", f"/tasks/{task.id}/claim", {"worker": "w"}, **worker)
    done = {"attempt": claimed["attempt"], "status": "Errored", "log": "secret path /data"}
    api.ok("POST", f"/tasks/{task.id}/complete", done, **worker)
    return str(task.id)


def log_of(api: Api, key: str) -> list[dict[str, Any]]:
    answer = api.ok("GET", f"/webhooks/{key}/deliveries", **MANAGER)
    shown: list[dict[str, Any]] = answer["results"]
    return shown


def ask(api: Api, path: str) -> Any:
    """Ask for something that is done later."""
    answer = api("POST", path, {}, **MANAGER)
    assert answer.status == 202, answer.raw
    return answer.body


def test_every_event_comes_once_signed_with_names_and_no_data(
    api: Api, queue: Queue, receiver: Receiver
) -> None:
    every = ("dataset.registered", "task.failed", "release.published", "notice.sent")
    key = hook(api, receiver, *every)
    eid = session(api)
    file = Dataset.of(eid, "alf/spikes.times.npy", dataset_type="spikes.times", file_size=9)
    register_datasets(eid, [file], manifest="m")
    task = fail(api, eid)
    release = {"name": "2026_Q1", "version": 1, "title": "First", "labs": ["fimbrialab"]}
    documents.create("release", "2026_Q1#1", {**release, "state": "created"}, who="admin")
    published = {"state": ReleaseState.PUBLISHED, "published": datetime.now(UTC).isoformat()}
    documents.update("release", "2026_Q1#1", lambda body: {**body, **published}, who="admin")
    given = {"responsible_user": "fimbrialab_manager"}
    api.ok("PATCH", "/subjects/FI_001", given)
    handler({"kind": "notices"})

    # When the feed is read again and again, and each message comes twice
    assert minute() >= 4
    queue.work(times=2)
    minute()
    queue.work()

    bodies = {each["type"]: each for each in receiver.bodies()}
    assert len(receiver.got) == len(bodies) == 4
    assert bodies["dataset.registered"]["data"] == {
        "id": file.uuid,
        "session": eid,
        "path": "alf/spikes.times.npy",
        "dataset_type": "spikes.times",
    }
    failed = {"id": task, "name": "Spikes", "session": eid, "attempt": 1}
    assert bodies["task.failed"]["data"] == failed
    assert bodies["release.published"]["data"]["name"] == "2026_Q1"
    told = bodies["notice.sent"]["data"]
    assert (told["notification_type"], told["user"], told["subject"]) == (
        *("responsible_user_change", "fimbrialab_manager", "FI_001"),
    )
    assert {tuple(each["labs"]) for each in bodies.values()} == {("fimbrialab",)}
    headers = receiver.got[0][0]
    assert headers["Host"] == receiver.url.split("/")[2]
    assert {each["state"] for each in log_of(api, key)} == {"delivered"}
    # What only changed later is nothing new
    register_datasets(eid, [Dataset.of(eid, "alf/spikes.times.npy", qc=10)], manifest="n")
    assert minute() == 0


def test_what_another_lab_does_or_was_before_is_not_told(
    api: Api, queue: Queue, receiver: Receiver, clock: Clock
) -> None:
    fail(api, session(api))
    clock.now += timedelta(seconds=30)
    hook(api, receiver)
    fail(api, session(api, subject="SE_001"), "septumlab")
    assert minute() == 0
    clock.now += timedelta(seconds=30)
    fail(api, session(api, number=2))
    assert minute() == 1


def test_a_refused_delivery_is_tried_again_then_given_up_and_redriven(
    api: Api, queue: Queue, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.status = 500
    key = hook(api, receiver)
    fail(api, session(api))
    assert (minute(), queue.work()) == (1, 1)
    delivery = log_of(api, key)[0]["id"]
    message = {"kind": "deliver", "webhook": key, "delivery": delivery}
    assert queue.delayed == 1
    # A message that comes too early waits on
    later(message)
    assert (len(receiver.got), queue.delayed) == (1, 2)
    for wait in WAITS:
        clock.now += wait
        later(message)
    (shown,) = log_of(api, key)
    assert (shown["state"], shown["tries"], shown["next_at"]) == ("failed", 6, None)
    assert [each["status"] for each in shown["attempts"]] == [500] * 6
    # It lies where `fornix queues` finds it, and goes on from there
    monkeypatch.setenv("FORNIX_WORK_QUEUE_PREFIX", f"{queue.url}-none-")
    for name in ("INGEST", "DISPATCH", "ANALYSIS"):
        monkeypatch.setenv(f"FORNIX_{name}_QUEUE_URL", f"{queue.url}-none")
    assert queues.look(queues.dead(queue.url), 5) == [
        json.dumps(message, separators=(",", ":")),
    ]
    receiver.status = 200
    done = api.ok("POST", "/queues/notices/redrive", user="admin")
    assert (done["sent"], queue.work()) == (1, 1)
    assert log_of(api, key)[0]["state"] == "delivered"
    assert len({headers["Fornix-Delivery"] for headers, _ in receiver.got}) == 1


def test_stopped_at_any_step_nothing_is_lost(
    api: Api, queue: Queue, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = hook(api, receiver)
    fail(api, session(api))
    # Stopped between the delivery and its message
    with monkeypatch.context() as broken:
        broken.setattr(follow, "send", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            minute()
    assert (minute(), queue.work(), len(receiver.got)) == (1, 1, 1)
    # A message that was lost after the place was moved on
    fail(api, session(api, number=2))
    with monkeypatch.context() as lost:
        lost.setattr(follow, "send", lambda *_: None)
        minute()
    clock.now += timedelta(minutes=5)
    assert (minute(), queue.work()) == (0, 0)
    clock.now += timedelta(minutes=20)
    assert (minute(), queue.work()) == (0, 1)
    assert [each["state"] for each in log_of(api, key)] == ["delivered"] * 2


def test_a_test_a_repeat_and_a_webhook_that_is_turned_off(
    api: Api, queue: Queue, receiver: Receiver, clock: Clock
) -> None:
    key = hook(api, receiver)
    sent = api("POST", f"/webhooks/{key}/test", {}, **MANAGER)
    assert (sent.status, queue.work()) == (202, 1)
    (body,) = receiver.bodies()
    assert (body["id"], body["type"], body["data"]) == (sent.body["id"], "test", {"webhook": key})
    # Sent once more it has the same id
    again = f"/webhooks/{key}/deliveries/{body['id']}"
    assert (api("POST", again, {}, **MANAGER).status, queue.work()) == (202, 1)
    assert receiver.bodies()[1] == body
    # A new secret signs from then on
    clock.now += timedelta(seconds=1)
    api.ok("PATCH", f"/webhooks/{key}", {"secret": "another secret of both"}, **MANAGER)
    ask(api, again)
    queue.work()
    with pytest.raises(AssertionError):
        receiver.bodies()
    # Turned off, it is not told what was on its way
    ask(api, again)
    api.ok("PATCH", f"/webhooks/{key}", {"active": False}, **MANAGER)
    queue.work()
    assert (len(receiver.got), log_of(api, key)[0]["state"]) == (3, "stopped")
    assert api("POST", f"/webhooks/{key}/test", {}, **MANAGER).status == 409
    api.ok("DELETE", f"/webhooks/{key}", **MANAGER)
    assert api("GET", f"/webhooks/{key}/deliveries", **MANAGER).status == 404


def test_redirects_are_not_followed(api: Api, queue: Queue, receiver: Receiver) -> None:
    other = Receiver()
    receiver.status, receiver.location = 307, other.url
    key = hook(api, receiver)
    ask(api, f"/webhooks/{key}/test")
    queue.work()
    other.server.shutdown()
    other.server.server_close()
    assert (len(receiver.got), other.got) == (1, [])
    assert log_of(api, key)[0]["attempts"][0]["status"] == 307


INSIDE = ["10.0.0.1", "169.254.169.254", "127.0.0.1", "::1", "fd00::1", "fe80::1", "0.0.0.0"]
INSIDE += ["100.64.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "224.0.0.1"]


@pytest.mark.parametrize("inside", INSIDE)
def test_a_name_that_leads_inside_is_sent_nothing(
    monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    target = addresses.read("https://hooks.example.org/x", local=True)
    family = socket.AF_INET6 if ":" in inside else socket.AF_INET

    def answers(*_: Any, **__: Any) -> list[Any]:
        public = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 443))
        return [public, (family, socket.SOCK_STREAM, 6, "", (inside, 443))]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", answers)
    with pytest.raises(RefusedAddress, match="open internet"):
        addresses.resolve(target, local=True)


def test_a_delivery_to_a_name_that_leads_inside_says_why(
    api: Api, queue: Queue, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = receiver.server.server_port
    key = hook(api, receiver, url=f"https://inside.example.org:{port}/x")
    usual = socket.getaddrinfo

    def answers(host: str, *more: Any, **named: Any) -> Any:
        return usual("127.0.0.1" if host == "inside.example.org" else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", answers)
    ask(api, f"/webhooks/{key}/test")
    queue.work()
    (shown,) = log_of(api, key)
    assert shown["attempts"][0]["error"] == "127.0.0.1 is not of the open internet."
    assert receiver.got == []


def test_what_cannot_be_an_address_is_refused_at_its_field(
    api: Api, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = {"secret": SECRET, "events": ["task.failed"], "url": "https://hooks.example.org/x"}
    assert api("POST", "/webhooks", good, **MANAGER).status == 201
    urls = ["http://hooks.example.org", "ftp://x.org", "https://", "https://a:b@x.org", "x", "//x"]
    urls += ["https://x.org:99999/", "https://x.org/\n", "https://[::1", f"https://{'x' * 2100}"]
    urls += [f"https://{f'[{each}]' if ':' in each else each}/" for each in INSIDE]
    monkeypatch.delenv("FORNIX_LOCAL")
    for url in [*urls, "http://127.0.0.1:80/", "http://localhost/"]:
        answer = api("POST", "/webhooks", {**good, "url": url}, **MANAGER)
        assert (answer.status, next(iter(answer.body))) == (400, "url"), url
    for wrong in ({"secret": "short"}, {"events": []}, {"events": ["all"]}, {"events": None}):
        answer = api("POST", "/webhooks", {**good, **wrong}, **MANAGER)
        assert (answer.status, [*answer.body][:1]) == (400, [*wrong]), wrong


def test_only_who_manages_the_lab_sees_a_webhook_and_nobody_its_secret(
    api: Api, queue: Queue, receiver: Receiver
) -> None:
    key = hook(api, receiver)
    at = f"/webhooks/{key}"
    for user in ("fimbrialab_member", "visitor", "fimbrialab_worker"):
        assert api("GET", at, user=user).status == 403
    for path, method in ((at, "GET"), (f"{at}/deliveries", "GET"), (at, "DELETE")):
        assert api(method, path, user="septumlab_manager").status == 404, path
    foreign = {"url": receiver.url, "secret": SECRET, "events": ["task.failed"]}
    foreign["lab"] = "septumlab"
    assert api("POST", "/webhooks", foreign, **MANAGER).status == 403
    assert api.ok("GET", "/webhooks", user="septumlab_manager")["results"] == []
    audited = f"/audit?kind=webhook&key={key}"
    shown = [
        api("GET", path, **user).raw.decode()
        for user in (MANAGER, {"user": "admin"})
        for path in (at, "/webhooks", audited, "/changes", f"{at}/deliveries")
    ]
    assert all(SECRET not in text for text in shown)
    assert api.ok("GET", audited, **MANAGER)["results"]
    assert api.ok("GET", audited)["results"] == []  # a member


def test_a_minute_without_news_costs_little(
    api: Api, queue: Queue, receiver: Receiver, clock: Clock
) -> None:
    hook(api, receiver)
    minute()
    clock.now += timedelta(minutes=2)
    minute()
    with metered() as cost:
        assert minute() == 0
    assert cost.requests <= 6
    assert cost.units <= 8, cost.by_operation
