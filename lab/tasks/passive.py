"""The task of a passive protocol."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

log = logging.getLogger(__name__)


def passive(session: Path, out: Path, arguments: Mapping[str, str]) -> list[Path]:
    """Find the stimuli and sounds of a passive protocol, on the main clock.

    Raises
    ------
    ExtractionError
        The pulses are missing, or its periods cannot be told apart.
    """
    import pandas as pd

    from shared.science.behaviour import passive
    from shared.science.behaviour.main_clock import steady
    from shared.science.behaviour.main_extraction import pulses_of_protocol
    from shared.science.behaviour.raw_task import settings_in
    from shared.science.errors import ExtractionError

    collection = arguments["collection"]
    folder, target = session / collection, out / arguments["output_collection"]
    settings = settings_in(folder)
    pulses, wiring = pulses_of_protocol(session, collection, arguments["sync_collection"])
    lines = {name: pulses.of(wiring[name]) for name in ("bpod", "frame2ttl", "audio")}
    screen = steady(lines["frame2ttl"])
    periods = passive.periods(screen, float(pulses.times[-1]) if pulses.times.size else 0.0)
    replayed = not settings.get("SKIP_EVENT_REPLAY", False)
    table = {
        "passiveProtocol": periods.protocol,
        "spontaneousActivity": periods.spontaneous,
        "RFM": periods.mapping,
        "taskReplay": periods.replay if replayed else (np.nan, np.nan),
    }
    target.mkdir(parents=True, exist_ok=True)
    written = [target / "_ibl_passivePeriods.intervalsTable.csv"]
    pd.DataFrame(table, index=["start", "stop"]).to_csv(written[0])

    noise = folder / "_iblrig_RFMapStim.raw.bin"
    if noise.is_file():
        times = passive.mapping_times(
            np.fromfile(noise, np.uint8), screen.between(*periods.mapping)
        )
        written.append(target / "_ibl_passiveRFM.times.npy")
        np.save(written[-1], times)
    if not replayed:
        return written
    # One line may have no answer where the others have.
    try:
        gratings = passive.gabors(screen.between(*periods.replay))
        gabors = passive.replayed_gabors(gratings, _sequence(settings))
        written.append(target / "_ibl_passiveGabor.table.csv")
        pd.DataFrame(gabors).to_csv(written[-1])
        valve = lines["bpod"].between(*periods.replay).intervals()
        played = passive.sounds(lines["audio"].between(*periods.replay))
        stimuli = pd.DataFrame(passive.stimuli(valve, *played))
        written.append(target / "_ibl_passiveStims.table.csv")
        stimuli.to_csv(written[-1])
    except ExtractionError as error:
        log.warning("a part of the replay was not found: %s", error)
    return written


def _sequence(settings: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
    """Return the replayed gratings of rigs before version 8, if their sequence is here."""
    from shared.science.behaviour.pregenerated import SEQUENCES, sequence_number

    folder, number = os.environ.get(SEQUENCES), sequence_number(settings)
    path = Path(folder or "", f"session_{number}_passive_pcs.npy")
    if not folder or not path.is_file():
        log.warning("what the gratings looked like is not known: the sequence is not here")
        return None
    values = np.load(path, allow_pickle=False)
    return dict(zip(("position", "contrast", "phase"), values.T, strict=False))
