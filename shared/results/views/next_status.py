"""The distance of a subject to its next training status; parameters that a fit leaves open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from numpy.typing import ArrayLike

from shared.results.numbers import rounded
from shared.science.behaviour.psychometric import least_threshold
from shared.science.status.history import History
from shared.science.status.stages import RANK


class MeasuredCriterion(Struct, frozen=True, rename={"passed": "pass"}):
    """A criterion with its values of the last days (a number, or one per day).

    A parameter of a fit that ended at a bound is no measurement: `value` is None, and the
    criterion does not count as met.
    """

    name: str
    value: Any
    rule: str
    margin: float | None
    passed: bool


class NextStatus(Struct, frozen=True):
    """The next status and its criteria."""

    status: str
    dates: list[str]
    criteria: list[MeasuredCriterion]


def next_status(history: History) -> NextStatus | None:
    """Return the criteria of the next status with the values of the last three days."""
    if not history.sessions:
        return None
    last = history.sessions[-1]
    window = last["window"]
    # A status never falls, a window does: the next status is above the one reached.
    reached = RANK[last["status"]]
    beyond = [status for status in window["criteria"] if RANK[status] > reached]
    if not beyond:
        return None
    status = min(beyond, key=RANK.__getitem__)
    return NextStatus(
        status,
        window["info"]["session_dates"],
        [
            MeasuredCriterion(one["name"], None, one["rule"], None, False)
            if _is_from_a_bound(one, window["criteria"][status])
            else MeasuredCriterion(
                one["name"],
                plain_of(one["value"]),
                one["rule"],
                rounded(one["margin"]),
                one["pass"],
            )
            for one in window["criteria"][status]
        ],
    )


FITTED = ("Threshold", "Bias", "LapseLow_50", "LapseHigh_50")
"""Criteria on parameters of the same curve."""


MOST = 99.9
"""Percent contrast beyond which a fit ended at its bounds (threshold 100 %, bias ±100 %)."""


def _is_from_a_bound(one: Mapping[str, Any], criteria: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether a criterion is on a curve that the choices do not determine."""
    values = {criterion["name"]: criterion["value"] for criterion in criteria}
    if one["name"] not in FITTED or "Threshold" not in values:
        return False
    levels = values.get("Zero_contrast") or []
    return not is_determined(values["Threshold"], values.get("Bias", 0.0), levels)


def is_determined(threshold: float | None, bias: float | None, levels: ArrayLike) -> bool:
    """Tell whether parameters (percent) are estimates, from the contrasts (percent) shown."""
    if threshold is None or bias is None:
        return False
    return least_threshold(levels) < threshold < MOST and abs(bias) < MOST


def plain_of(value: Any) -> Any:
    """Return numbers in the form of the site's data, also those in lists."""
    if isinstance(value, list):
        return [plain_of(item) for item in value]
    return rounded(value) if isinstance(value, float) else value
