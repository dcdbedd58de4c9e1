"""Damage that is done to the pulses of a board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.fuzz.raw import Rng
from lab.simulate.board import COLLECTION, WIRES
from shared.science.clocks.spacers import LENGTH, RISES, WIDTH

ANALOG = 16
"""Number of the first analog line, that of the state machine."""

LINES = {**WIRES, "bpod": ANALOG}
NAMES = ("times", "channels", "polarities")


@dataclass
class Lines:
    """Fronts of each line: times (s), polarities; and the number types of the files."""

    times: dict[int, np.ndarray]
    polarities: dict[int, np.ndarray]

    @classmethod
    def read(cls, session: Path) -> Lines:
        """Read the pulses of a session's board."""
        folder = session / COLLECTION
        times, channels, polarities = (
            np.load(folder / f"_spikeglx_sync.{name}.npy") for name in NAMES
        )
        lines = np.unique(channels).astype(int)
        return cls(
            {line: times[channels == line] for line in lines},
            {line: polarities[channels == line] for line in lines},
        )

    def write(self, session: Path) -> None:
        """Write the pulses, in order of time."""
        lines = [line for line, times in self.times.items() if times.size]
        times = np.concatenate([self.times[line] for line in lines] or [np.empty(0)])
        channels = np.concatenate([np.full(self.times[line].size, line) for line in lines] or [[]])
        polarities = np.concatenate([self.polarities[line] for line in lines] or [[]])
        order = np.argsort(times, kind="stable")
        kinds = (np.float64, np.int16, np.int8)
        for name, values, kind in zip(NAMES, (times, channels, polarities), kinds, strict=True):
            values = np.asarray(values)[order].astype(kind)
            np.save(session / COLLECTION / f"_spikeglx_sync.{name}.npy", values)

    def pulses(self, line: int) -> np.ndarray:
        """Return rises and falls of a line; shape (pulses, 2)."""
        times, polarities = (
            self.times.get(line, np.empty(0)),
            self.polarities.get(line, np.empty(0)),
        )
        if polarities.size and polarities[0] == -1:
            times, polarities = times[1:], polarities[1:]
        return times[: times.size // 2 * 2].reshape(-1, 2)

    def put(self, line: int, pulses: np.ndarray) -> None:
        """Replace the pulses of a line; those that overlap are joined."""
        pulses = pulses[np.argsort(pulses[:, 0])]
        joined: list[list[float]] = []
        for rise, fall in pulses:
            if joined and rise <= joined[-1][1]:
                joined[-1][1] = max(joined[-1][1], float(fall))
            else:
                joined.append([float(rise), float(fall)])
        self.times[line] = np.array(joined).reshape(-1)
        self.polarities[line] = np.tile([1, -1], len(joined))


def _lose(rng: Rng, pulses: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Leave out some of the pulses of a kind."""
    at = np.flatnonzero(kinds)
    n = min(at.size, int(rng.choice([1, 2, 5])))
    return np.delete(pulses, rng.choice(at, n, replace=False), axis=0) if n else pulses


def lost_starts(rng: Rng, lines: Lines) -> None:
    """Lose first pulses of trials."""
    pulses = lines.pulses(ANALOG)
    lines.put(ANALOG, _lose(rng, pulses, np.diff(pulses)[:, 0] < 2.33e-4))


def lost_first(rng: Rng, lines: Lines) -> None:
    """Start the board during the first trials."""
    pulses = lines.pulses(ANALOG)
    start = pulses[int(rng.integers(1, 6)), 0] - float(rng.choice([1e-3, 0.2]))
    for line, times in lines.times.items():
        keep = times >= start
        lines.times[line], lines.polarities[line] = times[keep], lines.polarities[line][keep]


def lost_last(rng: Rng, lines: Lines) -> None:
    """Stop the board before the last trial."""
    pulses = lines.pulses(ANALOG)
    end = pulses[-int(rng.integers(1, min(30, len(pulses)))), 0] - 1e-3
    for line, times in lines.times.items():
        keep = times <= end
        lines.times[line], lines.polarities[line] = times[keep], lines.polarities[line][keep]


def lost_others(rng: Rng, lines: Lines) -> None:
    """Lose pulses of the valve, or of the ends of trials."""
    pulses = lines.pulses(ANALOG)
    lines.put(ANALOG, _lose(rng, pulses, np.diff(pulses)[:, 0] > 2.33e-4))


def silent(rng: Rng, lines: Lines) -> None:
    """Lose all of a line."""
    line = LINES[str(rng.choice(["bpod", "frame2ttl", "audio", "rotary_encoder_0"]))]
    lines.times[line], lines.polarities[line] = np.empty(0), np.empty(0)


def glitches(rng: Rng, lines: Lines) -> None:
    """Add short pulses to a line."""
    line = LINES[str(rng.choice(["bpod", "frame2ttl", "audio"]))]
    pulses = lines.pulses(line)
    if len(pulses):
        at = rng.uniform(pulses[0, 0], pulses[-1, 1], int(rng.integers(1, 6)))
        width = float(rng.choice([1e-4, 2e-4, 3e-3, 0.009, 0.05, 0.2]))
        lines.put(line, np.concatenate([pulses, np.column_stack([at, at + width])]))


def flickers(rng: Rng, lines: Lines) -> None:
    """Split the screen's pulses by a fall that a rise follows at once."""
    line = LINES["frame2ttl"]
    pulses, new = lines.pulses(line), []
    for rise, fall in pulses:
        if rng.random() < 0.3 and fall - rise > 0.05:
            at = float(rng.uniform(rise + 0.005, fall - 0.02))
            gap = float(rng.choice([0.001, 0.0085, 0.0099, 0.0101]))
            new += [[rise, at], [at + gap, fall]]
        else:
            new.append([rise, fall])
    lines.put(line, np.array(new).reshape(-1, 2))


def lost_screen(rng: Rng, lines: Lines) -> None:
    """Lose flips of the screen, or sounds."""
    line = LINES[str(rng.choice(["frame2ttl", "audio"]))]
    pulses = lines.pulses(line)
    if len(pulses) > 10:
        lines.put(line, np.delete(pulses, rng.integers(0, len(pulses), 6), axis=0))


def lost_edges(rng: Rng, lines: Lines) -> None:
    """Lose single fronts of a line: two rises, or two falls, follow each other."""
    line = LINES[str(rng.choice(["bpod", "frame2ttl", "audio", "rotary_encoder_0"]))]
    times = lines.times.get(line, np.empty(0))
    if times.size > 4:
        at = rng.integers(0, times.size, 2)
        lines.times[line] = np.delete(times, at)
        lines.polarities[line] = np.delete(lines.polarities[line], at)


def inverted(rng: Rng, lines: Lines) -> None:
    """Begin with a line that is high."""
    line = LINES[str(rng.choice(["bpod", "frame2ttl", "audio", "rotary_encoder_1"]))]
    if lines.times.get(line, np.empty(0)).size > 2:
        lines.times[line] = lines.times[line][1:]
        lines.polarities[line] = lines.polarities[line][1:]


def drifting(rng: Rng, lines: Lines) -> None:
    """Run at another speed, with another zero."""
    by = 1 + float(rng.choice([50, 150, 220, 500, -80, -300])) * 1e-6
    offset = float(rng.choice([0, 3, 100]))
    for line, times in lines.times.items():
        lines.times[line] = times * by + offset


def jitter(rng: Rng, lines: Lines) -> None:
    """Record the state machine's pulses a little late or early."""
    pulses = lines.pulses(ANALOG)
    late = rng.normal(0, float(rng.choice([1e-5, 1e-4, 1e-3])), len(pulses))
    lines.put(ANALOG, pulses + late[:, None])


def restarted(rng: Rng, lines: Lines) -> None:
    """Let the board's clock jump in the middle."""
    last = max(float(times[-1]) for times in lines.times.values() if times.size)
    at, by = last * float(rng.uniform(0.2, 0.8)), float(rng.choice([0.02, 0.4, 3.0]))
    for line, times in lines.times.items():
        lines.times[line] = np.where(times > at, times + by, times)


def between_protocols(rng: Rng, lines: Lines) -> int:
    """Put the session between two others on the same board; return its number, from 0.

    Each protocol begins with a spacer of the state machine.
    """
    pulses = lines.pulses(ANALOG)
    spacer = np.column_stack([RISES, RISES + WIDTH])
    number, later = int(rng.integers(2)), 20.0
    first, last = pulses[0, 0] + later, pulses[-1, 1] + later
    # to the millisecond, as ibllib looks for them
    parts = [round(first - LENGTH - 0.3, 3) + spacer, pulses + later]
    if number:
        parts += [1.0 + spacer, np.array([[6.0, 6.2]])]
    if rng.random() < 0.5:
        parts += [round(last + 9, 3) + spacer, last + np.array([[15.0, 15.1]])]
    lines.times = {line: times + later for line, times in lines.times.items()}
    lines.put(ANALOG, np.concatenate(parts))
    return number


BOARD: dict[str, Callable[[Rng, Lines], None]] = {
    each.__name__: each
    for each in (
        lost_starts, lost_first, lost_last, lost_others, silent, glitches, flickers, lost_screen,
        lost_edges, inverted, drifting, jitter, restarted,
    )
}  # fmt: skip
"""Damage to a board's pulses, by name."""
