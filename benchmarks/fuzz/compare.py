"""Compare what both sides made of one session, part by part."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from shared.model.quality import QC_NAMES

Files = dict[str, np.ndarray]

FIRST_MOVEMENTS = "_ibl_trials.table.pqt:firstMovement_times"


@dataclass
class Side:
    """What one side made: arrays by file or column, quality, and refusals by part.

    ``remarks`` are notes on it that only its kind of round can make.
    """

    files: Files = field(default_factory=dict)
    quality: Mapping[str, Any] | None = None
    refused: dict[str, str] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def read(folder: Path) -> Files:
    """Return the arrays of a folder, those of a table by column; of tables as text, too."""
    found: Files = {}
    for path in sorted(folder.glob("*")):
        if path.suffix == ".npy":
            try:
                found[path.name] = np.load(path, allow_pickle=False)
            except ValueError:
                found[path.name] = np.array(["objects, no numbers"])
        elif path.suffix in (".pqt", ".csv"):
            reads = path.suffix == ".pqt"
            table = pd.read_parquet(path) if reads else pd.read_csv(path, index_col=0)
            for name in table:
                found[f"{path.name}:{name}"] = table[name].to_numpy()
    return found


def notes(theirs: Side) -> Iterator[str]:
    """Yield what cannot be right on the other side, whatever ours is."""
    yield from theirs.remarks
    times = theirs.files.get("_ibl_wheel.timestamps.npy", np.empty(0))
    if np.any(np.diff(times) <= 0):
        yield "theirs unsorted"
    table = "_ibl_trials.table.pqt:"
    if f"{table}intervals_0" not in theirs.files:
        return
    start, end = (theirs.files[f"{table}intervals_{i}"] for i in (0, 1))
    names = [f"{table}{name}" for name in ("goCue_times", "feedback_times")]
    if times.size and np.max(times) > np.nanmax(end) + 3600:
        yield "theirs in hours"
    if any(np.any((theirs.files[n] < start - 0.1) | (theirs.files[n] > end + 0.1)) for n in names):
        yield "theirs elsewhere"


def part_of(name: str) -> str:
    """Return the part to which a file belongs."""
    return "wheel" if name.startswith("_ibl_wheel") else "trials"


def differences(ours: Side, theirs: Side, tolerance: float = 0.0) -> Iterator[str]:
    """Yield what differs between two sides, in words that are the same for each case of a kind."""
    for part in ("trials", "wheel", "quality", "subject", "window"):
        mine, other = ours.refused.get(part), theirs.refused.get(part)
        if mine and mine.startswith("CRASH"):
            yield f"{part}: ours {mine}"
        elif mine and not other and not (part != "trials" and "trials" in theirs.refused):
            yield f"{part}: only ours refuses: {generic(mine)}"
        elif other and not mine and not (part != "trials" and "trials" in ours.refused):
            yield f"{part}: only theirs fails: {generic(other)}"
    without = {part for part in ("trials", "wheel") if part in ours.refused | theirs.refused}
    if "trials" in theirs.refused:
        without = {"trials", "wheel"}
    for name in sorted({*ours.files, *theirs.files}):
        if part_of(name) in without or (name == FIRST_MOVEMENTS and "wheel" in without):
            continue
        if name not in theirs.files or name not in ours.files:
            yield f"{name}: {'ours' if name in ours.files else 'theirs'} only"
        elif said := apart(ours.files[name], theirs.files[name], tolerance):
            yield f"{name}: {said}"
    if not without and not {"quality"} & {*ours.refused, *theirs.refused}:
        without_bpod = "wheel by the state machine" in theirs.refused
        for each in qualities(ours.quality, theirs.quality):
            if not (without_bpod and each.endswith(("closed_loop_bpod", "other outcome"))):
                yield each


def apart(one: np.ndarray, other: np.ndarray, tolerance: float) -> str:
    """Say how two arrays differ; empty if they do not."""
    if one.shape != other.shape:
        return "other shape"
    if one.dtype.kind in "OUS" or other.dtype.kind in "OUS":
        return "" if np.array_equal(one.astype(str), other.astype(str)) else "other text"
    one, other = one.astype(float), other.astype(float)
    unknown = np.isnan(one) != np.isnan(other)
    if unknown.any():
        return "unknown in ours" if np.isnan(one[unknown]).all() else (
            "unknown in theirs" if np.isnan(other[unknown]).all() else "unknown elsewhere"
        )  # fmt: skip
    worst = float(np.nanmax(np.abs(one - other), initial=0.0)) if one.size else 0.0
    return "" if worst <= tolerance else f"other values by 1e{int(np.floor(np.log10(worst)))}"


def qualities(ours: Mapping[str, Any] | None, theirs: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield the checks with different shares, and a different outcome."""
    if ours is None or theirs is None:
        return
    if ours.get("task") != QC_NAMES[theirs["outcome"]]:
        yield "quality: other outcome"
    names = {name for name in (*ours, *theirs["shares"]) if not name.startswith("_sync_")}
    for name in sorted(names - {"task", "_task_habituation_time"}):
        mine, other = ours.get(name, "absent"), theirs["shares"].get(name, "absent")
        numbers = isinstance(mine, float) and isinstance(other, float)
        if not (mine == other or (numbers and abs(mine - other) < 1e-12)):
            said = [type(x).__name__ if x != "absent" else "absent" for x in (mine, other)]
            yield f"quality: {name}" + ("" if numbers else f" ({said[0]}, theirs {said[1]})")


def generic(text: str) -> str:
    """Return an error without what differs from case to case."""
    return re.sub(r"-?\d+(\.\d+)?(e[-+]\d+)?", "#", text)[:150]
