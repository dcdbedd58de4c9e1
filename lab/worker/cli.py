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


@click.command()
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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per task.")
def worker(
    name: str,
    lease: int,
    folder: Path,
    tasks: int,
    once: bool,
    until_idle: float | None,
    as_json: bool,
) -> None:
    """Run the tasks of this account's lab, until Ctrl-C.

    The account must be a worker's. Several workers may run at once, on any computers: each task is
    run by one of them. On Ctrl-C the running task is given back.

    While a task's inputs or outputs are on their way, or the server checks them, the computer has
    nothing to do: with --tasks 2 it works on another task meanwhile.
    """
    from lab.client import Client, settings
    from lab.worker.pool import WorkerPool, remove_leftovers
    from lab.worker.queue import POLL_SECONDS
    from lab.worker.run import Worker

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for noisy in ("botocore", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

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
            Worker(client, name=name, lease=lease, folder=folder, on_result=tell, poll=poll)
            for _ in range(1 if once else tasks)
        ]
    )
    try:
        pool.run(idle=until_idle, most=1 if once else None)
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
