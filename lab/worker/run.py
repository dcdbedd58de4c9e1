"""The worker: waits for messages of its lab's queue, claims tasks, runs them, sends results.

A message only says that a task waits. The claim decides who runs it, heartbeats keep it, and the
attempt number shuts out a worker that was taken for dead. A killed worker leaves only a lease,
which ends. A task is Errored by its own faults only: if the computer has no space, no memory or a
broken environment, the task is given back, and the worker rests until the computer can work
again.

One file, because a run's steps share what has to be undone when it is cut off.
"""

from __future__ import annotations

import logging
import os
import platform
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import requests
from botocore.exceptions import BotoCoreError, ClientError

from lab.client import Client, Conflicting, RecordMissing, RequestRefused, Unreachable
from lab.client import ClientError as ApiError
from lab.tasks.run import names
from lab.tasks.trouble import MachineTrouble
from lab.worker.attempt import Attempt, LeaseLost, Stopping
from lab.worker.environments import Environments, offers
from lab.worker.health import Computer, about, as_trouble
from lab.worker.heartbeats import heartbeats
from lab.worker.process import Starter
from lab.worker.queue import POLL_SECONDS, WorkQueue, task_of
from shared.model.task import (
    LEASE_SECONDS,
    Claim,
    ClaimRequest,
    Release,
    WorkerReport,
)

log = logging.getLogger(__name__)

TROUBLE_SECONDS = 15.0
"""Pause when the queue or the server cannot be reached."""

REST_SECONDS = 60.0
"""Pause of a computer that lacks something, before it looks again."""

BROKEN_SECONDS = 600.0
"""Time for which tasks with broken libraries here are left to other workers."""

REPORT_SECONDS = 1800.0
"""A worker reports at least so often: one write, and the lab does not count as silent."""

PREFIX = "fornix-worker-"

DRAIN = "fornix-worker.drain"
"""A file of this name in a worker's folder stops the worker after its task."""


@dataclass
class Worker:
    """One worker of a lab; it runs one task at a time, a `WorkerPool` of them several.

    Parameters
    ----------
    client
        The API, logged in as a worker of the lab.
    name
        Shown as the owner of tasks; made unique for this process.
    lease
        Seconds for which a claim holds without a heartbeat; three are sent in that time.
    folder
        Folder of inputs and outputs while a task runs.
    on_result
        Called with each ended task: a JSON object.
    poll
        Seconds to wait for a message.
    rest
        Seconds of a pause when the computer lacks something.
    reserve
        Bytes of the folder's disk that stay free; by default `health.RESERVE`.
    environments
        Environments of tasks whose libraries clash with the worker's; without, others run those.
    stopping
        Set from another thread: the running task is given back, and no other is started.
    draining
        Set from another thread: the running task is finished, and no other is started.
    busy
        Whether it handles a message or its task.
    trouble
        The missing resource, if any.
    """

    client: Client
    name: str = field(default_factory=platform.node)
    lease: int = LEASE_SECONDS
    folder: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))
    on_result: Callable[[dict[str, Any]], object] = lambda report: None
    poll: int = POLL_SECONDS
    rest: float = REST_SECONDS
    reserve: int | None = None
    environments: Environments | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    draining: threading.Event = field(default_factory=threading.Event)
    busy: bool = field(default=False, init=False)
    trouble: MachineTrouble | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.name = f"{self.name}:{os.getpid()}:{uuid.uuid4().hex[:6]}"
        self.computer = Computer(
            self.folder, **({} if self.reserve is None else {"reserve": self.reserve})
        )
        self._queue = WorkQueue(self.client)
        self._starter = Starter(self.environments)
        self._running: Claim | None = None
        self._told = time.monotonic()
        self._broken: dict[str, float] = {}  # until when each executable is left to others

    # -- the loop ------------------------------------------------------------------------------

    def run(self, *, idle: float | None = None, most: int | None = None) -> int:
        """Work until stopped, until idle for ``idle`` seconds, or until ``most`` tasks ran.

        Returns
        -------
        int
            Number of tasks that ran.

        Raises
        ------
        Unreachable
            The worker was to stop when idle, but could not reach the queue.
        """
        done, last, heard = 0, time.monotonic(), True
        self.report("working")
        try:
            while (most is None or done < most) and not self._over():
                if idle is not None and heard and time.monotonic() - last >= idle:
                    break
                try:
                    if time.monotonic() - self._told >= REPORT_SECONDS:
                        self.report("resting" if self.trouble else "working")
                    if not self.well():
                        self.stopping.wait(self.rest)
                        continue
                    ran = self.poll_once()
                except (BotoCoreError, ClientError, Unreachable) as error:
                    heard = False
                    log.warning("%s; again in %.0f s", error, TROUBLE_SECONDS)
                    self._queue.forget()
                    if idle is not None and time.monotonic() - last >= idle:
                        raise Unreachable(
                            f"nothing was heard of the lab's queue: {error}"
                        ) from None
                    self.stopping.wait(TROUBLE_SECONDS)
                    continue
                heard = True
                if ran is not None:
                    last = time.monotonic()
                    done += ran
        finally:
            self._starter.close()
            self.report("stopped")
        return done

    def _over(self) -> bool:
        if (self.folder / DRAIN).exists() and not self.draining.is_set():
            self.draining.set()
            self.report("draining")
        return self.stopping.is_set() or self.draining.is_set()

    def well(self) -> bool:
        """Check whether the computer can run tasks; report a change."""
        try:
            self.computer.check()
            if not self.tasks():
                raise MachineTrouble("environment", "none of the tasks can be run here")
        except MachineTrouble as trouble:
            self._lacks(trouble)
            return False
        if self.trouble is not None:
            log.warning("%s: well again", self.name)
            self.trouble = None
            self.report("working")
        return True

    def _lacks(self, trouble: MachineTrouble) -> None:
        """Note that the computer lacks something."""
        new = self.trouble is None or self.trouble.kind != trouble.kind
        self.trouble = trouble
        log.log(logging.ERROR if new else logging.DEBUG, "%s rests: %s", self.name, trouble)
        if new:
            self.report("resting", str(trouble))

    def tasks(self) -> tuple[str, ...]:
        """Return the installed executables that are not known to be broken."""
        now = time.monotonic()
        self._broken = {name: until for name, until in self._broken.items() if until > now}
        return tuple(
            name
            for name in names()
            if name not in self._broken and offers(self.environments, name)
        )

    def report(self, state: Any, reason: str | None = None) -> None:
        """Report this worker's state to the server; a failure does not stop the worker."""
        host, version = about()
        self._told = time.monotonic()
        report = WorkerReport(
            worker=self.name,
            state=state,
            reason=(reason or str(self.trouble or ""))[:1000] or None,
            host=host[:200],
            version=version[:64],
            running=(self._running.task.id,) if self._running else (),
        )
        try:
            report = msgspec.structs.replace(
                report, capabilities=self.computer.capabilities(self.tasks())
            )
            self.client.post("/workers/report", msgspec.to_builtins(report))
        except (ApiError, requests.RequestException, OSError) as error:
            log.warning("the server was not told that %s is %s: %s", self.name, state, error)

    def poll_once(self) -> bool | None:
        """Wait for one message and act on it; None if there was none, else whether a task ran."""
        message = self._queue.receive(self.poll)
        if message is None:
            return None
        self.busy = True  # set first: a pool that stops waits for the claim's answer
        try:
            return None if self._over() else self._handle(message)
        finally:
            self.busy = False

    def _handle(self, message: Mapping[str, Any]) -> bool:
        """Claim and run the task of a message; return whether the claim succeeded."""
        task = task_of(message)
        claim = self._claim(task) if task else None
        # From here on the lease, not the message, shows that the task runs.
        try:
            self._queue.delete(message)
        except (BotoCoreError, ClientError, Unreachable) as error:
            if claim is None:
                raise
            # It may come again, and is harmless then; an idle lease would cost an attempt.
            log.warning("the message of task %s was not deleted: %s", task, error)
            self._queue.forget()
        if claim is not None:
            self.execute(claim)
        return claim is not None

    def _claim(self, task: str) -> Claim | None:
        """Claim a task; None if it cannot be claimed."""
        request = ClaimRequest(self.name, self.lease, self.computer.capabilities(self.tasks()))
        try:
            answer = self.client.post(f"/tasks/{task}/claim", msgspec.to_builtins(request))
            return msgspec.convert(answer, Claim)
        except (Conflicting, RecordMissing) as error:
            log.info("%s", error)
        except RequestRefused as error:  # not a task of this lab
            log.error("%s", error)
        return None

    # -- one task ------------------------------------------------------------------------------

    def execute(self, claim: Claim) -> str | None:
        """Run a claimed task to its end; return its status, None if it was lost meanwhile."""
        task, attempt = claim.task, claim.attempt
        log.info("%s of %s, attempt %d", task.name, claim.session.folder, attempt)
        began = time.monotonic()
        self._running = claim
        place: Path | None = None
        try:
            place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self.folder))
            (place / "pid").write_text(str(os.getpid()))
            run = self._attempt(claim, place)
            with heartbeats(run, self.lease):
                ending = run.work()
                ending = msgspec.structs.replace(
                    ending, elapsed=round(time.monotonic() - began, 3)
                )
                self.client.post(f"/tasks/{task.id}/complete", msgspec.to_builtins(ending))
        except (LeaseLost, Conflicting) as error:
            log.warning("%s was taken over by another: %s", task.name, error)
            return None
        except Stopping:
            self.give_back()
            return None
        except KeyboardInterrupt:
            self.give_back()
            raise
        except (ApiError, requests.RequestException) as error:
            # The lease ends by itself, and another worker takes the task.
            log.error("%s was left: %s", task.name, error)
            return None
        except (MachineTrouble, OSError) as error:
            self._give_up(claim, error)
            return None
        finally:
            self._running = None
            if place is not None:
                shutil.rmtree(place, ignore_errors=True)
        log.info("%s is %s", task.name, ending.status)
        self.on_result(
            {
                "task": task.id,
                "name": task.name,
                "session": claim.session.folder,
                "attempt": attempt,
                "status": ending.status,
                "elapsed": ending.elapsed,
                "upload": ending.upload,
            }
        )
        return ending.status

    def _attempt(self, claim: Claim, place: Path) -> Attempt:
        return Attempt(
            client=self.client,
            claim=claim,
            place=place,
            worker=self.name,
            starter=self._starter,
            claim_again=partial(self._claim, claim.task.id),
            stopping=self.stopping,
        )

    def _give_up(self, claim: Claim, error: MachineTrouble | OSError) -> None:
        """Give a task back that this computer cannot run now; then rest or leave it to others."""
        trouble = as_trouble(error) or MachineTrouble("disk", f"{type(error).__name__}: {error}")
        if isinstance(error, MachineTrouble):
            trouble = error
        self.give_back(f"{trouble} (on {platform.node()})", trouble)
        if trouble.kind == "environment":
            self._broken[claim.task.executable] = time.monotonic() + BROKEN_SECONDS
            self.report("working", f"{claim.task.executable} is left to others: {trouble}")
            return
        self._lacks(trouble)
        self.stopping.wait(self.rest)

    def give_back(self, reason: str | None = None, trouble: MachineTrouble | None = None) -> None:
        """Give the running task back, if there is one, so that another worker takes it at once."""
        if (claim := self._running) is None:
            return
        kind = trouble.kind if trouble else None
        body = Release(claim.attempt, (reason or "")[:1000] or None, kind)
        try:
            self.client.post(f"/tasks/{claim.task.id}/release", msgspec.to_builtins(body))
            log.warning("%s was given back%s", claim.task.name, f": {reason}" if reason else "")
        except ApiError as error:
            log.error("%s could not be given back: %s", claim.task.name, error)
