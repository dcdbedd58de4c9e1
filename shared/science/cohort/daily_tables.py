"""Features of a cohort from its published daily tables (13 of the 20)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from shared.science.cohort.features import DAYS, any_citric, as_table, changes, food_of, light_of


def daily_tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Read the published daily tables of a cohort: learning, weights and water.

    Raises
    ------
    ValueError
        If a table is missing or lacks a column.
    """
    dates = ["session_date", "subject_birth_date", "date_trained"]
    learning = _read(
        folder,
        "figure3_ibl_learning.csv",
        [
            *("subject_uuid", "subject_nickname", "lab_name", "sex", "performance"),
            *("performance_easy", "n_trials_date", "training_day", *dates),
        ],
    )
    weights = _read(
        folder,
        "figure3_ibl_weights.csv",
        ["subject_uuid", "session_date", "avg_weight", "norm_weight"],
    )
    water = _read(folder, "figure3_ibl.csv", ["subject_uuid", "session_date", "watertype"])
    return learning, weights, water


def from_daily_tables(folder: Path) -> pd.DataFrame:
    """Compute the features that the published daily tables of a cohort allow.

    Parameters
    ----------
    folder : Path
        With `figure3_ibl_learning.csv` (performance and trial counts per mouse and day),
        `figure3_ibl_weights.csv` (weights relative to the reference) and `figure3_ibl.csv`
        (water per day), as published with Urai et al. 2021.

    Returns
    -------
    DataFrame
        One row per mouse, in order of `id` (as folds are drawn by row): `id`, `subject`, `lab`,
        `training_time` (days; NaN if not trained), `n_days` recorded before trained, and all
        features, NaN where they cannot be computed.

    Raises
    ------
    ValueError
        If a table is missing or lacks a column.
    """
    learning, weights, water = daily_tables(folder)
    # A mouse may lack rows of one of the tables; its features are NaN then.
    weights_of = dict(iter(weights.groupby("subject_uuid")))
    water_of = dict(iter(water.groupby("subject_uuid")))
    rows = [
        _daily_row(days, weights_of.get(uuid, weights[:0]), water_of.get(uuid, water[:0]))
        for uuid, days in learning.groupby("subject_uuid")
    ]
    return as_table(rows)


def _read(folder: Path, name: str, columns: list[str]) -> pd.DataFrame:
    path = Path(folder) / name
    if not path.is_file():
        raise ValueError(f"{folder} has no {name}: not a folder of daily tables of a cohort")
    header = pd.read_csv(path, nrows=0)
    missing = sorted(set(columns) - set(header.columns))
    if missing:
        raise ValueError(f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}")
    dates = [c for c in columns if "date" in c and c != "n_trials_date"]
    return pd.read_csv(path, usecols=columns, parse_dates=dates)


def _daily_row(days: pd.DataFrame, weights: pd.DataFrame, water: pd.DataFrame) -> dict[str, Any]:
    days = days.sort_values("session_date")
    mouse = days.iloc[0]
    start, trained = mouse["session_date"], mouse["date_trained"]
    before = days if pd.isna(trained) else days[days["session_date"] < trained]
    drunk = water if pd.isna(trained) else water[water["session_date"] < trained]
    first_weight = weights[weights["session_date"] == start]
    row: dict[str, Any] = {
        "id": mouse["subject_uuid"],
        "subject": mouse["subject_nickname"],
        "lab": mouse["lab_name"],
        "training_time": float("nan") if pd.isna(trained) else float(len(before)),
        "n_days": len(before),
        "sex": {"F": 1.0, "M": 0.0}.get(mouse["sex"], float("nan")),
        "age_start": (start - mouse["subject_birth_date"]).days,
        "light": light_of(mouse["lab_name"], mouse["subject_nickname"]),
        "food": food_of(mouse["lab_name"]),
        "weekend_water": any_citric(drunk["watertype"].dropna().astype(str)),
        "weight_start": first_weight["avg_weight"].mean(),
        "weight_loss": first_weight["norm_weight"].mean(),
    }
    # The tables number days from 0 and skip days whose data were not published.
    first_days = before[before["training_day"] < DAYS].drop_duplicates("training_day")
    if len(first_days) == DAYS:
        row |= changes(
            first_days["performance_easy"].to_numpy(float) / 100,
            first_days["n_trials_date"].to_numpy(float),
        )
    return row
