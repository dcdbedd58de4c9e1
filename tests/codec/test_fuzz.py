"""Some thousands of the cases that `make fuzz-codec` runs a million of."""

from __future__ import annotations

import numpy as np

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


def test_cases_that_once_went_wrong() -> None:
    """A lag of -128 has no absolute value in eight bits, and so passed for one of at most 1."""
    fuzzer = fuzz.Fuzzer(21)
    for number in (25_170,):
        fuzzer.rng = np.random.default_rng((21, number))
        fuzzer.case()
