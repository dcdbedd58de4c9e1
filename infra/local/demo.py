"""The main job on one computer: sessions from the rig to the results site.

It uses the programs of a lab: ``fornix rig upload`` with the rig's account, ``fornix worker`` with
the workers' account, and the HTTP API.
"""

from __future__ import annotations

import datetime
import json
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from infra.local.home import Home
from infra.local.seed import ADMINISTRATOR, LABS, PROJECT, connect, ensure, subjects
from infra.local.system import System
from infra.local.workers import FORNIX, environment
from lab.client import Client, RecordMissing
from shared.results import addresses
from shared.tasks.states import TERMINAL, Status

DAYS = 4
"""Simulated days of training of the first mouse of each lab."""

FIRST_DAY = datetime.date(2026, 1, 12)

SORTED = "alf/probe00"
"""Collection of a simulated probe's spikes."""

RAW_PROBE = "raw_ephys_data/probe00"
"""Collection of a simulated probe's voltage."""

RAW_SECONDS, RAW_SITES = 8.0, 128
"""Simulated part of the voltage: 62 MB, enough for a picture."""

UNITS = 20

SETTINGS = "_iblrig_taskSettings.raw.json"
"""File in which a rig describes its session."""

PAGE_SECONDS = 15
"""Seconds that a session's page may take after its last task."""

LAB_OF_GIVEN_SESSIONS = LABS[0]


class DemoError(Exception):
    """A session was not processed to its end; the message says where it stopped."""


@dataclass
class Job:
    """One session on its way.

    Attributes
    ----------
    folder
        Session folder.
    lab, subject, date, number
        Lab, animal, day and number of the session.
    eid
        Session id, after registration.
    tasks
        Status by task name.
    processed_at
        Time at which all tasks had ended (monotonic clock); 0 before.
    public
        Whether it is public; if not, its page is for members of the lab.
    page
        Whether the site shows it.
    """

    folder: Path
    lab: str
    subject: str
    date: str
    number: int
    eid: str = ""
    tasks: dict[str, str] = field(default_factory=dict)
    processed_at: float = 0.0
    public: bool = True
    page: bool = False

    @property
    def name(self) -> str:
        """Lab, subject, date and number."""
        return f"{self.lab}/{self.subject}/{self.date}/{self.number:03d}"

    @property
    def processed(self) -> bool:
        """Whether it has tasks and all have ended."""
        return bool(self.tasks) and all(Status.parse(s) in TERMINAL for s in self.tasks.values())


def process(
    system: System,
    console: Console,
    data: Sequence[Path],
    timeout: float,
    as_json: bool = False,
) -> list[Job]:
    """Take sessions from their folders to the results site, and report what happened.

    Parameters
    ----------
    system
        A running system, with workers.
    console
        Console for the report.
    data
        Session folders; simulated sessions if there are none.
    timeout
        Seconds to wait for the processing of all sessions.
    as_json
        Whether the uploads report by lines of JSON.

    Raises
    ------
    DemoError
        If a session is refused, a task ends in an error, or the time runs out.
    """
    home = system.home
    client = connect(home, ADMINISTRATOR)
    jobs = [given(folder) for folder in data] if data else simulated(home, console)
    for job in jobs:
        register_subject(client, job)
    for job in jobs:
        upload(home, console, job, as_json)
    wait(system, client, console, jobs, timeout)
    report(home, console, jobs)
    failed = {
        f"{job.name}: {name} ended {status}"
        for job in jobs
        for name, status in job.tasks.items()
        if Status.parse(status) is not Status.COMPLETE
    }
    if failed:
        raise DemoError("; ".join(sorted(failed)))
    return jobs


def simulated(home: Home, console: Console) -> list[Job]:
    """Return sessions of one simulated mouse per lab, written once per state folder."""
    from lab.simulate.plan import PlannedSession, plan_cohort, simulate_mouse
    from lab.simulate.spikes import simulate_sorting, write_sorting

    out = home.path / "rig"
    done = out / "simulated.json"
    if not done.exists():
        console.print(f"simulating {DAYS} days of training in {len(LABS)} labs")
        sessions: list[dict[str, Any]] = []
        for seed, lab in enumerate(LABS):
            (planned,) = plan_cohort(lab=lab, mice=1, days=DAYS, seed=seed, first_date=FIRST_DAY)
            mouse = [
                PlannedSession(**{**vars(session), "subject": subjects(lab)[0]})
                for session in planned
            ]
            for session, truth in zip(
                mouse, simulate_mouse(out, mouse, seed=seed, rig_version=5), strict=True
            ):
                folder = out / lab / "Subjects" / session.subject / str(session.date) / "001"
                if session is mouse[-1]:  # the last day has a probe, with sorted spikes
                    sorting = simulate_sorting(truth.table, seed=seed, n_units=UNITS)
                    write_sorting(sorting, folder / SORTED)
                    if lab == LABS[0]:  # one of the probes has its voltage, too
                        write_voltage(sorting, folder / RAW_PROBE, seed)
                sessions.append(
                    {
                        "folder": str(folder),
                        "lab": lab,
                        "subject": session.subject,
                        "date": str(session.date),
                        "number": 1,
                        "public": session is not mouse[0],
                    }
                )
        done.write_text(json.dumps(sessions))
    return [
        Job(**{**session, "folder": Path(session["folder"])})
        for session in json.loads(done.read_text())
    ]


def write_voltage(sorting: dict[str, Any], folder: Path, seed: int) -> None:
    """Write the raw recording of a probe's first seconds."""
    from lab.simulate.recording import simulate_recording, write_recording

    samples = simulate_recording(sorting, seconds=RAW_SECONDS, channels=RAW_SITES, seed=seed)
    write_recording(samples, sorting["channels.localCoordinates.npy"], folder)


def given(folder: Path) -> Job:
    """Return the session of a rig's folder, from its settings file.

    Raises
    ------
    DemoError
        If there is no settings file, or it does not identify the session.
    """
    files = sorted(folder.glob(f"raw_*/{SETTINGS}"))
    if not files:
        raise DemoError(f"{folder}: no raw_*/{SETTINGS} in it, so this is no rig's session folder")
    try:
        settings = json.loads(files[0].read_text())
        return Job(
            folder=folder,
            lab=LAB_OF_GIVEN_SESSIONS,
            subject=settings.get("SUBJECT_NAME") or settings["PYBPOD_SUBJECTS"][0],
            date=str(settings.get("SESSION_DATE") or settings["SESSION_START_TIME"][:10]),
            number=int(settings.get("SESSION_NUMBER") or 1),
        )
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise DemoError(
            f"{files[0]}: does not tell subject, date and number ({error!r})"
        ) from None


def register_subject(client: Client, job: Job) -> None:
    """Create the session's subject if it does not exist."""
    body = {
        "nickname": job.subject,
        "lab": job.lab,
        "species": "Mus musculus",
        "responsible_user": f"{job.lab}_manager",
        "projects": [PROJECT],
    }
    ensure(client, "subjects", job.subject, body)


def upload(home: Home, console: Console, job: Job, as_json: bool = False) -> None:
    """Upload a session with the rig's command.

    Raises
    ------
    DemoError
        If the command fails.
    """
    console.print(f"[bold]fornix rig upload[/bold] {job.folder}", soft_wrap=True)
    done = subprocess.run(
        [
            *(*FORNIX, "rig", "upload", str(job.folder), "--lab", job.lab),
            *("--include", f"{SORTED}/*", "--include", f"{RAW_PROBE}/*"),
            *(["--json"] if as_json else []),
        ],
        env=environment(home, f"{job.lab}_rig"),
        check=False,
    )
    if done.returncode:
        raise DemoError(f"fornix rig upload {job.folder} ended with code {done.returncode}")


def wait(
    system: System, client: Client, console: Console, jobs: list[Job], timeout: float
) -> None:
    """Wait until all sessions are processed and shown on the site.

    Raises
    ------
    DemoError
        When the time runs out, with the missing sessions.
    """
    deadline = time.monotonic() + timeout
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("[dim]{task.fields[note]}[/dim]"),
    )
    with Progress(*columns, console=console) as progress:
        bars = {
            stage: progress.add_task(stage, total=len(jobs), note="")
            for stage in ("registered", "processed", "on the site")
        }
        while True:
            for job in jobs:
                follow(system, client, job)
            statuses = Counter(status for job in jobs for status in job.tasks.values())
            note = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
            progress.update(bars["registered"], completed=sum(bool(job.eid) for job in jobs))
            progress.update(
                bars["processed"], completed=sum(job.processed for job in jobs), note=note
            )
            progress.update(bars["on the site"], completed=sum(job.page for job in jobs))
            if all(job.page and job.processed for job in jobs):
                return
            if time.monotonic() > deadline:
                missing = [
                    f"{job.name} {'no page' if job.processed else job.tasks or 'not registered'}"
                    for job in jobs
                    if not (job.page and job.processed)
                ]
                raise DemoError(f"not done within {timeout:.0f} s: {'; '.join(missing)}")
            system.cloud.check()
            time.sleep(0.5)


def follow(system: System, client: Client, job: Job) -> None:
    """Update the state of a session; publish it once it is registered."""
    if not job.eid:
        query = {"subject": job.subject, "date_range": f"{job.date},{job.date}"}
        sessions = rows(client.get("/sessions", **query, number=job.number))
        if not sessions:
            return
        if job.public:  # only public sessions are shown; a member of the lab publishes them
            connect(system.home, f"{job.lab}_manager").patch(
                f"/sessions/{sessions[0]['id']}", {"public": True}
            )
        job.eid = sessions[0]["id"]
    if not job.processed:
        job.tasks = {
            task["name"]: task["status"] for task in rows(client.get("/tasks", session=job.eid))
        }
        job.processed_at = time.monotonic() if job.processed else 0.0
    elif not job.page:
        job.page = is_shown(system.home, client, job)
        if not job.page and time.monotonic() > job.processed_at + PAGE_SECONDS:
            # It became public after its analysis had run; else the nightly build would show it.
            system.invoke("analysis", {"kind": "session.finished", "session": job.eid})
            job.processed_at = time.monotonic()


def rows(answer: Any) -> list[dict[str, Any]]:
    """Return the rows of a list's answer, paged or not."""
    results: list[dict[str, Any]] = answer["results"] if isinstance(answer, dict) else answer
    return results


def page_of(home: Home, job: Job) -> str:
    """Return the address of a session's page, for visitors or for members of the lab."""
    page = addresses.session_page(job.eid)
    return f"{home.site_url}/{page if job.public else addresses.member_page(job.lab, page)}"


def is_shown(home: Home, client: Client, job: Job) -> bool:
    """Return whether a session has its page."""
    if job.public:
        return exists(page_of(home, job))
    data = addresses.session_data(job.eid)
    try:
        client.get(f"/lab-pages/{job.lab}/{data}")
    except RecordMissing:
        return False
    return True


def exists(url: str) -> bool:
    """Return whether there is a page at an address."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return False


def report(home: Home, console: Console, jobs: list[Job]) -> None:
    """Print the result of each session."""
    for job in jobs:
        tasks = ", ".join(f"{name} {status}" for name, status in sorted(job.tasks.items()))
        console.print(f"[bold]{job.name}[/bold]  {tasks}", soft_wrap=True)
        whose = "" if job.public else f"  (not public: sign in as {job.lab}_member)"
        console.print(f"  {page_of(home, job)}{whose}", soft_wrap=True)
