"""Which repositories have a file for everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared import catalog
from shared.records.where import Where

if TYPE_CHECKING:
    pass


def personal_repositories() -> set[str]:
    """Return the repositories that are personal: their files are not there for everybody."""
    personal = Where("globus_is_personal", "exact", True)
    return catalog.table("data-repository").select([personal]).values("name")


def on_server() -> Where:
    """Return the condition on datasets that a repository for everybody has the file."""
    personal = personal_repositories()
    return Where("repositories", "test", lambda name: name is not None and name not in personal)
