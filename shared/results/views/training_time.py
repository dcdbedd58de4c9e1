"""The page of the training-time analysis: one result per cohort, drawn by the page's script."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from shared.results import addresses
from shared.results.views.page import PageFrame


class AnalysedCohort(Struct, frozen=True):
    """A cohort with a result; `f1` of all features and with shuffled labels."""

    label: str
    synthetic: bool
    n_used: int
    f1: float | None
    shuffled: float | None
    statement: str


class WaitingCohort(Struct, frozen=True):
    """A cohort with too few trained mice."""

    label: str
    n_mice: int
    n_trained: int
    synthetic: bool


class TrainingTimeState(Struct, frozen=True):
    """The cohorts of a site, by their names in addresses."""

    cohorts: dict[str, AnalysedCohort] = {}
    waiting: dict[str, WaitingCohort] = {}


class CohortChoice(Struct, frozen=True):
    """A cohort that the page can show."""

    name: str
    label: str


class TrainingTimeView(Struct, frozen=True):
    """The page of the training-time analysis."""

    template: ClassVar[str] = "training_time"

    page: PageFrame
    cohorts: list[CohortChoice]
    waiting: list[WaitingCohort]


def training_time_view(state: TrainingTimeState) -> TrainingTimeView:
    """Return the page of the present cohorts."""
    waiting = list(state.waiting.values())
    if not state.cohorts:
        page = PageFrame(address=addresses.TRAINING_TIME, title="Training time")
        return TrainingTimeView(page, [], waiting)
    first = next(iter(state.cohorts))
    page = PageFrame(
        address=addresses.TRAINING_TIME,
        title="Training time",
        description="Which factors foretell how long a mouse takes to train",
        image=addresses.training_time_file(first, "png"),
        attributes={"src": addresses.training_time_file(first, "json")},
    )
    choices = [
        CohortChoice(addresses.safe_name(name), cohort.label)
        for name, cohort in state.cohorts.items()
    ]
    return TrainingTimeView(page, choices, waiting)
