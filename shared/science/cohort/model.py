"""Quartiles of training time, and the forest that predicts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import f1_score
from sklearn.model_selection import KFold

from shared.science.behaviour.psychometric import Floats
from shared.science.cohort.features import DAYS, FEATURES

Labels = NDArray[np.int64]

QUARTILES = ("Q1", "Q2", "Q3", "Q4")
"""From the fastest to the slowest quarter of the mice."""

CHANGE = "perf_delta1"
"""The one feature of the performance-change-only classifier."""

N_FOLDS = 10


@dataclass(frozen=True)
class Cohort:
    """The mice an analysis uses.

    Attributes
    ----------
    table : DataFrame
        Complete rows only: `id`, `subject`, `lab`, `training_time` and the features used.
    features : tuple of str
        Used, alphabetical.
    The features used, alphabetical.
        Features of the set that no mouse has.
    edges : array of float, shape (3,)
        Upper edges (days) of the first three quartiles.
    quartile : array of int, shape (n_mice,)
        0 (fastest) to 3.
    dropped : list of dict
        `subject`, `lab` and `why` for each mouse left out.
    """

    table: pd.DataFrame
    features: tuple[str, ...]
    missing: tuple[str, ...]
    edges: Floats
    quartile: Labels
    dropped: list[dict[str, Any]]

    def x(self, features: Sequence[str] | None = None) -> Floats:
        """Return the features as an array of shape (n_mice, n_features)."""
        return self.table[list(features or self.features)].to_numpy(float)


def make_cohort(features: pd.DataFrame) -> Cohort:
    """Keep the mice with a training time and all features that any mouse has; form quartiles.

    Parameters
    ----------
    features : DataFrame
        Table of :mod:`shared.science.cohort.features`.

    Returns
    -------
    Cohort

    Raises
    ------
    ValueError
        If fewer than 20 mice are left, too few for ten folds of four quartiles.
    """
    used = tuple(sorted(name for name in FEATURES if features[name].notna().any()))
    needed = ["training_time", *used]
    absent = features[needed].isna()
    keep = ~absent.any(axis=1)
    table = features.loc[keep].drop_duplicates(subset=["id", *needed]).reset_index(drop=True)
    if len(table) < 2 * N_FOLDS:
        raise ValueError(
            f"only {len(table)} of {len(features)} mice have a training time and all of "
            f"{', '.join(used) or 'no feature'}: at least {2 * N_FOLDS} are needed"
        )
    time = table["training_time"].to_numpy(float)
    edges = np.asarray(pd.Series(time).quantile([0.25, 0.5, 0.75]), float)
    dropped = [
        {
            "subject": mouse["subject"],
            "lab": mouse["lab"],
            "why": "not trained" if lacks["training_time"] else _why(lacks),
        }
        for mouse, lacks in zip(
            features[~keep].to_dict("records"), absent[~keep].to_dict("records"), strict=True
        )
    ]
    return Cohort(
        table,
        used,
        tuple(sorted(set(FEATURES) - set(used))),
        edges,
        quartile_of(time, edges),
        dropped,
    )


def quartile_of(training_time: Floats, edges: Floats) -> Labels:
    """Return the quartile (0-3) of training times in days; an edge belongs to the one below."""
    return np.searchsorted(edges, training_time, side="left").astype(np.int64)


def forest(seed: int) -> RandomForestClassifier:
    """Return an untrained forest with the paper's settings."""
    return RandomForestClassifier(random_state=seed)


def folds(n: int, seed: int) -> list[tuple[Labels, Labels]]:
    """Return training and test indices of each fold."""
    return list(KFold(N_FOLDS, shuffle=True, random_state=seed).split(np.zeros(n)))


def probabilities_of(model: Any, x: Floats) -> Floats:
    """Return the probabilities of all four quartiles, including those the model never saw."""
    p = np.zeros((len(x), len(QUARTILES)))
    p[:, model.classes_] = model.predict_proba(x)
    return p


def cross_validate(model: Any, x: Floats, y: Labels, seed: int) -> Floats:
    """Return held-out probabilities, shape (n_mice, 4), of a tenfold cross-validation."""
    p = np.zeros((len(y), len(QUARTILES)))
    for train, test in folds(len(y), seed):
        p[test] = probabilities_of(model.fit(x[train], y[train]), x[test])
    return p


def f1(y: Labels, p: Floats) -> float:
    """Return the micro-averaged F1 score."""
    # Micro-averaged over single-label classes, F1 is the fraction right.
    return float(f1_score(y, p.argmax(axis=1), average="micro"))


def cross_validated_f1(model: Any, x: Floats, y: Labels, seed: int) -> float:
    """Return the F1 score of held-out guesses."""
    return f1(y, cross_validate(model, x, y, seed))


def log_loss(p: Floats, y: Labels) -> float:
    """Return the mean negative log-probability of the true quartile (nats)."""
    # A forest gives 0 if none of its trees voted; use one vote in a thousand instead.
    p = np.maximum(p, 1e-3)
    p = p / p.sum(axis=1, keepdims=True)
    return float(-np.log(p[np.arange(len(y)), y]).mean())


def frequencies(y: Labels) -> Floats:
    """Return the fraction of mice in each quartile."""
    return np.bincount(y, minlength=len(QUARTILES)) / len(y)


def shrunk(p: Floats, weight: float, y: Labels) -> Floats:
    """Return probabilities shrunk towards the frequencies; `weight` 1 leaves them unchanged."""
    return weight * p + (1 - weight) * frequencies(y)


def best_weight(held_out: Floats, y: Labels) -> float:
    """Return the weight with the least log loss of held-out probabilities."""
    minimum = minimize_scalar(
        lambda w: log_loss(shrunk(held_out, w, y), y), bounds=(0, 1), method="bounded"
    )
    return float(minimum.x)


def _why(lacks: Mapping[Any, bool]) -> str:
    names = [name for name, lacking in lacks.items() if lacking]
    if CHANGE in names:
        return f"no complete days 1 to {DAYS} before trained"
    return "no " + ", ".join(names)


def ranges_of(mice: Cohort) -> list[list[int]]:
    """Return first and last day of each quartile among the mice."""
    time = mice.table["training_time"].to_numpy(float)
    of = [time[mice.quartile == q] for q in range(len(QUARTILES))]
    return [[int(t.min()), int(t.max())] if t.size else [] for t in of]
