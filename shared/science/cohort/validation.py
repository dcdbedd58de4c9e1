"""Validation of the prediction: shuffled labels, repeats, other laboratories, other models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import confusion_matrix
from sklearn.utils.parallel import Parallel, delayed

from shared.science.behaviour.psychometric import Floats
from shared.science.cohort.model import (
    QUARTILES,
    Cohort,
    Labels,
    best_weight,
    cross_validate,
    cross_validated_f1,
    f1,
    folds,
    forest,
    frequencies,
    log_loss,
    probabilities_of,
    shrunk,
)

Progress = Callable[[str, int, int], None]


class Ordinal:
    """Proportional-odds logistic regression on the order of the quartiles.

    P(y ≤ k) = logistic(threshold_k − x·slope), x standardised, slopes with a ridge penalty.
    """

    def __init__(self, penalty: float = 1.0) -> None:
        self.penalty = penalty

    def fit(self, x: Floats, y: Labels) -> Ordinal:
        """Fit by penalised maximum likelihood; x of shape (n, n_features), y from 0 up."""
        self.classes_, index = np.unique(y, return_inverse=True)
        self._mean, spread = x.mean(axis=0), x.std(axis=0)
        self._spread = np.where(spread > 0, spread, 1.0)
        z = (x - self._mean) / self._spread
        n_cuts = len(self.classes_) - 1
        share = np.cumsum(np.bincount(index))[:-1] / len(index)
        cuts = np.log(share / (1 - share))
        start = np.concatenate(
            [cuts[:1], np.log(np.maximum(np.diff(cuts), 0.1)), np.zeros(z.shape[1])]
        )

        def cost(theta: Floats) -> float:
            p = self._probabilities(z, *self._unpack(theta, n_cuts))
            likelihood = np.log(np.maximum(p[np.arange(len(index)), index], 1e-12)).sum()
            return float(-likelihood + self.penalty / 2 * np.sum(theta[n_cuts:] ** 2))

        optimum = minimize(cost, start, method="L-BFGS-B").x
        self._thresholds, self._slopes = self._unpack(optimum, n_cuts)
        return self

    def predict_proba(self, x: Floats) -> Floats:
        """Return the probability of each class, shape (n, n_classes)."""
        return self._probabilities((x - self._mean) / self._spread, self._thresholds, self._slopes)

    @staticmethod
    def _unpack(theta: Floats, n_cuts: int) -> tuple[Floats, Floats]:
        rising = np.concatenate([theta[:1], np.exp(theta[1:n_cuts])])
        return np.cumsum(rising), theta[n_cuts:]

    @staticmethod
    def _probabilities(z: Floats, thresholds: Floats, slopes: Floats) -> Floats:
        below = expit(thresholds[None, :] - (z @ slopes)[:, None])
        return np.diff(below, axis=1, prepend=0.0, append=1.0)


class Runner:
    """Runs many similar calls on some processes and reports their progress."""

    def __init__(self, n_jobs: int, progress: Progress) -> None:
        self._n_jobs, self._progress = n_jobs, progress

    def all(self, step: str, function: Callable[..., Any], calls: Sequence[Sequence[Any]]) -> list:
        """Return function(*call) of every call, in order."""
        self._progress(step, 0, len(calls))
        done: list[Any] = []
        for result in self._results(function, calls):
            done.append(result)
            self._progress(step, len(done), len(calls))
        return done

    def first(
        self, step: str, function: Callable[..., Any], calls: Sequence[Sequence[Any]]
    ) -> Any:
        """Return the result of a single call."""
        return self.all(step, function, calls)[0]

    def _results(
        self, function: Callable[..., Any], calls: Sequence[Sequence[Any]]
    ) -> Iterator[Any]:
        if self._n_jobs == 1 or len(calls) == 1:
            return (function(*call) for call in calls)
        parallel = Parallel(n_jobs=self._n_jobs, return_as="generator", pre_dispatch="2*n_jobs")
        return iter(parallel(delayed(function)(*call) for call in calls))


def scores_of(y: Labels, p: Floats) -> dict[str, Any]:
    """Return F1, confusion, recall and near misses of held-out probabilities."""
    guess = p.argmax(axis=1)
    counts = confusion_matrix(y, guess, labels=range(len(QUARTILES)))
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return {
        "f1": f1(y, p),
        "confusion": share.round(4).tolist(),
        "confusion_counts": counts.tolist(),
        "recall": np.diag(share).round(4).tolist(),
        "within_one": float(np.mean(np.abs(guess - y) <= 1)),
    }


def shuffled_labels(
    run: Runner, what: str, x: Floats, y: Labels, seed: int, n: int
) -> dict[str, Any]:
    """Return the spread of F1 where quartiles are permuted among the mice."""
    rng = np.random.default_rng(seed)
    calls = [(forest(seed), x, rng.permutation(y), seed) for _ in range(n)]
    return spread_of(run.all(f"shuffled labels, {what}", cross_validated_f1, calls))


def repeated_validation(
    run: Runner, x: Floats, change: Floats | None, y: Labels, seed: int, n: int
) -> dict[str, Any]:
    """Return the spread of F1 over seeds, of all features and of performance change alone."""
    seeds = range(seed, seed + n)
    full = run.all(
        "repeated cross-validation",
        cross_validated_f1,
        [(forest(s), x, y, s) for s in seeds],
    )
    out: dict[str, Any] = {"n": n, "full": spread_of(full), "performance_change_only": None}
    if change is not None:
        out["performance_change_only"] = spread_of(
            run.all(
                "repeated, performance change only",
                cross_validated_f1,
                [(forest(s), change, y, s) for s in seeds],
            )
        )
    # Folds share mice, so their spread is not the whole error: this is that of n mice.
    p = out["full"]["mean"]
    out["sampling_error"] = float(np.sqrt(p * (1 - p) / len(y)))
    return out


def _one_lab_out(x: Floats, y: Labels, out: NDArray[np.bool_], seed: int) -> list[int]:
    model = forest(seed).fit(x[~out], y[~out])
    return probabilities_of(model, x[out]).argmax(axis=1).tolist()


def leave_one_lab_out(run: Runner, mice: Cohort, seed: int) -> dict[str, Any]:
    """Return how well each laboratory's mice are predicted from the others'."""
    lab = mice.table["lab"].to_numpy()
    labs = sorted(set(lab))
    x, y = mice.x(), mice.quartile
    if len(labs) < 2:
        return {"f1": None, "labs": []}
    guesses = run.all(
        "leave one lab out",
        _one_lab_out,
        [(x, y, lab == held_out_lab, seed) for held_out_lab in labs],
    )
    right = {
        held_out_lab: np.array(guess) == y[lab == held_out_lab]
        for held_out_lab, guess in zip(labs, guesses, strict=True)
    }
    return {
        "f1": float(np.concatenate(list(right.values())).mean()),
        "labs": [
            {"lab": held_out_lab, "n": int(found.size), "f1": float(found.mean())}
            for held_out_lab, found in right.items()
        ],
    }


def _model_scores(model: Any, x: Floats, y: Labels, seed: int) -> tuple[float, float, float]:
    p = cross_validate(model, x, y, seed)
    return f1(y, p), float(np.abs(p.argmax(axis=1) - y).mean()), log_loss(p, y)


def compare_models(run: Runner, x: Floats, y: Labels, seed: int, n: int) -> list[dict[str, Any]]:
    """Return the scores of other models on the same folds."""
    kinds: dict[str, Callable[[int], Any]] = {
        "random forest": forest,
        "gradient-boosted trees": lambda s: GradientBoostingClassifier(
            random_state=s, max_depth=2, learning_rate=0.05, subsample=0.7
        ),
        "ordinal logistic regression": lambda s: Ordinal(),
    }
    out = []
    for name, kind in kinds.items():
        calls = [(kind(s), x, y, s) for s in range(seed, seed + n)]
        f1, error, loss = np.array(run.all(name, _model_scores, calls)).T
        out.append(
            {
                "model": name,
                "f1": spread_of(f1),
                "mean_quartiles_off": spread_of(error),
                "log_loss": spread_of(loss),
            }
        )
    return out


def calibration_of(held_out: Floats, y: Labels, seed: int) -> dict[str, Any]:
    """Return the quality of the shrunk probabilities, with each fold's weight from the others."""
    p = np.zeros_like(held_out)
    for train, test in folds(len(y), seed):
        p[test] = shrunk(held_out[test], best_weight(held_out[train], y[train]), y[train])
    stated = p.max(axis=1)
    right = p.argmax(axis=1) == y
    order = np.argsort(stated, kind="stable")
    bins = [
        {
            "n": int(part.size),
            "stated": float(stated[part].mean()),
            "observed": float(right[part].mean()),
        }
        for part in np.array_split(order, 5)
    ]
    constant = np.repeat(frequencies(y)[None], len(y), axis=0)
    return {
        "weight": best_weight(held_out, y),
        "log_loss": log_loss(p, y),
        "log_loss_forest": log_loss(held_out, y),
        "log_loss_frequencies": log_loss(constant, y),
        "reliability": bins,
    }


def spread_of(values: Sequence[float] | Floats) -> dict[str, Any]:
    """Return mean, central 95 %, extremes and values."""
    array = np.asarray(values, float)
    low, high = np.quantile(array, [0.025, 0.975])
    return {
        "mean": float(array.mean()),
        "low": float(low),
        "high": float(high),
        "min": float(array.min()),
        "max": float(array.max()),
        "values": array.round(5).tolist(),
    }
