"""The recording of a simulated session's main clock: an NI board, as SpikeGLX writes it.

The board records the signals of the state machine, the screen, the sound card, the wheel, the
cameras and the probes on its own clock, which has another zero and is a little faster or slower.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lab.simulate.mouse import Floats

if TYPE_CHECKING:
    from lab.simulate.course import Course

STEM = "_spikeglx_ephysData_g0_t0.nidq"
COLLECTION = "raw_ephys_data"

WIRES = {
    "left_camera": 0,
    "right_camera": 1,
    "body_camera": 2,
    "imec_sync": 3,
    "frame2ttl": 4,
    "rotary_encoder_0": 5,
    "rotary_encoder_1": 6,
    "audio": 7,
}
"""Digital lines; the state machine is on the first analog one.

Declared here again: tests compare the reader of the wiring with the simulator, without the codec.
"""

CAMERAS = {"left": 60.0, "right": 150.0, "body": 30.0}
"""Frames a second."""

VOLTS, RANGE = 3.3, 5.0
"""Voltage of a high analog line, and of the largest count."""

START_PULSE, SYNC_PERIOD = 1e-4, 1.0
"""Length of a trial's first pulse; period of the square wave that goes to all probes (s)."""

QUARTER = 1e-4
"""Time between two changes of the encoder's lines, where the wheel is slow enough (s)."""


@dataclass(frozen=True)
class BoardClock:
    """The board's clock relative to the state machine's, and the pulses that it has missed.

    Attributes
    ----------
    offset
        Reading of the board as the state machine starts (s); below 0 the board was started later.
    drift
        Excess speed of the clock in parts per million.
    rate
        Samples a second.
    lost
        Trials whose first pulse the board has missed.
    is_probe
        Whether it is no board but a probe of phase 3A, to which all devices are wired.
    """

    offset: float = 10.0
    drift: float = 20.0
    rate: float = 30_000.0
    lost: tuple[int, ...] = field(default=())
    is_probe: bool = False

    def read(self, times: Floats) -> Floats:
        """Return the board's clock at times of the state machine."""
        return self.offset + np.asarray(times, float) * (1 + self.drift * 1e-6)


def board_signals(course: Course, clock: BoardClock) -> dict[str, Floats]:
    """Return when each line changes, from low and in turn; s on the board's clock."""
    at = course.offset
    starts, long = course.states["trial_start"]
    begin = np.column_stack([starts + at, starts + at + START_PULSE])
    begin[0, 1] = long[0] + at[0]
    begin = np.delete(begin, list(clock.lost), axis=0)
    unfinished = _unfinished(course)
    pulses = [begin, np.array([[unfinished, unfinished + START_PULSE]])]
    for state in ("reward", "exit_state"):
        on, off = (times + at for times in course.states[state])
        pulses.append(np.column_stack([on, off])[~np.isnan(on)])
    a, b = _quadrature(course)
    end = stopped_at(course)
    lines = {
        "bpod": np.sort(np.concatenate(pulses), axis=None),
        "frame2ttl": _changes(course, "BNC1High", "BNC1Low"),
        "audio": _changes(course, "BNC2High", "BNC2Low"),
        "rotary_encoder_0": a,
        "rotary_encoder_1": b,
    }
    for camera, rate in CAMERAS.items():
        lines[f"{camera}_camera"] = np.arange(-2.0, end, 1 / rate / 2)
    read = {name: clock.read(times) for name, times in lines.items()}
    last = float(clock.read(np.array([end]))[0])
    read["imec_sync"] = np.arange(0.5, last, SYNC_PERIOD / 2)
    return {name: _from_zero(times) for name, times in read.items()}


def stopped_at(course: Course) -> float:
    """Return when the board was stopped, on the state machine's clock (s)."""
    return _unfinished(course) + 3


def _unfinished(course: Course) -> float:
    """Return the start of the trial in which the task was stopped."""
    return float(course.end[-1] - course.bpod_start + 0.5)


def write_board(lines: Mapping[str, Floats], clock: BoardClock, session: Path) -> Path:
    """Write the files of the board's recording; return the path of the samples.

    Parameters
    ----------
    lines : mapping of array
        When each line changes, from low; s on the board's clock.
    clock : BoardClock
    session : path
        The session's folder.
    """
    folder = session / COLLECTION
    folder.mkdir(parents=True, exist_ok=True)
    n = int(max(times[-1] for times in lines.values() if times.size) * clock.rate) + 1
    samples = np.zeros((n, 2), np.int16)
    word = np.zeros(n, np.uint16)
    for name, bit in WIRES.items():
        word |= _levels(lines[name], clock.rate, n).astype(np.uint16) << np.uint16(bit)
    samples[:, 0] = _levels(lines["bpod"], clock.rate, n) * int(VOLTS / RANGE * 32768)
    samples[:, 1] = word.view(np.int16)
    path = folder / f"{STEM}.bin"
    path.write_bytes(samples.tobytes())
    meta = {
        "typeThis": "nidq",
        "fileName": path.name,
        "fileCreateTime": "2026-01-01T10:00:00",
        "fileSHA1": hashlib.sha1(samples.tobytes(), usedforsecurity=False).hexdigest().upper(),
        "fileSizeBytes": samples.nbytes,
        "fileTimeSecs": n / clock.rate,
        "firstSample": 0,
        "nSavedChans": 2,
        "niSampRate": clock.rate,
        "niAiRangeMax": RANGE,
        "niAiRangeMin": -RANGE,
        "niMNGain": 1,
        "niMAGain": 1,
        "niXAChans1": "0",
        "niXDChans1": "0:7",
        "niXDBytes1": 1,
        "snsMnMaXaDw": "0,0,1,1",
        "acqMnMaXaDw": "0,0,1,1",
        "snsSaveChanSubset": "0:1",
        "~snsChanMap": "(0,0,1,1,1)(XA0;0:0)(XD0;1:1)",
    }
    path.with_suffix(".meta").write_text("".join(f"{k}={v}\n" for k, v in meta.items()))
    wiring = {
        "SYSTEM": "3B",
        "SYNC_WIRING_DIGITAL": {f"P0.{bit}": name for name, bit in WIRES.items()},
        "SYNC_WIRING_ANALOG": {"AI0": "bpod"},
    }
    (folder / f"{STEM}.wiring.json").write_text(json.dumps(wiring))
    return path


def write_description(
    session: Path, protocol: str, collection: str, devices: Mapping[str, Any] | None = None
) -> None:
    """Write the devices of a session whose main clock is the board's."""
    devices_text = f"devices: {json.dumps(devices)}\n" if devices else ""
    (session / "_ibl_experiment.description.yaml").write_text(
        f"version: 1.0.0\n{devices_text}"
        f"sync: {{nidq: {{collection: {COLLECTION}, extension: bin, "
        "acquisition_software: spikeglx}}\n"
        f"tasks: [{{{protocol}: {{collection: {collection}, sync_label: bpod}}}}]\n"
    )


def _levels(changes: Floats, rate: float, n: int) -> np.ndarray:
    """Return a line's level at each sample: 0, or 1."""
    at = np.ceil(changes * rate - 1e-6).astype(np.int64)
    turns = np.bincount(at[at < n], minlength=n)
    return np.cumsum(turns) % 2


def _from_zero(changes: Floats) -> Floats:
    """Return the recorded changes; a line that was high before the start has none of them."""
    before = int(np.sum(changes <= 0))
    return changes[before + before % 2 :]


def _changes(course: Course, *events: str) -> Floats:
    """Return the changes of a line from events of the state machine."""
    changes = np.concatenate([times + course.offset for name in events
                            for times in course.events[name]])  # fmt: skip
    return np.sort(changes[~np.isnan(changes)])


def _quadrature(course: Course) -> tuple[Floats, Floats]:
    """Return the changes of the encoder's two lines: four per tick, in an order by direction."""
    turned = course.wheel_steps != 0
    times, sense = course.wheel_times[turned], course.wheel_steps[turned]
    # Never more than one tick in half a millisecond: the lines must keep their order.
    number = np.arange(times.size)
    gap = 5 * QUARTER
    times = np.maximum.accumulate(times - number * gap) + number * gap
    edges = times[:, None] + np.arange(-3, 1) * QUARTER
    a = np.where(sense[:, None] > 0, edges[:, [0, 2]], edges[:, [1, 3]])
    b = np.where(sense[:, None] > 0, edges[:, [1, 3]], edges[:, [0, 2]])
    return a.ravel(), b.ravel()
