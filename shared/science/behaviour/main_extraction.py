"""Extract trials and wheel of a session folder whose main clock is a board's."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.science.behaviour.main_clock import OnMainClock, on_main_clock
from shared.science.behaviour.quality import Board
from shared.science.behaviour.raw_task import read_decisions
from shared.science.behaviour.trials import Extraction, compute_trials
from shared.science.behaviour.wheel import files_of_wheel, first_movements_of, wheel_of
from shared.science.behaviour.wheel_position import WheelTrace
from shared.science.clocks.main_pulses import read_main_pulses
from shared.science.clocks.pulses import Pulses
from shared.science.clocks.spacers import protocol_period
from shared.science.errors import ExtractionError, SyncFailed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MainExtraction(Extraction):
    """The decisions of a session from its raw data, on the main clock.

    Attributes
    ----------
    clock : OnMainClock
        The conversion to the main clock.
    board : Board
        The board's own record, for the checks of quality.
    """

    clock: OnMainClock | None = None
    board: Board | None = None


def protocol_number(collection: str) -> int | None:
    """Return the number of a folder's protocol, from 0; None if the session has one protocol."""
    number = re.fullmatch(r"raw_task_data_(\d{2})", collection)
    return int(number[1]) if number else None


@dataclass(frozen=True)
class OfProtocol:
    """What the main clock recorded while a protocol ran.

    Attributes
    ----------
    pulses : Pulses
    wiring : mapping
        The line of each device.
    end : float
        When the next protocol began, or the recording's last change; s.
    """

    pulses: Pulses
    wiring: Mapping[str, int]
    end: float


def pulses_of_protocol(
    session: Path, collection: str, sync_collection: str, *, also_silent: bool = False
) -> OfProtocol:
    """Return what the main clock recorded while a protocol ran.

    Parameters
    ----------
    session : path
        The session's folder.
    collection, sync_collection : str
        Folders within it of the task's raw files, and of the main clock's pulses (as
        `read_main_pulses` takes it).
    also_silent : bool
        Whether the session has protocols that end without a pulse of the state machine.

    Raises
    ------
    RawFileMissing, RawFileInvalid
        They are missing, or invalid.
    """
    main = read_main_pulses(session, sync_collection)
    pulses, wiring = main.pulses, main.wiring
    number, last = protocol_number(collection), float(np.max(pulses.times, initial=0.0))
    line = pulses.of(wiring["bpod"])
    period = None if number is None else protocol_period(line, number, also_silent=also_silent)
    if period is None:
        return OfProtocol(pulses, wiring, last)
    return OfProtocol(pulses.between(*period), wiring, min(period[1], last))


def extract_on_main_clock(session: Path, collection: str, sync_collection: str) -> MainExtraction:
    """Extract the trials of a protocol, and the wheel, on the main clock.

    Parameters
    ----------
    session : path
        The session's folder.
    collection, sync_collection : str
        Folders within it of the task's raw files, and of the main clock's pulses (as
        `read_main_pulses` takes it).

    Raises
    ------
    RawFileMissing, RawFileInvalid, TrialInvalid, TaskUnsupported
        A file is absent or broken.
    SyncFailed
        The pulses do not belong to the trials.
    """
    task = read_decisions(session, collection)
    main = read_main_pulses(session, sync_collection)
    number = protocol_number(collection)
    clock = on_main_clock(task, compute_trials(task), main.pulses, main.wiring, number)
    first = None
    if clock.wheel is None:
        log.warning("firstMovement_times are NaN: no pulses of the rotary encoder")
    else:
        first = first_movements_of(task, clock.trials, clock.wheel)
    by_bpod = None
    try:
        seen = wheel_of(session, task, collection)
        by_bpod = WheelTrace(clock.matched.convert(seen.times), seen.position)
    except ExtractionError as error:
        log.warning("the wheel is not checked against the state machine's: %s", error)
    no_go, wrong = (task.state(name)[:, 0] for name in ("no_go", "error"))
    commands = {"errorCueTrigger": clock.matched.convert(np.where(np.isnan(no_go), wrong, no_go))}
    board = Board(clock.seen | commands, clock.screen, clock.sound, by_bpod)
    return MainExtraction(task, clock.trials, clock.wheel, first, clock, board)


def wheel_files(found: MainExtraction) -> dict[str, np.ndarray]:
    """Return the wheel's files, by name.

    Raises
    ------
    SyncFailed
        The encoder's lines are silent.
    """
    wheel = found.wheel
    if wheel is None:
        raise SyncFailed(
            "the rotary encoder's pulses",
            "there are none on its two lines of the main clock",
            "check the cable, and the wiring file of the recording",
        )
    return files_of_wheel(wheel)
