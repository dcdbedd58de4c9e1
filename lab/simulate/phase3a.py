"""Simulated sessions of a rig of Neuropixels 3A: there is no board, its devices go to the probes.

The first probe is wired to all of them, the others to the screen and a camera only. Each has a
clock and a beginning of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from lab.simulate.board import COLLECTION
from lab.simulate.recording import ProbeDrift, SimulatedProbe, write_probe
from lab.simulate.spikes import simulate_sorting
from lab.simulate.truth import Truth

WIRES_3A = {
    "left_camera": 2,
    "right_camera": 3,
    "body_camera": 4,
    "bpod": 7,
    "frame2ttl": 12,
    "rotary_encoder_0": 13,
    "rotary_encoder_1": 14,
    "audio": 15,
}
"""Lines of the probe's connector; declared here again, as those of the board."""

SHARED = ("frame2ttl", "right_camera")
"""Devices that are wired to all probes."""

AFTER = 2.0
"""Seconds for which the probes record on after the last change of a line."""


def add_probes_3a(
    truth: Truth,
    drifts: Sequence[ProbeDrift],
    *,
    seed: int,
    channels: int = 4,
    main: int = 0,
    shared: Sequence[str] = SHARED,
) -> None:
    """Write the recordings of probes 3A into a session (``probe00``, ``probe01``, …).

    Parameters
    ----------
    truth : Truth
        A session simulated with a `lab.simulate.board.BoardClock` that ``is_probe``.
    drifts : sequence of ProbeDrift
        The clock of each probe, relative to that of the main one.
    seed : int
    channels : int
        Simulated sites of each probe.
    main : int
        Index of the probe to which all devices are wired.
    shared : sequence of str
        Devices that are wired to the others.
    """
    sorting = simulate_sorting(truth.table, seed=seed, n_units=8)
    end = max(float(times[-1]) for times in truth.lines.values() if times.size) + AFTER
    for number, drift in enumerate(drifts):
        wired = WIRES_3A if number == main else shared
        lines = {WIRES_3A[name]: truth.lines[name] for name in wired}
        probe = SimulatedProbe(
            sorting, channels=channels, seed=seed + number, drift=drift, lines=lines
        )
        folder = truth.session / COLLECTION / f"probe{number:02}"
        write_probe(probe, sorting["channels.localCoordinates.npy"], end, folder)
