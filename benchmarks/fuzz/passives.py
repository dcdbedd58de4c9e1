"""Drawn passive protocols: spacers, noise, and a replay of one of the rigs' own sequences."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fuzz.compare import Side, read
from benchmarks.fuzz.lines import LINES, Lines
from benchmarks.fuzz.raw import Rng
from lab.tasks import passive
from shared.science.behaviour.passive import SPACER
from shared.science.behaviour.raw_settings import rig_version
from shared.science.behaviour.replayed import GRATING, NOISE, TONE, VALVE, Replay, replay_of
from shared.science.clocks.spacers import LENGTH, RISES, WIDTH
from shared.science.errors import ExtractionError

VERSIONS = ("5.2.5", "6.2.5", "6.4.2", "6.6.4", "7.2.2", "8.0.0", "8.12.3", "8.27.3", "8.27.4",
            "8.29.0", "8.30.1", "")  # fmt: skip
FRAME = 1 / 60


@dataclass
class Shown:
    """A passive protocol: flips of the screen, pulses of valve and sounds; s.

    Attributes
    ----------
    screen : list of array
        Flips of the three spacers, of the noise and of the replay.
    valve, sounds : array
        Shape (pulses, 2).
    noise : bytes
        The rig's file of the noise.
    frames : array
        When its frames were shown.
    before, after : float
        When the protocol begins, and when the recording ends.
    """

    settings: dict[str, Any]
    screen: list[np.ndarray]
    valve: np.ndarray
    sounds: np.ndarray
    noise: bytes | None
    frames: np.ndarray
    before: float
    after: float
    number: int | None = None
    more: bool = False
    starts_high: tuple[str, ...] = ()
    flickers: np.ndarray = field(default_factory=lambda: np.empty((0, 2)))
    damage: list[str] = field(default_factory=list)


def settings_of(rng: Rng) -> dict[str, Any]:
    """Draw the settings of a rig."""
    version = str(rng.choice(VERSIONS))
    protocol = "_iblrig_tasks_passiveChoiceWorld"
    if rng.random() < 0.1:
        protocol += "Independent"
    told: dict[str, Any] = {"PYBPOD_PROTOCOL": protocol, "IBLRIG_VERSION": version}
    n = int(rng.integers(0, 12))
    key = "SESSION_TEMPLATE_ID" if version.startswith("8") else "PREGENERATED_SESSION_NUM"
    told[key] = n if key.startswith("SESSION") or rng.random() < 0.5 else str(n)
    if "Independent" in protocol:
        told = {**told, "SESSION_TEMPLATE_ID": n}
        told.pop("PREGENERATED_SESSION_NUM", None)
    if version >= "8":
        told |= {"device_sound": {"OUTPUT": "xonar"}, "SESSION_NUMBER": 1, "RIG_NAME": "rig",
                 "ALYX_USER": "nn", "SESSION_START_TIME": "2026-01-02T10:00:00"}  # fmt: skip
    if rng.random() < 0.1 and "SESSION_TEMPLATE_ID" in told:
        told["NUM_STIM_PRESENTATIONS"] = int(rng.choice([20, 300, 450]))
    if rng.random() < 0.1:
        told["SKIP_EVENT_REPLAY"] = bool(rng.random() < 0.7)
    return told


def drawn(rng: Rng, started: float) -> Shown:
    """Draw a protocol without faults."""
    settings = settings_of(rng)
    version = rig_version(settings)
    replay = replay_of(settings, version) or Replay(np.array(list("VGTNG")), np.zeros((2, 3)))
    at, screen = started + float(rng.uniform(5, 9)), []
    for length in (float(rng.uniform(10, 40)), 0.0, 0.0):
        screen.append(at + SPACER)
        at += SPACER[-1] + 8.5 + length
        if len(screen) == 2:
            n = 600
            run = int(rng.choice([2, 8]))
            square = np.repeat(rng.integers(0, 2, n // run), run).astype(np.uint8) * 255
            squares = rng.integers(0, 2, (15, 15, n)).astype(np.uint8) * 128
            squares[0, 0] = square
            noise = squares.reshape(-1, order="F").tobytes()
            frames = at + np.arange(n) * FRAME
            flips = at + np.flatnonzero(np.diff(square.astype(int))) * FRAME
            at += n * FRAME + 6
    pulses: dict[str, list[list[float]]] = {kind: [] for kind in (GRATING, VALVE, TONE, NOISE)}
    lengths = {GRATING: 0.3, VALVE: 0.07, TONE: 0.1, NOISE: 0.5}
    # without the first grating, which is blank
    shown_first = bool(rng.random() < 0.1)
    for kind in replay.kinds if shown_first else replay.shifted().kinds:
        at += float(rng.uniform(0.45, 1.5))
        pulses[kind].append([at, at + lengths[kind]])
        at += lengths[kind]
    found = {kind: np.array(each).reshape(-1, 2) for kind, each in pulses.items()}
    gratings = found[GRATING] + rng.uniform(0, FRAME / 2, found[GRATING].shape)
    shown = Shown(
        settings, [*screen, flips, gratings.ravel()], found[VALVE],
        np.concatenate([found[TONE], found[NOISE]]), noise, frames, started, at + 4,
    )  # fmt: skip
    if shown_first:
        shown.damage.append("first shown")
    if settings.get("SKIP_EVENT_REPLAY"):
        shown.screen[4] = np.empty(0)
        shown.valve = shown.sounds = np.empty((0, 2))
    if rng.random() < 0.3:
        shown.number, shown.more = int(rng.integers(0, 2)), bool(rng.random() < 0.4)
    return shown


def flicker(rng: Rng, shown: Shown) -> None:
    """Let the photodiode flicker after some flips."""
    flips = np.sort(np.concatenate(shown.screen))
    at = flips[rng.random(flips.size) < float(rng.choice([0.02, 0.3]))] + 0.0015
    shown.flickers = np.column_stack([at, at + float(rng.choice([0.001, 0.004]))])


def late_flips(rng: Rng, shown: Shown) -> None:
    """Flip later than asked, by a frame or two."""
    late = float(rng.choice([0.2, 1.0, 2.0])) * FRAME
    shown.screen = [each + np.sort(rng.uniform(0, late, each.size)) for each in shown.screen]


def lost_in_spacer(rng: Rng, shown: Shown) -> None:
    """Lose flips of a spacer."""
    which = int(rng.integers(3))
    shown.screen[which] = np.delete(shown.screen[which], rng.integers(0, 16, 1))


def first_cut(rng: Rng, shown: Shown) -> None:
    """Start the recording within the first spacer."""
    shown.before = float(shown.screen[0][int(rng.integers(3, 14))]) - 0.01
    shown.screen[0] = shown.screen[0][shown.screen[0] > shown.before]


def lost_flips(rng: Rng, shown: Shown) -> None:
    """Lose flips of the noise, or of the replay."""
    which = int(rng.integers(3, 5))
    n = int(rng.choice([1, 2, 8]))
    if shown.screen[which].size > n:
        at = rng.integers(0, shown.screen[which].size, n)
        shown.screen[which] = np.delete(shown.screen[which], at)


def early_flip(rng: Rng, shown: Shown) -> None:
    """Flip once, or twice, before the first grating."""
    if shown.screen[4].size:
        n = int(rng.integers(1, 3))
        at = shown.screen[4][0] - rng.uniform(0.4, 3.0, n)
        shown.screen[4] = np.sort(np.append(shown.screen[4], at))


def lost_pulses(rng: Rng, shown: Shown) -> None:
    """Lose a pulse of the valve, or a sound."""
    if rng.random() < 0.5:
        shown.valve = np.delete(shown.valve, rng.integers(0, len(shown.valve), 1), axis=0)
    else:
        shown.sounds = np.delete(shown.sounds, rng.integers(0, len(shown.sounds), 1), axis=0)


def long_sounds(rng: Rng, shown: Shown) -> None:
    """Record pulses beside the sounds that are longer than these."""
    at = shown.sounds[-1, 1] + 2 + np.arange(int(rng.integers(1, 4))) * 4
    shown.sounds = np.concatenate([shown.sounds, np.column_stack([at, at + 1.5])])
    shown.after = max(shown.after, float(at[-1]) + 4)


def odd_lengths(rng: Rng, shown: Shown) -> None:
    """Let a sound, a grating or the valve last longer or shorter."""
    which = int(rng.integers(3))
    if which == 2:
        flips = shown.screen[4]
        flips[2 * int(rng.integers(flips.size // 2)) + 1] += float(rng.choice([0.1, 0.16, 0.3]))
        return
    pulses = shown.valve if which else shown.sounds
    pulses[int(rng.integers(len(pulses))), 1] += float(
        rng.choice([0.0005, 0.01, 0.019, 0.03, 0.1])
    )


def other_noise(rng: Rng, shown: Shown) -> None:
    """Have a file of noise that is cut, or of another session, or none."""
    how = int(rng.integers(3))
    content = shown.noise or b""
    shown.noise = (None, content[:-7], bytes(rng.permutation(np.frombuffer(content, np.uint8))))[
        how
    ]


def one_way(rng: Rng, shown: Shown) -> None:
    """Start a line high."""
    shown.starts_high = (str(rng.choice(["frame2ttl", "audio", "bpod"])),)


def nameless(rng: Rng, shown: Shown) -> None:
    """Name no sequence, or one that does not exist."""
    for key in ("SESSION_TEMPLATE_ID", "PREGENERATED_SESSION_NUM"):
        shown.settings.pop(key, None)
    if rng.random() < 0.5:
        shown.settings["SESSION_TEMPLATE_ID"] = 77


def another(rng: Rng, shown: Shown) -> None:
    """Name another sequence."""
    for key in ("SESSION_TEMPLATE_ID", "PREGENERATED_SESSION_NUM"):
        if key in shown.settings:
            shown.settings[key] = (int(shown.settings[key]) + 1) % 12


DAMAGE: dict[str, Callable[[Rng, Shown], None]] = {
    each.__name__: each
    for each in (
        flicker, late_flips, lost_in_spacer, first_cut, lost_flips, early_flip, lost_pulses,
        long_sounds, odd_lengths, other_noise, one_way, nameless, another,
    )
}  # fmt: skip
"""Damage to passive protocols, by name."""


def made(rng: Rng, board: Path, target: Path) -> Shown:
    """Write a session with a drawn passive protocol."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(board / "raw_ephys_data", target / "raw_ephys_data")
    shown = drawn(rng, 65.0)
    for name in map(str, rng.choice(list(DAMAGE), int(rng.integers(0, 3)), replace=False)):
        with contextlib.suppress(ValueError, IndexError):
            DAMAGE[name](rng, shown)
            shown.damage.append(name)
    collection = "raw_behavior_data" if shown.number is None else f"raw_task_data_0{shown.number}"
    folder = target / collection
    folder.mkdir()
    (folder / "_iblrig_taskSettings.raw.json").write_text(json.dumps(shown.settings))
    if shown.noise is not None:
        (folder / "_iblrig_RFMapStim.raw.bin").write_bytes(shown.noise)
    (target / "passive.json").write_text(json.dumps([collection, shown.number]))
    flips = np.sort(np.concatenate([*shown.screen, shown.flickers.ravel()]))
    valve = [shown.valve[np.argsort(shown.valve[:, 0])]]
    if shown.number is not None:
        spacer = np.column_stack([RISES, RISES + WIDTH])
        firsts = [2.0] if shown.number else []  # a protocol before it
        valve[:0] = [first + spacer for first in firsts]
        valve[len(firsts) : len(firsts)] = [np.array([[9.0, 9.1]])] if firsts else []
        # to the millisecond, as ibllib looks for them
        valve.insert(len(valve) - 1, round(shown.before - LENGTH, 3) + spacer)
        if shown.more:
            valve += [shown.after + spacer, np.array([[shown.after + 9, shown.after + 9.1]])]
    changes = {
        "frame2ttl": flips,
        "bpod": np.concatenate(valve).ravel(),
        "audio": shown.sounds[np.argsort(shown.sounds[:, 0])].ravel(),
        "imec_sync": np.arange(0.5, shown.after + (20 if shown.more else 0), 0.5),
    }
    skip = {name: int(name in shown.starts_high) for name in changes}
    lines = Lines(
        {LINES[name]: times[skip[name] :] for name, times in changes.items()},
        {
            LINES[name]: np.where(np.arange(times.size) % 2 == 0, 1, -1)[skip[name] :]
            for name, times in changes.items()
        },
    )
    lines.write(target)
    return shown


def ours(session: Path, out: Path, shown: Shown) -> Side:
    """Find what was shown and played, with Fornix."""
    shutil.rmtree(out, ignore_errors=True)
    collection, _ = json.loads((session / "passive.json").read_text())
    arguments = {"collection": collection, "output_collection": "alf",
                 "sync_collection": "raw_ephys_data"}  # fmt: skip
    side = Side()
    try:
        passive.passive(session, out, arguments)
    except ExtractionError as error:
        side.refused["trials"] = f"{type(error).__name__}: {error}"
    except Exception as error:
        side.refused["trials"] = f"CRASH {type(error).__name__}: {str(error)[:80]}"
    side.files = read(out / "alf")
    return side


def remarks(mine: Side, other: Side, shown: Shown) -> tuple[str, ...]:
    """Say which side is nearer to the truth, if the frames of the noise differ."""
    name = "_ibl_passiveRFM.times.npy"
    if name not in mine.files or name not in other.files:
        return ()
    far = [
        float(np.max(np.abs(each.files[name] - shown.frames)))
        if each.files[name].shape == shown.frames.shape else np.inf
        for each in (mine, other)
    ]  # fmt: skip
    said = f"noise: ours off by {far[0]:.4f} s, theirs by {far[1]:.4f}"
    return (said, "ours no farther from the truth") if far[0] <= far[1] + FRAME else (said,)
