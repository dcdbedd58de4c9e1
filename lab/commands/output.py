"""Common parts of all commands: ``--json``, one object per line instead of text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

SESSIONS_FOLDER = click.option(
    "--sessions",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of sessions, LAB/Subjects/SUBJECT/DATE/NNN, in place of the API.",
)
"""For commands that read a folder as well as the API."""

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line.")


def tell(as_json: bool, text: str, /, **facts: Any) -> None:
    """Print a message: as text, or as one line of JSON.

    Parameters
    ----------
    as_json
        Whether to print JSON.
    text
        Message for people.
    facts
        The same facts for programs.
    """
    click.echo(json.dumps(facts) if as_json else text)
