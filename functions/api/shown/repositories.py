"""Which repositories have a file for everybody."""

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
    """Return the repositories that are personal: their files are not there for everybody."""
    personal = Where("globus_is_personal", "exact", True)
    return catalog.table("data-repository").select([personal]).values("name")


def on_server() -> Where:
    """Return the condition on datasets that a repository for everybody has the file."""
    personal = personal_repositories()

    def has_it(name: str | None) -> bool:  # None stands for a list without names
        return name is not None and copies.for_everybody([name], personal)

    return Where("repositories", "test", has_it)
