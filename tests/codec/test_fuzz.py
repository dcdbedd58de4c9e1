"""Some thousands of the cases that `make fuzz-codec` runs a million of."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard

from shared import codec
from shared.codec import decoder, encoder, fit
from shared.codec.levels import LEVELS
from tests.codec import fuzz


def test_damage_gives_the_codecs_own_error_or_the_right_samples() -> None:
    outcomes = fuzz.run(4000, seed=7)
    assert sum(outcomes.values()) == 4000
    # Cases reach all the way in: some damage is harmless, some forged, most refused.
    assert outcomes["meta: forged samples"] > 20
    assert outcomes["chunk: CorruptionError"] > 300
    assert outcomes["rebuild: some chunks"] > 100


def test_no_case_makes_the_codec_allocate_much() -> None:
    assert fuzz.peak_of(500, seed=8) < fuzz.ROOMY


@pytest.mark.parametrize("distance", [0, 48, 255])
def test_a_neighbour_outside_the_bank_is_refused(distance: int) -> None:
    """Given a channel of the second bank that looks back into the first, it is refused."""
    rng = np.random.default_rng(0)
    samples = np.rint(rng.normal(0, 30, (9000, 1)) + rng.normal(0, 9, (9000, 60))).astype("int16")
    coded = encoder.encode(samples, LEVELS["default"])
    plain = zstandard.ZstdDecompressor().decompress(coded.meta)
    space = fit.fit(samples, LEVELS["default"]).space
    distances = space.distances.tobytes()
    assert plain.count(distances) == 1
    changed = distances[:-1] + bytes([distance])
    forged = zstandard.ZstdCompressor().compress(plain.replace(distances, changed))
    decoder.decode(coded, samples.shape, samples.dtype)
    with pytest.raises(codec.FormatError, match="neighbour"):
        decoder.decode(coded._replace(meta=forged), samples.shape, samples.dtype)
