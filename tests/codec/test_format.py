"""FORMAT.md suffices to write a decoder: one was written from it, and reads what we write."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from shared import codec
from shared.codec import chunk, container, decoder, encoder
from shared.codec.levels import LEVELS
from tests.codec import fuzz, golden, plain_decoder
from tests.codec.arrays import (
    DTYPES,
    adversarial,
    arrays,
    bursts,
    drifting,
    faint,
    recording,
    repeating,
)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_adversarial_files(tmp_path: Path, dtype: str, level: str) -> None:
    for number, (name, samples) in enumerate(adversarial(dtype).items()):
        if number % len(LEVELS) != list(LEVELS).index(level):
            continue  # the plain decoder is slow: each array meets one level
        samples = samples[:2100, :8]
        codec.compress(
            samples,
            tmp_path / "a.ebin",
            sample_rate=100,
            chunk_length=2080,
            level=level,
            overwrite=True,
        )
        got = plain_decoder.decode_file((tmp_path / "a.ebin").read_bytes())
        np.testing.assert_array_equal(got, samples, err_msg=name)


@settings(max_examples=25, deadline=None)
@given(arrays())
def test_drawn_chunks(samples: np.ndarray) -> None:
    samples = samples[:200]
    for level in ("default", "high"):
        coded = encoder.encode(samples, LEVELS[level])
        if coded.mode == chunk.CODED:
            meta = plain_decoder.unpack(coded.meta)
            kind = samples.dtype.newbyteorder("<").str
            got = plain_decoder.decode_rows(meta, coded.body, *samples.shape, kind)
            np.testing.assert_array_equal(got, samples)


def test_every_feature_of_the_format_is_met() -> None:
    """The arrays above are no use if they never reach some branch of the format."""
    met: set[str] = set()
    cases = [*adversarial("int16").values(), *adversarial("int32").values(), *NEW.values()]
    cases += [*adversarial("uint16").values(), recording(3000, 40), bursts()]
    for samples in cases:
        coded = encoder.encode(samples, LEVELS["default"])
        met.add(f"mode {coded.mode}")
        if coded.mode != chunk.CODED:
            continue
        head = chunk.META.unpack(plain_decoder.unpack(coded.meta)[: chunk.META.size])
        kind, flags, _, width, _, size, _, segment, part, group, terms, _, _ = head
        met |= {f"kind {kind}", f"order {flags & 1}", f"width {size}"}
        met |= {
            name
            for bit, name in ((2, "wide"), (4, "baseline"), (8, "wrapping"), (32, "warm"))
            if flags & bit
        }
        met |= {"taps"} if width > 1 else set()
        met |= {"parts"} if part else set()
        met |= {"groups"} if group > 1 else set()
        met |= {"terms"} if terms else set()
        met |= {"segments"} if segment < len(samples) else set()
        opened = decoder.unpack(
            coded.mode, coded.meta, coded.meta_size, coded.body, *samples.shape, samples.dtype
        )
        assert isinstance(opened, decoder.CodedChunk)
        met |= {f"packing {packing}" for packing in opened.frames.packings}
        met |= {"low bits"} if any(opened.frames.shifts) else set()
        met |= {"exceptions"} if len(opened.frames.gaps) else set()
    assert met == {
        "mode 0", "mode 1", "mode 2", "kind 0", "kind 1", "kind 2", "kind 3", "kind 4", "order 0",
        "order 1", "width 2", "width 4", "wide", "baseline", "wrapping", "warm", "taps", "parts",
        "groups", "terms", "segments", "packing 0", "packing 1", "packing 2", "low bits",
        "exceptions",
    }  # fmt: skip


NEW = {
    "steps": drifting(),
    "unsigned steps": (drifting() + 900).astype("uint16"),
    "packed": faint(),
    "packed together": faint(700, 40),
    "packed and wide": faint(3000, 4).astype("int32") * 3_000_000,
    "repeating": repeating(),
    "repeating and wide": repeating().astype("int32") * 65_537,
}


@pytest.mark.parametrize("name", NEW)
def test_what_version_3_is_about(tmp_path: Path, name: str) -> None:
    samples = NEW[name]
    codec.compress(samples, tmp_path / "a.ebin", sample_rate=1000)
    got = plain_decoder.decode_file((tmp_path / "a.ebin").read_bytes())
    np.testing.assert_array_equal(got, samples)


def test_parts_and_wrapping(tmp_path: Path) -> None:
    codec.compress(bursts(), tmp_path / "a.ebin", sample_rate=1000)
    got = plain_decoder.decode_file((tmp_path / "a.ebin").read_bytes())
    np.testing.assert_array_equal(got, bursts())


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("VERSION_1", (700, 5)),
        ("VERSION_2_WARM", (3300, 2)),
        ("VERSION_2_TABLES", (500, 20)),
        ("VERSION_3_PACKED", (9000, 2)),
        ("VERSION_3_PARTS", (9000, 1)),
        ("VERSION_3_STEPS", (2000, 1)),
        ("VERSION_3_REPEATS", (4500, 1)),
    ],
)
def test_files_of_every_version_stay_readable(name: str, shape: tuple[int, int]) -> None:
    """Given a file of each version of the predictors, it decodes to the same samples for ever.

    They were written once and are kept. If this fails the format has changed, and needs a new
    version.
    """
    data, digest = getattr(golden, name), getattr(golden, f"{name}_SHA256")
    for got in (read(data), plain_decoder.decode_file(data)):
        assert got.shape == shape
        assert hashlib.sha256(got.astype("<i2").tobytes()).hexdigest() == digest


def read(data: bytes) -> np.ndarray:
    source = fuzz.Bytes(data)
    with codec.Reader(source, container.read_footer(source)) as reader:
        return np.asarray(reader)
