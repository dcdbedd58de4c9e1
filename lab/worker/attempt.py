"""One attempt at a claimed task: its inputs fetched, its process run, its outputs sent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from lab.client import Client
from lab.tasks.trouble import WITHOUT_A_RESULT, MachineTrouble
from lab.transfer import Transfer
from lab.worker.facts import fill_facts
from lab.worker.inputs import BadInput, fetch
from lab.worker.inside import Outside, inside, plain_file, read_own
from lab.worker.process import Starter
from lab.worker.shared_inputs import SharedInputs
from shared.model.task import (
    Claim,
    Completion,
    RunFile,
    RunOrder,
    RunRecord,
    RunResult,
    TaskInput,
)
from shared.tasks.states import Status

LOOK_SECONDS = 0.2
"""Interval of the checks whether a running task is lost or should be given back."""

RESULT_BYTES, LOG_BYTES = 2**24, 2**20
"""Most bytes that are read of a task's result and log."""


class LeaseLost(Exception):
    """The task belongs to another worker now."""


class Stopping(Exception):
    """The worker was asked to stop."""


@dataclass
class Attempt:
    """One attempt at a task, in a folder of its own.

    Parameters
    ----------
    client
        The API, logged in as the lab's worker.
    claim
        The task, its session and its inputs.
    place
        Folder of this attempt.
    worker
        Name of the worker, for the run's record.
    starter
        Starts the task's process.
    claim_again
        Claims the task again, which renews the addresses of its inputs; None if another has it.
    stopping
        Set when the worker was asked to stop.
    lost
        Set when another worker has the task.
    """

    client: Client
    claim: Claim
    place: Path
    worker: str
    starter: Starter
    claim_again: Callable[[], Claim | None]
    stopping: threading.Event
    lost: threading.Event = field(default_factory=threading.Event)

    @property
    def room(self) -> Path:
        """Folder that the task's process can use."""
        return self.place / "run"

    def log(self) -> str:
        """Return the output of the task's process so far."""
        return (read_own(self.room / "log.txt", LOG_BYTES) or b"").decode(errors="replace")

    def work(self) -> Completion:
        """Fetch the inputs, run the task, send the outputs; return how it ended.

        Raises
        ------
        LeaseLost, Stopping
            Another worker has the task; the worker was asked to stop.
        MachineTrouble
            The computer lacks something; the task is not at fault.
        """
        task = self.claim.task
        out = self.room / "out"
        out.mkdir(parents=True)
        failed = Completion(self.claim.attempt, Status.ERRORED.label)
        try:
            session = inside(self.room / "session", self.claim.session.folder)
            for name, value in task.arguments.items():
                if name.endswith("collection"):  # used as a folder, or a pattern of folders
                    inside(out, value.replace("*", "any"), whole=True)
            shared = SharedInputs(self.place.parent)
            fetch(self.claim, session, again=self._anew, check=self.go_on, shared=shared)
        except (BadInput, Outside) as error:
            return msgspec.structs.replace(failed, log=f"{error}\n")
        result, text = self._run(session, out)
        self.go_on()
        if result.trouble:
            raise MachineTrouble(result.trouble, result.error or result.trouble)
        return self._ended(result, text, out)

    def go_on(self) -> None:
        """Raise if the task should not go on.

        Raises
        ------
        LeaseLost, Stopping
            One of them has happened.
        """
        if self.lost.is_set():
            raise LeaseLost("the lease has ended")
        if self.stopping.is_set():
            raise Stopping

    def _anew(self) -> Claim:
        fresh = self.claim_again()
        if fresh is None:
            raise LeaseLost("it is not to be had again")
        return fresh

    # -- the process ---------------------------------------------------------------------------

    def _run(self, session: Path, out: Path) -> tuple[RunResult, str]:
        """Run the task in a process of its own; return its result and log."""
        task = self.claim.task
        order, result = self.place / "order.json", self.room / "result.json"
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
        log_file = self.room / "log.txt"
        process = self.starter.start(order, result, log_file, self.room, task.executable)
        limit = time.monotonic() + task.time_out_secs
        try:
            while (code := process.wait(LOOK_SECONDS)) is None and time.monotonic() < limit:
                self.go_on()
        finally:
            process.stop()
        text = self.log()
        errored = RunResult(Status.ERRORED.label)
        if code is None:
            return errored, f"{text}\nStopped after its time-out of {task.time_out_secs} s.\n"
        written = read_own(result, RESULT_BYTES)
        if written is None:
            _died(code, process.parent_died, text)
            return errored, f"{text}\nThe process ended with code {code}.\n"
        try:
            return msgspec.json.decode(written, type=RunResult), text
        except msgspec.DecodeError as error:
            return errored, f"{text}\nThe result cannot be read: {error}\n"

    # -- the outcome ----------------------------------------------------------------------------

    def _ended(self, result: RunResult, text: str, out: Path) -> Completion:
        """Send the outputs and the facts about the session; return the completion."""
        record = self._completed(result.record or RunRecord())
        ending = Completion(
            self.claim.attempt, result.status, log=text, version=record.version, run_record=record
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
        ending = self._send(out, result.outputs, ending)
        if result.facts is not None and ending.status == Status.COMPLETE.label:
            fill_facts(self.client, self.claim, result.facts)
        return ending

    def _send(self, out: Path, outputs: Sequence[str], ending: Completion) -> Completion:
        """Send the outputs; return the completion with the result of their upload."""
        sent = Transfer(self.client, out).upload(
            {"id": self.claim.session.id},
            outputs,
            task={
                "id": self.claim.task.id,
                "attempt": self.claim.attempt,
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

    def _completed(self, record: RunRecord) -> RunRecord:
        """Return a run's record with its user and worker, and the ids of its inputs."""
        claimed = {file.path: file for file in self.claim.inputs}
        return msgspec.structs.replace(
            record,
            worker=self.worker,
            attempt=self.claim.attempt,
            session=self.claim.session.id,
            inputs=tuple(_of_claim(file, claimed.get(file.path)) for file in record.inputs),
        )


def _of_claim(file: RunFile, claimed: TaskInput | None) -> RunFile:
    """Return an input of a run with its dataset's id, and its SHA-256 if it was not read whole."""
    if claimed is None:
        return file
    sha256 = (claimed.sha256 or "") if claimed.linked else file.sha256
    return msgspec.structs.replace(file, id=claimed.id, sha256=sha256)


def _died(code: int, parent_died: bool, text: str) -> None:
    """Raise if a process ended without a result and its task is not at fault."""
    last = text.strip().rpartition("\n")[2]
    if code == -9:
        raise MachineTrouble("memory", "the system killed its process, for want of memory")
    if code == WITHOUT_A_RESULT:
        raise MachineTrouble("disk", f"its process could not write its result: {last}")
    if parent_died:
        raise MachineTrouble("environment", f"tasks cannot be started (code {code}): {last}")
