"""Blocks and contrasts of ephysChoiceWorld on rigs before version 8, which the data give wrongly.

These rigs played one of a dozen sequences of stimuli made in advance. Positions, contrasts and the
lengths of the blocks came from the sequence. But the rig drew by lot whether the second block
favours left or right, and wrote the probability that it had drawn: in half of the sessions the
wrong one, for all later blocks. As in the reference, the sequence itself decides if it is
available; else the side of the blocks follows from the sides of their stimuli.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from shared.science.behaviour.raw_task import Floats, RawTask

log = logging.getLogger(__name__)

FIXED_IN = (8, 0, 0)
"""First rig version that writes the probabilities of its sequence."""

SEQUENCES = "FORNIX_PREGENERATED_SESSIONS"
"""Environment variable: folder of the sequences, ``session_N_ephys_pcqs.npy``."""

PROBABILITIES = (0.2, 0.8)
"""Probability of a stimulus on the left in the blocks after the first, in turn."""


def played_a_sequence(task: RawTask) -> bool:
    """Tell whether a task ran a sequence whose probabilities the rig wrote wrongly."""
    match = re.search(r"(?:^|_tasks_)ephys(?:Mock)?ChoiceWorld", task.protocol)
    return match is not None and task.version < FIXED_IN


def sequence_number(settings: Mapping[str, Any]) -> str | None:
    """Return the number of the sequence that a rig's settings name (``mock`` is one, too)."""
    for key in ("PRELOADED_SESSION_NUM", "PREGENERATED_SESSION_NUM", "SESSION_TEMPLATE_ID"):
        if (number := settings.get(key)) is not None:
            return str(number)
    name = PureWindowsPath(str(settings.get("SESSION_LOADED_FILE_PATH") or "")).name
    return "".join(c for c in name if c.isdigit()) or None


def correct(task: RawTask, trials: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the columns of the trials in which the sequence differs from the rig's data.

    Parameters
    ----------
    task : RawTask
        n trials of ephysChoiceWorld.
    trials : mapping of array
        ``contrastLeft``, ``contrastRight``, ``probabilityLeft`` as read.

    Returns
    -------
    dict of array
        Shape (n,): all three if the sequence is available, else ``probabilityLeft`` only. The
        quiescent periods stay those that the rig wrote, as in the reference.
    """
    sequence = _sequence(task)
    if sequence is not None:
        position, contrast, _, _, left = sequence.T[:5]
        sides = np.sign([float(trial["position"]) for trial in task.trials])
        if (sides != np.sign(position)).any():
            log.warning(
                "the rig showed other sides than sequence %s", sequence_number(task.settings)
            )
        return {
            "contrastLeft": np.where(position < 0, contrast, np.nan),
            "contrastRight": np.where(position > 0, contrast, np.nan),
            "probabilityLeft": left,
        }
    blocks = _blocks(task)
    if blocks is None:
        log.warning(
            "probabilityLeft is as the rig wrote it, and may be wrong: neither the sequence %s "
            "(set %s) nor the numbers of the blocks are at hand",
            sequence_number(task.settings), SEQUENCES,
        )  # fmt: skip
        return {}
    log.warning("probabilityLeft comes from the sides of each block's stimuli")
    left_shown = ~np.isnan(trials["contrastLeft"])
    return {"probabilityLeft": _probabilities(blocks, left_shown)}


def folders() -> list[Path]:
    """Return the folders that may have sequences: the one that is named, and ibllib's own."""
    named = [Path(os.environ[SEQUENCES])] if os.environ.get(SEQUENCES) else []
    spec = find_spec("ibllib")
    places = (spec.submodule_search_locations or []) if spec else []
    return named + [Path(place) / "io" / "extractors" / "ephys_sessions" for place in places]


def _sequence(task: RawTask) -> Floats | None:
    """Return the rows of the sequence that the trials ran: (n, 5); None if it is not available.

    Columns: position (deg), contrast, quiescence (s), phase (rad), probability of left.
    """
    number = sequence_number(task.settings)
    n = len(task.trials)
    for folder in folders():
        for name in (f"session_{number}_ephys_pcqs.npy", f"pcqs_session_{number}.npy"):
            if number and (folder / name).is_file():
                rows = np.load(folder / name, allow_pickle=False)
                if rows.ndim == 2 and rows.shape[0] >= n and rows.shape[1] >= 5:
                    return np.asarray(rows[:n], float)
                log.warning("%s has no %d rows of five values: left aside", folder / name, n)
    return None


def _blocks(task: RawTask) -> np.ndarray | None:
    """Return the number of each trial's block; None if neither data nor settings give it."""
    numbers = [trial.get("block_num") for trial in task.trials]
    if all(isinstance(number, int) for number in numbers):
        return np.array(numbers)
    lengths = task.settings.get("LEN_BLOCKS")
    if isinstance(lengths, list) and all(isinstance(length, int) for length in lengths):
        blocks = np.repeat(np.arange(len(lengths)), lengths)
        if blocks.size >= len(numbers):
            return blocks[: len(numbers)]
    return None


def _probabilities(blocks: np.ndarray, left: np.ndarray) -> Floats:
    """Return the probability of left: even first, then alternating, in the likelier order."""
    first = blocks.min()
    turns = [
        np.where(blocks == first, 0.5, np.choose((blocks - first) % 2, order))
        for order in (PROBABILITIES, PROBABILITIES[::-1])
    ]
    likelihoods = [float(np.log(np.where(left, p, 1 - p)).sum()) for p in turns]
    return turns[int(np.argmax(likelihoods))]
