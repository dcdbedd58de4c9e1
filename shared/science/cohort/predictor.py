"""The probabilities of the quartiles of training time for a mouse in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from shared.science.behaviour.psychometric import Floats
from shared.science.cohort.features import DAYS
from shared.science.cohort.model import (
    CHANGE,
    QUARTILES,
    Cohort,
    best_weight,
    cross_validate,
    forest,
    make_cohort,
    ranges_of,
    shrunk,
)


@dataclass(frozen=True)
class Predictor:
    """Predicts the quartile of training time of mice in training.

    A forest as in the paper; its probabilities are shrunk towards the quartiles' frequencies by
    the weight that fits held-out mice best.

    Attributes
    ----------
    mice : Cohort
        The mice of the training set.
    weight : float
        Weight of the forest against the frequencies: 0 ignores it, 1 trusts it fully.
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
        mice = make_cohort(features)
        held_out = cross_validate(forest(seed), mice.x(), mice.quartile, seed)
        return cls(mice, best_weight(held_out, mice.quartile), seed)

    def predict(self, features: pd.DataFrame) -> list[dict[str, Any]]:
        """Return the chances of each mouse that has its first five training days.

        Parameters
        ----------
        features : DataFrame
            Table of :mod:`shared.science.cohort.features`. The forest of a mouse leaves out its
            missing features, and the result names them.

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
                forests[names] = forest(self.seed).fit(self.mice.x(names), self.mice.quartile)
            raw = forests[names].predict_proba(np.array([list(known.values())]))
            p = self._possible(shrunk(raw, self.weight, self.mice.quartile)[0], row["days_so_far"])
            best = int(np.argmax(p))
            row["probabilities"] = dict(
                zip(QUARTILES, (round(float(v), 4) for v in p), strict=True)
            )
            row["quartile"] = QUARTILES[best]
            row["range"] = ranges_of(self.mice)[best]
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
