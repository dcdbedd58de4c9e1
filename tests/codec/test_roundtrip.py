"""Whatever goes in comes out, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import codec
from shared.codec import (
    chunk,
    decoder,
    encoder,
    entropy,
    fit,
    fit_time,
    predict,
    restore,
    values,
)
from shared.codec.levels import LEVELS, level_of
from tests.codec.arrays import (
    DTYPES,
    adversarial,
    arrays,
    bursts,
    delayed,
    drifting,
    faint,
    recording,
    repeating,
    smooth,
    stretched,
)


def through(samples: np.ndarray, level: str, model: fit.Model | None = None) -> np.ndarray:
    coded = encoder.encode(samples, LEVELS[level], model)
    assert len(coded.meta) + len(coded.body) <= samples.nbytes
    length, channels = samples.shape
    return decoder.decode(
        coded.mode, coded.meta, coded.meta_size, coded.body, length, channels, samples.dtype
    )


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
    "loud and few": (bursts(7003, 2).astype("int32") * 70_001),
    "unsigned": (recording(5000, 34) + 30_000).astype("uint16"),
    "stretched": recording(6000, 5) * np.int16(64),
    "stretched channels": stretched(recording(6000, 35)),
    "stretched few": stretched(recording(9000, 4).astype("int32"), 1000.5),
    "steps": drifting(5003, 3),
    "faint": faint(7001, 3),
    "faint and short": faint(403, 40),
    "repeating": repeating(9000, 2),
    "random": np.random.default_rng(3).integers(-32768, 32767, (4000, 3)).astype("int16"),
}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(WINDOWED)), st.sampled_from(sorted(LEVELS)), st.data())
def test_a_window_is_a_piece_of_the_whole(name: str, level: str, data: st.DataObject) -> None:
    samples = WINDOWED[name]
    start = data.draw(st.integers(0, len(samples)))
    stop = data.draw(st.integers(start, len(samples)))
    coded = _coded(name, level)
    got = decoder.decode(
        coded.mode,
        coded.meta,
        coded.meta_size,
        coded.body,
        *samples.shape,
        samples.dtype,
        window=(start, stop),
    )
    np.testing.assert_array_equal(got, samples[start:stop])


@cache
def _coded(name: str, level: str) -> chunk.Encoded:
    return encoder.encode(WINDOWED[name], LEVELS[level])


@pytest.mark.parametrize("name", ["many channels", "delayed"])
def test_a_window_restores_the_segments_it_touches(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Given lags reach over the edges, then a window costs little more than itself."""
    samples = WINDOWED[name]
    length, channels = samples.shape
    coded = _coded(name, "high")
    shapes: list[tuple[int, int]] = []
    neighbour_sums = decoder.neighbour_sums
    monkeypatch.setattr(
        decoder,
        "neighbour_sums",
        lambda rows, model: (shapes.append(rows.shape), neighbour_sums(rows, model))[1],
    )
    decoder.decode(
        coded.mode,
        coded.meta,
        coded.meta_size,
        coded.body,
        *samples.shape,
        samples.dtype,
        window=(5000, 5100),
    )
    segment = fit_time.segment_length(channels, length, fit.fit(samples, LEVELS["high"]).time)
    assert segment <= 600
    [(rows, span)] = shapes
    assert rows == channels
    assert span <= 2 * segment + 2 * channels + 8


def _there_and_back(name: str) -> list[np.ndarray]:
    return [WINDOWED[name], np.ascontiguousarray(WINDOWED[name][::-1])]


@cache
def _two(name: str, level: str, one_model: bool) -> list[chunk.Encoded]:
    both = _there_and_back(name)
    model = fit.fit(both[0], LEVELS[level]) if one_model else None
    return [encoder.encode(samples, LEVELS[level], model) for samples in both]


def _unpack(coded: chunk.Encoded, samples: np.ndarray, start: int, stop: int) -> decoder.Unpacked:
    facts = coded.mode, coded.meta, coded.meta_size, coded.body, *samples.shape, samples.dtype
    return decoder.unpack(*facts, (start, stop))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(WINDOWED)), st.sampled_from(sorted(LEVELS)), st.data())
def test_windows_restored_together_are_pieces_of_the_whole(
    name: str, level: str, data: st.DataObject
) -> None:
    """Given two chunks of one model or of two, any windows of them come back in one array."""
    coded = _two(name, level, data.draw(st.booleans()))
    opened, wanted = [], []
    for each, samples in zip(coded, _there_and_back(name), strict=True):
        start = data.draw(st.integers(0, len(samples)))
        stop = data.draw(st.integers(start, len(samples)))
        opened.append(_unpack(each, samples, start, stop))
        wanted.append(samples[start:stop])
    out = np.empty((sum(map(len, wanted)), wanted[0].shape[1]), wanted[0].dtype)
    decoder.restore_together(opened, [out[: len(wanted[0])], out[len(wanted[0]) :]])
    np.testing.assert_array_equal(out, np.concatenate(wanted))


def test_chunks_restored_together_do_not_see_each_other() -> None:
    """Given lags that reach over the bound between two chunks, then they find zeros there."""
    both, coded = _there_and_back("delayed"), _two("delayed", "default", one_model=True)
    model = fit.fit(both[0], LEVELS["default"])
    assert set(model.space.lags.tolist()) == {-1, 0, 1}
    opened = [_unpack(coded[0], both[0], 8000, 9001), _unpack(coded[1], both[1], 0, 500)]
    out = np.empty((1501, 36), "int16")
    decoder.restore_together(opened, [out[:1001], out[1001:]])
    np.testing.assert_array_equal(out, np.concatenate([both[0][8000:], both[1][:500]]))


@pytest.mark.parametrize(("one_model", "passes"), [(True, 1), (False, 2)])
def test_windows_of_one_model_are_restored_in_one_pass(
    monkeypatch: pytest.MonkeyPatch, one_model: bool, passes: int
) -> None:
    """Given the calls are what costs, then two short windows cost no more of them than one."""
    samples = WINDOWED["many channels"]
    coded = _two("many channels", "default", one_model)
    counts: list[int] = []
    neighbour_sums = decoder.neighbour_sums
    monkeypatch.setattr(
        decoder,
        "neighbour_sums",
        lambda rows, model: (counts.append(len(rows)), neighbour_sums(rows, model))[1],
    )
    opened = [_unpack(each, samples, 2000, 3000) for each in coded]
    decoder.restore_together(opened, [np.empty((1000, 40), "int16") for _ in coded])
    assert counts == [40] * passes


@pytest.mark.parametrize("channels", [1, 2])
def test_smooth_noise_costs_what_is_new_in_it(channels: int) -> None:
    """Given all of a signal but white noise can be predicted, its noise is all that is coded."""
    samples = smooth(channels=channels, surprise=30.0)
    coded = encoder.encode(samples, LEVELS["default"])
    bits = 8 * (len(coded.meta) + len(coded.body)) / samples.size
    entropy = 0.5 * np.log2(2 * np.pi * np.e * 30.0**2)
    assert samples.std() > 1000
    assert entropy < bits < 1.035 * entropy


def test_hum_is_learnt_where_it_lasts_few_samples() -> None:
    """Given the hum of the mains with its overtones, at a low rate taps reach over a period."""
    time = np.arange(60_000)[:, None] / 1000
    hum = sum(300 / n * np.sin(2 * np.pi * 50 * n * time + n) for n in range(1, 10))
    samples = np.rint(hum + np.random.default_rng(3).normal(0, 3, (60_000, 2))).astype("int16")
    slow, quick = (encoder.encode(samples, level_of("default", rate)) for rate in (1_000, 30_000))
    assert slow.size < 0.95 * quick.size
    facts = slow.mode, slow.meta, slow.meta_size, slow.body, *samples.shape, samples.dtype
    np.testing.assert_array_equal(decoder.decode(*facts), samples)


@settings(max_examples=60, deadline=None)
@given(arrays(("int16", "int32")), st.data())
def test_random_time_models(samples: np.ndarray, data: st.DataObject) -> None:
    """Given any taps at all, when samples are predicted and restored, then nothing changes."""
    channels, length = samples.shape[1], samples.shape[0]
    width = data.draw(st.integers(0, 5))
    wide = data.draw(st.booleans()) and width > 0
    early = width * (width - 1) // 2 if data.draw(st.booleans()) else 0
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    model = predict.TimeModel(
        order=data.draw(st.integers(0, 1)),
        shift=data.draw(st.integers(0, 12)),
        wide=wide,
        taps=rng.integers(-32767, 32768, (channels, width)).astype(np.int16),
        segment=data.draw(st.integers(1, length)),
        warm=rng.integers(-32767, 32768, (channels, early)).astype(np.int16),
    )
    residual = samples.T.copy()
    wraps = predict.time_residual(residual, model)
    model = replace(model, wrapping=wraps)
    start = data.draw(st.integers(0, length))
    stop = data.draw(st.integers(start, length))
    restored = np.empty((stop - start, channels), samples.dtype)
    baseline = rng.integers(-9, 9, channels).astype(samples.dtype)
    pieces = [restore.Piece(residual, restored, start)]
    restore.time_restore(pieces, model, baseline)
    np.testing.assert_array_equal(restored, samples[start:stop] + baseline)


@pytest.mark.parametrize("dtype", [">i2", ">u2", ">i4", "<i2"])
def test_byte_order_of_the_source_does_not_matter(tmp_path: Path, dtype: str) -> None:
    samples = recording().astype(dtype)
    codec.compress(samples, tmp_path / "a.ebin", sample_rate=1000)
    with codec.open(tmp_path / "a.ebin") as reader:
        assert reader.dtype == np.dtype(dtype).newbyteorder("=")
        np.testing.assert_array_equal(reader[:], samples)


@pytest.mark.parametrize("shape", [(0, 4), (1, 1), (1, 385), (2, 3), (999, 1)])
def test_degenerate_shapes_through_files(tmp_path: Path, shape: tuple[int, int]) -> None:
    samples = np.arange(np.prod(shape), dtype="int16").reshape(shape)
    codec.compress(samples, tmp_path / "a.ebin", sample_rate=30_000, chunk_length=100)
    with codec.open(tmp_path / "a.ebin") as reader:
        assert reader.shape == shape
        np.testing.assert_array_equal(np.asarray(reader), samples)
    assert codec.verify(tmp_path / "a.ebin", samples) == []


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


@pytest.mark.parametrize("step", [12, 12.05, 24.1])
@pytest.mark.parametrize("dtype", DTYPES)
def test_offsets_of_stretched_channels_cost_nothing(dtype: str, step: float) -> None:
    """Given each channel uses values of its own, then sizes are as if they had not been stretched.

    Together the channels use most values: a table of them all would say nothing.
    """
    counts = recording(30_000, 40)
    counts[:, 0] = 0
    middle = 0 if dtype != "uint16" else 32_000
    traces = (stretched(counts, step).astype("int32") + middle).astype(dtype)
    assert len(np.unique(traces)) > 0.8 * np.ptp(traces[:, 1:-1]) * min(1, 20 / step)
    plain = encoder.encode(counts, LEVELS["default"])
    coded = encoder.encode(traces, LEVELS["default"])
    assert fit.fit(traces, LEVELS["default"]).kind == values.TABLES
    assert len(coded.body) < 1.01 * len(plain.body)
    assert len(coded.meta) < len(plain.meta) + 500
    assert encoder.encode(counts, LEVELS["default"]) == plain


def test_channels_that_are_not_stretched_do_not_mind_those_that_are() -> None:
    counts = recording(30_000, 40)
    mixed = np.where(np.arange(40) % 2 == 0, stretched(counts), counts)
    plain = encoder.encode(counts, LEVELS["default"])
    coded = encoder.encode(mixed, LEVELS["default"])
    assert len(coded.body) < 1.02 * len(plain.body)
    assert len(coded.meta) < len(plain.meta) + 1000


def test_a_chunk_that_tables_do_not_suit_gets_a_model_of_its_own() -> None:
    model = fit.fit(stretched(recording(20_000, 40)), LEVELS["default"])
    assert model.kind == values.TABLES
    loud = np.random.default_rng(2).normal(0, 6000, (3000, 40)).round().astype("int16")
    np.testing.assert_array_equal(through(loud, "default", model), loud)
    sizes = [len(encoder.encode(loud, LEVELS["default"], m).body) for m in (model, None)]
    assert sizes[0] <= sizes[1]


def test_a_rank_outside_the_table_of_its_channel_is_refused() -> None:
    """Given tables that lie one behind the other, no rank reaches into the next one's."""
    tables = values.Tables(np.array([1, 2, 3, 7, 8], "int16"), np.array([3, 2]), values.TABLES)

    def restored(*ranks: int) -> list[list[int]]:
        row = np.array([ranks, ranks], "int16")
        return values.restore(row, values.TABLES, 0, tables, np.dtype("int16")).tolist()

    assert restored(-1, -1) == [[1, 7]] * 2
    assert restored(1, 0) == [[3, 8]] * 2
    for ranks in ((2, 0), (-2, 0), (0, 1), (0, -2), (0, 32767), (-32768, 0)):
        with pytest.raises(codec.FormatError):
            restored(*ranks)


@pytest.mark.parametrize("change", ["more values", "many values", "longer", "empty", "too long"])
def test_tables_that_contradict_the_chunk_are_refused(change: str) -> None:
    samples = stretched(recording(7000, 6))
    coded = encoder.encode(samples, LEVELS["default"])
    plain = bytearray(zstandard.ZstdDecompressor().decompress(coded.meta))
    head = list(chunk.META.unpack_from(plain))
    size = chunk.META.size
    assert head[0] == values.TABLES
    lengths = entropy.unshuffle(bytes(plain[size : size + 12]), np.dtype("uint16"))
    assert lengths.sum() == head[11]
    assert lengths[0] == 1
    if change == "more values":
        head[11] += 1
    elif change == "many values":
        head[11] = 2**32 - 1
    elif change == "longer":
        lengths[1] += 1
    elif change == "empty":
        lengths[:2] += np.array([-1, 1], "int8").astype("uint16")
    else:  # as long as that may be in all, but not in one channel
        head[11] = samples.size
        lengths[:] = [samples.size - 5, 1, 1, 1, 1, 1]
    plain[:size] = chunk.META.pack(*head)
    plain[size : size + 12] = entropy.shuffle(lengths)
    meta = zstandard.ZstdCompressor().compress(bytes(plain))
    with pytest.raises(codec.FormatError, match=r"tables do not add up|contradict its header"):
        decoder.decode(coded.mode, meta, len(plain), coded.body, *samples.shape, samples.dtype)


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
