"""The results beside those of the paper, in words and rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.science.cohort.features import FEATURE_SET
from shared.science.cohort.model import CHANGE

PAPER: dict[str, Any] = {
    "citation": "Nature Methods 2023, Fig. 2",
    "n_mice": 116,
    "n_features": 20,
    "f1": 0.46551724,
    "f1_performance_change": 0.397,
    "f1_shuffled": [0.21, 0.25],
    "edges": [9.75, 15.5, 24.0],
    "range": [5, 57],
    "histogram": [34, 27, 21, 12, 7, 2, 8, 2, 3],
    "class_sizes": [29, 29, 30, 28],
    "confusion": [
        [0.55, 0.34, 0.07, 0.03],
        [0.21, 0.34, 0.24, 0.21],
        [0.20, 0.17, 0.37, 0.27],
        [0.04, 0.14, 0.21, 0.61],
    ],
    "importance": {"perf_delta1": [0.043, 0.078, 0.095], "age_start": [0.0, 0.009, 0.009]},
}
"""Results in the paper and its notebook."""


def statement(result: Mapping[str, Any]) -> str:
    """Say in plain words how far predictions from this cohort can be trusted."""
    full, n = result["full"], result["cohort"]["n_used"]
    calibration, shuffled = result["calibration"], result["shuffled"]
    gain = calibration["log_loss_frequencies"] - calibration["log_loss"]
    worth = (
        f"its probabilities are {gain:.2f} nats per mouse better than quoting the frequencies"
        if gain > 0
        else "its probabilities are no better than quoting the frequencies of the quartiles"
    )
    kind = "simulated mice" if result["synthetic"] else "mice"
    return (
        f"Held out from {n} {kind}, {full['f1']:.0%} were put in their own quartile of training "
        f"time (chance: {shuffled['mean']:.0%}) and {full['within_one']:.0%} in it or a "
        f"neighbour; {worth}. The fastest and slowest mice are told best "
        f"({full['recall'][0]:.0%} and {full['recall'][3]:.0%} of them), the middle ones hardly. "
        f"In a laboratory the model has not seen, {result['leave_one_lab_out']['f1']:.0%} were "
        "right. It is a hint for planning; no decision about a mouse should rest on it."
    )


def rows_beside_the_paper(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the paper's results and ours, one row per quantity."""
    found, time = result["cohort"], result["cohort"]["training_time"]
    change, repeated = result["performance_change_only"], result["repeated"]
    top = [feature["feature"] for feature in result["importance"][:3]]
    age = next(
        (feature for feature in result["importance"] if feature["feature"] == "age_start"), None
    )

    def interval(spread: Mapping[str, Any] | None) -> str:
        if spread is None:
            return "–"
        return f"{spread['mean']:.3f} ({spread['low']:.2f}–{spread['high']:.2f})"

    def row(quantity: str, paper: str, here: str, note: str = "") -> dict[str, str]:
        return {"quantity": quantity, "paper": paper, "here": here, "note": note}

    return [
        row("mice", "116", f"{found['n_used']} of {found['n_mice']}"),
        row("features", "20", str(len(found["features_used"])), f"set {FEATURE_SET}"),
        row("training time, days", "5–57", f"{time['min']:g}–{time['max']:g}"),
        row(
            "quartile edges, days",
            "9.75, 15.5, 24",
            ", ".join(f"{edge:g}" for edge in result["quartiles"]["edges"]),
        ),
        row(
            "F1, full set",
            "0.466",
            f"{result['full']['f1']:.3f}",
            f"repeated {repeated['n']} times: {interval(repeated['full'])}",
        ),
        row(
            "F1, performance change only",
            "0.397",
            f"{change['f1']:.3f}" if change else "–",
            f"repeated: {interval(repeated['performance_change_only'])}",
        ),
        row(
            "F1, shuffled labels",
            "0.21–0.25",
            f"{result['shuffled']['mean']:.3f}",
            f"{result['shuffled']['min']:.2f}–{result['shuffled']['max']:.2f}; "
            f"full / shuffled {result['full']['f1'] / result['shuffled']['mean']:.2f}",
        ),
        row(
            "fastest and slowest told right",
            "0.55, 0.61",
            f"{result['full']['recall'][0]:.2f}, {result['full']['recall'][3]:.2f}",
        ),
        row("most important", "perf_delta1, then age_start", ", ".join(top)),
        row(
            "importance of perf_delta1",
            "0.078 (0.043–0.095)",
            interval(next((o for o in result["importance"] if o["feature"] == CHANGE), None)),
            "drop of F1 on the mice learned from",
        ),
        row("importance of age_start", "≤ 0.009", interval(age)),
    ]


def caveats(result: Mapping[str, Any]) -> list[str]:
    """Return the reasons why the two cannot be compared digit by digit."""
    facts = result["cohort"]
    error = result["repeated"]["sampling_error"]
    lines = [
        f"With {facts['n_used']} mice the sampling error of an F1 is ±{error:.3f}: differences "
        "of a few hundredths from the paper mean nothing.",
        "The paper's shuffles and permutations were not seeded and its notebook's earlier "
        "versions print 0.49–0.53 for 105–108 mice; the last one, quoted here, 0.466 for 116.",
        "Importance as the paper measures it is the drop on the very mice the forest learned "
        "from; that on held-out mice is the fairer number.",
    ]
    if facts["features_missing"]:
        lines.insert(
            0,
            f"Features of the set that this cohort lacks: {', '.join(facts['features_missing'])}. "
            "The full set here is the rest.",
        )
    if result["synthetic"]:
        lines.insert(
            0,
            "The mice are simulated: agreement with the paper shows that the chain works, not "
            "that the finding holds.",
        )
    else:
        lines.append(
            "The mice are those published with the behaviour papers, not exactly the paper's; "
            "daily tables lack some training days, and a mouse without its days 1 to 5 drops out."
        )
    return lines
