"""``fornix up``: the whole system on one computer."""

from __future__ import annotations

import datetime
import json
import signal
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from infra.local.home import DEFAULT_HOME, Home, Ports
from lab.commands.output import AS_JSON

USUAL = Ports()

EXPIRE_SECONDS = 3600
"""Interval at which objects expire by the bucket's rules (S3 looks once a day)."""


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    help="Session folder to upload instead of simulated sessions; may be given again.",
)
@click.option("--once", is_flag=True, help="Stop after the sessions are processed.")
@click.option("--no-job", is_flag=True, help="Only bring the system up; upload nothing.")
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_HOME,
    envvar="FORNIX_HOME",
    show_default=True,
    help="Folder in which everything is kept.",
)
@click.option("--api-port", default=USUAL.api, envvar="FORNIX_API_PORT", show_default=True)
@click.option("--site-port", default=USUAL.site, envvar="FORNIX_SITE_PORT", show_default=True)
@click.option(
    "--gateway-port", default=USUAL.gateway, envvar="FORNIX_GATEWAY_PORT", show_default=True
)
@click.option(
    "--dynamodb-port", default=USUAL.dynamodb, envvar="FORNIX_DYNAMODB_PORT", show_default=True
)
@click.option(
    "--timeout",
    default=900,
    show_default=True,
    help="Seconds until unprocessed sessions count as failed.",
)
@AS_JSON
def up(
    data: tuple[Path, ...],
    once: bool,
    no_job: bool,
    home: Path,
    api_port: int,
    site_port: int,
    gateway_port: int,
    dynamodb_port: int,
    timeout: int,
    as_json: bool,
) -> None:
    """Start Fornix on this computer, process sessions, and keep running until Ctrl-C.

    Starts an embedded cloud on loopback, deploys the same stack into it as on AWS, seeds two
    made-up labs, and does the main job: sessions are uploaded as a rig does it, validated,
    registered, processed by the labs' workers, and shown on the results site. State is kept in
    --home and survives being killed at any moment; start again to go on.

    With --json each line of the output is an object with an "event": step, those of `fornix rig
    upload`, processed (a session, its tasks and its page), running (the addresses); what is for
    people goes to the error output.

    Exit codes: 0 everything was processed (or nothing was asked for), 1 something failed, 3 the
    system could not start.
    """
    # Not at the top: commands without a cloud must not import its libraries.
    from infra.local.cloud import CloudError
    from infra.local.demo import DemoError, page_of, process
    from infra.local.logs import NewErrors
    from infra.local.report import addresses_of, describe
    from infra.local.showcase import Figure2, colony
    from infra.local.system import System
    from infra.local.workers import Workers
    from lab.client import ClientError

    console = Console(highlight=False, stderr=as_json)

    def say(event: str, **facts: object) -> None:
        if as_json:
            click.echo(json.dumps({"event": event, **facts}))

    def step(message: str) -> None:
        console.print(f"[dim]· {message}[/dim]", soft_wrap=True)
        say("step", message=message.strip())

    signal.signal(signal.SIGTERM, _interrupt)
    ports = Ports(api_port, site_port, gateway_port, dynamodb_port)
    system = System(Home(home, ports))
    errors = NewErrors(system.home.logs)
    try:
        system.start(step)
    except CloudError as error:
        console.print(f"[red]cannot start:[/red] {escape(str(error))}", soft_wrap=True)
        errors.tell(console)
        sys.exit(3)
    except KeyboardInterrupt:
        console.print("stopped")
        sys.exit(130)
    failed = False
    workers = Workers(system.home)
    figure = Figure2(system)
    try:
        workers.start()
        if not no_job:
            try:
                for job in process(system, console, data, timeout, as_json=as_json):
                    page = page_of(system.home, job)
                    say("processed", session=job.name, id=job.eid, tasks=job.tasks, page=page)
                colony(system.home, datetime.date.today())
            except (DemoError, ClientError, CloudError) as error:
                failed = True
                console.print(f"[red]failed:[/red] {escape(str(error))}", soft_wrap=True)
        errors.tell(console)
        if not once:
            describe(system.home, console)
            say("running", **addresses_of(system.home))
            if not no_job:
                figure.start()
            expired = time.monotonic()
            while True:
                if time.monotonic() - expired > EXPIRE_SECONDS:
                    system.expire()
                    expired = time.monotonic()
                if figure.publish():
                    console.print("the training-time page (Fig. 2 of the paper) is on the site")
                system.cloud.check()
                workers.check()
                errors.tell(console)
                time.sleep(1)
    except KeyboardInterrupt:
        console.print("stopping")
    except CloudError as error:
        failed = True
        console.print(f"[red]{escape(str(error))}[/red]", soft_wrap=True)
    finally:
        errors.tell(console)  # before the stop, which interrupts running functions
        figure.stop()
        workers.stop()
        system.stop()
    console.print(f"stopped; everything is kept in {system.home.path}", soft_wrap=True)
    sys.exit(1 if failed else 0)


def _interrupt(*_: object) -> None:
    """Treat SIGTERM as Ctrl-C."""
    raise KeyboardInterrupt
