"""Predictors of a mouse's training time: Fig. 2 of the data architecture paper, and more.

:func:`analyse` repeats the paper's analysis step by step (quartiles of training time, random
forest, tenfold cross-validation, shuffled labels, permutation importance, performance change
alone) and adds what the paper lacks: fixed seeds, repeated cross-validation with
intervals, importance on held-out folds, leave-one-lab-out, other models, calibrated
probabilities.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
import sklearn

from shared.science.behaviour.psychometric import Floats
from shared.science.cohort.comparison import PAPER, caveats, rows_beside_the_paper, statement
from shared.science.cohort.features import FEATURE_SET, FEATURES, LABELS, NOTES
from shared.science.cohort.importance import held_out_importance, importance_of
from shared.science.cohort.model import (
    CHANGE,
    QUARTILES,
    Cohort,
    cross_validate,
    forest,
    make_cohort,
    ranges_of,
)
from shared.science.cohort.validation import (
    Progress,
    Runner,
    calibration_of,
    compare_models,
    leave_one_lab_out,
    repeated_validation,
    scores_of,
    shuffled_labels,
)


def _quiet(step: str, done: int, total: int) -> None:
    """Show no progress."""


def analyse(
    features: pd.DataFrame,
    *,
    seed: int = 0,
    n_shuffles: int = 100,
    n_repeats: int = 20,
    n_permutations: int = 10,
    n_jobs: int = 1,
    synthetic: bool = False,
    progress: Progress = _quiet,
) -> dict[str, Any]:
    """Run the whole analysis of a cohort.

    Parameters
    ----------
    features : DataFrame
        Table of :mod:`shared.science.cohort.features`.
    seed : int
        Seed of every random draw; the paper's forest and folds use 0.
    n_shuffles : int
        Label permutations.
    n_repeats : int
        Number of repeated cross-validations; comparisons of models use a quarter of them.
    n_permutations : int
        Permutations of each feature for its importance.
    n_jobs : int
        Processes.
    synthetic : bool
        Mark the result as made from simulated mice.
    progress : callable, optional
        Called as progress(step, done, total).

    Returns
    -------
    dict
        Plain values for JSON: `feature_set`, `features` (name, definition, used), `notes`,
        `cohort`, `quartiles`, `full`, `performance_change_only`, `shuffled`,
        `shuffled_performance_change`, `importance` (all as the paper), `repeated`,
        `held_out_importance`, `leave_one_lab_out`, `models`, `calibration`, `paper`,
        `side_by_side`, `not_comparable`, `statement`, `seed`,
        `versions`.

    Raises
    ------
    ValueError
        If too few mice are left, see :func:`cohort`.
    """
    mice = make_cohort(features)
    x, y = mice.x(), mice.quartile
    run = Runner(n_jobs, progress)
    result: dict[str, Any] = {
        "feature_set": FEATURE_SET,
        "synthetic": synthetic,
        "seed": seed,
        "versions": {"numpy": np.__version__, "scikit-learn": sklearn.__version__},
        "features": [
            {
                "name": name,
                "label": LABELS[name],
                "definition": text,
                "used": name in mice.features,
            }
            for name, text in FEATURES.items()
        ],
        "notes": list(NOTES),
        "cohort": _describe(features, mice),
        "quartiles": _describe_quartiles(mice),
    }
    full = run.first("full set", cross_validate, [(forest(seed), x, y, seed)])
    result["full"] = scores_of(y, full) | {"mice": _guesses(mice, full)}
    has_change = CHANGE in mice.features
    change_x = mice.x([CHANGE]) if has_change else x[:, :0]
    if has_change:
        change = run.first(
            "performance change only", cross_validate, [(forest(seed), change_x, y, seed)]
        )
        result["performance_change_only"] = scores_of(y, change)
    else:
        result["performance_change_only"] = None
    result["shuffled"] = shuffled_labels(run, "full set", x, y, seed, n_shuffles)
    result["shuffled_performance_change"] = (
        shuffled_labels(run, "performance change", change_x, y, seed, n_shuffles)
        if has_change
        else None
    )
    result["importance"] = importance_of(mice, seed, n_permutations)
    result["repeated"] = repeated_validation(
        run, x, change_x if has_change else None, y, seed, n_repeats
    )
    few = max(1, n_repeats // 4)
    result["held_out_importance"] = held_out_importance(run, mice, seed, few, n_permutations)
    result["leave_one_lab_out"] = leave_one_lab_out(run, mice, seed)
    result["models"] = compare_models(run, x, y, seed, few)
    result["calibration"] = calibration_of(full, y, seed)
    result["paper"] = PAPER
    result["side_by_side"] = rows_beside_the_paper(result)
    result["not_comparable"] = caveats(result)
    result["statement"] = statement(result)
    return result


def _describe(features: pd.DataFrame, mice: Cohort) -> dict[str, Any]:
    time = mice.table["training_time"].to_numpy(float)
    width = (time.max() - time.min()) / 9 or 1.0
    counts, edges = np.histogram(time, bins=9, range=(time.min(), time.min() + 9 * width))
    reasons = sorted(mouse["why"] for mouse in mice.dropped)
    return {
        "n_mice": len(features),
        "n_used": len(mice.table),
        "dropped": mice.dropped,
        "dropped_by_reason": {why: len(list(group)) for why, group in groupby(reasons)},
        "labs": {str(k): int(v) for k, v in mice.table["lab"].value_counts().sort_index().items()},
        "training_time": {
            "min": float(time.min()),
            "max": float(time.max()),
            "median": float(np.median(time)),
            "values": time.tolist(),
            "histogram": {"counts": counts.tolist(), "edges": edges.round(3).tolist()},
        },
        "features_used": list(mice.features),
        "features_missing": list(mice.missing),
    }


def _describe_quartiles(mice: Cohort) -> dict[str, Any]:
    return {
        "names": list(QUARTILES),
        "edges": mice.edges.tolist(),
        "sizes": np.bincount(mice.quartile, minlength=len(QUARTILES)).tolist(),
        "ranges": ranges_of(mice),
    }


def _guesses(mice: Cohort, p: Floats) -> list[dict[str, Any]]:
    return [
        {
            "subject": row["subject"],
            "lab": row["lab"],
            "training_time": float(row["training_time"]),
            "quartile": QUARTILES[mice.quartile[i]],
            "held_out_guess": QUARTILES[int(p[i].argmax())],
            "perf_delta1": float(row[CHANGE]) if CHANGE in mice.features else None,
        }
        for i, row in enumerate(mice.table.to_dict("records"))
    ]
