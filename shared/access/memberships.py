"""Of which labs an account is on a day: by its record, and by memberships that have dates."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any


def labs_on(
    labs: Sequence[str],
    memberships: Iterable[Mapping[str, Any]],
    today: Callable[[str], str],
) -> tuple[str, ...]:
    """Return the labs of an account on a day.

    A lab whose memberships have all ended, or not begun, gives no rights; one of which a
    membership runs does. Labs without any membership are as the account's record says.

    Parameters
    ----------
    labs : sequence of str
        As the account's record says.
    memberships : iterable of mapping
        The account's, with ``lab``, ``start_date`` and ``end_date``; the last day is one of it.
    today : callable
        Returns the day in a lab.
    """
    runs: dict[str, bool] = {}
    for each in memberships:
        lab = str(each["lab"])
        day = today(lab)
        now = (each.get("start_date") or day) <= day <= (each.get("end_date") or day)
        runs[lab] = runs.get(lab, False) or now
    kept = [lab for lab in labs if runs.get(lab, True)]
    return (*kept, *(lab for lab, now in runs.items() if now and lab not in kept))
