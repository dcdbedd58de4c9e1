"""The embedded cloud: this module changes ministack's private parts, and says which.

ministack offers S3, SQS, Lambda, API Gateway, EventBridge, CloudFormation, IAM and CloudFront as
one ASGI application. This module changes some behaviour; each change has a conformance test
(``tests/integration/test_ministack.py``) that fails when an upgrade breaks the assumption:

- its state is written to disk while it runs, not only when it stops, so that ``kill -9`` loses at
  most the last moments (which the reconcilers repair); the functions' code is hashed once;
- its DynamoDB requests go to dynoxide, after ministack has checked signature and permissions;
- requests to the table and to the API go straight to what serves them, and invocations start no
  threads (``infra/local/shortcuts.py``, ``infra/local/invocations.py``);
- signatures with the root key are checked like all others, and no check is made twice
  (``infra/local/policies.py``);
- its unauthenticated maintenance addresses are closed;
- messages for a function are collected for a moment, as on AWS; no message is lost that arrives
  while others are deleted, and none goes to a client that disconnected while it waited;
- no request waits for a new process of its function while another process is free
  (``infra/local/processes.py``);
- the bytes of objects are on disk only;
- logs and errors of functions are written to files, and no answer waits for them; the emulator
  itself keeps only the last invocations;
- the API and the site have their own addresses, without the emulator's path or host.

One file, because an upgrade of ministack is then a change of one file.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.metadata
import logging
import os
import queue
import re
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, TypeVar

from infra.local import invocations, policies, unpacked
from infra.local.logs import FunctionLogs
from infra.local.processes import Processes
from infra.local.shortcuts import Shortcuts, asks_table, matched, target_of, whole
from infra.local.table import TableServer

VERSION = "1.5.33"
"""The supported version of ministack; ``pyproject.toml`` pins the same."""

ACCOUNT = "000000000000"
REGION = "us-east-1"

SAVE_SECONDS = 1.0
"""Interval of checks whether the state has to be saved."""

SERVING_PER_SAVING = 10
"""Least time between two saves, as a multiple of a save's own, while nothing is served."""

SAVED_EACH_SECOND = frozenset({"dynamodb", "eventbridge", "iam", "lambda", "s3", "sqs", "sts"})
"""Services whose state changes during work and must not be lost.

The state of the others is saved by a deployment and when the cloud stops: either nothing else
changes it, or it grows with each invocation (logs, metrics) and nothing depends on it. The
functions' logs are in separate files. Saving such state each second would become ever slower.
"""

COLLECT_SECONDS = 0.1
"""How long messages for a function are collected; on AWS it is a second (``infra.functions``)."""

SURPLUS_SECONDS = 20
"""How long a function's further processes stay idle before they end; the first one stays, unless
it has grown (`infra.local.processes`). At a start all schedules fire at once and leave several of
each function."""

STREAMS_KEPT = 100
"""Log streams per function that CloudWatch Logs keeps; each invocation adds one."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger(__name__)
T = TypeVar("T")


def configure(state: Path, port: int, access_key: str, secret_key: str) -> None:
    """Set the environment variables that ministack reads when it is imported.

    Parameters
    ----------
    state
        Folder for the state, the objects and the functions' work folders.
    port
        Port of the gateway on loopback.
    access_key, secret_key
        The account's root credentials; ministack refuses signatures made with others.
    """
    temporary = state / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    _move(state, port)
    endpoint = f"http://127.0.0.1:{port}"
    os.environ.update(
        AUTH="true",  # signatures, IAM policies and bucket policies are enforced
        PERSIST_STATE="1",
        S3_PERSIST="1",
        STATE_DIR=str(state / "state"),
        S3_DATA_DIR=str(state / "s3"),
        TMPDIR=str(temporary),
        BIND_HOST="127.0.0.1",
        GATEWAY_PORT=str(port),
        MINISTACK_ACCOUNT_ID=ACCOUNT,
        MINISTACK_REGION=REGION,
        MINISTACK_HOST="localhost",
        LOG_LEVEL=os.environ.get("FORNIX_CLOUD_LOG", "WARNING"),
        SFTP_ENABLED="0",
        IOT_MTLS_ENABLED="0",
        DOCKER_HOST=f"unix://{temporary}/no-docker.sock",  # do not search for a Docker daemon
        LAMBDA_ACCOUNT_CONCURRENCY="24",
        LAMBDA_WARM_TTL_SECONDS=str(SURPLUS_SECONDS),
        AWS_ACCESS_KEY_ID=access_key,
        AWS_SECRET_ACCESS_KEY=secret_key,
        AWS_DEFAULT_REGION=REGION,
        AWS_REGION=REGION,
        # The functions inherit these and find the cloud by them alone.
        AWS_ENDPOINT_URL=endpoint,
        AWS_ENDPOINT_URL_DYNAMODB=endpoint,
    )
    foreign = ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE")
    for name in (*foreign, "PYTHONDONTWRITEBYTECODE"):  # the functions keep what they compile
        os.environ.pop(name, None)


def _move(state: Path, port: int) -> None:
    """Update the gateway's port in the saved state, if it has changed.

    Queues are identified by their address, in their own state and in the functions that send to
    them.
    """
    place = state / "gateway.port"
    before = place.read_text() if place.exists() else str(port)
    if before != str(port):
        address = re.compile(rf"\b(localhost|127\.0\.0\.1):{before}\b")
        for file in (state / "state").glob("*.json"):
            text = file.read_text()
            moved = address.sub(rf"\g<1>:{port}", text)
            if moved != text:
                partial = file.with_suffix(".part")
                partial.write_text(moved)
                partial.replace(file)
    place.write_text(str(port))


class Cloud:
    """ministack as an ASGI application with durable state.

    Parameters
    ----------
    dynamodb
        Address of dynoxide, or None to use ministack's own DynamoDB.
    logs
        Folder of the functions' logs.
    """

    def __init__(self, dynamodb: str | None, logs: Path) -> None:
        actual = importlib.metadata.version("ministack")
        if actual != VERSION:
            raise RuntimeError(
                f"ministack {actual} is installed, but infra/local/ministack.py knows {VERSION}: "
                "run tests/integration/test_ministack.py against the new version, then raise "
                "VERSION and the pin in pyproject.toml together"
            )
        # Not at the top: ministack reads the environment, set by configure, when imported.
        self._app = importlib.import_module("ministack.app")
        self._persistence = importlib.import_module("ministack.core.persistence")
        policies.change(
            importlib.import_module("ministack.core.iam_evaluator"),
            importlib.import_module("ministack.core.iam_actions"),
        )
        runtime: Any = importlib.import_module("ministack.core.lambda_runtime")
        _keep_logs(runtime.Worker, FunctionLogs(logs))
        _answer_at_once(runtime.Worker)
        runtime.Worker.invoke = invocations.invoke
        runtime.zipfile = unpacked.shared(Path(os.environ["STATE_DIR"]).with_name("code"))
        gateway: Any = importlib.import_module("ministack.services.apigateway_v1")
        gateway.run_reentrant = invocations.in_thread
        gateway._match_recursive = matched
        processes = Processes(runtime)
        service: Any = importlib.import_module("ministack.services.lambda_svc")
        service.acquire_worker, service.release_worker = processes.acquire, processes.release
        service.reap_idle_workers = processes.reap
        service._write_code_blob = _writing_once(service._write_code_blob, service.CODE_BLOB_DIR)
        _collect_batches(importlib.import_module("ministack.services.sqs"))
        _lose_no_message(importlib.import_module("ministack.services.sqs"))
        _keep_versions_on_disk(importlib.import_module("ministack.services.s3"))
        self._shortcuts = Shortcuts(self._app)
        self._unsaved = 0
        self._held = False
        self._saver: asyncio.Task[None] | None = None
        self._own_tables = dynamodb is None
        if dynamodb is not None:
            self._app.SERVICE_HANDLERS["dynamodb"] = Forward(dynamodb)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, and note whether it may have changed the state."""
        if scope["type"] == "lifespan":
            self._saver = asyncio.create_task(self._save_regularly())
            await self._app.app(scope, receive, send)
            return
        if scope["type"] == "http":
            if scope["path"].startswith("/_fornix/"):
                await self._control(scope, send)
                return
            if _is_housekeeping(scope) or _lists_buckets_unsigned(scope):
                await answer(send, 403, b'{"message": "closed in the embedded cloud"}')
                return
        if Shortcuts.fits(scope):
            await self._shortcuts(scope, receive, _telling(scope, send))
        elif _waits_for_messages(scope):
            await _while_connected(self._app.app, scope, receive, _telling(scope, send))
        else:
            await self._app.app(scope, receive, _telling(scope, send))
        if self._may_change(scope):
            # Two saves: effects of the request, such as a queue's delivery, end after its answer.
            self._unsaved = 2

    def save(self, *, whole: bool) -> None:
        """Write the state to disk now, `whole` or only the part that changes during work."""
        services = self._app._build_persistence_save_dict()
        if not whole:
            services = {k: v for k, v in services.items() if k in SAVED_EACH_SECOND}
        self._persistence.save_all(services)

    def _may_change(self, scope: Scope) -> bool:
        """Return whether a request can change ministack's own state."""
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return False
        if self._own_tables:
            return True
        return not asks_table(scope)

    async def _save_regularly(self) -> None:
        """Save whenever the state may have changed since the last save."""
        took = 0.0
        while True:
            await asyncio.sleep(max(SAVE_SECONDS, SERVING_PER_SAVING * took))
            if self._unsaved and not self._held:
                self._unsaved -= 1
                begun = time.perf_counter()
                self.save(whole=False)
                took = time.perf_counter() - begun

    async def _control(self, scope: Scope, send: Send) -> None:
        """Answer the supervisor: ``hold`` and ``release`` saving around a deployment.

        During a hold a kill leaves the state from before the deployment, and the next start
        deploys again; a partial stack is never restored.
        """
        command = scope["path"].removeprefix("/_fornix/")
        if command == "hold":
            self._held = True
        elif command == "release":
            self._held = False
            self.save(whole=True)
        elif command != "ready":
            await answer(send, 404, b"{}")
            return
        await answer(send, 200, b"{}")


def _keep_logs(worker: Any, logs: FunctionLogs) -> None:
    """Write the functions' logs, and the ends of their invocations, to files as well."""
    service: Any = importlib.import_module("ministack.services.lambda_svc")
    groups: Any = importlib.import_module("ministack.services.cloudwatch_logs")._log_groups
    emit = service._emit_lambda_logs

    def read_stderr(self: Any) -> None:
        with contextlib.suppress(ValueError):  # the pipe is closed when the process is dropped
            for line in self._proc.stderr:
                text = line.rstrip("\n")
                logs.line(self.func_name, text)
                self._stderr_queue.put(text)

    def emit_lambda_logs(
        func: dict[str, Any],
        request_id: str,
        log_text: str,
        error: bool,
        duration_ms: int,
        **more: Any,
    ) -> None:
        name = (func.get("config") or func).get("FunctionName", "unknown")
        logs.end(name, request_id, duration_ms, log_text if error else None)
        emit(func, request_id, log_text, error, duration_ms, **more)
        group = groups.get(f"/aws/lambda/{name}", {"streams": {}})
        while len(streams := group["streams"]) > STREAMS_KEPT:
            streams.pop(next(iter(streams)), None)

    worker._read_stderr = read_stderr
    service._emit_lambda_logs = emit_lambda_logs


def _answer_at_once(worker: Any) -> None:
    """Let no answer of a function wait for its log.

    ministack holds each answer back until the function has written nothing for 5 ms, or for 50 ms
    if it wrote nothing. Here only a failed invocation waits, because its last lines are its
    reason; the files get all lines anyway.
    """
    drain = worker._drain_stderr_bounded

    def drain_after_errors(self: Any, *arguments: Any, **more: Any) -> str:
        if self._proc is None:  # so ministack leaves a failed invocation
            return str(drain(self, *arguments, **more))
        lines = []
        with contextlib.suppress(queue.Empty):
            while True:
                lines.append(self._stderr_queue.get_nowait())
        return "\n".join(lines)

    worker._drain_stderr_bounded = drain_after_errors


def _collect_batches(sqs: Any) -> None:
    """Pass messages that arrive together to a function in one invocation, as on AWS.

    ministack ignores the batching window of an event source: it would start an invocation for each
    event of an upload's files.
    """
    receive, wake = sqs._receive_messages_for_esm, sqs.esm_wake

    def receive_collected(queue_url: str, most: int) -> list[dict[str, Any]]:
        now = time.time()
        with sqs._queues_lock:
            times = [m.get("visible_at", now) for m in sqs._queues[queue_url]["messages"]]
        waiting = [at for at in times if at <= now]
        if not waiting or (len(waiting) < most and now - min(waiting) < COLLECT_SECONDS):
            if waiting:
                later = threading.Timer(COLLECT_SECONDS, wake.set)
                later.daemon = True
                later.start()
            return []
        return list(receive(queue_url, most))

    sqs._receive_messages_for_esm = receive_collected


def _lose_no_message(sqs: Any) -> None:
    """Remove messages from a queue's list one by one; ministack replaces the list.

    The thread that calls functions replaces the list with its own copy, so a message that a
    request had added meanwhile would be lost.
    """
    sweep = sqs._dlq_sweep

    def take(queue: dict[str, Any], gone: Callable[[dict[str, Any]], bool]) -> None:
        messages = queue["messages"]
        for message in [each for each in messages if gone(each)]:
            with contextlib.suppress(ValueError):  # another thread has taken it
                messages.remove(message)

    def sweep_in_place(queue: dict[str, Any]) -> None:
        seen = list(queue["messages"])
        copy = {**queue, "messages": seen}
        sweep(copy)
        if len(copy["messages"]) < len(seen):
            remaining = {each["id"] for each in copy["messages"]}
            moved = {each["id"] for each in seen} - remaining
            take(queue, lambda message: message["id"] in moved)

    def delete_in_place(queue_url: str, handles: set[str]) -> None:
        with sqs._queues_lock:
            take(sqs._get_q(queue_url), lambda each: each.get("receipt_handle") in handles)

    sqs._dlq_sweep = sweep_in_place
    sqs._delete_messages_for_esm = delete_in_place


def _waits_for_messages(scope: Scope) -> bool:
    """Return whether a request is a long poll of a queue."""
    return target_of(scope) == "AmazonSQS.ReceiveMessage"


async def _while_connected(app: Asgi, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a small request until it is answered or its client has disconnected.

    Otherwise a worker that was killed in its long poll would still get the next message, which
    would then be hidden from all others for a while.
    """
    body = await whole(receive)
    if body is None:
        return
    once = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def again() -> Any:
        return next(once, None) or await asyncio.Event().wait()

    served = asyncio.ensure_future(app(scope, again, send))
    hung_up = asyncio.ensure_future(receive())
    try:
        await asyncio.wait({served, hung_up}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        hung_up.cancel()
        if not served.done():
            served.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await served


def _keep_versions_on_disk(s3: Any) -> None:
    """Release an object's bytes from memory once they are on disk, also in a versioned bucket.

    Otherwise ministack keeps the bytes of all versions in memory until it is restarted.
    """
    record = s3._record_object_version

    def record_without_bytes(
        bucket: str, key: str, before: Any, now: dict[str, Any], data: bytes
    ) -> Any:
        return record(bucket, key, before, now, None)

    s3._record_object_version = record_without_bytes


def _telling(scope: Scope, send: Send) -> Send:
    """Return a ``send`` that logs answers about failures of the server.

    503 is not logged: it asks the caller to try again.
    """
    status = 0

    async def tell(message: MutableMapping[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        elif status >= 500 and status != 503:
            text = message.get("body", b"")[:500].decode(errors="replace")
            log.error("%s %s answered %d: %s", scope["method"], _what(scope), status, text)
            status = 0
        await send(message)

    return tell


def _what(scope: Scope) -> str:
    """Return the operation of a request, or else its path."""
    return f"{scope['path']} {target_of(scope)}".strip()


class Forward:
    """A service handler that passes requests on to the table's server and returns its answers."""

    def __init__(self, address: str) -> None:
        self._table = TableServer(address)

    async def __call__(
        self,
        method: str,
        path: str,
        headers: dict[str, str],
        body: bytes,
        query: dict[str, Any],
    ) -> tuple[int, dict[str, str], bytes]:
        """Pass one request on; its signature and permissions are already checked."""
        forwarded = {k: v for k, v in headers.items() if k.lower() in _FORWARDED}
        answer = await self._table.ask(path, forwarded, body)
        returned = {k: v for k, v in answer.headers.items() if k not in _OF_THE_CONNECTION}
        return answer.status, returned, answer.data


_OF_THE_CONNECTION = ("content-length", "connection", "date", "transfer-encoding")
"""Headers of an answer that are not passed on."""

_FORWARDED = ("x-amz-target", "content-type", "authorization", "x-amz-date")


def _writing_once(write: Callable[[bytes], str], folder: str) -> Callable[[bytes], str]:
    """Return a writer of functions' code that remembers what it has written.

    Each save would hash the code of all functions again, tens of megabytes each, and no request
    is served meanwhile.
    """
    written: dict[int, tuple[bytes, Path]] = {}

    def write_once(code: bytes) -> str:
        known, file = written.get(id(code), (None, None))
        if known is not code or not file or not file.exists():
            for key in [key for key, (_, each) in written.items() if not each.exists()]:
                del written[key]  # replaced by a deployment
            file = Path(folder, f"{write(code)}.zip")
            written[id(code)] = code, file
        return file.stem

    return write_once


def _is_housekeeping(scope: Scope) -> bool:
    """Return whether an address is one of ministack's own, which need no credentials."""
    path = scope["path"]
    if path == "/_ministack/health":
        return False
    # Our stack uses neither CloudFormation's answers nor Lambda layers at these addresses.
    return path.startswith(("/_ministack/", "/_localstack/"))


def _lists_buckets_unsigned(scope: Scope) -> bool:
    """Return whether a request lists all buckets without credentials."""
    if scope["path"] != "/" or b"X-Amz-Signature" in scope.get("query_string", b""):
        return False
    headers = dict(scope["headers"])
    return b"authorization" not in headers and b".cloudfront." not in headers.get(b"host", b"")


async def answer(
    send: Send, status: int, body: bytes, headers: dict[str, str] | None = None
) -> None:
    """Send one whole response, JSON if the headers do not say otherwise."""
    lines = {"content-type": "application/json", "content-length": str(len(body))}
    lines |= {name.lower(): value for name, value in (headers or {}).items()}
    encoded = [(name.encode(), value.encode()) for name, value in lines.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    with contextlib.suppress(ConnectionError):
        await send({"type": "http.response.body", "body": body})


def api_scope(scope: Scope, api: str, stage: str) -> Scope:
    """Return a request's scope as the gateway expects it for a deployed REST API."""
    prefix = f"/_aws/execute-api/{api}/{stage}"
    raw = scope.get("raw_path") or scope["path"].encode()
    return {**scope, "path": prefix + scope["path"], "raw_path": prefix.encode() + raw}


def site_scope(scope: Scope, domain: str) -> Scope:
    """Return a request's scope as the gateway expects it for a CloudFront distribution."""
    headers = [(key, value) for key, value in scope["headers"] if key != b"host"]
    return {**scope, "headers": [(b"host", domain.encode()), *headers]}
