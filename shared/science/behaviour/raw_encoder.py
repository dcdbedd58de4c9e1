"""Read the rotary encoder files of behaviour rigs of any version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.science.behaviour.raw_task import Floats, find_file
from shared.science.errors import RawFileInvalid

COUNTER = 2**32
"""Microseconds after which the encoder's counter starts again."""
SHORTEST = 20.0
"""Spans shorter than this (s), read as microseconds, may be milliseconds."""

_SEPARATORS = bytes.maketrans(b",;\t", b"   ")


@dataclass(frozen=True)
class EncoderLog:
    """A rotary encoder file, cleaned.

    Attributes
    ----------
    times : array
        Shape (rows,), microseconds in the encoder's clock, unwrapped.
    values : array
        Shape (rows,). Positions: ticks, 1024 to a turn. Events: 1 stimulus hidden, 2 stimulus on,
        3 closed loop, 4 stimulus frozen.
    """

    times: Floats
    values: Floats


def read_encoder_positions(folder: Path | str, duration: float | None = None) -> EncoderLog:
    """Read the rotary encoder's positions from a folder of raw task data.

    Parameters
    ----------
    folder : path
    duration : float, optional
        Approximate duration of the trials (s): tells microseconds from the milliseconds of some
        rigs. Without it a session is taken to last 20 s or more.

    Raises
    ------
    RawFileMissing, RawFileInvalid
        No file, or no complete row in it.
    """
    path = find_file(Path(folder), "_iblrig_encoderPositions.raw*.ssv")
    return _read_encoder(path, b"Position", ("label", "times", "values", "clock"), duration)


def read_encoder_events(folder: Path | str, duration: float | None = None) -> EncoderLog:
    """Read the events that the state machine sent to the rotary encoder.

    Parameters and errors are those of :func:`read_encoder_positions`.
    """
    path = find_file(Path(folder), "_iblrig_encoderEvents.raw*.ssv")
    return _read_encoder(path, b"Event", ("label", "times", "source", "values", "clock"), duration)


def in_one_range(positions: EncoderLog, events: EncoderLog) -> EncoderLog:
    """Return the events in the range of the positions: the counter may have restarted between.

    Both files give the same 32-bit counter, and either may begin after a restart.
    """

    def overlap(turns: int) -> float:
        shifted = events.times + turns * COUNTER
        end = min(positions.times.max(), shifted.max())
        return float(end - max(positions.times.min(), shifted.min()))

    turns = max((0, 1, -1), key=overlap)
    return EncoderLog(events.times + turns * COUNTER, events.values)


def _read_encoder(
    path: Path, label: bytes, labelled: tuple[str, ...], duration: float | None
) -> EncoderLog:
    """Read either layout: ``time value`` (rig 5 and later) or labelled with a wall clock.

    Cells are separated by spaces, tabs, commas or semicolons; a line may end in a separator.
    Incomplete and corrupt lines are left out.
    """
    content = path.read_bytes().replace(b"\0", b"?").translate(_SEPARATORS)
    lines = [line.split() for line in content.splitlines()]
    old = any(cells and cells[0] == label for cells in lines[:5])
    columns = labelled if old else ("times", "values")
    at_time, at_value = columns.index("times"), columns.index("values")
    rows: dict[tuple[float, float, bytes], None] = {}  # in order, each once
    for cells in lines:
        if len(cells) != len(columns):
            continue
        time, value = _number(cells[at_time]), _number(cells[at_value])
        if np.isfinite(time) and np.isfinite(value):
            rows[time, value, cells[-1] if old else b""] = None
    if not rows:
        fix = "copy the file again from the rig"
        raise RawFileInvalid(path.name, "no complete row", fix)
    raw_times, raw_values, raw_clock = (list(column) for column in zip(*rows, strict=True))
    ordered = _in_order(np.array(raw_times))
    times, values = ordered.times, np.array(raw_values)[ordered.order]
    if old:
        clock = [raw_clock[i].decode(errors="replace") for i in ordered.order]
        whole = np.array([_is_wall_clock(text) for text in clock])
        if not whole.any():
            fix = "copy the file again from the rig"
            raise RawFileInvalid(path.name, "no row with a whole wall-clock time", fix)
        times, values = times[whole], values[whole]
        clock = [text for text, good in zip(clock, whole, strict=True) if good]
        in_milliseconds = times[-1] / (_seconds_between(clock[0], clock[-1]) + 1e-6) < 1e5
    else:
        in_milliseconds = _is_milliseconds(float(times[-1] - times[0]), duration)
    return EncoderLog(times * 1000 if in_milliseconds else times, values)


def _number(cell: bytes) -> float:
    """Return a cell's number, NaN if it is not a number."""
    try:
        return float(cell) if b"_" not in cell else float("nan")
    except ValueError:
        return float("nan")


def _is_wall_clock(text: str) -> bool:
    """Tell whether a cell is a whole time as Bonsai writes it, with seven decimals."""
    if len(text) != len("2019-02-07T16:49:20.5192064+00:00"):
        return False
    try:
        datetime.fromisoformat(text[:26])  # a rig's file has 50,000 rows: strptime takes seconds
    except ValueError:
        return False
    return True


def _is_milliseconds(span: float, duration: float | None) -> bool:
    """Tell whether a span of ticks is in ms: that is nearer to the duration of the trials."""
    if span / 1e6 >= SHORTEST:
        return False
    if duration is None or duration <= 0 or span <= 0:
        return True
    return abs(np.log(span / 1e3 / duration)) < abs(np.log(span / 1e6 / duration))


def _seconds_between(first: str, last: str) -> int:
    """Return the whole seconds between two wall-clock times, as if within one day."""
    a, b = (datetime.strptime(text[:25], "%Y-%m-%dT%H:%M:%S.%f") for text in (first, last))
    return (b - a).seconds


@dataclass(frozen=True)
class _Ordered:
    times: Floats
    order: npt.NDArray[np.intp]


def _in_order(raw: Floats) -> _Ordered:
    """Repair the time stamps of an encoder and give the order of its rows.

    The counter has 32 bits and restarts; rows may be out of order; the first may be corrupt.
    """
    times, first = raw.copy(), 0
    for i in map(int, np.flatnonzero(np.diff(raw) < 0)):
        back = times[i] - times[i + 1]
        if back > 0 and 32 - np.log2(back) < 0.2:
            times[i + 1 :] += COUNTER
        elif i <= 1:
            first = i + 1
    order = first + np.argsort(times[first:], kind="stable")
    return _Ordered(times[order], order)
