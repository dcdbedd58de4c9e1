"""A simulated cohort through the whole system: from raw sessions to the training-time page.

It uses the programs of a lab: the rig's upload, the labs' workers, ONE, and ``fornix analyse``.
``make cohort`` runs it; after a kill it continues where it stopped.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from hashlib import md5, sha256
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from infra.local.cloud import CloudError
from infra.local.cohort_rig import Rig
from infra.local.demo import DemoError, Job, exists, page_of, rows
from infra.local.home import Home, Ports
from infra.local.seed import ADMINISTRATOR, LABS, PROJECT, connect, ensure
from infra.local.system import System
from infra.local.workers import FORNIX, Workers, environment
from infra.settings import ROOT
from lab.client import Client, ClientError
from lab.simulate.cohort import write
from lab.simulate.cohort_plan import CohortError, Mouse, plan
from shared.results.addresses import TRAINING_TIME
from shared.tasks.states import Status

NAME, LABEL = "synthetic-cohort", "Synthetic cohort, all twenty features"

ROWS_AT_ONCE = 200
"""Rows of one ``POST /import``."""

LOOKED_AT = 12
"""Sessions searched on the site at a time; they appear roughly in order."""

LOOK_SECONDS = 1.0

PATIENCE = 600.0
"""Seconds without a new page after which something must be wrong."""

TASKS_AT_ONCE = 3
"""Concurrent tasks of a worker: while one computes, others transfer data."""

OTHER_NAMES = {"Water 2% Citric Acid": "Citric Acid Water 2%"}
"""Waters with two names in the daily tables."""

Rows = dict[str, list[dict[str, Any]]]


def records(mouse: Mouse) -> Rows:
    """Return the rows of a mouse's records by resource, with new identifiers."""
    facts, name = mouse.facts, mouse.subject
    waters = [
        (day, OTHER_NAMES.get(kind, kind))
        for day, kinds in facts["waters"]
        for kind in kinds.split("; ")
    ]
    records_by_resource: Rows = {
        "water-restriction": [
            {"start_time": f"{day}T09:00:00", "reference_weight": grams}
            for day, grams in facts["restrictions"]
        ],
        # The tables contain some days twice.
        "weighings": [
            {"date_time": f"{day}T09:30:00", "weight": grams}
            for day, grams in dict(map(tuple, facts["weighings"])).items()
        ],
        "water-administrations": [
            {"date_time": f"{day}T18:{i % 60:02d}:00", "water_type": kind, "adlib": False}
            for i, (day, kind) in enumerate(waters)
        ],
    }
    for resource, resource_rows in records_by_resource.items():
        for record in resource_rows:
            content = json.dumps([resource, name, record], sort_keys=True).encode()
            digest = md5(content, usedforsecurity=False).digest()
            record |= {"id": str(uuid.UUID(bytes=digest, version=4)), "subject": name}
    return records_by_resource


def register(client: Client, mice: Sequence[Mouse]) -> None:
    """Create the missing mice, weights, restrictions and waters.

    Raises
    ------
    DemoError
        A record is refused.
    """
    everything: Rows = {}
    for mouse in mice:
        body = {
            "nickname": mouse.subject,
            "lab": mouse.lab,
            "species": "Mus musculus",
            "sex": mouse.facts["sex"],
            "birth_date": mouse.facts["birth_date"],
            "responsible_user": f"{mouse.lab}_manager",
            "projects": [PROJECT],
            "description": "SYNTHETIC: a simulated mouse",
            "json": {name: mouse.facts[name] for name in ("synthetic", "light", "food")},
        }
        ensure(client, "subjects", mouse.subject, body)
        for resource, resource_rows in records(mouse).items():
            everything.setdefault(resource, []).extend(resource_rows)
    for resource, resource_rows in everything.items():
        for first in range(0, len(resource_rows), ROWS_AT_ONCE):
            body = {"resource": resource, "rows": resource_rows[first : first + ROWS_AT_ONCE]}
            answer = client.post("/import", body)
            if answer["refused"]:
                raise DemoError(f"{resource}: {answer['refused'][0]}")


def register_once(home: Home, mice: Sequence[Mouse]) -> None:
    """Register the mice unless an earlier run has."""
    done = home.path / "registered"
    mark = sha256(json.dumps([asdict(mouse) for mouse in mice]).encode()).hexdigest()
    if not done.exists() or done.read_text() != mark:
        register(connect(home, ADMINISTRATOR), mice)
        done.write_text(mark)


def jobs_of(out: Path, mouse: Mouse) -> list[Job]:
    """Return the sessions of a mouse, on their way to the site."""
    return [
        Job(mouse.folder(out, day), mouse.lab, mouse.subject, day.date, 1) for day in mouse.days
    ]


def send(
    system: System, out: Path, mice: Sequence[Mouse], until: float = math.inf
) -> Iterator[Job]:
    """Upload the sessions and yield each as soon as it is on the site.

    The rigs of the labs upload in parallel with each other and with the workers, at most
    :data:`AHEAD` sessions ahead of the site. After ``until`` (monotonic clock) they start no
    further mouse.

    Raises
    ------
    DemoError
        A session is refused, or there is no progress any more.
    """
    jobs: dict[str, list[list[Job]]] = {}
    for mouse in mice:
        jobs.setdefault(mouse.lab, []).append(jobs_of(out, mouse))
    rigs = [Rig(system.home, lab, of_lab, until) for lab, of_lab in jobs.items()]
    for rig in rigs:
        rig.start()
    last = time.monotonic()
    try:
        while any(rig.is_alive() or rig.registered for rig in rigs):
            for rig in rigs:
                if rig.error is not None:
                    raise rig.error
                for job in islice(list(rig.registered), LOOKED_AT):
                    job.page = job.page or exists(page_of(system.home, job))
                    if job.page:
                        rig.registered.remove(job)
                        last = time.monotonic()
                        yield job
            if time.monotonic() > last + PATIENCE:
                _explain(system, [job for rig in rigs for job in rig.registered])
            system.cloud.check()
            time.sleep(LOOK_SECONDS)
    finally:
        for rig in rigs:
            rig.stop()
    for rig in rigs:
        if rig.error is not None:
            raise rig.error
    _settle(system)


def _settle(system: System) -> None:
    """Wait until no task waits or runs: a public session may have a page before they end.

    Raises
    ------
    DemoError
        Tasks do not end.
    """
    client = connect(system.home, ADMINISTRATOR)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        left = [_count(client, status) for status in (Status.WAITING, Status.STARTED)]
        if not any(left):
            return
        system.cloud.check()
        time.sleep(LOOK_SECONDS)
    raise DemoError(f"{sum(left)} tasks have not ended within {PATIENCE:.0f} s")


def _count(client: Client, status: Status) -> int:
    """Return how many tasks have a status."""
    return int(client.get("/tasks", status=status.label, limit=1)["count"])


def _explain(system: System, jobs: Sequence[Job]) -> None:
    """Explain why there is no progress.

    Raises
    ------
    DemoError
        Always, with the tasks of the next sessions.
    """
    client = connect(system.home, ADMINISTRATOR)
    reasons = []
    for job in jobs[:LOOKED_AT]:
        tasks = rows(client.get("/tasks", session=job.eid))
        reasons.append(f"{job.name} { ({task['name']: task['status'] for task in tasks}) }")
    raise DemoError(f"nothing new on the site for {PATIENCE:.0f} s: {'; '.join(reasons)}")


def tally(system: System) -> dict[str, int]:
    """Return how many sessions there are, and tasks by status."""
    client = connect(system.home, ADMINISTRATOR)
    counts = {"sessions": client.get("/sessions", limit=1)["count"]}
    for status in Status:
        if count := _count(client, status):
            counts[f"tasks {status.label}"] = count
    return counts


def analyse(system: System, mice: Sequence[Mouse], options: Sequence[str]) -> Path:
    """Fetch the sessions with ONE, analyse them, and return the folder of the result.

    Raises
    ------
    DemoError
        A program fails for another reason than too few mice.
    """
    home = system.home
    scientist = home.path / "scientist"
    cache, out = scientist / "ONE", home.path / "training-time"
    scientist.mkdir(exist_ok=True)
    # ONE identifies a server by its port, which may have changed.
    shutil.rmtree(scientist / ".one", ignore_errors=True)
    env = environment(home, f"{LABS[0]}_member") | {"HOME": str(scientist)}
    setup = [*FORNIX, "one-setup", "--cache-dir", str(cache), "--default", "--force"]
    _run(setup, env)
    names = [mouse.subject for mouse in mice]
    _run([sys.executable, "-m", "infra.local.scientist", *names], env)
    for old in out.glob("*"):
        old.unlink()
    command = [*FORNIX, "analyse", "training-time", "--sessions", str(cache), "--out", str(out)]
    code = subprocess.run([*command, *options], env=env, check=False).returncode
    if code and not any(out.glob("features.*")):
        raise DemoError(f"fornix analyse training-time ended with code {code}")
    return out


def publish(system: System, result: Path) -> str:
    """Put the result on the site and return the address of its page."""
    arguments = ["--name", NAME, "--label", LABEL, "--synthetic"]
    command = [sys.executable, "-m", "infra.publish", str(result), *arguments]
    _run(command, os.environ | system.environment())
    return f"{system.home.site_url}/{TRAINING_TIME}"


def _run(command: Sequence[str], env: dict[str, str]) -> None:
    if code := subprocess.run(command, env=env, cwd=ROOT, check=False).returncode:
        raise DemoError(f"{' '.join(command[1:4])} ended with code {code}")


@click.command()
@click.option(
    "--cohort",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a real cohort's daily tables.",
)
@click.option("--mice", type=click.IntRange(1), help="The quickest so many; by default all.")
@click.option("--days", type=click.IntRange(1), help="Only the first so many of each mouse.")
@click.option("--trials-scale", default=1.0, show_default=True, help="For a quick trial run.")
@click.option("--seed", default=0, show_default=True)
@click.option("--shuffles", default=100, show_default=True, type=click.IntRange(1))
@click.option("--repeats", default=20, show_default=True, type=click.IntRange(1))
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".fornix/cohort"),
    show_default=True,
    help="State folder of the system.",
)
@click.option("--free-ports", is_flag=True, help="Any free ports, or those of the last time.")
@click.option(
    "--minutes",
    type=click.FloatRange(0),
    default=math.inf,
    help="After so long begin no further mouse, and analyse those that are complete.",
)
@click.option("--once", is_flag=True, help="Stop when the page is there, do not go on serving.")
def main(
    cohort: Path,
    mice: int | None,
    days: int | None,
    trials_scale: float,
    seed: int,
    shuffles: int,
    repeats: int,
    home: Path,
    free_ports: bool,
    minutes: float,
    once: bool,
) -> None:
    """Simulate a cohort and take it through the whole system to the training-time page."""
    console = Console(highlight=False)
    # Any signal also stops the started processes.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    last_time = free_ports and (home / "ports.json").exists()
    ports = Ports.free() if free_ports else Ports()
    system = System(Home(home, None if last_time else ports))
    out = system.home.path / "rig"
    workers = Workers(system.home, tasks=TASKS_AT_ONCE)
    begun = time.monotonic()

    def tell(message: str) -> None:
        console.print(
            f"[dim]{time.monotonic() - begun:7.1f} s[/dim]  {escape(message)}", soft_wrap=True
        )

    try:
        planned = plan(cohort, labs=LABS, n_mice=mice, n_days=days, trials_scale=trials_scale)
        total = sum(len(mouse.days) for mouse in planned)
        for done in write(out, planned, seed, jobs=2):
            console.print(f"[dim]simulated {done[0]['subject']}: {len(done)} sessions[/dim]")
        tell(f"{len(planned)} SYNTHETIC mice, {total} sessions simulated")
        system.start(tell)
        workers.start()
        register_once(system.home, planned)
        tell("mice, weights and waters registered")
        published: Counter[str] = Counter()
        for job in send(system, out, planned, begun + 60 * minutes):
            workers.check()
            published[job.subject] += 1
            tell(f"{published.total()} of {total}: {job.name} is on the site")
        complete = [mouse for mouse in planned if published[mouse.subject] == len(mouse.days)]
        tell(f"{len(complete)} of {len(planned)} mice are complete")
        tell(", ".join(f"{count} {status}" for status, count in tally(system).items()))
        options = ["--shuffles", str(shuffles), "--repeats", str(repeats)]
        result = analyse(system, complete, options)
        tell("analysed")
        address = publish(system, result)
        if not exists(address):
            raise DemoError(f"{address} is not there")
        tell(f"SYNTHETIC cohort published: {address}")
        while not once:
            system.cloud.check()
            workers.check()
            time.sleep(1)
    except (DemoError, ClientError, CloudError, CohortError) as error:
        console.print(f"[red]failed:[/red] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print(f"stopped; everything is kept in {system.home.path}")
        sys.exit(130)
    finally:
        workers.stop()
        system.stop()


if __name__ == "__main__":
    main()
