"""A simulated cohort through the whole system: from raw sessions to the training-time page.

Each program is the one that a lab would use: the rig's upload, the labs' workers, ONE, and
``fornix analyse``. Run by ``make cohort``; killed, it goes on where it stopped.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import md5
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from infra.local.cloud import CloudError
from infra.local.demo import FORNIX, DemoError, Job, Workers, environment, exists, upload, wait
from infra.local.home import Home, Ports
from infra.local.seed import ADMINISTRATOR, LABS, PROJECT, connect, ensure
from infra.local.system import System
from infra.settings import ROOT
from lab.client import Client, ClientError
from lab.rig.cohort import CohortError, Mouse, plan, write
from shared.results.training_time import ADDRESS

NAME, LABEL = "synthetic-cohort", "Synthetic cohort, all twenty features"

ROWS_AT_ONCE = 200
"""Rows of one ``POST /import``."""

OTHER_NAMES = {"Water 2% Citric Acid": "Citric Acid Water 2%"}
"""Waters that the daily tables name in two ways."""

Rows = dict[str, list[dict[str, Any]]]


def records(mouse: Mouse) -> Rows:
    """Return the rows of a mouse's records by resource, with identifiers of their own."""
    facts, name = mouse.facts, mouse.subject
    waters = [
        (day, OTHER_NAMES.get(kind, kind))
        for day, kinds in facts["waters"]
        for kind in kinds.split("; ")
    ]
    found: Rows = {
        "water-restriction": [
            {"start_time": f"{day}T09:00:00", "reference_weight": grams}
            for day, grams in facts["restrictions"]
        ],
        # The tables have some days twice.
        "weighings": [
            {"date_time": f"{day}T09:30:00", "weight": grams}
            for day, grams in dict(map(tuple, facts["weighings"])).items()
        ],
        "water-administrations": [
            {"date_time": f"{day}T18:{i % 60:02d}:00", "water_type": kind, "adlib": False}
            for i, (day, kind) in enumerate(waters)
        ],
    }
    for resource, rows in found.items():
        for row in rows:
            about = json.dumps([resource, name, row], sort_keys=True).encode()
            digest = md5(about, usedforsecurity=False).digest()
            row |= {"id": str(uuid.UUID(bytes=digest, version=4)), "subject": name}
    return found


def register(client: Client, mice: Sequence[Mouse]) -> None:
    """Make the mice, their weights, restrictions and waters, where they are not there yet.

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
        for resource, rows in records(mouse).items():
            everything.setdefault(resource, []).extend(rows)
    for resource, rows in everything.items():
        for first in range(0, len(rows), ROWS_AT_ONCE):
            body = {"resource": resource, "rows": rows[first : first + ROWS_AT_ONCE]}
            answer = client.post("/import", body)
            if answer["refused"]:
                raise DemoError(f"{resource}: {answer['refused'][0]}")


def jobs_of(out: Path, mouse: Mouse) -> list[Job]:
    """Return the sessions of a mouse, on their way to the site."""
    return [
        Job(mouse.folder(out, day), mouse.lab, mouse.subject, day.date, 1) for day in mouse.days
    ]


def send(system: System, console: Console, out: Path, mice: Sequence[Mouse]) -> Iterator[Job]:
    """Upload the sessions and yield each when it is on the site.

    While the sessions of a mouse are processed, those of the next are uploaded.

    Raises
    ------
    DemoError
        A session is refused or not done in time.
    """
    client = connect(system.home, ADMINISTRATOR)

    def sent(mouse: Mouse) -> list[Job]:
        jobs = jobs_of(out, mouse)
        folder = jobs[0].folder.parents[1]
        upload(system.home, console, Job(folder, mouse.lab, mouse.subject, "", 0))
        return jobs

    with ThreadPoolExecutor(1) as uploader:
        ahead = uploader.submit(sent, mice[0])
        for i in range(len(mice)):
            jobs = ahead.result()
            if i + 1 < len(mice):
                ahead = uploader.submit(sent, mice[i + 1])
            wait(system, client, console, jobs, timeout=300 + 60 * len(jobs))
            yield from jobs


def analyse(system: System, mice: Sequence[Mouse], options: Sequence[str]) -> Path:
    """Fetch the sessions with ONE, analyse them, and return the folder of the result.

    Raises
    ------
    DemoError
        A program fails, other than by too few mice.
    """
    home = system.home
    scientist = home.path / "scientist"
    cache, out = scientist / "ONE", home.path / "training-time"
    scientist.mkdir(exist_ok=True)
    # ONE knows a server by its port, which may be another one today.
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
    about = ["--name", NAME, "--label", LABEL, "--synthetic"]
    command = [sys.executable, "-m", "infra.publish", str(result), *about]
    _run(command, os.environ | system.environment())
    return f"{system.home.site_url}/{ADDRESS}"


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
@click.option("--free-ports", is_flag=True, help="Listen on any free ports.")
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
    once: bool,
) -> None:
    """Simulate a cohort and take it through the whole system to the training-time page."""
    console = Console(highlight=False)
    # A stop by any signal stops what was started too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    system = System(Home(home, Ports.free() if free_ports else Ports()))
    out = system.home.path / "rig"
    workers = Workers(system.home)
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
        register(connect(system.home, ADMINISTRATOR), planned)
        tell("mice, weights and waters registered")
        for number, job in enumerate(send(system, console, out, planned), 1):
            workers.check()
            tell(f"{number} of {total}: {job.name} is on the site")
        result = analyse(system, planned, ["--shuffles", str(shuffles), "--repeats", str(repeats)])
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
