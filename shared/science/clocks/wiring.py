"""The lines of a recording to which devices are wired.

A rig writes them in a JSON file beside the recording (``….wiring.json``); its missing entries are
as on every rig of the IBL (ibllib 4.1.0, ``CHMAPS``; pins of ibl-neuropixel, ``SYNC_PIN_OUT``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.science.clocks.pulses import DIGITAL
from shared.science.errors import RawFileInvalid

BOARD = {
    "left_camera": 0,
    "right_camera": 1,
    "body_camera": 2,
    "imec_sync": 3,
    "frame2ttl": 4,
    "rotary_encoder_0": 5,
    "rotary_encoder_1": 6,
    "audio": 7,
    "bpod": 16,
    "laser": 17,
    "laser_ttl": 18,
}
"""Lines of the NI board beside Neuropixels probes."""

PROBE = {"imec_sync": 6}
"""Lines of a Neuropixels probe (3B and later)."""

PROBE_3A = {
    "left_camera": 2,
    "right_camera": 3,
    "body_camera": 4,
    "bpod": 7,
    "frame2ttl": 12,
    "rotary_encoder_0": 13,
    "rotary_encoder_1": 14,
    "audio": 15,
}
"""Lines of a probe of phase 3A, to whose connector all devices are wired."""

_NOT_WIRED = {5, 10, 15, 20, 21, 22, 23, 24}
_PINS_3A = {
    f"pin{pin:02}": bit
    for bit, pin in enumerate(pin for pin in range(1, 25) if pin not in _NOT_WIRED)
}
"""Lines of the pins of a 3A connector."""


def read_wiring(folder: Path, default: Mapping[str, int]) -> dict[str, int]:
    """Return the line of each device.

    Parameters
    ----------
    folder : path
        Folder of the recording.
    default : mapping
        The wiring without a file: `BOARD`, `PROBE` or `PROBE_3A`.

    Raises
    ------
    RawFileInvalid
        A wiring file is not valid; the message says what is wrong.
    """
    path = next(iter(sorted(folder.glob("*.wiring*.json"))), None)
    return dict(default) if path is None else {**default, **decode_wiring(path)}


def decode_wiring(path: Path) -> dict[str, int]:
    """Return the line of each device that a wiring file names.

    Raises
    ------
    RawFileInvalid
        As for `read_wiring`.
    """
    try:
        said = json.loads(path.read_bytes())
        if not isinstance(said, dict):
            raise ValueError("it is no object")
        return _lines(said)
    except (ValueError, UnicodeDecodeError) as error:
        raise RawFileInvalid(
            path.name,
            f"not the wiring of a rig ({error})",
            "copy it again from the rig, or leave it out: the usual wiring is taken then",
        ) from None


def encode_wiring(devices: Mapping[int, str]) -> dict[str, Any]:
    """Return the content of a wiring file, from the device on each line."""
    return {
        "SYSTEM": "3B",
        "SYNC_WIRING_DIGITAL": {
            f"P0.{line}": device for line, device in sorted(devices.items()) if line < DIGITAL
        },
        "SYNC_WIRING_ANALOG": {
            f"AI{line - DIGITAL}": device
            for line, device in sorted(devices.items())
            if line >= DIGITAL
        },
    }


def _lines(said: Mapping[str, Any]) -> dict[str, int]:
    digital = said.get("SYNC_WIRING_DIGITAL") or {}
    analog = said.get("SYNC_WIRING_ANALOG") or {}
    if not (isinstance(digital, dict) and isinstance(analog, dict)):
        raise ValueError("SYNC_WIRING_DIGITAL and SYNC_WIRING_ANALOG must be objects")
    lines: dict[str, int] = {}
    for pin, device in digital.items():
        line = _digital(str(pin))
        if device is not None and line is not None:
            lines[str(device)] = line
    for pin, device in analog.items():
        if device is not None:
            lines[str(device)] = DIGITAL + _number(r"AI(\d{1,2})", str(pin))
    return lines


def _digital(pin: str) -> int | None:
    """Return the bit of a pin, as ``P0.3`` or ``pin16``; None for a pin without a signal."""
    if pin.startswith("pin"):
        return _PINS_3A.get(pin)
    line = _number(r"P\d\.(\d{1,2})", pin)
    if line >= DIGITAL:
        raise ValueError(f"the pin {pin} is beyond the {DIGITAL} lines of a word")
    return line


def _number(pattern: str, pin: str) -> int:
    match = re.fullmatch(pattern, pin)
    if not match:
        raise ValueError(f"{pin!r} is no pin")
    return int(match[1])
