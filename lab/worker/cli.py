"""``fornix worker``: run the lab's tasks on this computer."""

from __future__ import annotations

import json
import logging
import platform
import signal
import tempfile
from pathlib import Path
from typing import Any

import click

from lab.commands.output import AS_JSON, tell


@click.group(invoke_without_command=True)
@click.option("--name", default=platform.node, help="Shown as the owner of tasks.")
@click.option(
    "--lease",
    type=click.IntRange(5, 3600),
    default=300,
    show_default=True,
    help="Seconds without a sign of life after which a task goes to another worker.",
)
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, writable=True, path_type=Path),
    default=tempfile.gettempdir,
    help="Where inputs and outputs are kept while a task runs.",
)
@click.option(
    "--tasks",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="How many tasks are run at a time.",
)
@click.option("--once", is_flag=True, help="Run one task, then stop.")
@click.option(
    "--until-idle",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="Stop when no message came for so long.",
)
@click.option(
    "--reserve",
    type=click.FloatRange(0),
    metavar="GB",
    default=0.25,
    show_default=True,
    help="Space of the folder's disk that stays free; with less the worker rests.",
)
@click.option(
    "--environments",
    type=click.Choice(["build", "built", "none"]),
    envvar="FORNIX_WORKER_ENVIRONMENTS",
    default="build",
    show_default=True,
    help="Of tasks with libraries of their own, as spike sorting: build what a task needs, "
    "use what is built, or leave them to others.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per task.")
@click.pass_context
def worker(
    context: click.Context,
    name: str,
    lease: int,
    folder: Path,
    tasks: int,
    once: bool,
    until_idle: float | None,
    reserve: float,
    environments: str,
    as_json: bool,
) -> None:
    """Run the tasks of this account's lab, until Ctrl-C.

    The account must be a worker's. Several workers may run at once, on any computers: each task is
    run by one of them. On Ctrl-C the running task is given back; after `fornix worker drain` it is
    done to its end, and no other is begun.

    While a task's inputs or outputs are on their way, or the server checks them, the computer has
    nothing to do: with --tasks 2 it works on another task meanwhile.
    """
    from lab.client import Client, settings

    if context.invoked_subcommand:
        context.obj = folder
        return
    from lab.worker.environments import Environments
    from lab.worker.pool import WorkerPool, remove_leftovers
    from lab.worker.queue import POLL_SECONDS
    from lab.worker.run import Worker

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for noisy in ("botocore", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.ERROR)  # the worker reports these errors once

    def tell(report: dict[str, Any]) -> None:
        if as_json:
            click.echo(json.dumps(report))

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    remove_leftovers(folder)
    poll = POLL_SECONDS if until_idle is None else max(1, min(POLL_SECONDS, int(until_idle)))
    client = Client(settings())
    pool = WorkerPool(
        [
            Worker(
                client,
                name=name,
                lease=lease,
                folder=folder,
                on_result=tell,
                poll=poll,
                reserve=int(reserve * 2**30),
                environments=None
                if environments == "none"
                else Environments(build=environments == "build"),
            )
            for _ in range(1 if once else tasks)
        ]
    )
    try:
        pool.run(idle=until_idle, most=1 if once else None)
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)


@worker.command()
@click.option("--off", is_flag=True, help="Let workers begin tasks again.")
@AS_JSON
@click.pass_obj
def drain(folder: Path, off: bool, as_json: bool) -> None:
    """Have the workers of this computer's --folder end what they run, begin nothing, and stop."""
    from lab.worker.run import DRAIN

    mark = folder / DRAIN
    if off:
        mark.unlink(missing_ok=True)
        said = "Workers may be started again."
    else:
        mark.touch()
        said = f"Workers in {folder} stop after their tasks (fornix worker drain --off)."
    tell(as_json, said, folder=str(folder), draining=not off)


@worker.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def doctor(folder: Path, as_json: bool) -> None:
    """Look at everything that a worker needs here; exit code 1 if something is wrong."""
    from lab.client import Client, settings
    from lab.worker.doctor import examine

    findings = []
    for finding in examine(lambda: Client(settings()), folder):
        findings.append(finding._asdict())
        if not as_json:
            click.echo(f"{'✓' if finding.well else '✗'} {finding.what}: {finding.found}")
    if as_json:
        click.echo(json.dumps(findings, indent=1))
    if not all(finding["well"] for finding in findings):
        raise click.exceptions.Exit(1)


@worker.command("build-environments")
@click.argument("names", nargs=-1)
@AS_JSON
def build_environments(names: tuple[str, ...], as_json: bool) -> None:
    """Build the environments of tasks with libraries of their own; by default all.

    A worker builds them when a task first needs one; this does it before.
    """
    from functools import partial

    from lab.tasks.trouble import MachineTrouble
    from lab.worker.environments import Environments, needed
    from lab.worker.health import graphics_cards

    here = Environments(tell=partial(click.echo, err=True))
    built = {}
    for name in names or needed(graphics_cards()):
        try:
            built[name] = str(here.make(name))
        except MachineTrouble as trouble:
            raise click.ClickException(str(trouble)) from None
    tell(as_json, "\n".join(f"{name}: {place}" for name, place in built.items()), built=built)
