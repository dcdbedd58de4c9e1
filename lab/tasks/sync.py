"""The tasks of the clocks of a session."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

log = logging.getLogger(__name__)


def pulses(session: Path, out: Path, arguments: Mapping[str, str]) -> list[Path]:
    """Find the pulses of all devices in the recording of the main clock, an NI board.

    Raises
    ------
    ExtractionError
        There is no recording of a board, or several; its wiring cannot be read.
    CodecError
        The recording is not as its ``.meta`` says.
    """
    from lab.tasks.recordings import open_recording
    from shared.alf.io import save
    from shared.science.clocks.pulses import counts, extract_pulses
    from shared.science.clocks.wiring import BOARD, read_wiring

    folder = session / arguments["collection"]
    wiring = read_wiring(folder, BOARD)
    with open_recording(folder, "nidq") as board:
        columns = board.meta.sync_columns()
        found = extract_pulses(board.read, board.n_samples, board.rate, columns)
    told = ", ".join(f"{name} {n}" for name, n in counts(found, wiring).items())
    log.info("pulses: %s", told)
    target = out / arguments["collection"]
    return [save(target / name, array) for name, array in found.files().items()]
