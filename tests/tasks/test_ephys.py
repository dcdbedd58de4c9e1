"""Raw recordings are compressed where they are; what cannot be is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lab.simulate.recording import (
    SimulatedProbe,
    simulate_recording,
    write_probe,
    write_recording,
)
from lab.simulate.spikes import simulate_sorting
from lab.tasks import ephys
from lab.tasks.run import orders, run
from shared import recordings
from shared.science.errors import RawFileMissing
from shared.tasks.planning import plan, unprocessed
from shared.tasks.states import Status
from tests.site.conftest import trials_of

EID = "0f6b3c4e-95b4-4d4b-8f5b-6d0c2f1a9b3d"
PROBE = "raw_ephys_data/probe00"


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Given a session folder with a probe's raw files, as SpikeGLX writes them."""
    folder = tmp_path_factory.mktemp("session")
    sorting = simulate_sorting(trials_of(20, 1), seed=1)
    samples = simulate_recording(sorting, seconds=1.0, channels=64, seed=1)
    write_recording(samples, sorting["channels.localCoordinates.npy"], folder / PROBE)
    return folder


def test_each_folder_of_raw_files_has_a_task() -> None:
    """Given raw files with their .meta, when tasks are planned, then one for each folder."""
    paths = [
        f"{PROBE}/x_g0_t0.imec0.ap.bin",
        f"{PROBE}/x_g0_t0.imec0.ap.meta",
        "raw_ephys_data/probe01/x_g0_t0.imec1.ap.bin",  # nothing says what is in it
        "raw_ephys_data/probe02/x_g0_t0.imec2.ap.cbin",  # compressed already
        "raw_ephys_data/probe02/x_g0_t0.imec2.ap.meta",
    ]
    of_files = (
        task for task in plan(EID, paths) if task.name in ("ephys.compress", "ephys.rawqc")
    )
    compress, quality, of_compressed = of_files
    assert (compress.name, compress.arguments) == ("ephys.compress", {"collection": PROBE})
    assert (quality.name, quality.parents) == ("ephys.rawqc", (compress.id,))
    assert of_compressed.arguments == {"collection": "raw_ephys_data/probe02"}
    assert of_compressed.parents == ()
    (lonely,) = unprocessed(paths)  # probe01: nothing says what is in its file
    assert lonely.startswith("probe01: recorded, not processed here: no recording of its spikes")


def test_what_is_compressed_is_restored_sample_by_sample(session: Path, tmp_path: Path) -> None:
    """When the task runs, then samples, places of sites and volts are in what it writes."""
    (task,) = orders("ephys.compress", session, {})
    result = run(task, session, tmp_path)
    assert result.status == Status.COMPLETE.label
    stem = f"{PROBE}/_spikeglx_ephysData_g0_t0.imec0.ap"
    assert sorted(result.outputs) == [f"{stem}.ebin", f"{stem}.eh", f"{stem}.rms.npy"]
    raw = np.fromfile(session / f"{stem}.bin", np.int16).reshape(-1, 65)
    with recordings.open(tmp_path / f"{stem}.ebin") as restored:
        np.testing.assert_array_equal(restored[:], raw)
        assert restored.cmeta["microvolts"][0] == pytest.approx(2.34375)
        assert len(restored.cmeta["probe_map"]) == 64
    assert np.load(tmp_path / f"{stem}.rms.npy").shape == (1, 65)


def test_a_file_that_was_cut_short_ends_the_task_with_its_reason(
    session: Path, tmp_path: Path
) -> None:
    """Given a raw file shorter than its .meta says, then the task is Errored, and says why."""
    folder = tmp_path / "cut" / PROBE
    folder.mkdir(parents=True)
    for path in (session / PROBE).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    raw = next(folder.glob("*.bin"))
    raw.write_bytes(raw.read_bytes()[:-1000])
    (task,) = orders("ephys.compress", tmp_path / "cut", {})
    result = run(task, tmp_path / "cut", tmp_path / "out")
    assert result.status == Status.ERRORED.label
    assert "it was cut short" in (result.error or "")
    assert not list((tmp_path / "out").rglob("*.ebin"))


def test_without_a_raw_file_nothing_is_compressed_and_it_says_so(tmp_path: Path) -> None:
    """Given a folder whose raw file was freed, then the task ends, and says why."""
    (tmp_path / PROBE).mkdir(parents=True)
    (tmp_path / PROBE / "x.imec0.ap.meta").write_text("nSavedChans=65\n")
    with pytest.raises(RawFileMissing, match="where the raw file was freed"):
        ephys.compress(tmp_path, tmp_path / "out", {"collection": PROBE})


def test_the_loudness_of_both_bands_is_told(tmp_path: Path) -> None:
    """Given a compressed probe, when it is judged, then noise and spectra are in IBL's files."""
    sorting = simulate_sorting(trials_of(20, 1), seed=1, n_units=2)
    probe = SimulatedProbe(sorting, channels=4, seed=1)
    write_probe(probe, sorting["channels.localCoordinates.npy"], 6.0, tmp_path / PROBE)
    (order,) = orders("ephys.compress", tmp_path, {"collection": PROBE})
    run(order, tmp_path, tmp_path)
    (order,) = orders("ephys.rawqc", tmp_path, {"collection": PROBE})
    result = run(order, tmp_path, tmp_path)
    assert result.status == Status.COMPLETE.label, result.error
    assert len(result.outputs) == 9
    told = result.facts.extended_qc if result.facts else {}
    # what all sites share is a wave of 40 µV and noise
    assert told["_raw_probe00_ap_rms_p90_uV"] == pytest.approx(30, rel=0.4)
    assert told["_raw_probe00_ap_saturated"] == 0
    rates = np.load(tmp_path / PROBE / "_fornix_ephysChannels.spikeRates.npy")
    assert told["_raw_probe00_ap_spikes_per_s"] == pytest.approx(rates.sum(), abs=0.01)
    power = np.load(tmp_path / PROBE / "_iblqc_ephysSpectralDensityLF.power.npy")
    assert power.shape == (513, 4)
    rms = np.load(tmp_path / PROBE / "_iblqc_ephysTimeRmsLF.rms.npy")
    assert rms[0] == pytest.approx(1e-4, rel=0.4)


def test_a_recording_without_gains_is_told(session: Path, tmp_path: Path) -> None:
    """Given a .meta without gains, then the task is Errored, and says what to do."""
    folder = tmp_path / PROBE
    folder.mkdir(parents=True)
    (order,) = orders("ephys.compress", session, {})
    run(order, session, tmp_path)
    meta = next((session / PROBE).glob("*.ap.meta"))
    lines = [line for line in meta.read_text().splitlines() if "imroTbl" not in line]
    (folder / meta.name).write_text("\n".join(lines))
    (order,) = orders("ephys.rawqc", tmp_path, {"collection": PROBE})
    assert "does not tell the gains" in (run(order, tmp_path, tmp_path).error or "")
