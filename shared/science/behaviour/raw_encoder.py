"""Read the rotary encoder files that a behaviour rig writes, whatever its version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from shared.science.behaviour.raw_task import Floats, find_file
from shared.science.errors import RawFileInvalid


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


def read_encoder_positions(folder: Path | str) -> EncoderLog:
    """Read the rotary encoder's positions from a folder of raw task data.

    Raises
    ------
    RawFileMissing, RawFileInvalid
        No file, or no complete row in it.
    """
    path = find_file(Path(folder), "_iblrig_encoderPositions.raw*.ssv")
    return _read_encoder(path, b"Position", ["label", "times", "values", "clock"])


def read_encoder_events(folder: Path | str) -> EncoderLog:
    """Read the events that the state machine sent to the rotary encoder.

    Raises
    ------
    RawFileMissing, RawFileInvalid
        No file, or no complete row in it.
    """
    path = find_file(Path(folder), "_iblrig_encoderEvents.raw*.ssv")
    return _read_encoder(path, b"Event", ["label", "times", "source", "values", "clock"])


def _read_encoder(path: Path, label: bytes, labelled: list[str]) -> EncoderLog:
    """Read either layout: ``time value`` (rig 5 and later) or labelled with a wall clock."""
    import pandas as pd

    with path.open("rb") as file:
        old = file.readline().startswith(label)
        columns = labelled if old else ["times", "values"]
        file.seek(0)
        # pandas counts the columns in the first line: leading lines with too many are bad ones.
        bad = sum(1 for _ in takewhile(lambda line: line.count(b" ") > len(columns), file))
    try:
        # Each line ends in a space, which reads as one more column.
        table = pd.read_csv(
            path,
            sep=" ",
            header=None,
            skiprows=bad,
            names=[*columns, "end"],
            usecols=[c for c in columns if c in ("times", "values", "clock")],
            on_bad_lines="skip",
            encoding_errors="replace",
            low_memory=False,
        )
    except ValueError:  # pandas' own ParserError among them: no line can be read
        table = pd.DataFrame(columns=columns)
    for column in ("times", "values"):
        numbers = pd.to_numeric(table[column], errors="coerce")
        table[column] = numbers.where(np.isfinite(numbers.astype(float)))
    table = table.dropna().drop_duplicates(keep="first")
    if table.empty:
        fix = "copy the file again from the rig"
        raise RawFileInvalid(path.name, "no complete row", fix)
    rows = _in_order(table["times"].to_numpy(float))
    times, values = rows.times, table["values"].to_numpy(float)[rows.order]
    if old:
        clock = table["clock"].to_numpy(str)[rows.order]
        whole = np.array([len(text) == len("2019-02-07T16:49:20.5192064+00:00") for text in clock])
        if not whole.any():
            fix = "copy the file again from the rig"
            raise RawFileInvalid(path.name, "no row with a whole wall-clock time", fix)
        times, values, clock = times[whole], values[whole], clock[whole]
        in_milliseconds = times[-1] / (_seconds_between(clock[0], clock[-1]) + 1e-6) < 1e5
    else:
        # No session is shorter than 20 s: such a span means that the unit is milliseconds.
        in_milliseconds = (times[-1] - times[0]) / 1e6 < 20
    return EncoderLog(times * 1000 if in_milliseconds else times, values)


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

    The counter has 32 bits and starts anew; two rows may be swapped; the first may be corrupt.
    """
    times, order, first = raw.copy(), np.arange(raw.size), 0
    for i in map(int, np.flatnonzero(np.diff(raw) < 0)):
        back = times[i] - times[i + 1]
        if i <= 1:
            first = i + 1
        elif back > 0 and 32 - np.log2(back) < 0.2:
            times[i + 1 :] += 2**32
        elif times[i] > times[i + 1] > times[i - 1]:
            times[[i, i + 1]] = times[[i + 1, i]]
            order[[i, i + 1]] = order[[i + 1, i]]
        else:
            by_time = np.argsort(times, kind="stable")
            times, order = times[by_time], order[by_time]
    return _Ordered(times[first:], order[first:])
