"""Repositories that are open to everybody."""

from __future__ import annotations

from collections.abc import Mapping

from functions.api.engine.declarations import Row
from shared import catalog
from shared.model import copies
from shared.records.where import Where

Repositories = Mapping[str, Row]


def repositories() -> Repositories:
    """Return all data repositories by name."""
    return {
        repository["name"]: repository for repository in catalog.table("data-repository").rows()
    }


def personal_repositories() -> set[str]:
    """Return the personal repositories, whose files are not available to everybody."""
    personal = Where("globus_is_personal", "exact", True)
    return catalog.table("data-repository").select([personal]).values("name")


def on_server() -> Where:
    """Return the condition on datasets with a file on a repository open to everybody."""
    personal = personal_repositories()

    def has_it(name: str | None) -> bool:  # None stands for an empty list
        return name is not None and copies.for_everybody([name], personal)

    return Where("repositories", "test", has_it)
