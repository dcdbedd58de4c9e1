"""``fornix sql``: queries of a site's tables, without a server."""

from __future__ import annotations

import json
import os
from typing import Any

import click
import duckdb


@click.command()
@click.argument("query", required=False)
@click.option(
    "--tables",
    metavar="URL|FOLDER",
    help="A results site, or a folder of `fornix export sql` (FORNIX_SITE_URL).",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a row.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV with a header.")
def sql(query: str | None, tables: str | None, as_json: bool, as_csv: bool) -> None:
    """Ask a site's tables in SQL (DuckDB's); without a query, say what there is.

    The files are read by ranges where they lie, and only those of the animals asked for.

    Example: fornix sql "SELECT training_status, count(*) FROM
    analyses_behavior_session_training_status GROUP BY ALL"
    """
    from lab.exports.session import ExportError
    from lab.exports.sql import connect, read_index

    place = tables or os.environ.get("FORNIX_SITE_URL")
    if not place:
        raise click.UsageError("Give --tables, or set FORNIX_SITE_URL to a results site.")
    try:
        if query is None:
            _describe(read_index(place).columns, as_json)
            return
        with connect(place, query) as connection:
            answer = connection.execute(query)
            names = [column[0] for column in answer.description or ()]
            _show(names, answer.fetchall(), as_json, as_csv)
    except (ExportError, duckdb.Error) as error:
        raise click.ClickException(str(error)) from error


def _describe(columns: dict[str, dict[str, str]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(columns))
        return
    for table, kinds in columns.items():
        click.echo(f"{table}: " + ", ".join(f"{name} {kind}" for name, kind in kinds.items()))


def _show(names: list[str], rows: list[tuple[Any, ...]], as_json: bool, as_csv: bool) -> None:
    if as_json:
        for row in rows:
            click.echo(json.dumps(dict(zip(names, row, strict=True)), default=str))
        return
    if as_csv:
        import csv
        import sys

        writer = csv.writer(sys.stdout)
        writer.writerow(names)
        writer.writerows(rows)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(*names)
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row))
    Console().print(table)
