"""What a passive protocol replays: a sequence of gratings, valve, tones and noise made in advance.

Rigs before version 8 have it in ``session_N_passive_{stimIDs,pcs}.npy``; later ones in one table,
whose first two sequences differ from these. The rules are those of the IBL pipeline (ibllib
4.1.0, ``load_task_replay_fixtures``).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from shared.science.behaviour.pregenerated import FIXED_IN, folders, sequence_number
from shared.science.behaviour.raw_settings import NEWEST
from shared.science.behaviour.raw_task import Floats

log = logging.getLogger(__name__)

TABLE = "passiveChoiceWorld_trials_fixtures.pqt"
"""The sequences of rigs since version 8."""

GRATING, VALVE, TONE, NOISE = "G", "V", "T", "N"

INDEPENDENT = "passiveChoiceWorldIndependent"
"""A protocol with the table's sequences on any rig."""

NO_NOISE = ((8, 0, 0), (8, 27, 3))
"""Rigs from one version to the other played a tone instead of noise."""


@dataclass(frozen=True)
class Replay:
    """A replayed sequence.

    Attributes
    ----------
    kinds : array of text
        Shape (stimuli,): `GRATING`, `VALVE`, `TONE`, `NOISE`.
    looks : array
        Shape (gratings, 3): position (deg), contrast, phase (rad).
    """

    kinds: np.ndarray
    looks: Floats

    def count(self, kind: str) -> int:
        """Return how often a kind of stimulus comes."""
        return int(np.sum(self.kinds == kind))

    def shifted(self) -> Replay:
        """Return it as rigs showed it: the first blank, the later ones as those before them."""
        first = np.flatnonzero(self.kinds == GRATING)[:1]
        return replace(self, kinds=np.delete(self.kinds, first), looks=self.looks[:-1])


def replay_of(settings: Mapping[str, Any], version: tuple[int, int, int]) -> Replay | None:
    """Return the sequence that a rig's settings name; None if it is not at hand."""
    # Without a version they are taken for old ones, as in the reference.
    in_table = FIXED_IN <= version < NEWEST or INDEPENDENT in str(settings.get("PYBPOD_PROTOCOL"))
    number = _number_in_table(settings) if in_table else sequence_number(settings)
    for folder in folders():
        found = _of_table(folder, number, settings) if in_table else _of_files(folder, number)
        if found is None:
            continue
        if NO_NOISE[0] <= version <= NO_NOISE[1]:
            kinds = np.where(found.kinds == NOISE, TONE, found.kinds)
            return replace(found, kinds=kinds)
        return found
    log.warning("what the gratings looked like is not known: sequence %s is not here", number)
    return None


def _number_in_table(settings: Mapping[str, Any]) -> str | None:
    for key in ("SESSION_TEMPLATE_ID", "PREGENERATED_SESSION_NUM"):
        if (number := settings.get(key)) is not None:
            return str(number)
    return None


def _of_files(folder: Path, number: str | None) -> Replay | None:
    paths = [folder / f"session_{number}_passive_{name}.npy" for name in ("stimIDs", "pcs")]
    if not all(path.is_file() for path in paths):
        return None
    kinds, looks = (np.load(path, allow_pickle=False) for path in paths)
    return _checked(kinds.astype(str), np.asarray(looks, float), paths[0])


def _of_table(folder: Path, number: str | None, settings: Mapping[str, Any]) -> Replay | None:
    import pandas as pd

    path = folder / TABLE
    if not path.is_file():
        return None
    table = pd.read_parquet(path)
    table = table[table["session_id"].astype(str) == number]
    if table.empty:
        return None
    n = settings.get("NUM_STIM_PRESENTATIONS")
    n = n if isinstance(n, int) and n > 0 else len(table)
    table = table.iloc[np.arange(n) % len(table)]  # longer protocols begin again
    kinds = table["stim_type"].to_numpy(str)
    looks = table[["position", "contrast", "stim_phase"]].to_numpy(float)
    return _checked(kinds, looks[kinds == GRATING], path)


def _checked(kinds: np.ndarray, looks: Floats, path: Path) -> Replay | None:
    if kinds.ndim == 1 and looks.shape == (int(np.sum(kinds == GRATING)), 3):
        return Replay(kinds, looks)
    log.warning("%s is no sequence of a passive protocol: left aside", path)
    return None
