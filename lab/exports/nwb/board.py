"""The NI board: its auxiliary analog lines, as IBL-to-nwb takes them from the ``.nidq`` recording.

Its digital lines are in the file as their fronts, see `lab.exports.nwb.sync`.
"""

from __future__ import annotations

from typing import Any

import msgspec
from pynwb import NWBFile, TimeSeries

from lab.exports.nwb.recordings import Chunks, Notice, meta_beside, open_compressed
from lab.exports.nwb.sync import wired
from lab.exports.session import ExportError, ExportSession
from shared.science.clocks.pulses import DIGITAL

NAME = "TimeSeriesNIDQ"
"""Name of the series (neuroconv's)."""


class BoardRecording(msgspec.Struct, frozen=True):
    """The analog lines of an NI board.

    Attributes
    ----------
    path : str
        Path within the session.
    address : str
        Absolute path or HTTP address.
    reader : shared.codec.Reader
    columns : range
        Channels of the recording that are the lines.
    lines : tuple of str
        Name of each line, with the device on it.
    volts : float
        Volts of one count.
    """

    path: str
    address: str
    reader: Any
    columns: range
    lines: tuple[str, ...]
    volts: float

    @property
    def name(self) -> str:
        """The name of its series."""
        return NAME

    def chunks(self, notice: Notice | None = None) -> Chunks:
        """Return its samples for a writer."""
        return Chunks(self.name, self.reader, self.columns, notice)


def board_of(session: ExportSession) -> BoardRecording | None:
    """Open the recording of a session's NI board, if it has one with analog lines.

    Raises
    ------
    ExportError
        Its ``.meta`` is missing, which tells the lines.
    """
    paths = [
        path
        for path in session.paths
        if ".nidq." in path and "ephysData" in path and path.endswith((".ebin", ".cbin"))
    ]
    if not paths:
        return None
    path = min(paths, key=lambda one: (one.count("/"), one.endswith(".cbin"), one))
    meta = meta_beside(session, path)
    if meta is None:
        raise ExportError(f"which lines {path} has, is not known: put SpikeGLX's .meta beside it")
    lines = meta.analog_lines()
    if not lines:
        return None
    devices = wired(session, path.rpartition("/")[0])
    columns = range(min(lines.values()), max(lines.values()) + 1)
    reader = open_compressed(session, path)
    if columns.stop > reader.n_channels:
        reader.close()
        raise ExportError(
            f"{path} has {reader.n_channels} channels, fewer than its .meta tells: the .meta is "
            "another recording's"
        )
    named = (_named(line, devices) for line in lines)
    return BoardRecording(
        path, session.address(path), reader, columns, tuple(named), meta.volts_of_board()
    )


def _named(line: str, devices: dict[int, str]) -> str:
    device = devices.get(DIGITAL + int(line.removeprefix("XA")))
    return f"{line} {device}" if device else line


def add_board(nwb: NWBFile, board: BoardRecording, data: Any) -> None:
    """Add the series of a board's analog lines.

    Parameters
    ----------
    data
        The samples: `BoardRecording.chunks`, with the compression that the backend wants.
    """
    nwb.add_acquisition(
        TimeSeries(
            name=board.name,
            description="Analog lines of the NI board, in this order: "
            f"{', '.join(board.lines)}. By the session's clock, which is the board's.",
            data=data,
            unit="V",
            conversion=board.volts,
            resolution=board.volts,
            starting_time=0.0,
            rate=float(board.reader.sample_rate),
        )
    )
