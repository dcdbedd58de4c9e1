"""The training-time page: which factors predict how long a mouse takes to train.

The numbers are those of :func:`shared.science.cohort.analysis.analyse`; one result per cohort.
"""

from __future__ import annotations

from typing import Any

from shared.results import figure2
from shared.results.addresses import training_time_file
from shared.results.numbers import rounded
from shared.results.render import SiteSettings, render
from shared.results.store import SiteStore, encode, update, write_derived, write_if_changed
from shared.results.views.training_time import (
    AnalysedCohort,
    TrainingTimeState,
    WaitingCohort,
    training_time_view,
)

STATE = "_state/training-time.json"


def publish(
    store: SiteStore, settings: SiteSettings, name: str, label: str, result: dict[str, Any]
) -> None:
    """Put the result of a cohort on the site.

    Parameters
    ----------
    store : SiteStore
    settings : SiteSettings
    name : str
        Name of the cohort in addresses.
    label : str
        Name of the cohort for readers.
    result : dict
        From :func:`shared.science.cohort.analysis.analyse`, of public subjects only.
    """
    # Predictions of mice in training are for members of their labs only.
    public = {key: value for key, value in result.items() if key != "predictions"}
    write_if_changed(store, training_time_file(name, "json"), encode(short(public)))
    for kind in ("png", "svg"):
        write_if_changed(store, training_time_file(name, kind), figure2.draw(result, kind))

    def change(state: TrainingTimeState | None) -> TrainingTimeState:
        before = state or TrainingTimeState()
        summary = AnalysedCohort(
            label=label,
            synthetic=bool(result["synthetic"]),
            n_used=result["cohort"]["n_used"],
            f1=rounded(result["full"]["f1"]),
            shuffled=rounded(result["shuffled"]["mean"]),
            statement=result["statement"],
        )
        cohorts = {**before.cohorts, name: summary}
        # Real mice come before simulated ones.
        ordered = sorted(cohorts.items(), key=lambda item: (item[1].synthetic, item[0]))
        waiting = {one: said for one, said in before.waiting.items() if one != name}
        return TrainingTimeState(dict(ordered), waiting)

    update(store, STATE, TrainingTimeState, change)
    refresh(store, settings)


def announce(
    store: SiteStore,
    settings: SiteSettings,
    name: str,
    label: str,
    *,
    n_mice: int,
    n_trained: int,
    synthetic: bool,
) -> None:
    """Say on the site that a cohort has too few trained mice; a result replaces it later.

    Parameters
    ----------
    store : SiteStore
    settings : SiteSettings
    name, label : str
        As for :func:`publish`.
    n_mice, n_trained : int
        All mice, and the trained ones with all features.
    synthetic : bool
        Whether the mice are simulated.
    """
    said = WaitingCohort(label, n_mice, n_trained, synthetic)

    def change(state: TrainingTimeState | None) -> TrainingTimeState:
        before = state or TrainingTimeState()
        if name in before.cohorts:
            return before
        return TrainingTimeState(before.cohorts, {**before.waiting, name: said})

    update(store, STATE, TrainingTimeState, change)
    refresh(store, settings)


def refresh(store: SiteStore, settings: SiteSettings) -> None:
    """Write the page of the present cohorts."""
    write_derived(
        store,
        STATE,
        TrainingTimeState,
        lambda state: _pages(settings, state or TrainingTimeState()),
    )


def _pages(settings: SiteSettings, state: TrainingTimeState) -> dict[str, bytes]:
    view = training_time_view(state)
    return {view.page.address: render(view, settings)}


def short(value: Any) -> Any:
    """Return a result with numbers rounded for readers, without NaN."""
    if isinstance(value, dict):
        return {name: short(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [short(item) for item in value]
    if isinstance(value, float):
        return rounded(value)
    return value
