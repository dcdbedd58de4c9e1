"""Places of sites beside ibllib's own, and loaded by brainbox, which is installed apart."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import msgspec
import numpy as np
import pytest

from lab.simulate.recording import simulate_recording, write_recording
from lab.simulate.spikes import simulate_sorting
from lab.tasks.histology import ATLAS
from lab.tasks.run import orders, run
from shared.alf.io import save
from shared.model.histology import HistologyRecord
from shared.science.ephys.sorted_probe import Sites, SortedProbe
from shared.science.histology.annotation import BREGMA, Annotation
from shared.science.histology.places import FIRST_SITE, places_of_sites
from shared.tasks.states import Status
from tests.site.conftest import trials_of
from tests.tasks.test_histology import LOWER, STRAIGHT, UPPER, made_atlas

IBLLIB = Path(__file__).parents[2] / ".venv/ibllib/bin/python"
PROBE = "raw_ephys_data/probe00"
EDGE = 200
"""Of the voxels of the made atlas (µm)."""

DEPTHS = np.repeat(np.arange(192) * 20.0, 2)

pytestmark = pytest.mark.skipif(not IBLLIB.exists(), reason="ibllib is not installed: make ibllib")


def drawn(rng: np.random.Generator, *, aligned: bool) -> HistologyRecord:
    """Return a picked track, with up to four pairs of depths beside the outer ones."""
    way = np.array([*rng.normal(0, 0.3, 2), -1.0])
    entry = rng.uniform([-4000, -5000, -300], [4000, 2000, -50])
    down = np.sort(rng.uniform(0, 4500, rng.integers(5, 60)))[:: rng.choice([1, -1])]
    points = np.int32(entry + down[:, None] * way + rng.normal(0, 20, (down.size, 3)))
    picks = tuple(tuple(map(float, each)) for each in points)
    if not aligned:
        return HistologyRecord(picks)
    track = np.sort([-0.006, *rng.uniform(0, 0.0038, rng.integers(0, 5)), 0.006])
    feature = np.sort(track + rng.normal(0, 2e-4, track.size))
    return HistologyRecord(picks, tuple(feature.tolist()), tuple(track.tolist()), "x")


@pytest.fixture
def sorted_session(tmp_path, monkeypatch) -> Path:
    """Given a sorted probe whose alignment is resolved, its sites and channels placed."""
    np.save(tmp_path / "atlas.npy", made_atlas())
    monkeypatch.setenv(ATLAS, str(tmp_path / "atlas.npy"))
    session = tmp_path / "cache/fimbrialab/Subjects/SYN_001/2026-01-02/001"
    sorting = simulate_sorting(trials_of(20, 1), seed=1, n_units=2)
    samples = simulate_recording(sorting, seconds=0.1, channels=64, seed=1)
    write_recording(samples, sorting["channels.localCoordinates.npy"], session / PROBE)
    rng = np.random.default_rng(1)
    units = np.arange(400) % 2
    templates = np.zeros((2, 90, 64), np.float32)
    templates[0, 40, 3], templates[1, 40, 60] = -1e-4, -1e-4
    places = np.column_stack([np.tile([27.0, 59, 11, 43], 16), np.arange(64) // 2 * 20.0])
    probe = SortedProbe(
        np.sort(rng.integers(0, 3000, 400)), units, np.full(400, 1e-4),
        np.where(units, 600.0, 20.0), templates,
        Sites(places, np.arange(64), np.zeros(64, np.int64)), 30_000.0,
    )  # fmt: skip
    for name, content in probe.files(lambda at: at / 30_000).items():
        save(session / "alf/probe00/tridesclous2" / name, content)
    record = HistologyRecord(STRAIGHT, (-0.006, 0.006), (-0.0045, 0.0075), "x")
    told = msgspec.json.encode(record).decode()
    for name, given in (
        ("histology.sites", {"collection": PROBE, "histology": told}),
        (
            "histology.channels",
            {"collection": "", "output_collection": "alf/probe00/tridesclous2"},
        ),
    ):
        (order,) = orders(name, session, given)
        result = run(order, session, session)
        assert result.status == Status.COMPLETE.label, result.error
    return session


def test_places_are_ibllib_s_and_brainbox_loads_them(sorted_session, tmp_path) -> None:
    """Given 40 drawn tracks, then each site is where ibllib has it, to the micrometre."""
    rng = np.random.default_rng(7)
    records = [drawn(rng, aligned=number % 4 != 0) for number in range(40)]
    cases = [
        {"picks": one.picks, "feature": one.feature, "track": one.track,
         "depths": (DEPTHS + FIRST_SITE).tolist()}
        for one in records
    ]  # fmt: skip
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    script = Path(__file__).with_name("placed_by_iblatlas.py")
    done = subprocess.run(
        [IBLLIB, script, tmp_path / "cases.json", tmp_path / "atlas.npy", tmp_path / "cache",
         "probe00"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    theirs = json.loads(done.stdout.splitlines()[-1])
    atlas = Annotation(made_atlas())
    for record, case in zip(records, theirs["cases"], strict=True):
        places = places_of_sites(record, DEPTHS)
        np.testing.assert_array_equal(places, case["places"])
        # at 200 µm whole micrometres meet the edges of voxels; at 25 µm they do not
        corner = places + np.array([BREGMA[1], -BREGMA[0], -BREGMA[2]])
        inside = np.all(corner % EDGE != EDGE / 2, axis=1)
        found, expected = atlas.regions_at(places), np.array(case["regions"])
        np.testing.assert_array_equal(found[inside], expected[inside])
        assert inside.mean() > 0.9
    assert {UPPER, LOWER} <= {one for case in theirs["cases"] for one in case["regions"]}

    assert theirs["histology"] == "alf"
    heights = np.load(sorted_session / "alf/probe00/electrodeSites.mlapdv.npy")[:, 2]
    np.testing.assert_allclose(theirs["channels"]["z"], heights / 1e6)
    expected = np.where(heights > -2268 - 100, UPPER, LOWER)
    names = {UPPER: "Isocortex", LOWER: "CP"}
    assert theirs["channels"]["acronym"] == [names[each] for each in expected]
    assert theirs["units"]["atlas_id"] == expected[[3, 60]].tolist()
    np.testing.assert_allclose(theirs["units"]["z"], heights[[3, 60]] / 1e6)
