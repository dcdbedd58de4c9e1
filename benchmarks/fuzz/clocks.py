"""Drawn recordings of lines and clocks: pulses of a board, and the clock of a probe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.fuzz.raw import Rng
from lab.simulate.board import BoardClock, write_board
from shared.science.clocks.pulses import Fronts

RATE = 30_000.0


@dataclass(frozen=True)
class Pair:
    """The pulses of a probe and of the main clock, and what was done to them."""

    probe: Fronts
    main: Fronts
    rate: float
    damage: list[str]


def pair(rng: Rng) -> Pair:
    """Draw the pulses that a probe and the main clock saw of one square wave."""
    n, half = int(rng.integers(60, 900)), float(rng.choice([0.5, 1.0]))
    at = 0.3 + np.arange(n) * half
    drift, offset = float(rng.normal(0, 20e-6)), float(rng.choice([0.0, 0.004, 3.0]))
    slow = float(rng.choice([0.0, 1e-5, 5e-4])) * np.sin(at / float(rng.uniform(50, 500)))
    rate = float(rng.choice([RATE, 30_000.27, 29_999.95]))
    levels = np.where(np.arange(n) % 2 == 0, 1, -1)
    damage = []
    own, main = at.copy(), offset + at * (1 + drift) + slow
    if rng.random() < 0.3:
        damage.append("jitter")
        own = own + rng.normal(0, float(rng.choice([1e-5, 2e-4])), n)
    keep_own, keep_main = np.ones(n, bool), np.ones(n, bool)
    for name, keep in (("lost by the probe", keep_own), ("lost by the board", keep_main)):
        if rng.random() < 0.15:
            damage.append(name)
            keep[rng.integers(0, n, int(rng.choice([1, 3])) * 2)] = False
    if rng.random() < 0.05:
        damage.append("half")
        keep_main[n // 2 :] = False

    def seen(times: np.ndarray, keep: np.ndarray) -> Fronts:
        """Return the fronts at whole samples."""
        return Fronts(np.ceil(times[keep] * rate) / rate, levels[keep])

    return Pair(seen(own, keep_own), seen(main, keep_main), rate, damage)


def recording(rng: Rng, session: Path) -> list[str]:
    """Write a board's recording of random lines, and return what is odd about it."""
    names = ("left_camera", "right_camera", "body_camera", "imec_sync", "frame2ttl",
             "rotary_encoder_0", "rotary_encoder_1", "audio", "bpod")  # fmt: skip
    seconds = 0.4
    odd = []
    lines = {}
    for name in names:
        n = int(rng.choice([0, 1, 2, 30, 300]))
        times = np.sort(rng.uniform(0, seconds, n))
        if rng.random() < 0.2:
            odd.append("changes within a sample")
            times = np.sort(np.concatenate([times, times + 1e-6]))
        lines[name] = times
    lines["imec_sync"] = np.append(lines["imec_sync"], seconds)
    path = write_board(lines, BoardClock(rate=float(rng.choice([RATE, 30_003.0003]))), session)
    samples = np.fromfile(path, np.int16).reshape(-1, 2)
    how = int(rng.integers(4))
    if how:
        odd.append(["", "noise", "offset", "slow edges"][how])
        wave = samples[:, 0].astype(float)
        if how == 1:
            wave += rng.normal(0, float(rng.choice([50, 400])), wave.size)
        elif how == 2:
            wave += float(rng.choice([-3000, 2000, 6000]))
        else:
            wave = np.convolve(wave, np.ones(4) / 4, "same")
        samples[:, 0] = np.clip(wave, -32768, 32767).astype(np.int16)
        path.write_bytes(samples.tobytes())
    return odd
