"""The worker: waits for messages of its lab's queue, claims tasks, runs them, sends results.

A message only says that a task waits. The claim decides who runs it, heartbeats keep it, and the
attempt number shuts out a worker that was taken for dead. A worker that is killed leaves nothing
behind but a lease that ends.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from botocore.exceptions import BotoCoreError, ClientError

from lab.client import Client, Conflict, NotFound, Refused, Unreachable
from lab.client import ClientError as ApiError
from lab.transfer import Transfer
from lab.worker.process import Starter
from shared.model import messages
from shared.model.messages import TaskWaits
from shared.tasks.states import Status

log = logging.getLogger(__name__)

LEASE_SECONDS = 300
POLL_SECONDS = 20
"""Longest wait for a message that SQS offers."""

UNSEEN_SECONDS = 30
"""How long a message that was received is kept from others: enough to claim its task.

Should the answer be lost on the way, as to a worker killed while it waits, the task is announced
again after this time.
"""

RENEW_BEFORE = timedelta(minutes=5)
"""Credentials are renewed so long before they end."""

TROUBLE_SECONDS = 15.0
"""Pause when queue or server cannot be reached."""

PREFIX = "fornix-worker-"

LOOK_SECONDS = 0.2
"""Between two looks at whether a running task has been lost, or should be given back."""

LAST_SECONDS = 20.0
"""How long tasks that are nearly done may still take when the worker stops."""

BLOCK = 2**20


class Lost(Exception):
    """The task is no longer this worker's."""


class Stopping(Exception):
    """The worker has been told to stop."""


class BadInput(Exception):
    """An input is not what the table says."""


@dataclass
class Worker:
    """One worker of a lab; it runs one task at a time, a :class:`Crew` of them several.

    Parameters
    ----------
    client
        The API, logged in as a worker of the lab.
    name
        Shown as the owner of tasks; made unique for this process.
    lease
        Seconds that a claim holds without a heartbeat; one is sent three times in that time.
    folder
        Where inputs and outputs are kept while a task runs.
    tell
        Told of each task that ended: a JSON object.
    poll
        Seconds to wait for a message.
    stopping
        Set from another thread: the running task is given back, and no other is begun.
    busy
        Whether it has a message and is not done with its task.
    """

    client: Client
    name: str = field(default_factory=platform.node)
    lease: int = LEASE_SECONDS
    folder: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))
    tell: Callable[[dict[str, Any]], object] = lambda report: None
    poll: int = POLL_SECONDS
    stopping: threading.Event = field(default_factory=threading.Event)
    busy: bool = field(default=False, init=False)
    _queue: tuple[Any, str, datetime] | None = None
    _starter: Starter = field(default_factory=Starter)
    _running: tuple[Mapping[str, Any], int] | None = None

    def __post_init__(self) -> None:
        self.name = f"{self.name}:{os.getpid()}:{uuid.uuid4().hex[:6]}"

    # -- the queue -----------------------------------------------------------------------------

    def forever(self, *, idle: float | None = None, most: int | None = None) -> int:
        """Work until told to stop; until nothing came for ``idle`` seconds, or ``most`` tasks ran.

        Returns
        -------
        int
            How many tasks were run.
        """
        done, last = 0, time.monotonic()
        try:
            while (most is None or done < most) and not self.stopping.is_set():
                if idle is not None and time.monotonic() - last >= idle:
                    break
                try:
                    ran = self.once()
                except (BotoCoreError, ClientError, Unreachable) as error:
                    log.warning("%s; again in %.0f s", error, TROUBLE_SECONDS)
                    self._queue = None
                    self.stopping.wait(TROUBLE_SECONDS)
                    continue
                if ran is not None:
                    last = time.monotonic()
                    done += ran
        finally:
            self._starter.close()
        return done

    def once(self) -> bool | None:
        """Wait for one message and act on it; None if there was none, else whether a task ran."""
        sqs, url = self._sqs()
        answer = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=self.poll,
            VisibilityTimeout=UNSEEN_SECONDS,
        )
        for message in answer.get("Messages", ()):
            self.busy = True  # before the look: who stops the worker waits for the claim's answer
            try:
                return None if self.stopping.is_set() else self._act(message)
            finally:
                self.busy = False
        return None

    def _act(self, message: Mapping[str, Any]) -> bool:
        """Claim the task of a message and run it; return whether it was to be had."""
        sqs, url = self._sqs()
        try:
            waits = messages.decode(message["Body"])
            task = str(uuid.UUID(waits.task)) if isinstance(waits, TaskWaits) else None
        except ValueError:
            task = None
        if task is None:
            log.error("a message that is not about a task: %.200s", message["Body"])
        claim = self._claim(task) if task else None
        # From here on the lease, not the message, says that the task is being run.
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        if claim is not None:
            self.execute(claim)
        return claim is not None

    def _sqs(self) -> tuple[Any, str]:
        """Return a client of the lab's queue with credentials that are still good."""
        if self._queue is None or self._queue[2] - datetime.now(UTC) < RENEW_BEFORE:
            lent = self.client.post("/workers/credentials")
            import botocore.session

            address = urlsplit(lent["queue_url"])
            sqs = botocore.session.get_session().create_client(
                "sqs",
                region_name=lent["region"],
                endpoint_url=f"{address.scheme}://{address.netloc}",
                aws_access_key_id=lent["access_key_id"],
                aws_secret_access_key=lent["secret_access_key"],
                aws_session_token=lent["session_token"],
            )
            expires = datetime.fromisoformat(lent["expires"])
            self._queue = (sqs, lent["queue_url"], expires)
        return self._queue[0], self._queue[1]

    def _claim(self, task: str) -> dict[str, Any] | None:
        """Claim a task; None if it is not to be had."""
        try:
            return self.client.post(
                f"/tasks/{task}/claim", {"worker": self.name, "lease": self.lease}
            )
        except (Conflict, NotFound) as error:
            log.info("%s", error)
        except Refused as error:  # not a task of this lab: none of ours
            log.error("%s", error)
        return None

    # -- one task ------------------------------------------------------------------------------

    def execute(self, claim: Mapping[str, Any]) -> str | None:
        """Run a claimed task to its end; return its status, None if it was lost on the way."""
        task, attempt = claim["task"], claim["attempt"]
        log.info("%s of %s, attempt %d", task["name"], claim["session"]["folder"], attempt)
        began = time.monotonic()
        place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self.folder))
        (place / "pid").write_text(str(os.getpid()))
        lost = threading.Event()
        self._running = (task, attempt)
        try:
            with self._heartbeats(task["id"], attempt, lost):
                ending = self._work(claim, place, lost)
                ending["elapsed"] = round(time.monotonic() - began, 3)
                self._complete(task["id"], ending)
        except (Lost, Conflict) as error:
            log.warning("%s was taken over by another: %s", task["name"], error)
            return None
        except Stopping:
            self.give_back()
            return None
        except KeyboardInterrupt:
            self.give_back()
            raise
        except (ApiError, requests.RequestException) as error:
            # The lease ends by itself, and the task goes to another.
            log.error("%s was left: %s", task["name"], error)
            return None
        finally:
            self._running = None
            shutil.rmtree(place, ignore_errors=True)
        log.info("%s is %s", task["name"], ending["status"])
        self.tell(
            {
                "task": task["id"],
                "name": task["name"],
                "session": claim["session"]["folder"],
                "attempt": attempt,
                "status": ending["status"],
                "elapsed": ending["elapsed"],
                "upload": ending.get("upload"),
            }
        )
        return ending["status"]

    def _work(
        self, claim: Mapping[str, Any], place: Path, lost: threading.Event
    ) -> dict[str, Any]:
        """Fetch the inputs, run the task, send the outputs; return how it ended."""
        task, attempt = claim["task"], claim["attempt"]
        session, out = place / "session" / claim["session"]["folder"], place / "out"
        out.mkdir()
        ending: dict[str, Any] = {"attempt": attempt, "log": ""}
        try:
            self._fetch(claim, session, lost)
        except (BadInput, OSError) as error:
            if isinstance(error, requests.RequestException):
                raise
            return ending | {"status": Status.ERRORED.label, "log": f"{error}\n"}
        outcome, text = self._run(task, session, out, place, lost)
        self._check(lost)
        record = outcome.get("record") or {}
        record |= {"worker": self.name, "attempt": attempt, "session": claim["session"]["id"]}
        ids = {one["path"]: one["id"] for one in claim["inputs"]}
        for one in record.get("inputs", ()):
            one["id"] = ids.get(one["path"])
        ending |= {
            "status": outcome["status"],
            "log": text,
            "version": record.get("version"),
            "run_record": record,
        }
        if outcome["outputs"]:
            result = Transfer(self.client, out).upload(
                {"id": claim["session"]["id"]},
                outcome["outputs"],
                task={"id": task["id"], "attempt": attempt, "run_record": record},
            )
            ending["upload"] = result.answer["id"]
            if result.refused:
                reasons = "\n".join(f"{path}: {why}" for path, why in result.refused.items())
                ending["status"] = Status.ERRORED.label
                ending["log"] += f"\nOutputs were refused:\n{reasons}\n"
        return ending

    def _fetch(self, claim: Mapping[str, Any], session: Path, lost: threading.Event) -> None:
        """Download the inputs to their places in a session's folder.

        Raises
        ------
        BadInput
            A file does not come, or not with the checksum it is registered with.
        """
        session.mkdir(parents=True)
        for one in claim["inputs"]:
            self._check(lost)
            target = session / one["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._download(one, target)
            except requests.HTTPError as error:
                if error.response.status_code != 403:
                    raise BadInput(f"input {one['path']} does not come: {error}") from None
                again = self.client.post(  # the address has expired: the same claim renews it
                    f"/tasks/{claim['task']['id']}/claim",
                    {"worker": self.name, "lease": self.lease},
                )
                fresh = {entry["path"]: entry for entry in again["inputs"]}
                self._download(fresh[one["path"]], target)

    def _download(self, one: Mapping[str, Any], target: Path) -> None:
        """Download one file, and check size and checksum."""
        sha256, size = hashlib.sha256(), 0
        try:
            with requests.get(one["url"], stream=True, timeout=(10, 120)) as answer:
                answer.raise_for_status()
                with target.open("wb") as file:
                    for block in answer.iter_content(BLOCK):
                        file.write(block)
                        sha256.update(block)
                        size += len(block)
        except (requests.ConnectionError, requests.Timeout) as error:
            raise Unreachable(f"S3 did not answer ({type(error).__name__})") from None
        if one["sha256"] and sha256.hexdigest() != one["sha256"]:
            raise BadInput(
                f"input {one['path']} came with SHA-256 {sha256.hexdigest()} and {size} bytes; "
                f"it is registered with {one['sha256']} and {one['size']} bytes"
            )

    def _run(
        self,
        task: Mapping[str, Any],
        session: Path,
        out: Path,
        place: Path,
        lost: threading.Event,
    ) -> tuple[dict[str, Any], str]:
        """Run a task in a process of its own; return its outcome and log.

        Raises
        ------
        Lost
            The task was taken over while it ran.
        """
        order, result, log_file = place / "order.json", place / "result.json", place / "log.txt"
        order.write_text(
            json.dumps(
                {
                    "task": task["executable"],
                    "arguments": task["arguments"],
                    "session": str(session),
                    "out": str(out),
                }
            )
        )
        limit = time.monotonic() + task["time_out_secs"]
        errored: dict[str, Any] = {"status": Status.ERRORED.label, "outputs": []}
        process = self._starter.start(order, result, log_file, place)
        try:
            while (code := process.wait(LOOK_SECONDS)) is None and time.monotonic() < limit:
                self._check(lost)
        finally:
            process.stop()
        text = log_file.read_text(errors="replace") if log_file.exists() else ""
        if code is None:
            return errored, f"{text}\nStopped after its time-out of {task['time_out_secs']} s.\n"
        if not result.exists():
            return errored, f"{text}\nThe process ended with code {code}.\n"
        return json.loads(result.read_text()), text

    def _complete(self, task: str, ending: dict[str, Any]) -> None:
        """Tell the server how a run ended."""
        body = {name: value for name, value in ending.items() if value is not None}
        self.client.post(f"/tasks/{task}/complete", body)

    def _check(self, lost: threading.Event) -> None:
        """Raise if the task should not go on."""
        if lost.is_set():
            raise Lost("the lease has ended")
        if self.stopping.is_set():
            raise Stopping

    def give_back(self) -> None:
        """Give the running task back, if there is one, so that another takes it at once."""
        if (running := self._running) is None:
            return
        task, attempt = running
        try:
            self.client.post(f"/tasks/{task['id']}/release", {"attempt": attempt})
            log.warning("%s was given back", task["name"])
        except ApiError as error:
            log.error("%s could not be given back: %s", task["name"], error)

    @contextmanager
    def _heartbeats(self, task: str, attempt: int, lost: threading.Event) -> Iterator[None]:
        """Send heartbeats meanwhile; set ``lost`` when the task is no longer this worker's."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(self.lease / 3):
                try:
                    body = {"attempt": attempt, "lease": self.lease}
                    self.client.post(f"/tasks/{task}/heartbeat", body)
                except (Conflict, NotFound):
                    lost.set()
                    return
                except ApiError as error:
                    log.warning("heartbeat: %s", error)

        thread = threading.Thread(target=beat, daemon=True, name="heartbeat")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(1)


class Crew:
    """Several workers in one process, each with a task of its own.

    Parameters
    ----------
    workers
        The workers.
    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        self.workers = workers
        self._failed: BaseException | None = None
        self._left = threading.Semaphore(0)

    def forever(self, *, idle: float | None = None, most: int | None = None) -> None:
        """Have all work, each as :meth:`Worker.forever`; Ctrl-C gives their tasks back."""
        for worker in self.workers:
            threading.Thread(target=self._one, args=(worker, idle, most), daemon=True).start()
        try:
            # Not by Thread.join: Python 3.11 takes a thread for ended when Ctrl-C cuts that short.
            for _ in self.workers:
                while not self._left.acquire(timeout=1):
                    pass
                if self._failed is not None:
                    raise self._failed
        finally:
            self._stop()

    def _one(self, worker: Worker, idle: float | None, most: int | None) -> None:
        try:
            worker.forever(idle=idle, most=most)
        except BaseException as error:
            self._failed = error
        finally:
            self._left.release()

    def _stop(self) -> None:
        """Tell all to stop; what is not given back or done in time is given back from here."""
        for worker in self.workers:
            worker.stopping.set()
        end = time.monotonic() + LAST_SECONDS
        for worker in self.workers:
            # One that waits for a message has nothing to give back, and ends with the process.
            while worker.busy and time.monotonic() < end:
                time.sleep(0.05)
            worker.give_back()


def tidy(folder: Path) -> int:
    """Remove what killed workers have left in a folder; return how many runs that were."""
    removed = 0
    for place in folder.glob(f"{PREFIX}*"):
        try:
            pid = int((place / "pid").read_text())
        except (OSError, ValueError):
            continue
        if not _alive(pid):
            shutil.rmtree(place, ignore_errors=True)
            removed += 1
    return removed


def _alive(pid: int) -> bool:
    """Tell whether a process runs; where that cannot be known, say yes."""
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
