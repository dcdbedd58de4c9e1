"""The training-time page: which factors foretell how long a mouse takes to train.

The numbers are those of :func:`shared.science.cohort.analysis.analyse`; one result per cohort.
"""

from __future__ import annotations

from typing import Any

from shared.results import figure2
from shared.results.html import Settings, figure, page, safe_name, text
from shared.results.numbers import rounded
from shared.results.store import Store, derive, encode, put, update

STATE = "_state/training-time.json"
ADDRESS = "training-time.html"


def publish(
    store: Store, settings: Settings, name: str, label: str, result: dict[str, Any]
) -> None:
    """Put the result of a cohort on the site.

    Parameters
    ----------
    store : Store
    settings : Settings
    name : str
        Of the cohort in addresses.
    label : str
        Of the cohort for readers.
    result : dict
        From :func:`shared.science.cohort.analysis.analyse`, of public subjects only.
    """
    stem = f"data/training-time/{safe_name(name)}"
    # Predictions of mice in training are for the members of their labs.
    public = {key: value for key, value in result.items() if key != "predictions"}
    put(store, f"{stem}.json", encode(short(public)))
    for kind in ("png", "svg"):
        put(store, f"{stem}.{kind}", figure2.draw(result, kind))

    def change(state: dict[str, Any]) -> dict[str, Any]:
        summary = {
            "label": label,
            "synthetic": bool(result["synthetic"]),
            "n_used": result["cohort"]["n_used"],
            "f1": rounded(result["full"]["f1"]),
            "shuffled": rounded(result["shuffled"]["mean"]),
            "statement": result["statement"],
        }
        cohorts = {**state.get("cohorts", {}), name: summary}
        # Real mice come before simulated ones.
        ordered = sorted(cohorts.items(), key=lambda item: (item[1]["synthetic"], item[0]))
        waiting = {one: said for one, said in state.get("waiting", {}).items() if one != name}
        return {"cohorts": dict(ordered), "waiting": waiting}

    update(store, STATE, change)
    refresh(store, settings)


def announce(
    store: Store,
    settings: Settings,
    name: str,
    label: str,
    *,
    n_mice: int,
    n_trained: int,
    synthetic: bool,
) -> None:
    """Say on the site that a cohort has too few trained mice yet; a result replaces it.

    Parameters
    ----------
    store : Store
    settings : Settings
    name, label : str
        As for :func:`publish`.
    n_mice, n_trained : int
        Mice in all, and those trained with all features.
    synthetic : bool
        Whether the mice are simulated.
    """
    said = {"label": label, "n_mice": n_mice, "n_trained": n_trained, "synthetic": synthetic}

    def change(state: dict[str, Any]) -> dict[str, Any]:
        if name in state.get("cohorts", {}):
            return state
        return {**state, "waiting": {**state.get("waiting", {}), name: said}}

    update(store, STATE, change)
    refresh(store, settings)


def refresh(store: Store, settings: Settings) -> None:
    """Write the page of the cohorts there are."""
    derive(store, STATE, lambda state: _page(settings, state))


def _waiting(waiting: dict[str, dict[str, Any]]) -> str:
    """Return what there is to say of cohorts too small to be analysed."""
    return "".join(
        f'<p class="{"synthetic" if one["synthetic"] else "prose"}" role="note">'
        + ("<strong>Synthetic data.</strong> " if one["synthetic"] else "")
        + f"{text(one['label'])}: {one['n_trained']} of {one['n_mice']} mice are trained and have "
        "all features; the analysis needs twenty.</p>"
        for one in waiting.values()
    )


def _page(settings: Settings, state: dict[str, Any]) -> dict[str, bytes]:
    cohorts, waiting = state.get("cohorts", {}), _waiting(state.get("waiting", {}))
    lead = (
        '<p class="lead">Some mice learn the task in a week, others take months. Which of twenty '
        "factors known in the first five days foretell it? The analysis of Fig. 2 in Nature "
        "Methods 2023, done again step by step, with what it left open beside it.</p>"
    )
    if not cohorts:
        body = lead + "<p>No cohort has been analysed yet: it takes at least twenty trained "
        body += "mice. <code>fornix analyse training-time</code> does it.</p>" + waiting
        return {ADDRESS: page(settings, "plain", ADDRESS, "Training time", body, plots=False)}
    choices = "".join(
        f'<button type="button" class="button" data-cohort="{text(safe_name(name))}" '
        f'aria-pressed="false">{text(one["label"])}</button>'
        for name, one in cohorts.items()
    )
    body = (
        lead
        + f'<div class="choices" role="group" aria-label="Cohort">{choices}</div>'
        + '<p id="synthetic" class="synthetic" role="note" hidden><strong>Synthetic data.</strong>'
        " The mice of this cohort are simulated: it shows that the chain works, not that the "
        "finding holds.</p>" + '<div id="facts"></div>'
        "<section><h2>How far it can be trusted</h2>"
        '<p id="statement" class="prose"></p></section>'
        + figure(
            "histogram",
            "a. Training time",
            note="Mice by days to trained; the lines are the edges of the quartiles.",
        )
        + figure(
            "confusion",
            "b. Predicted and true quartile",
            note="Fraction of each true quartile, held-out predictions of the random forest.",
        )
        + figure(
            "scores",
            "c. How often the quartile is right",
            note="F1 (micro). Dots: shuffled "
            "labels; bars: 95 % of repeated cross-validations; diamonds: the paper.",
        )
        + figure(
            "importance",
            "d. What it rests on",
            note="Drop of F1 when a feature is "
            "permuted: median, quartiles and range; diamonds: the paper.",
        )
        + '<section><h2>Paper and this cohort, side by side</h2><div id="side"></div>'
        '<h3>What is not comparable</h3><ul id="limits" class="prose"></ul></section>'
        + "<section><h2>Beyond the paper</h2></section>"
        + figure(
            "held-out",
            "Importance on mice left out",
            note="As d, measured on folds the forest did not learn from, averaged over repeats.",
        )
        + figure(
            "labs",
            "A laboratory never seen",
            note="Fraction right in each laboratory when "
            "it is left out; the line is all together.",
        )
        + figure(
            "models",
            "Other models",
            note="F1 over repeated cross-validations, mean and 95 % of repeats.",
        )
        + figure(
            "calibration",
            "Are the chances honest?",
            note="Stated probability of the "
            "likeliest quartile and how often it was right, in fifths of the mice.",
        )
        + figure(
            "learning",
            "Change of performance and training time",
            wide=True,
            note="Each dot a mouse; change of easy performance from day 1 to 5.",
        )
        + '<section><h2>The features</h2><div id="features"></div>'
        "<h3>Where the code behind the paper differs from its text</h3>"
        '<ul id="notes" class="prose"></ul></section>'
        + '<section><h2>Files</h2><ul class="downloads" id="files"></ul></section>'
        + waiting
    )
    first = next(iter(cohorts))
    return {
        ADDRESS: page(
            settings,
            "training-time",
            ADDRESS,
            "Training time",
            body,
            data={"src": f"data/training-time/{safe_name(first)}.json"},
            description="Which factors foretell how long a mouse takes to train",
            image=f"data/training-time/{safe_name(first)}.png",
        )
    }


def short(value: Any) -> Any:
    """Return a result with numbers as short as a reader needs, no NaN."""
    if isinstance(value, dict):
        return {name: short(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [short(one) for one in value]
    if isinstance(value, float):
        return rounded(value)
    return value
