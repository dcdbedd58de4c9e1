"""Whatever goes in comes out, bit for bit."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import codec, recordings
from shared.codec import (
    chunk,
    decoder,
    encoder,
    fit,
    fit_space,
    fit_time,
    predict,
    restore,
    values,
)
from shared.codec.levels import LEVELS
from tests.codec.arrays import (
    DTYPES,
    adversarial,
    arrays,
    bursts,
    delayed,
    faint,
    recording,
    smooth,
)


def through(samples: np.ndarray, level: str, model: fit.Model | None = None) -> np.ndarray:
    coded = encoder.encode(samples, LEVELS[level], model)
    assert len(coded.meta) + len(coded.body) <= samples.nbytes
    return decoder.decode(coded, samples.shape, samples.dtype)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_adversarial_arrays(dtype: str, level: str) -> None:
    for name, samples in adversarial(dtype).items():
        np.testing.assert_array_equal(through(samples, level), samples, err_msg=name)


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_model_restores_any_samples(dtype: str) -> None:
    """A model fitted elsewhere may predict badly; it may never lose a bit."""
    cases = {name: each for name, each in adversarial(dtype).items() if each.shape[1] == 40}
    cases["recording"] = recording(4000, 40).astype(dtype)
    for level in LEVELS:
        for fitted_on in cases.values():
            model = fit.fit(fitted_on, LEVELS[level])
            for name, samples in cases.items():
                np.testing.assert_array_equal(through(samples, level, model), samples, name)


@settings(max_examples=60, deadline=None)
@given(arrays(), st.sampled_from(sorted(LEVELS)))
def test_drawn_arrays(samples: np.ndarray, level: str) -> None:
    np.testing.assert_array_equal(through(samples, level), samples)


WINDOWED = {
    "many channels": recording(9000, 40),
    "delayed": delayed(),
    "few channels": recording(9000, 3),
    "bursts": bursts(9000, 2),
    "loud": (recording(7001, 33).astype("int32") * 70_001),
    "loud and few": (bursts(9003, 2).astype("int32") * 70_001),
    "unsigned": (recording(5000, 34) + 30_000).astype("uint16"),
    "stretched": recording(6000, 5) * np.int16(64),
    "stretched and wide": recording(9000, 4).astype("int32") * 1000,
    "faint": faint(7001, 3),
    "faint and short": faint(403, 40),
    "random": np.random.default_rng(3).integers(-32768, 32767, (4000, 3)).astype("int16"),
}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(WINDOWED)), st.sampled_from(sorted(LEVELS)), st.data())
def test_a_window_is_a_piece_of_the_whole(name: str, level: str, data: st.DataObject) -> None:
    samples = WINDOWED[name]
    start = data.draw(st.integers(0, len(samples)))
    stop = data.draw(st.integers(start, len(samples)))
    coded = _coded(name, level)
    chosen = data.draw(st.none() | st.sets(st.integers(0, samples.shape[1] - 1), min_size=1))
    channels = None if chosen is None else np.array(sorted(chosen))
    window = decoder.Window(start, stop, channels)
    got = decoder.decode(coded, samples.shape, samples.dtype, window)
    wanted = samples[start:stop]
    np.testing.assert_array_equal(got, wanted if channels is None else wanted[:, channels])


@cache
def _coded(name: str, level: str) -> chunk.Encoded:
    return encoder.encode(WINDOWED[name], LEVELS[level])


@pytest.mark.parametrize("name", ["many channels", "delayed"])
def test_a_window_restores_the_segments_it_touches(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Given a piece of a chunk is wanted, then no more of each row is read than its segments."""
    samples = WINDOWED[name]
    length, channels = samples.shape
    spans = note_spans(monkeypatch)
    window = decoder.Window(5000, 5100)
    decoder.decode(_coded(name, "high"), samples.shape, samples.dtype, window)
    time = fit.fit(samples, LEVELS["high"]).time
    segment = fit_time.segment_length(channels, length, time)
    assert segment <= 600
    [(rows, span)] = spans
    assert rows == channels
    assert span <= 2 * segment


def note_spans(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return a list that grows by the number of rows that are predicted, and their length."""
    spans: list[tuple[int, int]] = []
    neighbour_sums = decoder.neighbour_sums

    def noted(rows: dict[int, np.ndarray], length: int, *rest: object) -> object:
        spans.append((len(rows), length))
        return neighbour_sums(rows, length, *rest)

    monkeypatch.setattr(decoder, "neighbour_sums", noted)
    return spans


def test_one_channel_needs_no_more_than_its_bank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given banks of 48, each channel of 150 is read by at most those before it in its bank."""
    rng = np.random.default_rng(0)
    samples = np.rint(rng.normal(0, 30, (4000, 1)) + rng.normal(0, 9, (4000, 150))).astype("int16")
    coded = encoder.encode(samples, LEVELS["default"])
    spans = note_spans(monkeypatch)
    for channel in range(150):
        window = decoder.Window(0, 100, np.array([channel]))
        got = decoder.decode(coded, samples.shape, samples.dtype, window)
        np.testing.assert_array_equal(got[:, 0], samples[:100, channel])
    needed = [rows for rows, _ in spans]
    assert all(rows <= channel % 48 + 1 for channel, rows in enumerate(needed))
    assert np.mean(needed) > 5  # neighbours are used, and theirs


def test_ten_thousand_channels_take_memory_in_proportion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given 10,000 channels, only those of a bank are ever held against each other."""
    products, compared = fit_space._products, []

    def noted(sample: np.ndarray) -> np.ndarray:
        compared.append(len(sample))
        return products(sample)

    monkeypatch.setattr(fit_space, "_products", noted)
    rng = np.random.default_rng(0)
    samples = rng.integers(-40, 40, (300, 10_000)).astype("int16")
    tracemalloc.start()
    try:
        coded = encoder.encode(samples, LEVELS["default"])
        got = decoder.decode(coded, samples.shape, samples.dtype)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(got, samples)
    assert compared
    assert max(compared) <= chunk.BANK
    assert peak < 40 * samples.nbytes < 10_000**2 * 8


def test_small_files_are_not_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Given fewer values than a fit pays for, no taps and no neighbours are looked for."""
    asked = []
    for name in ("fit_time", "fit_space"):
        monkeypatch.setattr(fit, name, lambda *_, name=name: asked.append(name))
    for level in LEVELS:
        samples = recording(1000, 8)
        assert len(encoder.encode(samples, LEVELS[level]).body) < 0.6 * samples.nbytes
    assert asked == []


def test_a_short_file_is_not_fitted_but_a_chunk_of_a_longer_one_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Given the same samples as a file and as the first chunk of one, only that is fitted."""
    asked: list[int] = []
    fit_time = fit.fit_time

    def counted(*given: Any) -> Any:
        asked.append(1)
        return fit_time(*given)

    monkeypatch.setattr(fit, "fit_time", counted)
    samples = recording(6000, 8)
    with codec.Writer(tmp_path / "short.ebin", 8, "int16", 20_000) as writer:
        writer.append(samples)
    assert asked == []
    recordings.compress(samples, tmp_path / "second.ebin", sample_rate=6000)
    assert asked == []
    assert (tmp_path / "short.ebin").stat().st_size < 0.6 * samples.nbytes
    with codec.Writer(tmp_path / "long.ebin", 8, "int16", 30_000, chunk_length=6000) as writer:
        writer.append(np.concatenate([samples, samples]))
    assert asked


@pytest.mark.parametrize("channels", [1, 2])
def test_smooth_noise_costs_what_is_new_in_it(channels: int) -> None:
    """Given all of a signal but white noise can be predicted, its noise is all that is coded."""
    samples = smooth(channels=channels, surprise=30.0)
    coded = encoder.encode(samples, LEVELS["default"])
    bits = 8 * (len(coded.meta) + len(coded.body)) / samples.size
    entropy = 0.5 * np.log2(2 * np.pi * np.e * 30.0**2)
    assert samples.std() > 1000
    assert entropy < bits < 1.035 * entropy


@settings(max_examples=60, deadline=None)
@given(arrays(("int16", "int32")), st.data())
def test_random_time_models(samples: np.ndarray, data: st.DataObject) -> None:
    """Given any taps at all, when samples are predicted and restored, then nothing changes."""
    channels, length = samples.shape[1], samples.shape[0]
    width = data.draw(st.integers(0, 5))
    wide = data.draw(st.booleans()) and width > 0
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    model = predict.TimeModel(
        order=data.draw(st.integers(0, 1)),
        shift=data.draw(st.integers(0, 12)),
        wide=wide,
        taps=rng.integers(-32767, 32768, (channels, width)).astype(np.int16),
        segment=data.draw(st.integers(1, length)),
    )
    residual = samples.T.copy()
    for _ in predict.time_residuals(residual, model):
        pass
    start = data.draw(st.integers(0, length))
    stop = data.draw(st.integers(start, length))
    restored = np.empty((stop - start, channels), samples.dtype)
    baseline = rng.integers(-9, 9, channels).astype(samples.dtype)
    restore.time_restore(residual, restored, start, model, baseline)
    np.testing.assert_array_equal(restored, samples[start:stop] + baseline)


@pytest.mark.parametrize("dtype", [">i2", ">u2", ">i4", "<i2"])
def test_byte_order_of_the_source_does_not_matter(tmp_path: Path, dtype: str) -> None:
    samples = recording().astype(dtype)
    recordings.compress(samples, tmp_path / "a.ebin", sample_rate=1000)
    with recordings.open(tmp_path / "a.ebin") as reader:
        assert reader.dtype == np.dtype(dtype).newbyteorder("=")
        np.testing.assert_array_equal(reader[:], samples)


@pytest.mark.parametrize("shape", [(0, 4), (1, 1), (1, 385), (2, 3), (999, 1)])
def test_degenerate_shapes_through_files(tmp_path: Path, shape: tuple[int, int]) -> None:
    samples = np.arange(np.prod(shape), dtype="int16").reshape(shape)
    recordings.compress(samples, tmp_path / "a.ebin", sample_rate=30_000, chunk_length=100)
    with recordings.open(tmp_path / "a.ebin") as reader:
        assert reader.shape == shape
        np.testing.assert_array_equal(np.asarray(reader), samples)
    assert recordings.verify(tmp_path / "a.ebin", samples) == []


def test_recordings_become_much_smaller() -> None:
    """A guard against losing the prediction: counts of bytes, not times."""
    samples = recording(30_000, 64)
    sizes = {}
    for level in LEVELS:
        coded = encoder.encode(samples, LEVELS[level])
        sizes[level] = len(coded.meta) + len(coded.body)
    assert sizes["default"] < 0.98 * sizes["fast"] < 0.4 * samples.nbytes
    assert sizes["high"] < 1.005 * sizes["default"]


def test_stretched_converter_steps_cost_nothing() -> None:
    """Given steps of 64 and 65, as a 10-bit converter stretched to 16 gives, sizes stay small."""
    counts = recording(30_000, 6)[:, :5].astype("float64")
    plain = encoder.encode(counts.astype("int16"), LEVELS["default"])
    stretched = encoder.encode(np.rint(counts * 64.06).astype("int16"), LEVELS["default"])
    assert len(stretched.body) < 1.02 * len(plain.body)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_rank_outside_the_table_is_refused(dtype: str) -> None:
    table = np.array([1, 2, 3, 7, 8], dtype)

    def restored(*ranks: int) -> list[int]:
        rows, out = np.array([ranks], "int16"), np.empty((1, len(ranks)), dtype)
        values.restore(rows, chunk.ValueKind.RANKED, 0, table, out)
        return out.tolist()[0]

    assert restored(-2, 0, 2) == [1, 3, 8]
    for rank in (-3, 3, 32767, -32768):
        with pytest.raises(codec.FormatError):
            restored(0, rank)


@pytest.mark.parametrize("change", [1, -1, 2**32 - 1])
def test_a_table_that_contradicts_the_chunk_is_refused(change: int) -> None:
    samples = recording(7000, 6) * np.int16(64)
    coded = encoder.encode(samples, LEVELS["default"])
    plain = zstandard.ZstdDecompressor().decompress(coded.meta)
    size = chunk.Parameters.STRUCT.size
    numbers = chunk.Parameters.unpack(plain[:size], samples.shape, samples.dtype)
    assert numbers.kind == chunk.ValueKind.RANKED
    forged = replace(numbers, values=(numbers.values + change) % 2**32).pack() + plain[size:]
    meta = zstandard.ZstdCompressor().compress(forged)
    with pytest.raises(codec.FormatError):
        decoder.decode(coded._replace(meta=meta), samples.shape, samples.dtype)


def test_wide_integers_of_narrow_range_cost_no_more_than_narrow_ones() -> None:
    narrow = recording(20_000, 8) + np.int16(3000)  # so that both have a baseline
    sizes = [
        len(encoder.encode(each, LEVELS["default"]).body)
        for each in (narrow, narrow.astype("int32") + 1_000_000)
    ]
    assert sizes[1] < 1.001 * sizes[0]


def test_the_same_samples_give_the_same_bytes() -> None:
    samples = recording(8000, 40)
    first = encoder.encode(samples, LEVELS["default"])
    encoder.encode(recording(5000, 3), LEVELS["high"])  # dirty the buffers kept between calls
    assert encoder.encode(samples.copy(order="F"), LEVELS["default"]) == first


def test_artefacts_do_not_choose_the_neighbours() -> None:
    """Given artefacts that channels share and noise that they do not, the noise decides."""
    rng = np.random.default_rng(3)
    samples = rng.normal(0, 6, (40_000, 8))
    decay = np.exp(-np.arange(1500) / 400)[:, None]
    for start in range(1000, 38_000, 9000):
        samples[start : start + 1500] += decay * rng.uniform(-20_000, 20_000, 8)
        samples[start : start + 1500] *= 1 + decay
    whole = samples.round().astype("int16")
    default = LEVELS["default"]
    sizes = [
        len(encoder.encode(whole, level).body) for level in (default, replace(default, terms=0))
    ]
    assert sizes[0] <= 1.001 * sizes[1]
