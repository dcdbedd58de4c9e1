"""A file name finds exactly one dataset type and one format."""

from __future__ import annotations

import pytest

from shared.alf import (
    DATA_FORMATS,
    DATASET_TYPES,
    DataFormatNotFound,
    DatasetType,
    DatasetTypeAmbiguous,
    DatasetTypeNotFound,
    data_format,
    is_valid,
    match_dataset_type,
    uuid_in,
    with_uuid,
    without_uuid,
)
from shared.alf.errors import ALFInvalid

UUID = "a976e418-c8b8-4d24-be47-d05120b18341"


def example_name(dataset_type: DatasetType) -> str:
    """A file name that the pattern of a type matches."""
    name = dataset_type.filename_pattern or dataset_type.name + ".*"
    return (
        name.replace("_*_", "_ibl_")
        .replace("[._]*", ".npy")
        .replace(".*", ".npy")
        .replace("*", "")
    )


@pytest.mark.parametrize("name", [n for n in DATASET_TYPES if n != "unknown"])
def test_every_type_describes_a_name_that_no_other_type_claims(name: str) -> None:
    filename = example_name(DATASET_TYPES[name])
    assert match_dataset_type(filename).name == name
    assert match_dataset_type("alf/" + filename.upper()).name == name


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("_iblrig_taskData.raw.jsonable", "_iblrig_taskData.raw"),
        ("_iblrig_leftCamera.raw.avi", "_iblrig_Camera.raw"),
        ("_ibl_leftCamera.times.npy", "camera.times"),
        ("_ibl_trials.table.pqt", "trials.table"),
        ("_ibl_subjectTrials.table.pqt", "subjectTrials.table"),
        ("trials.intervals.npy", "trials.intervals"),
        ("_ibl_trials.intervals_bpod.npy", "trials.intervals_bpod"),
        ("_ibl_passiveTrials.stimOn_times.npy", "passiveTrials.stimOn_times"),
        ("_ibl_trials.goCueTrigger_times.npy", "trials.goCueTrigger_times"),
        ("_spikeglx_ephysData_g0_t0.imec0.ap.cbin", "ephysData.raw.ap"),
        ("_spikeglx_ephysData_g0_t0.imec0.ap.meta", "ephysData.raw.meta"),
        ("_spikeglx_ephysData_g0_t0.imec0.sync.npy", "ephysData.raw.sync"),
        ("_spikeglx_sync.times.probe00.npy", "_spikeglx_sync.times"),
        (f"alf/probe00/spikes.times.{UUID}.npy", "spikes.times"),
        ("SPIKES.TIMES.NPY", "spikes.times"),
        ("clusters.waveformsChannels.npy", "clusters.waveformsChannels"),
        ("clusters.brainLocationIds_ccf_2017.npy", "clusters.brainLocationIds_ccf_2017"),
        ("widefield.raw.meta.json", "widefield.raw.meta"),
        ("_timeline_DAQdata.raw.npy", "DAQdata.raw"),
        ("raw_session.flag", "raw_session.flag"),
    ],
)
def test_real_names_find_their_type(filename: str, name: str) -> None:
    assert match_dataset_type(filename).name == name


def test_a_misspelt_name_has_no_type() -> None:
    with pytest.raises(DatasetTypeNotFound) as refused:
        match_dataset_type("alf/_ibl_trails.table.pqt")
    assert refused.value.text == "trails.table"
    assert refused.value.code == "unknown_dataset_type"


def test_a_name_that_two_types_claim_is_ambiguous_unless_one_is_named_so() -> None:
    general = DatasetType("spike stuff", "spikes.*", "", "", "")
    other = DatasetType("npy stuff", "*.npy", "", "", "")
    exact = DatasetType("spikes.times", "", "", "", "")
    with pytest.raises(DatasetTypeAmbiguous, match=r"npy stuff, spike stuff"):
        match_dataset_type("spikes.times.npy", [general, other])
    assert match_dataset_type("spikes.times.npy", [general, other, exact]) is exact


def test_a_type_without_pattern_is_matched_by_object_and_attribute() -> None:
    own = DatasetType("spikes.mine", "", "", "", "")
    assert match_dataset_type("_lab_spikes.mine_ephysClock.part01.npy", [own]) is own
    stem = DatasetType("my notes", "", "", "", "")
    assert match_dataset_type("my notes.txt", [stem]) is stem


def test_formats_are_found_by_extension() -> None:
    assert data_format("alf/spikes.times.npy") is DATA_FORMATS["npy"]
    assert data_format("_ibl_trials.table.pqt").name == "parquet"
    with pytest.raises(DataFormatNotFound, match="exe"):
        data_format("spikes.times.exe")


def test_uuids_are_put_into_names_and_taken_out() -> None:
    name = "alf/#2020-01-01#/spikes.times.npy"
    stored = with_uuid(name, UUID)
    assert stored == f"alf/#2020-01-01#/spikes.times.{UUID}.npy"
    assert is_valid(stored)
    assert without_uuid(stored) == name
    assert str(uuid_in(stored)) == UUID
    assert uuid_in(name) is None
    assert without_uuid(name) == name
    other = "b976e418-c8b8-4d24-be47-d05120b18341"
    assert with_uuid(stored, other) == stored.replace(UUID, other)


@pytest.mark.parametrize(
    "uuid",
    ["", "spam", UUID.upper(), UUID.replace("-", ""), "018f6f3e-7b1a-7c3d-9e4f-001122334455"],
)
def test_only_uuids_that_clients_accept_are_put_into_names(uuid: str) -> None:
    with pytest.raises(ALFInvalid):
        with_uuid("spikes.times.npy", uuid)


def test_a_name_without_extension_takes_no_uuid() -> None:
    with pytest.raises(ALFInvalid):
        with_uuid("alf.v1/notes", UUID)
