"""The task of a passive protocol."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from shared.science.clocks.pulses import Fronts

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
    from shared.science.errors import SyncFailed

    collection = arguments["collection"]
    folder, target = session / collection, out / arguments["output_collection"]
    settings = settings_in(folder)
    replayed = not settings.get("SKIP_EVENT_REPLAY", False)
    recorded = pulses_of_protocol(
        session, collection, arguments["sync_collection"], also_silent=not replayed
    )
    lines = {
        name: recorded.pulses.of(recorded.wiring[name]) for name in ("bpod", "frame2ttl", "audio")
    }
    screen = steady(lines["frame2ttl"])
    periods = passive.periods(screen, recorded.end)
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
        # One part may have no answer where the others have.
        try:
            times = passive.mapping_times(
                np.fromfile(noise, np.uint8), screen.between(*periods.mapping)
            )
            written.append(target / "_ibl_passiveRFM.times.npy")
            np.save(written[-1], times)
        except SyncFailed as error:
            log.warning("the frames of the receptive-field noise have no times: %s", error)
    if replayed:
        of_replay = {name: each.between(*periods.replay) for name, each in lines.items()}
        of_replay["frame2ttl"] = screen.between(*periods.replay)
        written += _replayed(of_replay, settings, target)
    return written


def _replayed(
    lines: Mapping[str, Fronts], settings: Mapping[str, Any], target: Path
) -> list[Path]:
    """Write the tables of what was replayed; return their paths."""
    import pandas as pd

    from shared.science.behaviour import passive, replayed
    from shared.science.behaviour.raw_settings import rig_version
    from shared.science.errors import SyncFailed

    version = rig_version(settings)
    replay = replayed.replay_of(settings, version)
    gratings, looks = passive.gabors(lines["frame2ttl"], replay)
    valve = lines["bpod"].intervals()
    try:
        tones, bursts = passive.sounds(lines["audio"], version)
        stims = pd.DataFrame(passive.stimuli(valve, tones, bursts))
    except SyncFailed as error:
        log.warning("valve and sounds of the replay have no times: %s", error)
        stims = None
    else:
        found = dict(zip("GVTN", (each[:, 0] for each in (gratings, valve, tones, bursts)),
                         strict=True))  # fmt: skip
        relaxed = passive.WITH_LONG[0] <= version <= passive.WITH_LONG[1]
        if replay and not relaxed and not passive.in_order(replay, found):
            n = replay.kinds.size
            counted = ", ".join(f"{each.size} {kind}" for kind, each in found.items())
            log.warning("what was replayed is not the sequence of the settings: %s", counted)
            if sum(each.size for each in found.values()) in (n - 1, n):
                looks = np.full_like(looks, np.nan)
    names = ("position", "contrast", "phase")
    columns = {"start": gratings[:, 0], "stop": gratings[:, 1]}
    gabors = pd.DataFrame(columns | dict(zip(names, looks.T, strict=True)))
    written = [target / "_ibl_passiveGabor.table.csv"]
    gabors.to_csv(written[0])
    if stims is not None:
        written.append(target / "_ibl_passiveStims.table.csv")
        stims.to_csv(written[1])
    return written
