"""Where the sites of a probe are in the brain, by its track, its alignment and an atlas."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from lab.simulate.recording import simulate_recording, write_recording
from lab.simulate.spikes import simulate_sorting
from lab.tasks.histology import ATLAS, can_run
from lab.tasks.run import orders, run
from shared.model.histology import HistologyRecord, resolved
from shared.science.errors import RawFileInvalid
from shared.science.histology.annotation import Annotation, read_annotation
from shared.science.histology.places import along, places_of_sites
from shared.tasks.planning import plan
from shared.tasks.states import Status
from tests.site.conftest import trials_of

EID = "0f6b3c4e-95b4-4d4b-8f5b-6d0c2f1a9b3d"
PROBE = "raw_ephys_data/probe00"

STRAIGHT = tuple((-1000.0, 500.0, float(dv)) for dv in range(-200, -4201, -500))
"""A track that goes straight down to 4.2 mm, where its tip is."""

DEPTHS = np.array([0.0, 20.0, 1000.0])
CUT = 1
"""µm by which places that are cut to whole ones may differ."""

DEEPEST = -4200 + 200 + 20
"""The deepest site lies above the tip."""

UPPER, LOWER = 315, 672
"""Numbers of two regions: the isocortex above, the striatum below."""

BORDER = -2300
"""Height between them in the made atlas (µm)."""


def made_atlas() -> np.ndarray:
    """Return a volume of 200 µm: two regions, one above the other, in nothing."""
    volume = np.zeros((66, 57, 40), np.uint32)
    height = 332 - 200 * np.arange(40)
    volume[10:50, 10:50, 2:] = np.where(height > BORDER, UPPER, LOWER)[2:]
    return volume


def nrrd(folder: Path, volume: np.ndarray, **changed: str) -> Path:
    """Write a volume as the Allen Institute does, with the axes AP, DV, ML."""
    turned = volume.transpose(0, 2, 1)
    head = {
        "type": "unsigned int",
        "dimension": "3",
        "sizes": " ".join(map(str, turned.shape)),
        "endian": "little",
        "encoding": "gzip",
    } | changed
    text = "NRRD0004\n" + "".join(f"{name}: {value}\n" for name, value in head.items()) + "\n"
    body = turned.astype("<u4").tobytes(order="F")
    path = folder / "annotation_200.nrrd"
    path.write_bytes(text.encode() + (gzip.compress(body) if head["encoding"] == "gzip" else body))
    return path


def test_sites_lie_along_the_track_above_its_tip() -> None:
    places = places_of_sites(HistologyRecord(STRAIGHT), DEPTHS)
    assert places.dtype == np.int32
    assert places.tolist() == [[-1000, 500, DEEPEST + int(depth)] for depth in DEPTHS]


def test_the_order_of_the_picked_points_means_nothing() -> None:
    backwards = HistologyRecord(STRAIGHT[::-1])
    assert np.array_equal(
        places_of_sites(backwards, DEPTHS), places_of_sites(HistologyRecord(STRAIGHT), DEPTHS)
    )


def test_depths_of_the_recording_are_warped_onto_the_track() -> None:
    """Given two depths that lie elsewhere on the track, then sites between them follow."""
    same = (-0.006, 0.006)
    plain = HistologyRecord(STRAIGHT, same, same, "x")
    np.testing.assert_allclose(places_of_sites(plain, DEPTHS)[:, 2], DEEPEST + DEPTHS, atol=CUT)
    shifted = HistologyRecord(STRAIGHT, same, (-0.0058, 0.0062), "x")
    found = places_of_sites(shifted, DEPTHS)[:, 2]
    np.testing.assert_allclose(found, DEEPEST + 200 + DEPTHS, atol=CUT)
    # above the uppermost picked point the track goes on
    high = places_of_sites(shifted, np.array([3900.0]))
    np.testing.assert_allclose(high, [[-1000, 500, DEEPEST + 4100]], atol=CUT)


def test_a_bent_track_is_followed() -> None:
    track = np.array([[0.0, 0, -2], [0, 0, -1], [1, 0, -1]])
    assert along(track, np.array([0.5, 1.5, 9])).tolist() == [
        [0, 0, -1.5],
        [0.5, 0, -1],
        [1, 0, -1],
    ]


@pytest.mark.parametrize(
    "record",
    [
        HistologyRecord(()),
        HistologyRecord((STRAIGHT[0],) * 5),
        HistologyRecord(((float("nan"), 0.0, 0.0), *STRAIGHT)),
        HistologyRecord(STRAIGHT, (0.0, 0.0), (0.0, 1.0), "x"),
        HistologyRecord(STRAIGHT, (0.0, 1.0), (0.0,), "x"),
        HistologyRecord(STRAIGHT, (0.0,), (0.0,), "x"),
        HistologyRecord(tuple((x, 0.0, -1.0) for x in range(9)), (0.0, 1.0), (0.0, 1.0), "x"),
    ],
)
def test_a_record_that_tells_no_track_is_refused(record) -> None:
    with pytest.raises(
        RawFileInvalid, match=r"the histology of the probe: (its track|the alignment)"
    ):
        places_of_sites(record, DEPTHS)


def test_a_place_has_the_region_of_its_voxel_and_none_outside(tmp_path) -> None:
    for path in (nrrd(tmp_path, made_atlas()), tmp_path / "atlas.npy"):
        np.save(tmp_path / "atlas.npy", made_atlas())
        atlas = read_annotation(path)
        places = np.array([[0, 0, -1000], [0, 0, -4000], [-5600, 0, -1000], [0, 0, 9000]])
        assert atlas.regions_at(places).tolist() == [UPPER, LOWER, 0, 0]
        # AP rises to the front, the volume to the back
        assert atlas.regions_at(np.array([[0, 5300, -1000], [0, -4000, -1000]])).tolist() == [
            0,
            UPPER,
        ]


@pytest.mark.parametrize(
    "changed",
    [
        {"encoding": "bzip2"},
        {"type": "block"},
        {"endian": "big"},
        {"sizes": "66 40"},
        {"sizes": "9 9 9"},
    ],
)
def test_a_file_that_is_no_atlas_is_named(tmp_path, changed) -> None:
    with pytest.raises(RawFileInvalid, match=r"annotation_200\.nrrd"):
        read_annotation(nrrd(tmp_path, made_atlas(), **changed))


def test_a_truncated_atlas_is_named(tmp_path) -> None:
    path = nrrd(tmp_path, made_atlas())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RawFileInvalid, match="no volume of an atlas"):
        read_annotation(path)
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(RawFileInvalid, match="no volume of an atlas"):
        read_annotation(tmp_path / "a.npy")
    with pytest.raises(RawFileInvalid, match="not those of the Allen atlas"):
        Annotation(np.zeros((2, 3, 4)))


JSON = {
    "xyz_picks": [list(map(int, each)) for each in STRAIGHT],
    "extended_qc": {"alignment_resolved": True, "alignment_stored": "2026-01-01T10:00:00_ann"},
}
ALIGNMENTS = {"2026-01-01T10:00:00_ann": [[-0.006, 0.006], [-0.0058, 0.0062], "PASS: None"]}


def test_histology_has_decided_when_the_alignment_is_resolved() -> None:
    record = resolved(JSON, ALIGNMENTS)
    assert record is not None
    assert (record.track, record.key) == ((-0.0058, 0.0062), "2026-01-01T10:00:00_ann")
    undecided = JSON["extended_qc"] | {"alignment_resolved": False}
    for insertion, alignments in (
        (JSON | {"extended_qc": undecided}, ALIGNMENTS),
        (JSON, {}),
        (JSON, None),
        (JSON, {"2026-01-01T10:00:00_ann": "x"}),
        ({**JSON, "xyz_picks": [[1, 2]]}, ALIGNMENTS),
        (None, ALIGNMENTS),
        ("x", ALIGNMENTS),
    ):
        assert resolved(insertion, alignments) is None


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """Given a session with a probe's recording."""
    sorting = simulate_sorting(trials_of(20, 1), seed=1, n_units=2)
    samples = simulate_recording(sorting, seconds=0.1, channels=8, seed=1)
    write_recording(samples, sorting["channels.localCoordinates.npy"], tmp_path / "s" / PROBE)
    return tmp_path / "s"


def done(name: str, session: Path, **given: str):
    (order,) = orders(name, session, given)
    return run(order, session, session)


def test_sites_channels_and_units_get_places_and_regions(session, tmp_path, monkeypatch) -> None:
    """Given a resolved alignment and an atlas, when the tasks run, then all know their region."""
    monkeypatch.setenv(ATLAS, str(nrrd(tmp_path, made_atlas())))
    record = HistologyRecord(STRAIGHT, (-0.006, 0.006), (-0.0045, 0.0075), "x")
    told = msgspec.json.encode(record).decode()
    result = done("histology.sites", session, collection=PROBE, histology=told)
    assert result.status == Status.COMPLETE.label, result.error
    alf = session / "alf/probe00"
    sites = {
        name: np.load(alf / f"electrodeSites.{name}.npy")
        for name in ("localCoordinates", "mlapdv", "brainLocationIds_ccf_2017")
    }
    assert sites["localCoordinates"][:, 1].tolist() == [0, 0, 20, 20, 40, 40, 60, 60]
    heights = sites["mlapdv"][:, 2]
    expected = DEEPEST + 1500 + sites["localCoordinates"][:, 1]
    np.testing.assert_allclose(heights, expected, atol=CUT)
    assert set(sites["brainLocationIds_ccf_2017"].tolist()) == {LOWER}

    # a sorter may have left out channels
    sorted_into = alf / "tridesclous2"
    sorted_into.mkdir()
    np.save(sorted_into / "channels.localCoordinates.npy", sites["localCoordinates"][2:])
    np.save(sorted_into / "clusters.channels.npy", np.array([5, 0, 0]))
    (planned,) = (
        task
        for task in plan(EID, [str(path.relative_to(session)) for path in session.rglob("*.npy")])
        if task.name == "histology.channels"
    )
    assert planned.arguments["output_collection"] == "alf/probe00/tridesclous2"
    result = done("histology.channels", session, **{"collection": "", **planned.arguments})
    assert result.status == Status.COMPLETE.label, result.error
    places = np.load(sorted_into / "channels.mlapdv.npy")
    np.testing.assert_array_equal(places[:, 2], heights[:6])  # both from their deepest site
    assert np.load(sorted_into / "clusters.mlapdv.npy").tolist() == places[[5, 0, 0]].tolist()
    regions = np.load(sorted_into / "clusters.brainLocationIds_ccf_2017.npy")
    assert (regions.dtype, regions.tolist()) == (np.int32, [LOWER] * 3)


def test_without_an_atlas_the_task_is_left_to_computers_that_have_one(
    session, monkeypatch
) -> None:
    monkeypatch.delenv(ATLAS, raising=False)
    assert not can_run("histology.sites")
    assert can_run("histology.channels")
    told = msgspec.json.encode(HistologyRecord(STRAIGHT)).decode()
    result = done("histology.sites", session, collection=PROBE, histology=told)
    # the computer's trouble, not the task's fault: it is given back with the reason
    assert (result.trouble, ATLAS in (result.error or "")) == ("environment", True)
    monkeypatch.setenv(ATLAS, "/nowhere/annotation_25.nrrd")
    assert "is no file" in (
        done("histology.sites", session, collection=PROBE, histology=told).error or ""
    )


def test_a_probe_of_several_shanks_is_not_placed_by_one_track(
    session, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv(ATLAS, str(nrrd(tmp_path, made_atlas())))
    (meta,) = (session / PROBE).glob("*.meta")
    meta.write_text(meta.read_text().replace("(0:0:20:1)", "(1:0:20:1)"))
    told = msgspec.json.encode(HistologyRecord(STRAIGHT)).decode()
    result = done("histology.sites", session, collection=PROBE, histology=told)
    assert "several shanks" in (result.error or "")


@pytest.mark.parametrize("told", ["", "{}", "[1]", json.dumps({"picks": [[1, 2]]})])
def test_a_record_that_is_none_is_told(session, tmp_path, monkeypatch, told) -> None:
    monkeypatch.setenv(ATLAS, str(nrrd(tmp_path, made_atlas())))
    result = done("histology.sites", session, collection=PROBE, histology=told)
    assert result.status == Status.ERRORED.label
    assert "resolve the alignment of the probe again" in (result.error or "")


@pytest.mark.parametrize(
    ("peaks", "n_sites", "reason"),
    [([9], 2, "beyond the 2 channels"), ([0], 1, "have 1, 2, 2 sites")],
)
def test_files_that_contradict_each_other_are_refused(tmp_path, peaks, n_sites, reason) -> None:
    alf = tmp_path / "alf/probe00"
    alf.mkdir(parents=True)
    np.save(alf / "electrodeSites.localCoordinates.npy", np.zeros((n_sites, 2)))
    np.save(alf / "electrodeSites.mlapdv.npy", np.zeros((2, 3), np.int32))
    np.save(alf / "electrodeSites.brainLocationIds_ccf_2017.npy", np.zeros(2, np.int32))
    np.save(alf / "channels.localCoordinates.npy", np.zeros((2, 2)))
    np.save(alf / "clusters.channels.npy", np.array(peaks))
    result = done("histology.channels", tmp_path, collection="")
    assert reason in (result.error or "")
