"""Some thousands of the cases that `make fuzz-codec` runs a million of."""

from __future__ import annotations

import pytest
import zstandard

from shared import codec
from shared.codec import decoder, encoder, fit
from shared.codec.levels import LEVELS
from tests.codec import fuzz
from tests.codec.arrays import delayed


def test_damage_gives_the_codecs_own_error_or_the_right_samples() -> None:
    outcomes = fuzz.run(4000, seed=7)
    assert sum(outcomes.values()) == 4000
    # Cases reach all the way in: some damage is harmless, some forged, most refused.
    assert outcomes["meta: forged samples"] > 20
    assert outcomes["chunk: CorruptionError"] > 300
    assert outcomes["rebuild: some chunks"] > 100


def test_no_case_makes_the_codec_allocate_much() -> None:
    assert fuzz.peak_of(500, seed=8) < fuzz.ROOMY


def test_a_lag_without_an_absolute_value_is_refused() -> None:
    """A lag of -128 has none in eight bits, and so once passed for one of at most 1."""
    samples = delayed()
    coded = encoder.encode(samples, LEVELS["default"])
    plain = zstandard.ZstdDecompressor().decompress(coded.meta)
    lags = fit.fit(samples, LEVELS["default"]).space.lags.tobytes()
    assert plain.count(lags) == 1
    forged = zstandard.ZstdCompressor().compress(plain.replace(lags, b"\x80" + lags[1:]))
    facts = len(plain), coded.body, *samples.shape, samples.dtype
    decoder.unpack(coded.mode, coded.meta, *facts)
    with pytest.raises(codec.FormatError, match="neighbour"):
        decoder.unpack(coded.mode, forged, *facts)
