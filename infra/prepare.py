"""Steps after a deployment: the site's fixed files, the lists of names, the administrator.

It is the last step of ``make deploy``, and part of ``fornix up``. It reads the standard AWS
environment. The administrator's password is prompted for, or read from standard input, so that it
does not appear in lists of processes.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path

import click

import shared.datasets.read
import shared.sessions.store
import shared.work.item  # noqa: F401 - sessions, datasets and tasks are listed
from functions.analysis.bucket import Bucket
from functions.api.auth import passwords
from infra.settings import RECORDS_READY
from shared import catalog
from shared.catalog import cache_tables
from shared.records import documents, env, reference
from shared.records.errors import Exists
from shared.results.assets import publish
from shared.results.notebook import publish_notebook


def bootstrap_administrator(username: str, password: str) -> bool:
    """Write the first administrator to the table, as nobody can create one through the API yet.

    Returns
    -------
    bool
        Whether the user was created; an existing user is not changed.
    """
    if documents.find("user", username):
        return False
    passwords.set_password(username, password)
    body = {"username": username, "role": "administrator", "lab": [], "is_active": True}
    try:
        documents.create("user", username, body, who="bootstrap")
    except Exists:  # a concurrent start of the same folder was faster, with the same password
        return False
    return True


def publish_account(username: str, password: str) -> None:
    """Create the public account, or set its password again.

    It reads public data, like anonymous callers, for clients that need a login.
    """
    body = {"username": username, "role": "member", "lab": [], "is_active": True}
    with suppress(Exists):
        documents.create("user", username, {**body, "is_public_user": True}, who="bootstrap")
    if not documents.get("user", username).body.get("is_public_user"):
        raise click.ClickException(f"{username} is an account of its own; publish another one.")
    catalog.start_request()
    if passwords.checked(username, password, "") is None:
        passwords.set_password(username, password)


@click.command()
@click.argument("administrator")
@click.option(
    "--outputs",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File of the stack's outputs, as the CDK's tool writes it.",
)
def main(administrator: str, outputs: Path | None) -> None:
    """Prepare a deployed stack for its first use; may be repeated."""
    if outputs:
        (stack,) = json.loads(outputs.read_text()).values()
        os.environ["FORNIX_TABLE"] = stack["TableName"]
        os.environ["FORNIX_SITE_BUCKET"] = stack["SiteBucket"]
        os.environ["FORNIX_DATA_BUCKET"] = stack["DataBucket"]
        os.environ["FORNIX_PUBLIC_ACCOUNT"] = stack.get("PublicAccount", "")
    if not documents.find("user", administrator):
        _first_administrator(administrator)
    reference.load()
    click.echo(RECORDS_READY)
    site = Bucket(os.environ["FORNIX_SITE_BUCKET"])
    publish(site)
    publish_notebook(site)
    if regions := reference.allen_regions():
        reference.load_brain_regions(regions)
    cache_tables.build()  # a client may ask for them before there is a session
    if public := env.public_account():
        publish_account(*public)


def _first_administrator(username: str) -> None:
    """Ask for the first administrator's password, and create the account.

    Raises
    ------
    click.ClickException
        The password is weak.
    """
    if sys.stdin.isatty():
        password = click.prompt(
            f"Password for {username}", hide_input=True, confirmation_prompt=True
        )
    else:
        password = sys.stdin.read().strip()
    if weak := passwords.weakness(password, (username,)):
        raise click.ClickException(weak)
    bootstrap_administrator(username, password)


if __name__ == "__main__":
    main()
