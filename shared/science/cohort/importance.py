"""How much each feature contributes to the prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.inspection import permutation_importance

from shared.science.behaviour.psychometric import Floats
from shared.science.cohort.model import Cohort, Labels, folds, forest, probabilities_of
from shared.science.cohort.validation import Runner, spread_of


def importance_of(mice: Cohort, seed: int, n: int) -> list[dict[str, Any]]:
    """Return the drop of training-set F1 on permuting each feature, as the paper does."""
    x, y = mice.x(), mice.quartile
    model = forest(seed).fit(x, y)
    importance = permutation_importance(
        model, x, y, scoring="f1_micro", n_repeats=n, random_state=seed
    )
    return _ranked(mice.features, importance.importances)


def _drops(model: Any, x: Floats, y: Labels, rng: np.random.Generator, n: int) -> Floats:
    """Return the drop of F1 per feature and permutation, shape (n_features, n).

    All permuted copies go through the model at once, which is fast for the few mice of a
    fold.
    """
    right = np.mean(probabilities_of(model, x).argmax(axis=1) == y)
    permuted = np.repeat(x[None], x.shape[1] * n, axis=0)
    for i in range(len(permuted)):
        permuted[i, :, i // n] = rng.permutation(x[:, i // n])
    guess = probabilities_of(model, permuted.reshape(-1, x.shape[1])).argmax(axis=1)
    return (right - (guess.reshape(-1, len(y)) == y).mean(axis=1)).reshape(x.shape[1], n)


def _ranked(features: Sequence[str], drops: Floats) -> list[dict[str, Any]]:
    order = np.argsort(-drops.mean(axis=1), kind="stable")
    return [{"feature": features[i]} | spread_of(drops[i]) for i in order]


def _fold_drops(x: Floats, y: Labels, seed: int, n: int) -> Floats:
    rng = np.random.default_rng(seed)
    total = np.zeros((x.shape[1], n))
    for train, test in folds(len(y), seed):
        model = forest(seed).fit(x[train], y[train])
        total += _drops(model, x[test], y[test], rng, n) * len(test) / len(y)
    return total.mean(axis=1)


def held_out_importance(
    run: Runner, mice: Cohort, seed: int, n_repeats: int, n: int
) -> list[dict[str, Any]]:
    """Return the drop of F1 on held-out mice on permuting each feature, repeated over seeds."""
    calls = [(mice.x(), mice.quartile, s, n) for s in range(seed, seed + n_repeats)]
    drops = np.array(run.all("importance on held-out mice", _fold_drops, calls)).T
    return _ranked(mice.features, drops)
