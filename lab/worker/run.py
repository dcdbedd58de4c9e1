"""The worker: waits for messages of its lab's queue, claims tasks, runs them, sends results.

A message only says that a task waits. The claim decides who runs it, heartbeats keep it, and the
attempt number shuts out a worker that was taken for dead. A worker that is killed leaves nothing
behind but a lease that ends. A task is Errored by its own faults only: where the computer has no
space, no memory or a broken environment, the task is given back, and the worker rests until it is
well again.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import requests
from botocore.exceptions import BotoCoreError, ClientError

from lab.client import Client, Conflicting, RecordMissing, RequestRefused, Unreachable
from lab.client import ClientError as ApiError
from lab.tasks.run import names
from lab.tasks.trouble import WITHOUT_A_RESULT, MachineTrouble
from lab.transfer import Transfer
from lab.worker.facts import fill_facts
from lab.worker.health import Computer, about, as_trouble
from lab.worker.inputs import BadInput, fetch
from lab.worker.inside import Outside, inside, plain_file, read_own
from lab.worker.process import Starter
from lab.worker.queue import POLL_SECONDS, WorkQueue, task_of
from shared.model.task import (
    LEASE_SECONDS,
    Claim,
    ClaimRequest,
    Completion,
    Heartbeat,
    LogText,
    Release,
    RunOrder,
    RunRecord,
    RunResult,
    WorkerReport,
)
from shared.tasks.states import Status

log = logging.getLogger(__name__)

TROUBLE_SECONDS = 15.0
"""Pause when queue or server cannot be reached."""

REST_SECONDS = 60.0
"""Pause of a computer that lacks something, before it looks again."""

BROKEN_SECONDS = 600.0
"""How long a task is left to others whose libraries are not to be had here."""

PREFIX = "fornix-worker-"

DRAIN = "fornix-worker.drain"
"""A file of this name in a worker's folder has it stop after its task."""

LOOK_SECONDS = 0.2
"""Between two looks at whether a running task has been lost, or should be given back."""

RESULT_BYTES, LOG_BYTES = 2**24, 2**20
"""Of what a task's process has written no more is read."""


class LeaseLost(Exception):
    """The task is no longer this worker's."""


class Stopping(Exception):
    """The worker has been told to stop."""


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
        Seconds that a claim holds without a heartbeat; one is sent three times in that time.
    folder
        Where inputs and outputs are kept while a task runs.
    on_result
        Told of each task that ended: a JSON object.
    poll
        Seconds to wait for a message.
    rest
        Seconds of a pause when the computer lacks something.
    reserve
        Bytes of the folder's disk that stay free; by default `health.RESERVE`.
    stopping
        Set from another thread: the running task is given back, and no other is begun.
    draining
        Set from another thread: the running task is done to its end, and no other is begun.
    busy
        Whether it has a message and is not done with its task.
    trouble
        What the computer lacks at present.
    """

    client: Client
    name: str = field(default_factory=platform.node)
    lease: int = LEASE_SECONDS
    folder: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))
    on_result: Callable[[dict[str, Any]], object] = lambda report: None
    poll: int = POLL_SECONDS
    rest: float = REST_SECONDS
    reserve: int | None = None
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
        self._starter = Starter()
        self._running: Claim | None = None
        self._broken: dict[str, float] = {}  # executables, and until when they are left to others

    # -- the loop ------------------------------------------------------------------------------

    def run(self, *, idle: float | None = None, most: int | None = None) -> int:
        """Work until told to stop; until nothing came for ``idle`` seconds, or ``most`` tasks ran.

        Returns
        -------
        int
            How many tasks were run.
        """
        done, last = 0, time.monotonic()
        self.report("working")
        try:
            while (most is None or done < most) and not self._over():
                if idle is not None and time.monotonic() - last >= idle:
                    break
                try:
                    if not self.well():
                        self.stopping.wait(self.rest)
                        continue
                    ran = self.poll_once()
                except (BotoCoreError, ClientError, Unreachable) as error:
                    log.warning("%s; again in %.0f s", error, TROUBLE_SECONDS)
                    self._queue.forget()
                    self.stopping.wait(TROUBLE_SECONDS)
                    continue
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
        """Look whether the computer can run tasks, and say so when that changes."""
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
        """Return the executables that are installed here and not known to be broken."""
        now = time.monotonic()
        self._broken = {name: until for name, until in self._broken.items() if until > now}
        return tuple(name for name in names() if name not in self._broken)

    def report(self, state: Any, reason: str | None = None) -> None:
        """Tell the server how this worker is; that it is not told is no reason to stop."""
        host, version = about()
        report = WorkerReport(
            worker=self.name,
            state=state,
            reason=(reason or "")[:1000] or None,
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
        self.busy = True  # before the look: who stops the worker waits for the claim's answer
        try:
            return None if self._over() else self._handle(message)
        finally:
            self.busy = False

    def _handle(self, message: Mapping[str, Any]) -> bool:
        """Claim the task of a message and run it; return whether it was to be had."""
        task = task_of(message)
        claim = self._claim(task) if task else None
        # From here on the lease, not the message, says that the task is being run.
        self._queue.delete(message)
        if claim is not None:
            self.execute(claim)
        return claim is not None

    def _claim(self, task: str) -> Claim | None:
        """Claim a task; None if it is not to be had."""
        request = ClaimRequest(self.name, self.lease, self.computer.capabilities(self.tasks()))
        try:
            answer = self.client.post(f"/tasks/{task}/claim", msgspec.to_builtins(request))
            return msgspec.convert(answer, Claim)
        except (Conflicting, RecordMissing) as error:
            log.info("%s", error)
        except RequestRefused as error:  # not a task of this lab: none of ours
            log.error("%s", error)
        return None

    # -- one task ------------------------------------------------------------------------------

    def execute(self, claim: Claim) -> str | None:
        """Run a claimed task to its end; return its status, None if it was lost on the way."""
        task, attempt = claim.task, claim.attempt
        log.info("%s of %s, attempt %d", task.name, claim.session.folder, attempt)
        began = time.monotonic()
        lost = threading.Event()
        self._running = claim
        place: Path | None = None
        try:
            place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self.folder))
            (place / "pid").write_text(str(os.getpid()))
            with self._heartbeats(claim, place, lost):
                ending = self._work(claim, place, lost)
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
            # The lease ends by itself, and the task goes to another.
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

    def _give_up(self, claim: Claim, error: MachineTrouble | OSError) -> None:
        """Give a task back that this computer cannot run now, and rest or leave it to others."""
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

    def _work(self, claim: Claim, place: Path, lost: threading.Event) -> Completion:
        """Fetch the inputs, run the task, send the outputs; return how it ended."""
        task, attempt = claim.task, claim.attempt
        room = place / "run"
        out = room / "out"
        out.mkdir(parents=True)
        failed = Completion(attempt, Status.ERRORED.label)
        try:
            session = inside(room / "session", claim.session.folder)
            for name, value in task.arguments.items():
                if name.endswith("collection"):  # it becomes a folder
                    inside(out, value, whole=True)
            fetch(claim, session, again=self._claims_again(claim), check=lambda: self._go(lost))
        except (BadInput, Outside) as error:
            return msgspec.structs.replace(failed, log=f"{error}\n")
        result, text = self._run(claim, session, out, place, lost)
        self._go(lost)
        if result.trouble:
            raise MachineTrouble(result.trouble, result.error or result.trouble)
        record = self._completed(result.record or RunRecord(), claim)
        ending = Completion(
            attempt, result.status, log=text, version=record.version, run_record=record
        )
        try:
            for path in result.outputs:
                plain_file(out, path)
        except Outside as error:
            return msgspec.structs.replace(
                ending, status=Status.ERRORED.label, log=f"{text}\n{error}\n"
            )
        if not result.outputs:
            return ending
        ending = self._send(claim, out, result.outputs, ending)
        if result.facts is not None and ending.status == Status.COMPLETE.label:
            fill_facts(self.client, claim, result.facts)
        return ending

    def _send(
        self, claim: Claim, out: Path, outputs: Sequence[str], ending: Completion
    ) -> Completion:
        """Send the outputs; return the ending with what became of them."""
        sent = Transfer(self.client, out).upload(
            {"id": claim.session.id},
            outputs,
            task={
                "id": claim.task.id,
                "attempt": claim.attempt,
                "run_record": msgspec.to_builtins(ending.run_record),
            },
        )
        ending = msgspec.structs.replace(ending, upload=sent.answer["id"])
        if sent.refused:
            reasons = "\n".join(f"{path}: {why}" for path, why in sent.refused.items())
            ending = msgspec.structs.replace(
                ending,
                status=Status.ERRORED.label,
                log=f"{ending.log}\nOutputs were refused:\n{reasons}\n",
            )
        return ending

    def _claims_again(self, claim: Claim) -> Callable[[], Claim]:
        def again() -> Claim:
            fresh = self._claim(claim.task.id)
            if fresh is None:
                raise LeaseLost("it is not to be had again")
            return fresh

        return again

    def _completed(self, record: RunRecord, claim: Claim) -> RunRecord:
        """Return a run's record with who ran it, and the ids of what it read."""
        ids = {each.path: each.id for each in claim.inputs}
        return msgspec.structs.replace(
            record,
            worker=self.name,
            attempt=claim.attempt,
            session=claim.session.id,
            inputs=tuple(
                msgspec.structs.replace(each, id=ids.get(each.path)) for each in record.inputs
            ),
        )

    def _run(
        self, claim: Claim, session: Path, out: Path, place: Path, lost: threading.Event
    ) -> tuple[RunResult, str]:
        """Run a task in a process of its own; return its result and log.

        Raises
        ------
        LeaseLost
            The task was taken over while it ran.
        MachineTrouble
            Its process could not be started, or was killed by the system.
        """
        task = claim.task
        room = place / "run"
        order, result, log_file = place / "order.json", room / "result.json", room / "log.txt"
        order.write_bytes(
            msgspec.json.encode(
                RunOrder(
                    task=task.executable,
                    arguments={name: str(value) for name, value in task.arguments.items()},
                    session=str(session),
                    out=str(out),
                    ram=task.ram,
                    cpu=task.cpu,
                    time_out_secs=task.time_out_secs,
                )
            )
        )
        limit = time.monotonic() + task.time_out_secs
        process = self._starter.start(order, result, log_file, room)
        try:
            while (code := process.wait(LOOK_SECONDS)) is None and time.monotonic() < limit:
                self._go(lost)
        finally:
            process.stop()
        text = (read_own(log_file, LOG_BYTES) or b"").decode(errors="replace")
        errored = RunResult(Status.ERRORED.label)
        if code is None:
            return errored, f"{text}\nStopped after its time-out of {task.time_out_secs} s.\n"
        written = read_own(result, RESULT_BYTES)
        if written is None:
            self._died(code, process.parent_died, text)
            return errored, f"{text}\nThe process ended with code {code}.\n"
        try:
            return msgspec.json.decode(written, type=RunResult), text
        except msgspec.DecodeError as error:
            return errored, f"{text}\nThe result cannot be read: {error}\n"

    def _died(self, code: int, parent_died: bool, text: str) -> None:
        """Raise if a process without a result ended by no fault of its task."""
        last = text.strip().rpartition("\n")[2]
        if code == -9:
            raise MachineTrouble("memory", "the system killed its process, for want of memory")
        if code == WITHOUT_A_RESULT:
            raise MachineTrouble("disk", f"its process could not write its result: {last}")
        if parent_died:
            raise MachineTrouble("environment", f"tasks cannot be started (code {code}): {last}")

    def _go(self, lost: threading.Event) -> None:
        """Raise if the task should not go on."""
        if lost.is_set():
            raise LeaseLost("the lease has ended")
        if self.stopping.is_set():
            raise Stopping

    def give_back(self, reason: str | None = None, trouble: MachineTrouble | None = None) -> None:
        """Give the running task back, if there is one, so that another takes it at once."""
        if (claim := self._running) is None:
            return
        kind = trouble.kind if trouble else None
        body = Release(claim.attempt, (reason or "")[:1000] or None, kind)
        try:
            self.client.post(f"/tasks/{claim.task.id}/release", msgspec.to_builtins(body))
            log.warning("%s was given back%s", claim.task.name, f": {reason}" if reason else "")
        except ApiError as error:
            log.error("%s could not be given back: %s", claim.task.name, error)

    @contextmanager
    def _heartbeats(self, claim: Claim, place: Path, lost: threading.Event) -> Iterator[None]:
        """Send heartbeats and the log meanwhile; set ``lost`` when the task is another's."""
        over = threading.Event()
        log_file = place / "run" / "log.txt"
        beat = msgspec.to_builtins(Heartbeat(claim.attempt, self.lease))

        def live() -> None:
            told = 0
            while not over.wait(self.lease / 3):
                try:
                    self.client.post(f"/tasks/{claim.task.id}/heartbeat", beat)
                    text = (read_own(log_file, LOG_BYTES) or b"").decode(errors="replace")
                    if len(text) > told:
                        more = msgspec.to_builtins(LogText(claim.attempt, text[told:]))
                        self.client.post(f"/tasks/{claim.task.id}/log", more)
                        told = len(text)
                except (Conflicting, RecordMissing):
                    lost.set()
                    return
                except ApiError as error:
                    log.warning("heartbeat: %s", error)

        thread = threading.Thread(target=live, daemon=True, name="heartbeat")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(1)
