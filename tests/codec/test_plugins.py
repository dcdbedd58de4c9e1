"""The codec in numcodecs and SpikeInterface."""

from __future__ import annotations

import threading
from importlib import metadata
from itertools import pairwise
from pathlib import Path

import numcodecs
import numpy as np
import pytest

from shared import codec, recordings
from shared.recordings.numcodec import FornixCodec
from tests.codec.arrays import adversarial, recording


def test_numcodecs_finds_it_by_its_name() -> None:
    coder = numcodecs.get_codec({"id": "fornix", "level": "fast"})
    assert isinstance(coder, FornixCodec)
    assert coder.get_config() == {"id": "fornix", "level": "fast"}
    with pytest.raises(ValueError, match="no level 'best'"):
        numcodecs.get_codec({"id": "fornix", "level": "best"})


def test_numcodecs_round_trips() -> None:
    coder = FornixCodec()
    for dtype in ("int16", "int32"):
        for name, samples in adversarial(dtype).items():
            data = coder.encode(samples)
            np.testing.assert_array_equal(coder.decode(data), samples, err_msg=name)
            out = np.empty(samples.shape, samples.dtype)
            coder.decode(data, out)
            np.testing.assert_array_equal(out, samples, err_msg=name)


def test_numcodecs_detects_damage_and_foreign_types() -> None:
    coder = FornixCodec()
    data = bytearray(coder.encode(recording()))
    data[-1] ^= 1
    with pytest.raises(codec.CorruptionError):
        coder.decode(bytes(data))
    with pytest.raises(codec.CodecError, match="float64"):
        coder.encode(np.zeros((4, 4)))


def test_numcodecs_reads_any_chunk_of_a_file(tmp_path: Path) -> None:
    """Given byte ranges of a file as references name them, padded and of a shorter last chunk."""
    samples = recording(2500, 6)
    index = recordings.compress(samples, tmp_path / "a.ebin", sample_rate=1000, chunk_length=1000)
    data = (tmp_path / "a.ebin").read_bytes()
    ranges = [data[a:b] for a, b in pairwise(index.offsets)]
    plain, filled = FornixCodec(), FornixCodec(length=1000)
    np.testing.assert_array_equal(plain.decode(ranges[1]), samples[1000:2000])
    np.testing.assert_array_equal(plain.decode(ranges[1] + bytes(5000)), samples[1000:2000])
    assert plain.decode(ranges[2]).shape == (500, 6)
    last = filled.decode(ranges[2])
    np.testing.assert_array_equal(last[:500], samples[2000:])
    assert last.shape == (1000, 6)
    assert not last[500:].any()
    assert numcodecs.get_codec(filled.get_config()) == filled
    with pytest.raises(codec.TruncationError):
        plain.decode(ranges[1][:-1])


def test_other_programs_find_it_by_its_name() -> None:
    """Given Fornix is installed, numcodecs and Zarr 3 learn of it without importing it."""
    try:
        declared = metadata.distribution("fornix").entry_points
    except metadata.PackageNotFoundError:
        pytest.skip("Fornix itself is not installed here")
    groups = {each.group: each.value for each in declared if each.name == "fornix"}
    assert groups["numcodecs.codecs"] == "shared.recordings.numcodec:FornixCodec"
    assert groups["zarr.codecs"] == "shared.recordings.zarr:FornixArrayCodec"


def test_zarr_3_reads_and_writes_it(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", "3", reason="Zarr 3 is not installed")
    samples = recording(2500, 6)
    options = {"shape": samples.shape, "chunks": (1000, 6), "dtype": "int16", "compressors": None}
    from shared.recordings.zarr import FornixArrayCodec

    written = zarr.create_array(tmp_path / "a.zarr", serializer=FornixArrayCodec(), **options)
    written[:] = samples
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "a.zarr", mode="r")[:], samples)


def test_spikeinterface_reads_it(tmp_path: Path) -> None:
    pytest.importorskip("spikeinterface", reason="SpikeInterface is not installed")
    from spikeinterface.core import load

    from shared.recordings.spikeinterface import FornixRecordingExtractor, read_fornix

    samples = recording(3000, 6)
    recordings.compress(samples, tmp_path / "a.ebin", sample_rate=1000, chunk_length=700)
    extractor = read_fornix(tmp_path / "a.ebin", gain_to_uv=2.34)
    assert extractor.get_num_channels() == 6
    assert extractor.get_sampling_frequency() == 1000
    assert extractor.get_num_samples() == 3000
    traces = extractor.get_traces(start_frame=650, end_frame=1500, channel_ids=[1, 4])
    np.testing.assert_array_equal(traces, samples[650:1500, [1, 4]])
    scaled = extractor.get_traces(end_frame=10, return_in_uV=True)
    np.testing.assert_allclose(scaled, samples[:10] * 2.34, rtol=1e-6)
    extractor.dump(tmp_path / "recording.json")
    again = load(tmp_path / "recording.json")
    assert isinstance(again, FornixRecordingExtractor)
    np.testing.assert_array_equal(again.get_traces(), samples)


def test_spikeinterface_reads_an_address(tmp_path: Path) -> None:
    """Given a recording on a web server: the footer, and then one request a second."""
    pytest.importorskip("spikeinterface", reason="SpikeInterface is not installed")
    from shared.recordings.spikeinterface import read_fornix
    from tests.codec.test_remote import Server

    samples = recording(9500, 6)
    recordings.compress(samples, tmp_path / "a.ebin", sample_rate=1000, chunk_length=1000)
    server = Server(tmp_path)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        extractor = read_fornix(server.address("a.ebin"))
        assert extractor.get_num_samples() == 9500
        server.asked.clear()
        traces = extractor.get_traces(start_frame=1400, end_frame=2400, channel_ids=[4, 1])
        np.testing.assert_array_equal(traces, samples[1400:2400, [4, 1]])
        assert len(server.asked) <= 1  # none, where the file is so small that its end is all of it
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
