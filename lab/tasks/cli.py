"""``fornix task installed`` and ``run``: tasks on this computer, without any server."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import click
import msgspec

from shared.model.task import RunResult
from shared.tasks.states import SATISFIED, Status


@click.group()
def task() -> None:
    """Tasks that turn raw data into datasets."""


@task.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def installed(as_json: bool) -> None:
    """Show the tasks that are installed here, with what they read and write."""
    from lab.tasks.run import names
    from shared.tasks import registry

    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "inputs": [{"path": str(one), "required": one.required} for one in declared.inputs],
            "outputs": [{"path": str(one), "required": one.required} for one in declared.outputs],
            "parents": list(declared.parents),
            "cpu": declared.cpu,
            "ram": declared.ram,
            "time_out_secs": declared.time_out_secs,
        }
        for name in names()
        if (task := registry.declared(name)) and (declared := task.filled({}))
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        click.echo(
            f"{row['name']}" + (f"  (after {', '.join(row['parents'])})" if row["parents"] else "")
        )
        for side in ("inputs", "outputs"):
            for one in row[side]:
                click.echo(
                    f"  {side[:-1]:7}{one['path']}" + ("" if one["required"] else "  (optional)")
                )


@task.command()
@click.argument("name")
@click.argument("session", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the outputs; they lie below their collection, as alf/.",
)
@click.option(
    "--argument",
    "-a",
    "arguments",
    multiple=True,
    metavar="NAME=VALUE",
    help="An argument of the task, as collection=raw_task_data_00.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the run record as JSON.")
def run(name: str, session: Path, out: Path, arguments: tuple[str, ...], as_json: bool) -> None:
    """Run the task NAME on a session's folder SESSION.

    No server is needed. Exit code 0 if every run ended Complete or Incomplete, else 1.
    """
    from lab.tasks.run import InputsMissing, UnknownTask, orders
    from lab.tasks.run import run as run_task

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    values = dict(text.partition("=")[::2] for text in arguments)
    outcomes: list[RunResult] = []
    try:
        for order in orders(name, session, values):
            outcomes.append(run_task(order, session.resolve(), out.resolve()))
    except (UnknownTask, InputsMissing) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(outcomes), indent=1))
    else:
        for outcome in outcomes:
            click.echo(f"{name}: {outcome.status} in {outcome.elapsed:.1f} s")
            if outcome.error:
                click.echo(f"  {outcome.error}", err=True)
            for path in outcome.outputs:
                click.echo(f"  {out / path}")
    if any(Status.parse(outcome.status) not in SATISFIED for outcome in outcomes):
        raise click.exceptions.Exit(1)
