"""What all commands have in common: ``--json``, an object a line in place of text."""

from __future__ import annotations

import json
from typing import Any

import click

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line.")


def tell(as_json: bool, text: str, /, **facts: Any) -> None:
    """Say something: as text, or as one line of JSON.

    Parameters
    ----------
    as_json
        Which of the two.
    text
        For people.
    facts
        The same for programs.
    """
    click.echo(json.dumps(facts) if as_json else text)
