"""The labs that an account belongs to today."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.access.memberships import labs_on
from shared.catalog import water
from shared.catalog.index import table
from shared.records.where import Where


def labs_of(user: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the labs that an account belongs to today, from its row in the index."""
    memberships = table("lab-membership").select([Where("user", "exact", user["username"])])
    labs = tuple(user.get("lab") or ())
    if not len(memberships):
        return labs
    return labs_on(labs, memberships.all(), lambda lab: water.now_in(lab).date().isoformat())
