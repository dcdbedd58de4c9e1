"""``fornix subject``: add subjects of a lab from a rig."""

from __future__ import annotations

import json

import click


@click.group()
def subject() -> None:
    """Add the subjects that sessions are recorded of."""


@subject.command()
@click.argument("nickname")
@click.option("--lab", help="Lab of the subject; by default the account's.")
@click.option("--sex", type=click.Choice(["M", "F", "U"]), default="U", show_default=True)
@click.option("--birth-date", metavar="YYYY-MM-DD", help="Day of birth.")
@click.option("--species", help="Name of the species, as the server lists it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def add(
    nickname: str,
    lab: str | None,
    sex: str,
    birth_date: str | None,
    species: str | None,
    as_json: bool,
) -> None:
    """Add the subject NICKNAME to a lab, so that its sessions can be uploaded."""
    from lab.client import Client, settings
    from lab.rig.preflight import Account, NotReady, add_subject

    client = Client(settings())
    try:
        labs = Account(client).me().get("labs") or []
        if lab is None and len(labs) != 1:
            yours = f"; yours are {', '.join(labs)}" if labs else ""
            raise NotReady(f"which lab is {nickname} of? Give --lab{yours}")
        record = add_subject(
            client, nickname, lab or labs[0], sex=sex, birth_date=birth_date, species=species
        )
    except NotReady as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps(record))
    else:
        click.echo(f"{record['nickname']} is a subject of {record['lab']}.")
