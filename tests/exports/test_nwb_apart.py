"""NWB as Zarr and by reference, with libraries that exclude zarr 3 (`make nwb`)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

lindi = pytest.importorskip("lindi", reason="lindi is installed apart: make nwb")

from click.testing import CliRunner  # noqa: E402
from pynwb import NWBHDF5IO  # noqa: E402

from lab.commands.export import export  # noqa: E402
from lab.exports.nwb.lindi import references_of  # noqa: E402
from tests.exports import sessions  # noqa: E402


@pytest.fixture
def folder(tmp_path):
    """A session with behaviour, spikes and a compressed recording whose last chunk is shorter."""
    folder = sessions.make(tmp_path / "data")
    sessions.write_spikes(folder, "probe00", seed=2)
    return folder


def run(*arguments: object) -> list[Path]:
    done = CliRunner().invoke(export, ["nwb", *map(str, arguments), "--json"])
    assert done.exit_code == 0, done.output
    return [Path(json.loads(line)["path"]) for line in done.stdout.splitlines()]


def test_a_recording_is_read_by_reference_and_equals_the_raw_file(folder, tmp_path):
    ap = sessions.write_recording(folder, "probe00", samples=6_250, chunk_length=600)
    lf = sessions.write_recording(folder, "probe00", "lf", samples=500)
    board = sessions.write_board(folder)
    sessions.write_camera(folder)
    sessions.write_sync(folder)
    _, path = run(folder, "--out", tmp_path / "out", "--reference")
    # Then the JSON is small, for it holds none of the samples
    assert path.name.endswith("_desc-raw_ecephys.nwb.lindi.json")
    refs = json.loads(path.read_text())["refs"]
    chunks = [value for value in refs.values() if isinstance(value, list)]
    assert {Path(value[0]).suffix for value in chunks} == {".ebin"}
    assert len(chunks) == 11 + 1 + 4
    # And pynwb reads it as any file
    file = lindi.LindiH5pyFile.from_lindi_file(str(path))
    nwb = NWBHDF5IO(file=file, mode="r").read()
    np.testing.assert_array_equal(nwb.acquisition["TimeSeriesNIDQ"].data[:], board[:, :2])
    assert Path(nwb.acquisition["VideoLeftCamera"].external_file[0]).is_file()
    for name, data in (("AP", ap), ("LF", lf)):
        series = nwb.acquisition[f"ElectricalSeriesProbe00{name}"]
        assert series.data.shape == (len(data), 8)
        np.testing.assert_array_equal(series.data[:], data[:, :-1])
        np.testing.assert_array_equal(series.data[130:155, :3], data[130:155, :3])
    assert nwb.subject.subject_id
    assert len(nwb.electrodes) == 384
    assert sorted(p.name for p in path.parent.iterdir() if p.name.startswith(".")) == []


def test_every_dataset_and_attribute_reads_as_in_hdf5(folder, tmp_path):
    """Given a file with texts, references, records, scalars and numbers that JSON lacks."""
    run(folder, "--out", tmp_path / "out")
    (path,) = (tmp_path / "out").rglob("*.nwb")
    with h5py.File(path, "r+") as file:
        file["general"].attrs["odd"] = [np.nan, np.inf, -np.inf, 1.5]
        file["general"].create_dataset("nothing", shape=(0, 3), dtype="f4")
        file["general"]["there"] = h5py.SoftLink("/processing/wheel")
        record = np.dtype([("a", "i4"), ("to", h5py.ref_dtype)])
        rows = np.array([(1, file["units"].ref), (2, file["general"].ref)], record)
        file["general"].create_dataset("records", data=rows)
    told = {"version": 1, "refs": references_of(path)}
    ours = lindi.LindiH5pyFile.from_reference_file_system(told)
    count = 0
    with h5py.File(path, "r") as file:

        def compare(name: str, item: object) -> None:
            nonlocal count
            count += 1
            read = ours[name]
            assert set(read.attrs) == set(item.attrs), name
            for key, value in item.attrs.items():
                if isinstance(value, h5py.Reference):
                    assert ours[read.attrs[key]].name == file[value].name
                else:
                    np.testing.assert_array_equal(np.asarray(read.attrs[key]), value)
            if not isinstance(item, h5py.Dataset) or item.dtype.names:
                return
            assert (read.shape, read.ndim) == (item.shape, item.ndim)
            if h5py.check_ref_dtype(item.dtype):
                here = [file[one].name for one in item[()].ravel()]
                assert [ours[one].name for one in np.ravel(read[()])] == here
            elif item.dtype.kind == "O":
                texts = item.asstr()[()]
                np.testing.assert_array_equal(np.asarray(read[()], object), texts)
            elif item.size:
                np.testing.assert_array_equal(read[()], item[()])
                assert read.dtype == item.dtype

        file.visititems(compare)
        assert count > 100
    assert ours["general/there"].name == "/processing/wheel"
    records = ours["general/records"]
    assert [int(value) for value in records["a"][:]] == [1, 2]
    assert [ours[one].name for one in records["to"][:]] == ["/units", "/general"]


def test_zarr_holds_what_hdf5_holds(folder, tmp_path):
    from hdmf_zarr import NWBZarrIO

    ap = sessions.write_recording(folder, "probe00")
    paths = run(folder, "--out", tmp_path / "out", "--raw", "--backend", "zarr")
    assert [path.name.endswith(".nwb.zarr") for path in paths] == [True, True]
    with NWBZarrIO(str(paths[0]), "r") as file:
        nwb = file.read()
        assert len(nwb.trials.to_dataframe()) == 20
        times = np.concatenate(nwb.units.to_dataframe()["spike_times"].to_list())
        whole = np.load(folder / "alf" / "probe00" / "spikes.times.npy")
        np.testing.assert_array_equal(np.sort(times), np.sort(whole))
    with NWBZarrIO(str(paths[1]), "r") as file:
        data = file.read().acquisition["ElectricalSeriesProbe00AP"].data[:]
        np.testing.assert_array_equal(data, ap[:, :-1])


def test_dandi_takes_the_files(folder, tmp_path):
    sessions.write_recording(folder, "probe00")
    run(folder, "--out", tmp_path / "dandiset", "--raw", "--institution", "Fimbria Institute")
    (tmp_path / "dandiset" / "dandiset.yaml").write_text("identifier: '000409'\nname: Test\n")
    command = [Path(sys.executable).with_name("dandi"), "validate", tmp_path / "dandiset"]
    done = subprocess.run(
        list(map(str, command)),
        env={"DANDI_NO_ET": "1", "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert "No errors found" in done.stdout + done.stderr, done.stdout + done.stderr
