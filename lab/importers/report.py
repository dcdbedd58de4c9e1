"""The report of an import: on the screen in a few lines, in a file completely."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .journal import Journal

OUTCOMES = (
    "rows in",
    "to send",
    "created",
    "unchanged",
    "kept",
    "within",
    "left out",
    "not carried",
)


def summary(journal: Journal, **about: Any) -> dict[str, Any]:
    """Return the report without the list of single rows.

    Parameters
    ----------
    journal : Journal
        Journal of the import.
    **about
        Source and target of the import.
    """
    return {
        **about,
        "rows": journal.tallies(),
        "notes": journal.notes(),
        "reasons": [
            {"resource": resource, "reason": reason, "n": n, "example": example}
            for resource, reason, n, example in journal.reasons()
        ],
    }


def complete(report: dict[str, Any]) -> bool:
    """Return whether everything was carried."""
    return not report["reasons"]


def save(report: dict[str, Any], journal: Journal, path: Path) -> None:
    """Write the report with every refused row; millions of rows need no memory."""
    partial = path.with_name(path.name + ".part")
    with open(partial, "w", encoding="utf-8") as file:
        file.write(json.dumps(report, indent=1, ensure_ascii=False)[:-2] + ',\n "not_carried": [')
        for i, item in enumerate(journal.refusals()):
            file.write((",\n  " if i else "\n  ") + json.dumps(item, ensure_ascii=False))
        file.write("\n ]\n}\n")
    os.replace(partial, path)


def show(report: dict[str, Any], path: Path, console: Console) -> None:
    """Print the report."""
    outcomes = [o for o in OUTCOMES if any(o in n for n in report["rows"].values())]
    table = Table("", *outcomes, box=None)
    for resource, counts in report["rows"].items():
        table.add_row(resource, *(f"{counts.get(outcome, 0):,}" for outcome in outcomes))
    console.print(table)
    for text, n in report["notes"].items():
        console.print(f"Note: {text}" + (f" ({n:,}×)" if n > 1 else ""), markup=False)
    if report["reasons"]:
        console.print("Not carried:")
    for item in report["reasons"]:
        console.print(f"  {item['n']:,} {item['resource']}: {item['reason']}", markup=False)
        if item["example"] != item["reason"]:
            console.print(f"    e.g. {item['example'][:300]}", markup=False)
    console.print(f"The whole report: {path}", markup=False)
