"""``fornix export nwb`` of raw data: recordings, the NI board, videos; copied and by reference."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from numcodecs import get_codec

pytest.importorskip("pynwb", reason="the extra [nwb] is not installed")

from lab.exports.folder import FolderSession
from lab.exports.nwb import recordings
from lab.exports.nwb.board import board_of
from lab.exports.nwb.export import export_raw
from lab.exports.session import ExportError
from shared.codec.errors import CodecError
from shared.codec.reader import Reader
from tests.exports import sessions
from tests.exports.test_nwb import HDF5, run
from tests.exports.test_nwb import read as read


def test_a_recording_is_read_a_chunk_at_a_time_and_each_once(tmp_path, monkeypatch):
    # Given a recording of many compressed chunks
    folder = sessions.make(tmp_path / "data")
    sessions.write_recording(folder, "probe00", samples=6_100, chunk_length=600)
    asked = []
    read_rows = Reader.read

    def watched(self, start, stop, *more, **options):
        asked.append(stop - start)
        return read_rows(self, start, stop, *more, **options)

    monkeypatch.setattr(Reader, "read", watched)
    progress = []
    # When it is exported with chunks of a few kilobytes
    monkeypatch.setattr(recordings, "CHUNK_BYTES", 3_200)
    out = tmp_path / "out"
    export_raw(
        FolderSession(folder), out, HDF5, lambda *told: progress.append(told), checked=False
    )
    # Then no read is longer than a compressed chunk, and every chunk is wanted once
    assert max(asked) == 600
    assert sum(asked) == 6_100
    assert progress[-1] == ("ElectricalSeriesProbe00AP", 6_100, 6_100)


def test_a_board_s_analog_lines_are_named_and_in_volts(tmp_path, read):
    # Given a board with two analog lines, of which one is wired
    folder = sessions.make(tmp_path / "data")
    sessions.write_recording(folder, "probe00")
    sessions.write_sync(folder)
    samples = sessions.write_board(folder)
    written = export_raw(FolderSession(folder), tmp_path / "out", HDF5)
    nwb = read(written.path)
    series = nwb.acquisition["TimeSeriesNIDQ"]
    np.testing.assert_array_equal(series.data[:], samples[:, :2])
    assert (series.rate, series.unit, series.conversion) == (30_003.0003, "V", 5 / 32768)
    assert "XA0 bpod, XA1." in series.description
    assert nwb.acquisition["SyncNidqLine03"].description.startswith("Line 3, imec_sync: ")
    # and without its .meta nobody knows which channels they are
    (folder / "raw_ephys_data" / "_spikeglx_ephysData_g0_t0.nidq.meta").unlink()
    with pytest.raises(ExportError, match=r"\.meta beside it"):
        export_raw(FolderSession(folder), tmp_path / "out", HDF5)


@pytest.mark.parametrize("of_board", [{"snsMnMaXaDw": "0,0,0,1"}, {"snsMnMaXaDw": "0,0,9,1"}, {}])
def test_a_board_s_meta_is_believed_as_far_as_the_recording_agrees(tmp_path, of_board):
    folder = sessions.make(tmp_path / "data")
    sessions.write_board(folder)
    meta = folder / "raw_ephys_data" / "_spikeglx_ephysData_g0_t0.nidq.meta"
    kept = [line for line in meta.read_text().splitlines() if not line.startswith("snsMn")]
    meta.write_text("\n".join([*kept, *(f"{key}={value}" for key, value in of_board.items())]))
    if of_board == {"snsMnMaXaDw": "0,0,0,1"}:
        assert board_of(FolderSession(folder)) is None
    else:
        with pytest.raises((ExportError, CodecError), match=r"meta|board"):
            board_of(FolderSession(folder))


def test_a_wiring_that_is_none_is_named(tmp_path):
    folder = sessions.make(tmp_path / "data")
    sessions.write_recording(folder, "probe00")
    sessions.write_sync(folder)
    wiring = folder / "raw_ephys_data" / "_spikeglx_ephysData_g0_t0.nidq.wiring.json"
    wiring.write_text('{"SYNC_WIRING_DIGITAL": {"imec_sync": 3}}')
    with pytest.raises(ExportError, match=r"wiring\.json.*no pin"):
        export_raw(FolderSession(folder), tmp_path / "out", HDF5)


def test_videos_of_a_session_without_recording_have_a_raw_file(tmp_path, read):
    folder = sessions.make(tmp_path / "data")
    sessions.write_camera(folder)
    done = run(folder, "--out", tmp_path / "out", "--raw", "--json")
    assert done.exit_code == 0, done.output
    raw = Path(json.loads(done.stdout.splitlines()[1])["path"])
    assert raw.name.endswith("_desc-raw_image.nwb")
    film = read(raw).acquisition["VideoLeftCamera"]
    assert (raw.parent / film.external_file[0]).is_file()


def test_by_reference_nothing_of_a_recording_is_copied(tmp_path):
    folder = sessions.make(tmp_path / "data")
    ap = sessions.write_recording(folder, "probe00", samples=6_250, chunk_length=600)
    sessions.write_board(folder)
    sessions.write_camera(folder)
    done = run(folder, "--out", tmp_path / "out", "--reference", "--json")
    assert done.exit_code == 0, done.output
    path = Path(json.loads(done.stdout.splitlines()[1])["path"])
    refs = json.loads(path.read_text())["refs"]
    series = "acquisition/ElectricalSeriesProbe00AP"
    assert refs[f"{series}/.zattrs"]["neurodata_type"] == "ElectricalSeries"
    codec = get_codec(refs[f"{series}/data/.zarray"]["filters"][0])
    chunks = []
    for number in range(11):
        recording, start, length = refs[f"{series}/data/{number}.0"]
        stored = Path(recording).read_bytes()[start : start + length]
        chunks.append(np.frombuffer(codec.decode(stored), np.int16).reshape(600, 8))
    np.testing.assert_array_equal(np.concatenate(chunks)[:6_250], ap[:, :-1])
    assert refs["acquisition/TimeSeriesNIDQ/data/.zarray"]["shape"] == [2_000, 2]
    film = refs["acquisition/VideoLeftCamera/external_file/0"]
    assert b"leftCamera.raw.mp4" in base64.b64decode(film.removeprefix("base64:"))


def test_a_probe_whose_clock_bends_has_a_time_for_each_sample(tmp_path, read):
    folder = sessions.make(tmp_path / "data")
    sessions.write_recording(folder, "probe00")
    knots = np.array([[0, 1.0], [1_000, 1.0 + 1_000 / 30_000], [2_500, 1.2]])
    sessions.write_clock(folder, "probe00", knots)
    written = export_raw(FolderSession(folder), tmp_path / "out", HDF5, checked=False)
    series = read(written.path).acquisition["ElectricalSeriesProbe00AP"]
    assert series.rate is None
    expected = np.interp(np.arange(2_500), *knots.T)
    np.testing.assert_allclose(series.timestamps[:], expected, rtol=0, atol=1e-12)
