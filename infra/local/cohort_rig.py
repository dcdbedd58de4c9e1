"""The rigs of a simulated cohort: one per lab, which uploads mouse after mouse."""

from __future__ import annotations

import json
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Sequence
from threading import Event, Thread

from infra.local.demo import DemoError, Job, exists, page_of
from infra.local.home import Home
from infra.local.seed import connect
from infra.local.workers import FORNIX, environment
from lab.client import Client

PAGE = 250
"""Sessions per page of the list."""


AHEAD = 40
"""Most sessions of a lab that are registered but not yet on the site."""


class Rig(Thread):
    """Uploads the mice of a lab, one after the other, and makes them public as the lab.

    Parameters
    ----------
    home
        State folder of a running system.
    lab
        Lab of the rig.
    jobs
        The sessions of each mouse.
    until
        Time after which no further mouse is started (monotonic clock).
    """

    def __init__(self, home: Home, lab: str, jobs: Sequence[list[Job]], until: float) -> None:
        super().__init__(daemon=True, name=f"rig-{lab}")
        self.home, self.lab, self.jobs, self.until = home, lab, jobs, until
        self.registered: deque[Job] = deque()
        self.error: Exception | None = None
        self._process: subprocess.Popen[str] | None = None
        self._stopped = Event()

    def run(self) -> None:
        """Upload the missing sessions; registered ones come first."""
        try:
            manager = connect(self.home, f"{self.lab}_manager")
            registered = dict(_registered(manager, self.lab))
            for jobs in self.jobs:
                if time.monotonic() > self.until:
                    return
                missing = {}
                for job in jobs:
                    job.eid = registered.get((job.subject, job.date, job.number), "")
                    if job.eid:
                        self._publish(manager, job)
                    else:
                        missing[job.date, job.number] = job
                if missing:
                    self._upload(manager, missing)
        except Exception as error:
            self.error = error

    def stop(self) -> None:
        """Stop; uploaded sessions are kept."""
        self._stopped.set()
        if (process := self._process) is not None:
            process.terminate()

    def _publish(self, manager: Client, job: Job) -> None:
        """Make a session public unless it has its page; stay near to the workers."""
        while len(self.registered) >= AHEAD and not self._stopped.wait(0.2):
            pass
        job.page = exists(page_of(self.home, job))
        if not job.page:
            manager.patch(f"/sessions/{job.eid}", {"public": True})
        self.registered.append(job)

    def _upload(self, manager: Client, missing: dict[tuple[str, int], Job]) -> None:
        """Run the rig's command on a mouse's folder.

        Raises
        ------
        DemoError
            A session is refused.
        """
        folder = next(iter(missing.values())).folder.parents[1]
        self._process = process = subprocess.Popen(
            [*FORNIX, "rig", "upload", str(folder), "--lab", self.lab, "--json"],
            env=environment(self.home, f"{self.lab}_rig"),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None  # noqa: S101 - it has a pipe
        with process:
            for line in process.stdout:
                report = json.loads(line)
                if report["event"] != "ended":
                    continue
                if report["state"] != "registered":
                    raise DemoError(f"{report['folder']} is {report['state']}: {report}")
                _, date, number = report["session"].split("/")[-3:]
                if (job := missing.pop((date, int(number)), None)) is not None:
                    job.eid = report["eid"]
                    self._publish(manager, job)
        if not self._stopped.is_set() and (process.returncode or missing):
            raise DemoError(f"fornix rig upload {folder} ended with code {process.returncode}")


def _registered(client: Client, lab: str) -> Iterator[tuple[tuple[str, str, int], str]]:
    """Yield subject, date and number of the sessions of a lab, with their ids."""
    start, count = 0, 1
    while start < count:
        answer = client.get("/sessions", lab=lab, limit=PAGE, offset=start)
        for session in answer["results"]:
            yield (
                (session["subject"], session["start_time"][:10], session["number"]),
                session["id"],
            )
        start, count = start + PAGE, answer["count"]
