"""What foretells how long a mouse takes to train: Fig. 2 of the data architecture paper, and more.

:func:`analyse` repeats the paper's analysis step by step (quartiles of training time, random
forest, tenfold cross-validation, shuffled labels, permutation importance, performance change
alone) and puts beside it what the paper lacks: fixed seeds, repeated cross-validation with
intervals, importance on held-out folds, leave-one-lab-out, other models, calibrated
probabilities. :class:`Predictor` says of a mouse in training how likely each quartile is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
import sklearn
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.inspection import permutation_importance
from sklearn.metrics import confusion_matrix, f1_score
from sklearn.model_selection import KFold
from sklearn.utils.parallel import Parallel, delayed

from shared.science.psychometric import Floats
from shared.science.training_features import DAYS, FEATURE_SET, FEATURES, NOTES

Labels = NDArray[np.int64]
Progress = Callable[[str, int, int], None]

QUARTILES = ("Q1", "Q2", "Q3", "Q4")
"""From the fastest to the slowest quarter of the mice."""

CHANGE = "perf_delta1"
"""The one feature of the performance-change-only classifier."""

N_FOLDS = 10

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
"""What the paper and its notebook print."""


def _quiet(step: str, done: int, total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Cohort:
    """The mice an analysis uses.

    Attributes
    ----------
    table : DataFrame
        Complete rows only: `id`, `subject`, `lab`, `training_time` and the features used.
    features : tuple of str
        Used, alphabetical.
    missing : tuple of str
        Features of the set that no mouse has.
    edges : array of float, shape (3,)
        Upper edges (days) of the first three quartiles.
    quartile : array of int, shape (n_mice,)
        0 (fastest) to 3.
    dropped : list of dict
        `subject`, `lab` and `why` of the mice left out.
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


def cohort(features: pd.DataFrame) -> Cohort:
    """Keep the mice with a training time and all features that anyone has; form quartiles.

    Parameters
    ----------
    features : DataFrame
        As :mod:`shared.science.training_features` makes it.

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
        As :mod:`shared.science.training_features` makes it.
    seed : int
        Of everything drawn; the paper's forest and folds use 0.
    n_shuffles : int
        Label permutations.
    n_repeats : int
        Of the repeated cross-validation; comparisons of models use a quarter of them.
    n_permutations : int
        Of each feature for its importance.
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
        `cohort`, `quartiles`, `full`, `performance_change_only`, `shuffled`, `importance` (all
        as the paper), `repeated`, `held_out_importance`, `leave_one_lab_out`, `models`,
        `calibration`, `paper`, `side_by_side`, `not_comparable`, `statement`, `seed`,
        `versions`.

    Raises
    ------
    ValueError
        If too few mice are left, see :func:`cohort`.
    """
    mice = cohort(features)
    x, y = mice.x(), mice.quartile
    run = _Runner(n_jobs, progress)
    result: dict[str, Any] = {
        "feature_set": FEATURE_SET,
        "synthetic": synthetic,
        "seed": seed,
        "versions": {"numpy": np.__version__, "scikit-learn": sklearn.__version__},
        "features": [
            {"name": name, "definition": text, "used": name in mice.features}
            for name, text in FEATURES.items()
        ],
        "notes": list(NOTES),
        "cohort": _describe(features, mice),
        "quartiles": _describe_quartiles(mice),
    }
    full = run.first("full set", _cross_validate, [(_forest(seed), x, y, seed)])
    result["full"] = _scores(y, full) | {"mice": _guesses(mice, full)}
    has_change = CHANGE in mice.features
    change_x = mice.x([CHANGE]) if has_change else x[:, :0]
    if has_change:
        change = run.first(
            "performance change only", _cross_validate, [(_forest(seed), change_x, y, seed)]
        )
        result["performance_change_only"] = _scores(y, change)
    else:
        result["performance_change_only"] = None
    result["shuffled"] = _shuffled(run, x, y, seed, n_shuffles)
    result["importance"] = _importance(mice, seed, n_permutations)
    result["repeated"] = _repeated(run, x, change_x if has_change else None, y, seed, n_repeats)
    few = max(1, n_repeats // 4)
    result["held_out_importance"] = _held_out_importance(run, mice, seed, few, n_permutations)
    result["leave_one_lab_out"] = _leave_one_lab_out(run, mice, seed)
    result["models"] = _models(run, x, y, seed, few)
    result["calibration"] = _calibration(full, y, seed)
    result["paper"] = PAPER
    result["side_by_side"] = _side_by_side(result)
    result["not_comparable"] = _not_comparable(result)
    result["statement"] = statement(result)
    return result


@dataclass(frozen=True)
class Predictor:
    """Says how likely a mouse in training ends in each quartile of training time.

    A forest as in the paper, its probabilities shrunk towards the quartiles' frequencies by the
    weight that fits held-out mice best.

    Attributes
    ----------
    mice : Cohort
        Those learned from.
    weight : float
        Of the forest, against the frequencies: 0 knows nothing, 1 trusts the forest.
    seed : int
    """

    mice: Cohort
    weight: float
    seed: int = 0

    @classmethod
    def learned(cls, features: pd.DataFrame, seed: int = 0) -> Predictor:
        """Learn from the trained mice of a table of features.

        Raises
        ------
        ValueError
            If too few mice are trained, see :func:`cohort`.
        """
        mice = cohort(features)
        held_out = _cross_validate(_forest(seed), mice.x(), mice.quartile, seed)
        return cls(mice, _best_weight(held_out, mice.quartile), seed)

    def predict(self, features: pd.DataFrame) -> list[dict[str, Any]]:
        """Return the chances of each mouse that has its first five training days.

        Parameters
        ----------
        features : DataFrame
            As :mod:`shared.science.training_features` makes it. Features a mouse lacks are left
            out of its forest and named.

        Returns
        -------
        list of dict
            Per mouse: `id`, `subject`, `lab`, `days_so_far`, `probabilities` (of Q1-Q4, None
            before five days), `quartile` (likeliest), `range` (its days), `features_missing`,
            and `why_not` if there is no prediction. A quartile whose days have passed has
            probability 0.
        """
        rows = [self._row(row) for row in features.to_dict("records")]
        forests: dict[tuple[str, ...], Any] = {}
        for row in rows:
            known = row.pop("known")
            if row["why_not"]:
                continue
            names = tuple(known)
            if names not in forests:
                forests[names] = _forest(self.seed).fit(self.mice.x(names), self.mice.quartile)
            raw = forests[names].predict_proba(np.array([list(known.values())]))
            p = self._possible(
                _shrunk(raw, self.weight, self.mice.quartile)[0], row["days_so_far"]
            )
            best = int(np.argmax(p))
            row["probabilities"] = dict(
                zip(QUARTILES, (round(float(v), 4) for v in p), strict=True)
            )
            row["quartile"] = QUARTILES[best]
            row["range"] = _ranges(self.mice)[best]
        return rows

    def _row(self, row: Mapping[Any, Any]) -> dict[str, Any]:
        known = {name: float(row[name]) for name in self.mice.features if np.isfinite(row[name])}
        days = int(row["n_days"])
        why_not = None
        if np.isfinite(row["training_time"]):
            why_not = "trained already"
        elif days < DAYS:
            why_not = f"{days} of {DAYS} training days so far"
        elif CHANGE in self.mice.features and CHANGE not in known:
            why_not = "its performance on day 1 or 5 is not known"
        return {
            "id": row["id"],
            "subject": row["subject"],
            "lab": row["lab"],
            "days_so_far": days,
            "probabilities": None,
            "quartile": None,
            "range": None,
            "features_missing": [name for name in self.mice.features if name not in known],
            "why_not": why_not,
            "known": known,
        }

    def _possible(self, p: Floats, days: int) -> Floats:
        over = np.append(self.mice.edges, np.inf) < days
        p = np.where(over, 0.0, p)
        return p / p.sum()


class Ordinal:
    """Proportional-odds logistic regression, the quartiles taken as an order.

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

        found = minimize(cost, start, method="L-BFGS-B").x
        self._thresholds, self._slopes = self._unpack(found, n_cuts)
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


class _Runner:
    """Runs many alike calls on some processes and tells how far they are."""

    def __init__(self, n_jobs: int, progress: Progress) -> None:
        self._n_jobs, self._progress = n_jobs, progress

    def all(self, step: str, function: Callable[..., Any], calls: Sequence[Sequence[Any]]) -> list:
        """Return function(*call) of every call, in order."""
        self._progress(step, 0, len(calls))
        done: list[Any] = []
        for one in self._results(function, calls):
            done.append(one)
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


def _forest(seed: int) -> RandomForestClassifier:
    return RandomForestClassifier(random_state=seed)


def _folds(n: int, seed: int) -> list[tuple[Labels, Labels]]:
    return list(KFold(N_FOLDS, shuffle=True, random_state=seed).split(np.zeros(n)))


def _probabilities(model: Any, x: Floats) -> Floats:
    """Return the probabilities of all four quartiles, also of those the model never saw."""
    p = np.zeros((len(x), len(QUARTILES)))
    p[:, model.classes_] = model.predict_proba(x)
    return p


def _cross_validate(model: Any, x: Floats, y: Labels, seed: int) -> Floats:
    """Return held-out probabilities, shape (n_mice, 4), of a tenfold cross-validation."""
    p = np.zeros((len(y), len(QUARTILES)))
    for train, test in _folds(len(y), seed):
        p[test] = _probabilities(model.fit(x[train], y[train]), x[test])
    return p


def _f1(y: Labels, p: Floats) -> float:
    # Micro-averaged over single-label classes: the fraction right.
    return float(f1_score(y, p.argmax(axis=1), average="micro"))


def _cross_validated_f1(model: Any, x: Floats, y: Labels, seed: int) -> float:
    return _f1(y, _cross_validate(model, x, y, seed))


def _scores(y: Labels, p: Floats) -> dict[str, Any]:
    guess = p.argmax(axis=1)
    counts = confusion_matrix(y, guess, labels=range(len(QUARTILES)))
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return {
        "f1": _f1(y, p),
        "confusion": share.round(4).tolist(),
        "confusion_counts": counts.tolist(),
        "recall": np.diag(share).round(4).tolist(),
        "within_one": float(np.mean(np.abs(guess - y) <= 1)),
    }


def _shuffled(run: _Runner, x: Floats, y: Labels, seed: int, n: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    calls = [(_forest(seed), x, rng.permutation(y), seed) for _ in range(n)]
    return _spread(run.all("shuffled labels", _cross_validated_f1, calls))


def _importance(mice: Cohort, seed: int, n: int) -> list[dict[str, Any]]:
    """Return the drop of training-set F1 on permuting each feature, as the paper does."""
    x, y = mice.x(), mice.quartile
    model = _forest(seed).fit(x, y)
    found = permutation_importance(model, x, y, scoring="f1_micro", n_repeats=n, random_state=seed)
    return _ranked(mice.features, found.importances)


def _drops(model: Any, x: Floats, y: Labels, rng: np.random.Generator, n: int) -> Floats:
    """Return the drop of F1 per feature and permutation, shape (n_features, n).

    All permuted copies go through the model at once: for the few mice of a fold that is what
    makes it quick.
    """
    right = np.mean(_probabilities(model, x).argmax(axis=1) == y)
    permuted = np.repeat(x[None], x.shape[1] * n, axis=0)
    for i in range(len(permuted)):
        permuted[i, :, i // n] = rng.permutation(x[:, i // n])
    guess = _probabilities(model, permuted.reshape(-1, x.shape[1])).argmax(axis=1)
    return (right - (guess.reshape(-1, len(y)) == y).mean(axis=1)).reshape(x.shape[1], n)


def _ranked(features: Sequence[str], drops: Floats) -> list[dict[str, Any]]:
    order = np.argsort(-drops.mean(axis=1), kind="stable")
    return [{"feature": features[i]} | _spread(drops[i]) for i in order]


def _repeated(
    run: _Runner, x: Floats, change: Floats | None, y: Labels, seed: int, n: int
) -> dict[str, Any]:
    seeds = range(seed, seed + n)
    full = run.all(
        "repeated cross-validation",
        _cross_validated_f1,
        [(_forest(s), x, y, s) for s in seeds],
    )
    out: dict[str, Any] = {"n": n, "full": _spread(full), "performance_change_only": None}
    if change is not None:
        out["performance_change_only"] = _spread(
            run.all(
                "repeated, performance change only",
                _cross_validated_f1,
                [(_forest(s), change, y, s) for s in seeds],
            )
        )
    # Folds share mice, so their spread is not the whole error; n mice right or wrong is.
    p = out["full"]["mean"]
    out["sampling_error"] = float(np.sqrt(p * (1 - p) / len(y)))
    return out


def _fold_drops(x: Floats, y: Labels, seed: int, n: int) -> Floats:
    rng = np.random.default_rng(seed)
    total = np.zeros((x.shape[1], n))
    for train, test in _folds(len(y), seed):
        model = _forest(seed).fit(x[train], y[train])
        total += _drops(model, x[test], y[test], rng, n) * len(test) / len(y)
    return total.mean(axis=1)


def _held_out_importance(
    run: _Runner, mice: Cohort, seed: int, n_repeats: int, n: int
) -> list[dict[str, Any]]:
    calls = [(mice.x(), mice.quartile, s, n) for s in range(seed, seed + n_repeats)]
    drops = np.array(run.all("importance on held-out mice", _fold_drops, calls)).T
    return _ranked(mice.features, drops)


def _one_lab_out(x: Floats, y: Labels, out: NDArray[np.bool_], seed: int) -> list[int]:
    model = _forest(seed).fit(x[~out], y[~out])
    return _probabilities(model, x[out]).argmax(axis=1).tolist()


def _leave_one_lab_out(run: _Runner, mice: Cohort, seed: int) -> dict[str, Any]:
    lab = mice.table["lab"].to_numpy()
    labs = sorted(set(lab))
    x, y = mice.x(), mice.quartile
    if len(labs) < 2:
        return {"f1": None, "labs": []}
    guesses = run.all(
        "leave one lab out", _one_lab_out, [(x, y, lab == one, seed) for one in labs]
    )
    right = {
        one: np.array(guess) == y[lab == one] for one, guess in zip(labs, guesses, strict=True)
    }
    return {
        "f1": float(np.concatenate(list(right.values())).mean()),
        "labs": [
            {"lab": one, "n": int(found.size), "f1": float(found.mean())}
            for one, found in right.items()
        ],
    }


def _model_scores(model: Any, x: Floats, y: Labels, seed: int) -> tuple[float, float, float]:
    p = _cross_validate(model, x, y, seed)
    return _f1(y, p), float(np.abs(p.argmax(axis=1) - y).mean()), _log_loss(p, y)


def _models(run: _Runner, x: Floats, y: Labels, seed: int, n: int) -> list[dict[str, Any]]:
    kinds: dict[str, Callable[[int], Any]] = {
        "random forest": _forest,
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
                "f1": _spread(f1),
                "mean_quartiles_off": _spread(error),
                "log_loss": _spread(loss),
            }
        )
    return out


def _log_loss(p: Floats, y: Labels) -> float:
    # A forest says 0 where none of its trees voted; one vote in a thousand instead.
    p = np.maximum(p, 1e-3)
    p = p / p.sum(axis=1, keepdims=True)
    return float(-np.log(p[np.arange(len(y)), y]).mean())


def _frequencies(y: Labels) -> Floats:
    return np.bincount(y, minlength=len(QUARTILES)) / len(y)


def _shrunk(p: Floats, weight: float, y: Labels) -> Floats:
    return weight * p + (1 - weight) * _frequencies(y)


def _best_weight(held_out: Floats, y: Labels) -> float:
    found = minimize_scalar(
        lambda w: _log_loss(_shrunk(held_out, w, y), y), bounds=(0, 1), method="bounded"
    )
    return float(found.x)


def _calibration(held_out: Floats, y: Labels, seed: int) -> dict[str, Any]:
    """Return how good the shrunk probabilities are, the weight of each fold from the others."""
    p = np.zeros_like(held_out)
    for train, test in _folds(len(y), seed):
        p[test] = _shrunk(held_out[test], _best_weight(held_out[train], y[train]), y[train])
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
    frequencies = np.repeat(_frequencies(y)[None], len(y), axis=0)
    return {
        "weight": _best_weight(held_out, y),
        "log_loss": _log_loss(p, y),
        "log_loss_forest": _log_loss(held_out, y),
        "log_loss_frequencies": _log_loss(frequencies, y),
        "reliability": bins,
    }


def _spread(values: Sequence[float] | Floats) -> dict[str, Any]:
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


def _why(lacks: Mapping[Any, bool]) -> str:
    names = [name for name, lacking in lacks.items() if lacking]
    if CHANGE in names:
        return f"no complete days 1 to {DAYS} before trained"
    return "no " + ", ".join(names)


def _describe(features: pd.DataFrame, mice: Cohort) -> dict[str, Any]:
    time = mice.table["training_time"].to_numpy(float)
    width = (time.max() - time.min()) / 9 or 1.0
    counts, edges = np.histogram(time, bins=9, range=(time.min(), time.min() + 9 * width))
    reasons = sorted(one["why"] for one in mice.dropped)
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


def _ranges(mice: Cohort) -> list[list[int]]:
    """Return first and last day of each quartile among the mice."""
    time = mice.table["training_time"].to_numpy(float)
    of = [time[mice.quartile == q] for q in range(len(QUARTILES))]
    return [[int(t.min()), int(t.max())] if t.size else [] for t in of]


def _describe_quartiles(mice: Cohort) -> dict[str, Any]:
    return {
        "names": list(QUARTILES),
        "edges": mice.edges.tolist(),
        "sizes": np.bincount(mice.quartile, minlength=len(QUARTILES)).tolist(),
        "ranges": _ranges(mice),
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


def _side_by_side(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    found, time = result["cohort"], result["cohort"]["training_time"]
    change, repeated = result["performance_change_only"], result["repeated"]
    top = [one["feature"] for one in result["importance"][:3]]
    age = next((one for one in result["importance"] if one["feature"] == "age_start"), None)

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


def _not_comparable(result: Mapping[str, Any]) -> list[str]:
    found = result["cohort"]
    error = result["repeated"]["sampling_error"]
    lines = [
        f"With {found['n_used']} mice the sampling error of an F1 is ±{error:.3f}: differences "
        "of a few hundredths from the paper mean nothing.",
        "The paper's shuffles and permutations were not seeded and its notebook's earlier "
        "versions print 0.49–0.53 for 105–108 mice; the last one, quoted here, 0.466 for 116.",
        "Importance as the paper measures it is the drop on the very mice the forest learned "
        "from; that on held-out mice is the fairer number.",
    ]
    if found["features_missing"]:
        lines.insert(
            0,
            f"Features of the set that this cohort lacks: {', '.join(found['features_missing'])}. "
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
