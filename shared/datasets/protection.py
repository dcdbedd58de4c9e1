"""Protected datasets: tags keep their content and their records."""

from __future__ import annotations

from shared import catalog
from shared.records.where import Where


def protected_tags() -> set[str]:
    """Return the tags that keep their datasets from being overwritten or deleted."""
    protected = Where("protected", "exact", True)
    return catalog.table("tag").select([protected]).values("name")
