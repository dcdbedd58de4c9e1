"""The labs of an account on a day, by its record and by dated memberships."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any


def labs_on(
    labs: Sequence[str],
    memberships: Iterable[Mapping[str, Any]],
    today: Callable[[str], str],
) -> tuple[str, ...]:
    """Return the labs of an account on a day.

    A lab gives rights while one of the account's memberships of it runs. For labs without any
    membership, the account's record counts.

    Parameters
    ----------
    labs : sequence of str
        Labs in the account's record.
    memberships : iterable of mapping
        The account's memberships, with ``lab``, ``start_date`` and ``end_date`` (inclusive).
    today : callable
        Returns the day in a lab.
    """
    runs: dict[str, bool] = {}
    for membership in memberships:
        lab = str(membership["lab"])
        day = today(lab)
        runs_today = (
            (membership.get("start_date") or day) <= day <= (membership.get("end_date") or day)
        )
        runs[lab] = runs.get(lab, False) or runs_today
    remaining = [lab for lab in labs if runs.get(lab, True)]
    return (
        *remaining,
        *(lab for lab, runs_today in runs.items() if runs_today and lab not in remaining),
    )
