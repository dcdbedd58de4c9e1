"""What Fornix relies on in ministack, private parts included; fails loudly on an upgrade.

Every test here states a behaviour of AWS that the embedded cloud must share. When ministack is
raised to a new version, this file decides whether ``infra/local/ministack.py`` still knows it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import queue
import re
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.local import ministack, policies
from infra.local.cloud import CloudError, EmbeddedCloud
from infra.local.deploy import client
from infra.local.home import Home, Ports
from tests.processes import runs, status, until

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


# -- private parts -----------------------------------------------------------------------------


def test_the_version_is_the_one_that_is_known() -> None:
    pinned = re.search(r'"ministack==([\d.]+)"', (ROOT / "pyproject.toml").read_text())
    assert pinned
    assert pinned[1] == ministack.VERSION


def test_the_private_parts_are_as_they_were() -> None:
    # In a process of its own: importing ministack changes logging and event handling for good.
    program = (
        f"SAVED = set({sorted(ministack.SAVED_EACH_SECOND)})"
        + """
import inspect, json
from ministack import app
from ministack.core import iam_actions, iam_evaluator, lambda_runtime, persistence
from ministack.services import apigateway_v1, cloudwatch_logs, lambda_svc
lambda_svc._emit_lambda_logs({"FunctionName": "f"}, "r", "", False, 1)
print(json.dumps({
    "dynamodb handler": list(inspect.signature(app.SERVICE_HANDLERS["dynamodb"]).parameters),
    "state map": callable(app._build_persistence_save_dict),
    "save_all": list(inspect.signature(persistence.save_all).parameters),
    "not saved": sorted(SAVED - set(app._state_map)),
    "policy": list(inspect.signature(iam_evaluator.parse_policy_document).parameters),
    "items": iam_actions.dynamodb_transaction_checks(
        "dynamodb:TransactWriteItems",
        json.dumps({"TransactItems": [{"Put": {"TableName": "t"}}] * 2}).encode(), "r", "1"
    ),
    "in one context": "resource_arn=item_arn, service_context=item_context"
    in inspect.getsource(app._dispatch_service_request),
    "streams": len(cloudwatch_logs._log_groups["/aws/lambda/f"]["streams"]),
    "reader": iam_actions.json is json,
    "root key": list(inspect.signature(iam_evaluator._is_root_key).parameters),
    "invoke": list(inspect.signature(lambda_runtime.Worker.invoke).parameters),
    "waits": list(inspect.signature(apigateway_v1.run_reentrant).parameters),
    "finds": list(inspect.signature(apigateway_v1._match_recursive).parameters),
    "caller": list(inspect.signature(iam_evaluator.pin_request_caller).parameters),
    "short ways": [
        list(inspect.signature(each).parameters)
        for each in (
            app._dispatch_service_request,
            app._handle_execute_api_request,
            app._with_data_plane_headers,
            app._asgi_header_list,
            app._request_account_scope,
            app.decode_header_value,
            iam_evaluator.pin_request_origin,
            iam_evaluator.pin_signed_request,
            iam_evaluator.pin_signed_body,
        )
    ],
    "drain": list(inspect.signature(lambda_runtime.Worker._drain_stderr_bounded).parameters),
    "read": list(inspect.signature(lambda_runtime.Worker._read_stderr).parameters),
    "surplus": [lambda_runtime._LOCAL_WORKER_TTL, callable(lambda_runtime.reap_idle_workers)],
    "key": list(inspect.signature(lambda_runtime._worker_key).parameters),
    "lend": list(inspect.signature(lambda_runtime.acquire_worker).parameters),
    "lending": "acquire_worker(func_name, config, code_zip, qualifier=qualifier)"
    in inspect.getsource(lambda_svc),
    "processes": (lambda_runtime._workers, type(lambda_runtime._lock).__name__),
    "logs": list(inspect.signature(lambda_svc._emit_lambda_logs).parameters),
    "starts": list(inspect.signature(lambda_runtime.Worker._spawn).parameters),
    "unpacks": [
        line.strip()
        for line in inspect.getsource(lambda_runtime.Worker._spawn).splitlines()
        if "code_dir" in line and ("makedirs" in line or "extractall" in line)
    ],
    "never started": vars(lambda_runtime.Worker("f", {}, b""))["_start_time"],
}))
"""
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"LAMBDA_WARM_TTL_SECONDS": str(ministack.SURPLUS_SECONDS)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "dynamodb handler": ["method", "path", "headers", "body", "query_params"],
        "state map": True,
        "save_all": ["services"],
        "not saved": [],
        "policy": ["doc"],
        "items": [["dynamodb:PutItem", "arn:aws:dynamodb:r:1:table/t"]] * 2,
        "in one context": True,
        "streams": 1,
        "reader": True,
        "root key": ["access_key_id"],
        "invoke": [
            *("self", "event", "request_id", "trace_id", "depth", "durable"),
            "invoked_function_arn",
        ],
        "waits": ["fn", "args", "thread_name"],
        "finds": ["resources", "parent_id", "segments", "params"],
        "caller": ["headers", "query_params"],
        "short ways": [
            ["method", "path", "headers", "body", "query_params", "request_id"],
            [
                *("host", "path", "method", "headers", "body", "query_params"),
                *("raw_path", "raw_query_string"),
            ],
            ["response", "request_id", "include_s3_id", "wildcard_cors"],
            ["headers"],
            ["access_key_id"],
            ["value"],
            ["source_ip", "secure_transport"],
            ["method", "raw_path", "query_params", "raw_headers", "handshake"],
            ["body"],
        ],
        "drain": ["self", "first_line_wait", "idle_confirm", "hard_cap"],
        "read": ["self"],
        "surplus": [ministack.SURPLUS_SECONDS, True],
        "key": ["func_name", "config", "qualifier"],
        "lend": ["func_name", "config", "code_zip", "qualifier", "max_concurrency"],
        "lending": True,
        "processes": [{}, "lock"],
        "logs": ["func", "request_id", "log_text", "error", "duration_ms", "log_source"],
        "starts": ["self"],
        "unpacks": ["os.makedirs(code_dir)", "zf.extractall(code_dir)"],
        "never started": None,
    }


# -- what it keeps to itself -------------------------------------------------------------------


class Process:
    """As ministack's process of a function, which is gone after a failed invocation."""

    def __init__(self, *lines: str, failed: bool = False) -> None:
        self._proc = None if failed else "running"
        self._stderr_queue: queue.Queue[str] = queue.Queue()
        for line in lines:
            self._stderr_queue.put(line)

    def _drain_stderr_bounded(self, first_line_wait: float = 0.05) -> str:
        return f"waited up to {first_line_wait} s"


def test_only_a_failed_invocation_waits_for_its_log() -> None:
    class Patched(Process):
        pass

    ministack._answer_at_once(Patched)
    assert Patched()._drain_stderr_bounded() == ""
    assert Patched("a", "b")._drain_stderr_bounded(first_line_wait=1) == "a\nb"
    assert Patched("a", failed=True)._drain_stderr_bounded(0.1) == "waited up to 0.1 s"


def test_a_body_is_read_once_however_often_it_is_asked_for() -> None:
    read = policies.reading_once(json)
    body, other = b'{"TableName": "fornix"}', b'{"TableName": "fornix", "n": NaN}'
    assert read.loads(body) is read.loads(body)
    assert read.loads(body) == {"TableName": "fornix"}
    assert str(read.loads(other)["n"]) == "nan"
    for damaged in (b"{", b"\xff", ""):
        with pytest.raises(ValueError):  # noqa: PT011 - a JSONDecodeError, as from json
            read.loads(damaged)
    assert read.loads(bytes(body[:-1] + b"}")) == {"TableName": "fornix"}
    assert read.dumps is json.dumps


def test_code_is_hashed_once_until_its_file_is_gone(tmp_path: Path) -> None:
    hashed: list[bytes] = []

    def write(code: bytes) -> str:
        hashed.append(code)
        name = hashlib.sha256(code).hexdigest()
        (tmp_path / f"{name}.zip").write_bytes(code)
        return name

    once = ministack._writing_once(write, str(tmp_path))
    first, second = b"first" * 99, b"second" * 99
    name = once(first)
    # When the same code is saved again, and another's after it
    assert (once(first), once(first)) == (name, name)
    assert once(second) != name
    assert hashed == [first, second]
    # When the emulator has deleted the file of code that nothing used for a while
    (tmp_path / f"{name}.zip").unlink()
    assert once(first) == name
    assert hashed == [first, second, first]


def test_a_message_that_comes_while_others_are_deleted_is_kept() -> None:
    # Given a queue in which a message arrives just when its list is gone through
    program = """
import threading
from infra.local import ministack, policies
from ministack.services import sqs

class Arriving(list):
    late = None
    def __iter__(self):
        yield from list.__iter__(self)
        if self.late:
            late, self.late = self.late, None
            self.append(late)

def message(name, **more):
    known = {"id": name, "receipt_handle": None, "receive_count": 0, "visible_at": 0.0}
    return {**known, "sent_at": 0.0, **more}

ministack._lose_no_message(sqs)
queue = {"attributes": {"RedrivePolicy": '{"maxReceiveCount": 3, "deadLetterTargetArn": "dead"}'}}
dead = {"messages": []}
sqs._get_q, sqs._queue_by_arn = (lambda url: queue), (lambda arn: dead)

# When a function's thread deletes what it has handled
queue["messages"] = Arriving([message("a", receipt_handle="1"), message("b")])
queue["messages"].late = message("c")
sqs._delete_messages_for_esm("url", {"1"})
assert [each["id"] for each in queue["messages"]] == ["b", "c"], queue

# or looks for messages that were tried too often
queue["messages"] = Arriving([message("a", receive_count=3), message("b")])
queue["messages"].late = message("c")
sqs._dlq_sweep(queue)
assert [each["id"] for each in queue["messages"]] == ["b", "c"], queue
assert [each["id"] for each in dead["messages"]] == ["a"], dead
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    # Then it is still there
    assert done.returncode == 0, done.stderr


def test_a_poll_ends_when_its_client_hangs_up() -> None:
    """Else the next message would be handed to a worker that is no more."""
    ended: list[str] = []
    told: list[Any] = []

    async def queue(scope: Any, receive: Any, send: Any) -> None:
        request = await receive()
        if request["body"] == b"there is one":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            return
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("poll")

    async def ask(body: bytes) -> None:
        events = iter(
            [
                {"type": "http.request", "body": body[:5], "more_body": True},
                {"type": "http.request", "body": body[5:], "more_body": False},
            ]
        )

        async def receive() -> Any:
            # Whoever is answered stays connected; who waits in vain hangs up.
            if (event := next(events, None)) is not None:
                return event
            if body == b"there is one":
                await asyncio.Event().wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            told.append(message["status"])

        cloud = SimpleNamespace(_app=SimpleNamespace(app=queue), _may_change=lambda scope: False)
        headers = [(b"authorization", b"x"), (b"x-amz-target", b"AmazonSQS.ReceiveMessage")]
        scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/", "headers": headers}
        serve: Any = ministack.Cloud.__call__
        await serve(cloud, scope | {"query_string": b""}, receive, send)

    with ThreadPoolExecutor(1) as apart:  # a browser's loop may be running in this thread
        apart.submit(lambda: asyncio.run(ask(b"there is one"))).result()
        assert (told, ended) == ([200], [])
        apart.submit(lambda: asyncio.run(ask(b"nothing yet"))).result()
    assert (told, ended) == ([200], ["poll"])


def test_everything_listens_on_loopback_only(bare: EmbeddedCloud) -> None:
    pids = {str(pid) for pid in bare.pids().values()}
    inodes = {
        os.readlink(link)[8:-1]
        for pid in pids
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if os.path.islink(link) and os.readlink(link).startswith("socket:[")
    }
    listening = {
        fields[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if (fields := line.split())[3] == "0A" and fields[9] in inodes
    }
    assert len(listening) == 4
    assert {address.split(":")[0] for address in listening} == {"0100007F"}


@pytest.mark.parametrize("path", ["/_ministack/reset", "/_ministack/config", "/_localstack/x"])
def test_housekeeping_is_closed(bare: EmbeddedCloud, path: str) -> None:
    assert status("POST", bare.home.gateway_url + path, b"{}") == 403


def test_a_busy_port_is_named_with_its_option(tmp_path: Path) -> None:
    ports = Ports.free()
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports.site))
        other.listen()
        with pytest.raises(CloudError, match=rf"port {ports.site} \(site\).*--site-port"):
            EmbeddedCloud(Home(tmp_path, ports)).start()


# -- durability --------------------------------------------------------------------------------


def test_nothing_is_lost_when_everything_is_killed(tmp_path: Path) -> None:
    # Given a cloud with an object, a queue with messages, a role and a table
    cloud = EmbeddedCloud(Home(tmp_path, Ports.free()))
    cloud.start()
    try:
        s3: Any = client(cloud.home, "s3")
        sqs: Any = client(cloud.home, "sqs")
        dynamodb: Any = client(cloud.home, "dynamodb")
        s3.create_bucket(Bucket="kept")
        s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
        s3.put_object(Bucket="kept", Key="data/a.npy", Body=b"bytes", ContentType="x/y")
        queue = sqs.create_queue(QueueName="kept")["QueueUrl"]
        for number in range(30):
            sqs.send_message(QueueUrl=queue, MessageBody=str(number))
        client(cloud.home, "iam").create_role(  # type: ignore[attr-defined]
            RoleName="kept", AssumeRolePolicyDocument='{"Version":"2012-10-17","Statement":[]}'
        )
        dynamodb.create_table(
            TableName="kept",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        dynamodb.put_item(TableName="kept", Item={"pk": {"S": "a"}})
        saved = tmp_path / "cloud" / "state"
        for file, last in (("sqs.json", '"29"'), ("iam.json", "role/kept")):
            state = saved / file
            assert until(lambda: state.exists() and last in state.read_text(), 15)  # noqa: B023

        # When its processes are killed, an object having arrived a moment before
        s3.put_object(Bucket="kept", Key="data/b.npy", Body=b"late")
        cloud.kill()
        cloud.start()

        # Then everything is there
        assert s3.get_object(Bucket="kept", Key="data/a.npy")["ContentType"] == "x/y"
        assert s3.get_object(Bucket="kept", Key="data/b.npy")["Body"].read() == b"late"
        listed = s3.list_objects_v2(Bucket="kept", Prefix="data/")["Contents"]
        assert [entry["Key"] for entry in listed] == ["data/a.npy", "data/b.npy"]
        count = sqs.get_queue_attributes(
            QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"]
        )["Attributes"]["ApproximateNumberOfMessages"]
        assert count == "30"
        assert client(cloud.home, "iam").get_role(RoleName="kept")  # type: ignore[attr-defined]
        assert dynamodb.get_item(TableName="kept", Key={"pk": {"S": "a"}})["Item"]
    finally:
        cloud.stop()


def test_started_on_other_ports_it_knows_its_queues_again(tmp_path: Path) -> None:
    # Given a queue with a message
    cloud = EmbeddedCloud(Home(tmp_path, Ports.free()))
    cloud.start()
    sqs: Any = client(cloud.home, "sqs")
    queue = sqs.create_queue(QueueName="kept")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="hello")
    cloud.stop()
    # When the same folder is started elsewhere
    cloud = EmbeddedCloud(Home(tmp_path, Ports.free()))
    cloud.start()
    try:
        # Then the queue has the address that belongs to it now, and its message
        sqs = client(cloud.home, "sqs")
        url = sqs.get_queue_url(QueueName="kept")["QueueUrl"]
        assert url != queue
        assert f":{cloud.home.ports.gateway}/" in url
        assert [m["Body"] for m in sqs.receive_message(QueueUrl=url)["Messages"]] == ["hello"]
    finally:
        cloud.stop()


def test_the_processes_end_with_their_supervisor(tmp_path: Path) -> None:
    # Given a supervisor in a process of its own
    program = (
        "import sys, time; from infra.local.cloud import EmbeddedCloud;"
        "from infra.local.home import Home, Ports;"
        "c = EmbeddedCloud(Home(sys.argv[1], Ports.free())); c.start();"
        "print(*c.pids().values(), flush=True); time.sleep(600)"
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert supervisor.stdout
    pids = [int(pid) for pid in supervisor.stdout.readline().split()]
    assert len(pids) == 2

    # When it is killed
    supervisor.kill()
    supervisor.wait()
    supervisor.stdout.close()

    # Then so are the cloud's processes
    assert until(lambda: not any(runs(pid) for pid in pids), 15)


def test_without_dynoxide_the_table_is_ministacks_and_is_kept_too(tmp_path: Path) -> None:
    cloud = EmbeddedCloud(Home(tmp_path, Ports.free()), own_dynamodb=True)
    cloud.start()
    try:
        assert set(cloud.pids()) == {"server"}
        dynamodb: Any = client(cloud.home, "dynamodb")
        dynamodb.create_table(
            TableName="kept",
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        dynamodb.put_item(TableName="kept", Item={"pk": {"S": "the-item"}})
        state = tmp_path / "cloud" / "state" / "dynamodb.json"
        assert until(lambda: state.exists() and "the-item" in state.read_text(), 15)
        cloud.kill()
        cloud.start()
        assert dynamodb.get_item(TableName="kept", Key={"pk": {"S": "the-item"}})["Item"]
    finally:
        cloud.stop()
    with pytest.raises(CloudError, match="made with ministack"):
        EmbeddedCloud(cloud.home).start()
