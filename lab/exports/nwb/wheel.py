"""The wheel: its position and its movements."""

from __future__ import annotations

import numpy as np
from pynwb import NWBFile, TimeSeries
from pynwb.epoch import TimeIntervals

from lab.exports.nwb.columns import column, timing
from lab.exports.session import ExportError, ExportSession
from shared.alf.layout import wheel_in


def add_wheel(nwb: NWBFile, session: ExportSession) -> None:
    """Add position and movements of the wheel, for each protocol.

    The position is unwrapped, so it is a plain time series: archives require a spatial series in
    radians to be an angle between -2π and 2π.

    Raises
    ------
    ExportError
        Position and times differ in length.
    """
    wheels = wheel_in(session.paths, session.preferred)
    if not wheels:
        return
    module = nwb.create_processing_module("wheel", "Wheel that the mouse turns.")
    for files in wheels:
        ending = "" if files is wheels[0] else files.collection.rpartition("/")[2].title()
        wheel = session.load(files, ("position", "timestamps"))
        if len(wheel["position"]) != len(wheel.get("timestamps", ())):
            raise ExportError(f"the wheel in {files.collection} has not one time a position")
        module.add(
            TimeSeries(
                name=f"WheelPosition{ending}",
                data=np.asarray(wheel["position"], float),
                unit="radians",
                description="Unwrapped angle of the wheel, anticlockwise positive as the mouse "
                "sees it.",
                **timing(wheel["timestamps"]),
            )
        )
        moves = session.first("wheelMoves", files.collection)
        if moves is not None and "intervals" in moves.files:
            loaded = session.load(moves, ("intervals", "peakAmplitude"))
            starts, stops = np.asarray(loaded["intervals"], float).reshape(-1, 2).T
            if not len(starts):
                continue
            columns = [
                column("start_time", "Onset of the movement (s).", starts),
                column("stop_time", "Offset of the movement (s).", stops),
            ]
            if "peakAmplitude" in loaded:
                description = (
                    "Largest deviation from the position at the onset, with its sign (rad)."
                )
                columns.append(column("peak_amplitude", description, loaded["peakAmplitude"]))
            module.add(
                TimeIntervals(
                    name=f"WheelMovementIntervals{ending}",
                    description="Detected movements of the wheel.",
                    columns=columns,
                )
            )
