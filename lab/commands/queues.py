"""``fornix queues``: messages that could not be handled, and sending them again."""

from __future__ import annotations

import json

import click

from lab.commands.output import AS_JSON, tell


@click.group()
def queues() -> None:
    """Queues between the functions and to the labs' workers (administrators)."""


@queues.command()
@click.option("--lab", help="Only this lab's work queue beside the functions' own.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(lab: str | None, as_json: bool) -> None:
    """Show how many messages wait, and those that could not be handled."""
    from lab.client import Client, settings

    state = Client(settings()).get("/queues", **({"lab": lab} if lab else {}))
    if as_json:
        click.echo(json.dumps(state, indent=1))
        return
    for name, queue in state.items():
        click.echo(f"{name}: {queue['messages']} messages, {queue['dead']} undeliverable")
        for message in queue["dead_messages"]:
            click.echo(f"  {message[:200]}")


@queues.command()
@click.argument("names", nargs=-1, required=True)
@AS_JSON
def redrive(names: tuple[str, ...], as_json: bool) -> None:
    """Send the undeliverable messages of the named queues again, once their cause is mended."""
    from lab.client import Client, settings

    client = Client(settings())
    for name in names:
        done = client.post(f"/queues/{name}/redrive")
        text = f"{name}: {done['sent']} sent again, {done['dropped']} dropped"
        tell(as_json, text, queue=name, sent=done["sent"], dropped=done["dropped"])
