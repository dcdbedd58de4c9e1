"""FORMAT.md suffices to write a decoder: one was written from it, and reads what we write."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from shared import codec, recordings
from shared.codec import chunk, decoder, encoder
from shared.codec import index as chunk_index
from shared.codec.levels import LEVELS
from shared.codec.opened import open_lone
from tests.codec import fuzz, golden, plain_decoder
from tests.codec.arrays import (
    DTYPES,
    adversarial,
    arrays,
    bursts,
    faint,
    recording,
)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_adversarial_files(tmp_path: Path, dtype: str, level: str) -> None:
    for number, (name, samples) in enumerate(adversarial(dtype).items()):
        if number % len(LEVELS) != list(LEVELS).index(level):
            continue  # the plain decoder is slow: each array meets one level
        samples = samples[:2100, :8]
        recordings.compress(
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
        if coded.mode == chunk.Mode.CODED:
            meta = plain_decoder.unpack(coded.meta)
            kind = samples.dtype.newbyteorder("<").str
            got = plain_decoder.decode_rows(meta, coded.body, *samples.shape, kind)
            np.testing.assert_array_equal(got, samples)


def test_every_feature_of_the_format_is_met() -> None:
    """The arrays above are no use if they never reach some branch of the format."""
    met: set[str] = set()
    cases = [*adversarial("int16").values(), *adversarial("int32").values(), faint()]
    cases += [*adversarial("uint16").values(), recording(3000, 40), bursts()]
    for samples in cases:
        coded = encoder.encode(samples, LEVELS["default"])
        met.add(coded.mode.name)
        if coded.mode != chunk.Mode.CODED:
            continue
        opened = decoder.CodedChunk(coded, samples.shape, samples.dtype)
        numbers = opened.numbers
        met |= {numbers.kind.name, f"width {numbers.width}"}
        met |= {flag.name for flag in numbers.flags}
        met |= {"plain"} if not numbers.flags & chunk.Flags.DIFFERENCES else set()
        met |= {"taps"} if numbers.taps > 1 else set()
        met |= {"groups"} if numbers.group > 1 else set()
        met |= {"terms"} if numbers.terms else set()
        met |= {"segments"} if numbers.segment < len(samples) else set()
        met |= {"baseline"} if opened.baseline.any() else set()
        met |= {"classes"} if opened.classes.any() else set()
        met |= {"low bits"} if any(opened.shifts) else set()
        met |= {"exceptions"} if len(opened.gaps) else set()
    assert met == {
        "STORED", "CODED", "DIRECT", "SHIFTED", "RANKED", "DIFFERENCES", "WIDE", "CLASSES",
        "plain", "width 2", "width 4", "baseline", "taps", "classes", "groups", "terms",
        "segments", "low bits", "exceptions",
    }  # fmt: skip


def test_bursts_and_faint_noise(tmp_path: Path) -> None:
    for samples in (bursts(), faint(), faint(3000, 4).astype("int32") * 3_000_000):
        recordings.compress(samples, tmp_path / "a.ebin", sample_rate=1000, overwrite=True)
        got = plain_decoder.decode_file((tmp_path / "a.ebin").read_bytes())
        np.testing.assert_array_equal(got, samples)


def test_the_example_is_right() -> None:
    """Given the bytes that FORMAT.md shows, they decode to the samples that it names."""
    text = (Path(chunk.__file__).parent / "FORMAT.md").read_text().partition("## 6. Example")[2]
    lines = re.findall(r"^    ((?:[0-9a-f]{2} ?)+)$", text, re.MULTILINE)
    data = bytes.fromhex(" ".join(lines))
    named = re.search(r"two channels, ([\d ]+) and ([\d ]+) \(", text)
    assert named is not None
    samples = np.array([each.split() for each in named.groups()], "int16").T
    np.testing.assert_array_equal(open_lone(data, "the example").restore(), samples)
    np.testing.assert_array_equal(plain_decoder.decode_chunk(data, 0), samples)


@pytest.mark.parametrize("name", golden.FILES)
def test_files_written_once_stay_readable(name: str) -> None:
    """Given files of this version, they decode to the same samples for ever.

    They were written once and are kept. If this fails the format has changed, and needs a new
    version.
    """
    kept = golden.FILES[name]
    for got in (read(kept.data), plain_decoder.decode_file(kept.data)):
        assert got.shape == kept.shape
        assert hashlib.sha256(got.astype(kept.dtype).tobytes()).hexdigest() == kept.sha256


def read(data: bytes) -> np.ndarray:
    source = fuzz.Bytes(data)
    with codec.Reader(source, chunk_index.read_footer(source)) as reader:
        return np.asarray(reader)
