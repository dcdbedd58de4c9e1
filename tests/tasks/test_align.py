"""Probes of simulated ephys rigs, whose clock is known, are brought to the main clock."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lab.simulate.board import BoardClock, write_board
from lab.simulate.recording import ProbeDrift, SimulatedProbe, write_probe
from lab.simulate.spikes import simulate_sorting
from lab.tasks.run import orders, run
from shared.science.clocks.probes import align_probe
from shared.science.clocks.pulses import Fronts
from shared.science.errors import SyncFailed
from shared.tasks.states import Status
from tests.site.conftest import trials_of

PROBE = "raw_ephys_data/probe00"
RATE = 30_000.0
SECONDS = 25.0
ACCURATE = 0.2e-3
"""Seconds within which every spike has to be."""


def rig(folder: Path, drift: ProbeDrift) -> np.ndarray:
    """Write a board and a probe that record at one time; return the spikes' main times."""
    quiet = {name: np.empty(0) for name in ("bpod", "frame2ttl", "audio")}
    quiet |= {f"rotary_encoder_{n}": np.empty(0) for n in (0, 1)}
    quiet |= {f"{side}_camera": np.empty(0) for side in ("left", "right", "body")}
    lines = {**quiet, "imec_sync": np.arange(0.5, SECONDS, 0.5)}
    write_board(lines, BoardClock(), folder)
    sorting = simulate_sorting(trials_of(20, 1), seed=1, n_units=8)
    probe = SimulatedProbe(sorting, channels=2, seed=1, drift=drift)
    write_probe(probe, sorting["channels.localCoordinates.npy"], SECONDS, folder / PROBE)
    times = sorting["spikes.times.npy"]
    return times[times < SECONDS]


def done(name: str, session: Path):
    """Run a task where its inputs are, as the next one needs what it makes."""
    given = {"collection": PROBE} if name == "ephys.compress" else {}
    (order,) = orders(name, session, given)
    return run(order, session, session)


@pytest.mark.parametrize(
    ("drift", "outcome", "missing"),
    [
        (ProbeDrift(drift=-12.0), "PASS", 0),
        (ProbeDrift(offset=0.02, drift=90.0), "PASS", 0),
        (ProbeDrift(drift=40.0, lost=(7,)), "WARNING", 2),
    ],
    ids=["slow", "fast and late", "a pulse lost"],
)
def test_spikes_are_on_the_main_clock_within_a_fifth_of_a_millisecond(
    tmp_path, drift, outcome, missing
):
    spikes = rig(tmp_path, drift)
    for name in ("ephys.compress", "sync.pulses", "ephys.align"):
        result = done(name, tmp_path)
        assert result.status == Status.COMPLETE.label, result.error
    told = result.facts.extended_qc
    assert told["sync_probe00"] == outcome
    assert told["_sync_probe00_missing_pulses"] == missing
    assert told["_sync_probe00_drift_ppm"] == pytest.approx(-drift.drift, abs=1)
    assert told["_sync_probe00_residual_samples"] < 2.5
    # as brainbox reads them: sample of the probe, s of the main clock
    stem = tmp_path / PROBE / "_spikeglx_ephysData_g0_t0.imec0"
    samples, seconds = np.load(f"{stem}.timestamps.npy").T
    theirs = np.rint(drift.read(spikes) * RATE)
    line = np.polyfit(samples, seconds, 1)
    inside = (theirs >= samples[0]) & (theirs <= samples[-1])
    found = np.where(inside, np.interp(theirs, samples, seconds), np.polyval(line, theirs))
    assert np.abs(found - spikes).max() < ACCURATE
    np.testing.assert_allclose(np.load(f"{stem}.sync.npy")[:, 0] * RATE, samples)
    assert (tmp_path / PROBE / "_spikeglx_sync.times.probe00.npy").exists()


def wave(seconds: float, slope: float = 1.0) -> Fronts:
    times = np.arange(0.5, seconds, 0.5) * slope
    return Fronts(times, np.where(np.arange(times.size) % 2, -1.0, 1.0))


def test_a_clock_that_bends_slowly_is_followed():
    main = wave(3600)
    bent = main.times + 2e-3 * np.sin(main.times / 3600 * np.pi)
    clock = align_probe(Fronts(bent, main.polarities), main, RATE)
    assert (clock.quality, clock.regular) == ("PASS", True)
    np.testing.assert_allclose(clock.main(bent), main.times, atol=TOL)


TOL = 2.5 / RATE


def test_pulses_that_jump_are_out_of_tolerance_or_followed_exactly():
    main = wave(600)
    jump = main.times + np.where(main.times > 300, 0.01, 0)
    clock = align_probe(Fronts(jump, main.polarities), main, RATE)
    assert (clock.quality, clock.regular) == ("WARNING", False)
    np.testing.assert_allclose(clock.main(jump), main.times, atol=1e-9)


@pytest.mark.parametrize("seconds", [0, 1, 400])
def test_too_few_pulses_are_refused(seconds):
    with pytest.raises(SyncFailed, match="check the sync cable"):
        align_probe(wave(seconds), wave(600), RATE)


def test_a_probe_without_pulses_is_told_by_the_task(tmp_path):
    rig(tmp_path, ProbeDrift())
    (tmp_path / PROBE / "x.imec0.ap.wiring.json").write_text(
        '{"SYSTEM": "3B", "SYNC_WIRING_DIGITAL": {"P0.2": "imec_sync"}}'
    )
    for name in ("ephys.compress", "sync.pulses"):
        done(name, tmp_path)
    result = done("ephys.align", tmp_path)
    assert result.status == Status.ERRORED.label
    assert "the probe has 0, the main clock 49" in (result.error or "")
