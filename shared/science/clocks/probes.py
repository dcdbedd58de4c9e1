"""The main clock at any sample of a probe, by the pulses that both have recorded.

The rules are those of the IBL pipeline (ibllib 4.1.0, ``sync_probes``): one wave of pulses goes to
the board and to every probe. The relation of the clocks is a line plus a smooth departure from
it; irregular pulses are interpolated instead. Probes of phase 3A have no board: they share the
lines of other devices, and one of them is the clock. The files are ``….sync.npy`` (probe s, main
s) and ``….timestamps.npy`` (probe sample, main s).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shared.science.clocks.events import interpolate, match_events, pair_nearest
from shared.science.clocks.main_pulses import WiredPulses, main_of
from shared.science.clocks.pulses import Floats, Fronts
from shared.science.errors import RawFileMissing, SyncFailed

log = logging.getLogger(__name__)

TOLERANCE = 2.5
"""Samples of the probe by which a pulse may differ from the relation."""

TOLERANCE_3A = 2.1
"""The same of a probe of phase 3A, beyond which its clock is refused."""

SHARED_3A = ("frame2ttl", "right_camera")
"""Devices wired to all probes of phase 3A; the first one that all have seen relates them."""

BEFORE_CAMERA = 0.2
"""Seconds that a recording must have begun before its camera, whose pulses look alike."""

IRREGULAR = 150
"""Parts per million by which an interval of pulses may differ from the usual one."""

MISSING = 0.1
"""Share of the pulses that either recording may lack."""

LEAST_PULSES = 4
"""Fewest pulses that relate two clocks."""

RATE, KNOT = 300, 20
"""Departures are smoothed at this rate (Hz), and kept at this interval (s)."""

PASSED, STOPPED = 0.001, 0.002
"""Pass and stop frequencies of the smoothing (Hz)."""

PADDING, LEVEL = 60, 30
"""Seconds added to departures at both ends, at the median of so many seconds."""


@dataclass(frozen=True)
class ProbeClock:
    """The relation of a probe's clock to the main one.

    Attributes
    ----------
    points : array
        Shape (points, 2), s: probe, main; linear between them.
    drift
        Excess speed of the main clock in parts per million.
    residual
        Largest difference between a pulse and the relation, in samples of the probe.
    n_pulses, n_missing
        Pulses in common, and pulses between them that either clock lacks.
    regular
        Whether the relation could be smoothed because the pulses are regular.
    """

    points: Floats
    drift: float
    residual: float
    n_pulses: int
    n_missing: int
    regular: bool

    @property
    def quality(self) -> str:
        """``PASS``; ``WARNING`` if pulses are irregular or missing; ``FAIL`` out of tolerance."""
        if self.residual > TOLERANCE:
            return "FAIL"
        return "PASS" if self.regular and not self.n_missing else "WARNING"

    def main(self, times: Floats) -> Floats:
        """Return the main clock at times of the probe's (s)."""
        return interpolate(times, self.points[:, 0], self.points[:, 1])

    def files(self, stem: str, rate: float) -> dict[str, Floats]:
        """Return the arrays by the name of their file.

        Parameters
        ----------
        stem : str
            Name of the recording, as ``_spikeglx_ephysData_g0_t0.imec0``.
        rate : float
            Samples of the probe a second.
        """
        samples = self.points * [rate, 1.0]
        return {f"{stem}.sync.npy": self.points, f"{stem}.timestamps.npy": samples}


def align_probe(probe: Fronts, main: Fronts, rate: float) -> ProbeClock:
    """Find the relation of a probe's clock to the main one.

    Parameters
    ----------
    probe, main : Fronts
        The pulses sent to both.
    rate : float
        Samples of the probe a second.

    Raises
    ------
    SyncFailed
        Either has none, or the numbers differ by more than a tenth.
    """
    n_probe, n_main = probe.times.size, main.times.size
    if min(n_probe, n_main) < LEAST_PULSES or abs(n_probe - n_main) > MISSING * n_probe:
        raise SyncFailed(
            "the pulses between probe and main clock",
            f"the probe has {n_probe}, the main clock {n_main}",
            "check the sync cable of the probe, and that both recorded at one time",
        )
    times, theirs = _in_common(probe, main)
    regular = _regular(probe)
    if not regular:
        log.warning("the pulses are irregular: the clocks are matched pulse by pulse")
    line = np.polyfit(times, theirs, 1)
    points = _smooth(times, theirs, line) if regular else np.stack([times, theirs], axis=1)
    apart = np.abs(theirs - interpolate(times, points[:, 0], points[:, 1])) * rate
    return ProbeClock(
        points,
        float((line[0] - 1) * 1e6),
        float(apart.max()),
        times.size,
        _within(probe.times, times) + _within(main.times, theirs) - 2 * times.size,
        regular,
    )


MAIN = ProbeClock(np.array([[0.0, 0.0], [1.0, 1.0]]), 0.0, 0.0, 0, 0, True)
"""The relation of the main clock to itself."""


def align_probes(probes: Sequence[WiredPulses], folder: Path, rate: float) -> ProbeClock:
    """Find the relation of a probe's clock to that of the main probe (phase 3A).

    The recordings may begin at different times: they are made by a computer each.

    Parameters
    ----------
    probes : sequence of WiredPulses
        The pulses of all probes.
    folder : path
        Folder of the probe in question.
    rate : float
        Samples of the probe a second.

    Raises
    ------
    RawFileMissing
        The probe's own pulses are missing.
    SyncFailed
        There is no line that all have seen, or its pulses do not match to `TOLERANCE_3A`; the
        reference refuses such a session, too.
    """
    own = next((one for one in probes if one.folder == folder), None)
    if own is None:
        fix = "have the task sync.pulses_probe run on the recording"
        raise RawFileMissing("the probe's pulses", f"none in {folder.name}", fix)
    main = main_of(probes)
    log.info("%s is the main clock", main.folder.name)
    if own is main:
        return MAIN
    device = _seen_by_all(probes)
    probe, reference = (one.pulses.of(one.wiring[device]) for one in (own, main))
    times, theirs = _same_events(probe, reference, device)
    line = np.polyfit(times, theirs, 1)
    points = _smooth(times, theirs, line)
    apart = float(np.abs(theirs - interpolate(times, points[:, 0], points[:, 1])).max()) * rate
    missing = _within(probe.times, times) + _within(reference.times, theirs) - 2 * times.size
    fewest = min(probe.times.size, reference.times.size)
    if apart > TOLERANCE_3A or times.size < (1 - MISSING) * fewest:
        raise SyncFailed(
            f"the pulses of {device} between probes",
            f"they are not the same events: {probe.times.size} and {reference.times.size}, "
            f"{times.size} in common, which depart by {apart:.1f} samples from a steady relation",
            "check that both recordings are of this session, and the wiring",
        )
    return ProbeClock(points, float((line[0] - 1) * 1e6), apart, times.size, missing, True)


def _seen_by_all(probes: Sequence[WiredPulses]) -> str:
    """Return the device by which probes of phase 3A are related."""
    for device in SHARED_3A:
        seen = [one.pulses.of(one.wiring[device]).times for one in probes]
        if min(times.size for times in seen) < LEAST_PULSES:
            continue
        if device != SHARED_3A[0] and min(times[0] for times in seen) <= BEFORE_CAMERA:
            raise SyncFailed(
                f"the pulses of {device} between probes",
                "the camera ran before a recording began: which pulse is which, nothing tells",
                f"wire {SHARED_3A[0]} to each probe, and start the recordings first",
            )
        return device
    counted = "; ".join(
        f"{one.folder.name}: "
        + ", ".join(f"{name} {one.pulses.of(one.wiring[name]).times.size}" for name in SHARED_3A)
        for one in probes
    )
    raise SyncFailed(
        "the pulses between the probes",
        f"no line has pulses on all of them ({counted})",
        "check the cables, and the wiring files of the recordings",
    )


def _same_events(probe: Fronts, main: Fronts, device: str) -> tuple[Floats, Floats]:
    """Return the times of the events that two probes have in common.

    As many on both are the same ones. Otherwise the irregular ones of the screen are matched by
    their pattern, and those of a camera from the first one on.
    """
    if probe.times.size == main.times.size:
        return probe.times, main.times
    log.warning("%s: %d and %d pulses", device, probe.times.size, main.times.size)
    matched = match_events(probe.times, main.times) if device == SHARED_3A[0] else None
    if matched is not None:
        return matched.our_times, matched.their_times
    fewest = min(probe.times.size, main.times.size)
    return probe.times[:fewest], main.times[:fewest]


def _in_common(probe: Fronts, main: Fronts) -> tuple[Floats, Floats]:
    """Return the times of the pulses that both clocks have.

    If one lacks some, each of its pulses is paired with the other's nearest of the same sense:
    both recordings begin together, and drift apart by less than half a pulse.
    """
    if np.array_equal(probe.polarities, main.polarities):
        return probe.times, main.times
    mine: list[Floats] = []
    theirs: list[Floats] = []
    for sense in (1, -1):
        ours, others = (fronts.times[fronts.polarities == sense] for fronts in (probe, main))
        period = float(np.median(np.diff(others)))
        at, of = pair_nearest(ours, others, period / 2)
        mine.append(ours[at])
        theirs.append(others[of])
    times = np.concatenate(mine)
    order = np.argsort(times)
    return times[order], np.concatenate(theirs)[order]


def _within(times: Floats, common: Floats) -> int:
    """Return the number of pulses from the first to the last that both have."""
    return int(np.sum((times >= common[0]) & (times <= common[-1])))


def _regular(probe: Fronts) -> bool:
    intervals = np.diff(probe.rises)
    usual = np.median(intervals)
    return bool(np.all(np.abs((intervals - usual) / usual * 1e6) < IRREGULAR))


def _smooth(times: Floats, theirs: Floats, line: Floats) -> Floats:
    """Return points of the relation: the line plus the slow departure from it."""
    evenly = np.arange(theirs[0], theirs[-1], 1 / RATE)
    departs = np.interp(evenly, theirs, theirs - np.polyval(line, times))
    size = int(2 ** np.ceil(np.log2(departs.size + RATE * PADDING))) - departs.size
    around = size // 2 + size % 2, size // 2
    level = RATE * LEVEL
    padded = np.pad(departs, around, mode="median", stat_length=level)
    frequency = np.arange(padded.size // 2 + 1) / padded.size * RATE
    share = np.clip((frequency - PASSED) / (STOPPED - PASSED), 0, 1)
    passed = 1 - (1 - np.cos(share * np.pi)) / 2
    slow = np.fft.irfft(np.fft.rfft(padded) * passed, padded.size)[around[0] : -around[1]]
    knots = np.arange(0, theirs.max() + KNOT, KNOT, dtype=float)
    return np.stack([knots, np.polyval(line, knots) + np.interp(knots, evenly, slow)], axis=1)
