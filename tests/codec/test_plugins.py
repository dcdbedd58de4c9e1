"""The codec in numcodecs and SpikeInterface."""

from __future__ import annotations

from pathlib import Path

import numcodecs
import numpy as np
import pytest

from shared import codec
from shared.codec.numcodec import FornixCodec
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


def test_spikeinterface_reads_it(tmp_path: Path) -> None:
    pytest.importorskip("spikeinterface", reason="SpikeInterface is not installed")
    from spikeinterface.core import load

    from shared.codec.spikeinterface import FornixRecordingExtractor, read_fornix

    samples = recording(3000, 6)
    codec.compress(samples, tmp_path / "a.ebin", sample_rate=1000, chunk_length=700)
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
