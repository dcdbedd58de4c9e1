"""What SpikeGLX says of a raw file: read in its odd forms, and held against the data."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from shared import codec, recordings
from shared.codec import header, overview
from shared.recordings import spikeglx
from tests.codec.arrays import recording

REPORTED = Path(__file__).resolve().parents[3] / "shared/data/reported/codec-meta-bad-rate"


def write(folder: Path, samples: np.ndarray, **pairs: object) -> Path:
    """Write a raw file and its `.meta`."""
    raw = folder / "g0_t0.imec0.ap.bin"
    samples.tofile(raw)
    told = {"nSavedChans": samples.shape[1], "imSampRate": 1000, "typeThis": "imec"} | pairs
    lines = [f"{key}={value}" for key, value in told.items()]
    raw.with_suffix(".meta").write_text("\n".join(lines) + "\n")
    return raw


@pytest.mark.parametrize(
    ("case", "rate"), [("bom", 30_000.5), ("onebox", 30_303.0), ("rate_comma", 30_000.5)]
)
def test_odd_forms_that_were_reported_are_read(tmp_path: Path, case: str, rate: float) -> None:
    if not REPORTED.is_dir():
        pytest.skip("the reported recordings are not here")
    folder = shutil.copytree(REPORTED / case, tmp_path / case)
    folder.chmod(0o755)
    [raw] = folder.glob("*.bin")
    index = recordings.compress(raw)
    assert (index.n_channels, index.sample_rate) == (7, rate)
    assert recordings.verify(raw.with_suffix(".ebin"), raw) == []


def test_a_key_without_a_value_takes_none_of_the_next_line(tmp_path: Path) -> None:
    # as the imRoFile of real probes 3A and 3B, which stands before their rate
    raw = write(tmp_path, np.zeros((10, 7), np.int16), imRoFile="")
    lines = [
        line for line in raw.with_suffix(".meta").read_text().splitlines() if "Rate" not in line
    ]
    raw.with_suffix(".meta").write_text("\n".join([*lines, "imSampRate=500", ""]))
    assert recordings.compress(raw).sample_rate == 500


def test_a_rate_that_is_no_number_is_told(tmp_path: Path) -> None:
    raw = write(tmp_path, recording(100, 7), imSampRate="abc")
    with pytest.raises(codec.CodecError, match="imSampRate=abc, which is no number"):
        recordings.compress(raw)
    recordings.compress(raw, sample_rate=1000)  # given, it need not be read
    raw = write(tmp_path, recording(100, 7), imSampRate=0)
    with pytest.raises(codec.CodecError, match="imSampRate=0: impossible"):
        recordings.compress(raw, overwrite=True)


def test_size_and_sha1_are_held_against_the_data(tmp_path: Path) -> None:
    samples = recording(1500, 6)
    digest = hashlib.sha1(samples.tobytes()).hexdigest()
    told = {"fileSizeBytes": samples.nbytes, "fileSHA1": digest.upper()}
    raw = write(tmp_path, samples, **told)
    assert recordings.compress(raw).facts["sha1_uncompressed"] == digest
    changed = samples.copy()
    changed[700, 3] ^= 1
    changed.tofile(raw)
    before = raw.with_suffix(".ebin").read_bytes()
    for workers in (1, 2):
        with pytest.raises(codec.CorruptionError, match=r"another SHA-1 than its \.meta says"):
            recordings.compress(raw, overwrite=True, workers=workers, chunk_length=200)
    assert raw.with_suffix(".ebin").read_bytes() == before
    samples[:-1].tofile(raw)
    with pytest.raises(codec.CodecError, match=r"cut short.*--trim"):
        recordings.compress(raw, overwrite=True)
    recordings.compress(raw, overwrite=True, trim=True)
    assert recordings.verify(raw.with_suffix(".ebin"), samples[:-1]) == []


def test_a_torn_raw_file_says_how_to_go_on(tmp_path: Path) -> None:
    samples = recording(500, 6)
    raw = tmp_path / "a.bin"
    raw.write_bytes(samples.tobytes() + b"torn")
    place = {"n_channels": 6, "sample_rate": 1000}
    with pytest.raises(codec.CodecError, match=r"--trim .* leaves out the last 4 bytes"):
        recordings.compress(raw, **place)
    recordings.compress(raw, trim=True, **place)
    assert recordings.verify(raw.with_suffix(".ebin"), samples) == []


IMRO = "(0,4)(0 0 0 500 250 1)(1 0 0 500 250 1)(2 0 0 1000 125 1)(3 0 0 500 250 1)"
PROBE = {
    "imAiRangeMax": 0.6,
    "imMaxInt": 512,
    "imDatPrb_type": 0,
    "acqApLfSy": "4,4,1",
    "~imroTbl": IMRO,
    "~snsGeomMap": "(NP1010,1,0,70)(0:27:0:1)(0:59:0:1)(0:11:20:1)(0:43:20:1)",
    "firstSample": 4711,
    "fileCreateTime": "2021-02-05T11:00:00",
}


def facts_of(folder: Path, channels: int, **pairs: object) -> dict[str, object]:
    meta = spikeglx.read_meta(write(folder, recording(20, channels), **pairs))
    assert meta is not None
    return meta.facts(channels)


def test_the_sidecar_has_gain_probe_map_and_clock(tmp_path: Path) -> None:
    """Given gains of 500 and 1000 on 0.6 V and 512 steps, a step is 2.34 or 1.17 µV."""
    raw = write(
        tmp_path,
        recording(300, 5),
        snsApLfSy="4,0,1",
        snsSaveChanSubset="0:3,8",
        **PROBE,
    )
    recordings.compress(raw)
    with recordings.open(raw.with_suffix(".ebin")) as reader:
        facts = reader.index.facts
    step = 0.6e6 / 512
    assert facts["microvolts"] == pytest.approx([step / 500] * 2 + [step / 1000, step / 500, 1])
    assert facts["probe_map"] == [[0, 27, 0], [0, 59, 0], [0, 11, 20], [0, 43, 20]]
    assert facts["clock"] == {"first_sample": 4711, "created": "2021-02-05T11:00:00"}
    again = recordings.compress(raw.with_suffix(".ebin"), tmp_path / "again.ebin")
    assert {key: again.facts[key] for key in ("microvolts", "probe_map", "clock")} == {
        key: facts[key] for key in ("microvolts", "probe_map", "clock")
    }


@pytest.mark.parametrize(
    ("kind", "places"),
    [
        ({}, [[0, 27, 0], [0, 59, 0], [0, 11, 20], [1, 43, 20]]),  # phase 3A
        ({"imDatPrb_type": 0}, [[0, 27, 0], [0, 59, 0], [0, 11, 20], [1, 43, 20]]),
        ({"imDatPrb_type": 24}, [[0, 27, 0], [0, 59, 0], [0, 27, 15], [1, 59, 15]]),
        ({"imDatPrb_type": 1100}, None),  # its sites are not in two columns
    ],
)
def test_older_files_tell_places_by_column_and_row(tmp_path: Path, kind, places) -> None:
    """Given a .meta of before 2023, then sites are where SpikeGLX's geometry has them."""
    about = {name: value for name, value in PROBE.items() if name != "imDatPrb_type"} | kind
    about["~snsGeomMap"] = ""
    about["~snsShankMap"] = "(2,2,480)(0:0:0:1)(0:1:0:1)(0:0:1:1)(1:1:1:1)"
    facts = facts_of(tmp_path, 5, snsApLfSy="4,0,1", snsSaveChanSubset="0:3,8", **about)
    assert facts.get("probe_map") == places


def test_gains_of_other_streams(tmp_path: Path) -> None:
    low = facts_of(tmp_path, 3, snsApLfSy="0,3,0", snsSaveChanSubset="4,6,7", **PROBE)
    step = 0.6e6 / 512
    assert low["microvolts"] == pytest.approx([step / 250, step / 125, step / 250])
    second = {"imAiRangeMax": 0.5, "imMaxInt": 8192, "imDatPrb_type": 24, "snsApLfSy": "3,0,0"}
    assert facts_of(tmp_path, 3, **second)["microvolts"] == pytest.approx(0.5e6 / 8192 / 80)
    board = {
        "typeThis": "nidq",
        "niAiRangeMax": 5,
        "niMNGain": 200,
        "niMAGain": 1,
        "snsMnMaXaDw": "0,0,2,1",
    }
    assert facts_of(tmp_path, 3, **board)["microvolts"] == pytest.approx([5e6 / 32768] * 2 + [1])


@pytest.mark.parametrize("key", ["imAiRangeMax", "acqApLfSy", "~imroTbl", "snsSaveChanSubset"])
def test_gains_are_left_out_where_something_is_missing(tmp_path: Path, key: str) -> None:
    pairs = PROBE | {"snsApLfSy": "4,0,1", "snsSaveChanSubset": "0:3,8"}
    for text in (None, "nonsense", ""):
        changed = {k: v for k, v in pairs.items() if k != key} | (
            {} if text is None else {key: text}
        )
        assert "microvolts" not in facts_of(tmp_path, 5, **changed)


# ---- published recordings ---------------------------------------------------------------------


def test_published_recordings_have_short_chunks_and_an_overview(tmp_path: Path) -> None:
    """Given loud seconds, the overview says so, whatever the chunks and the workers."""
    rng = np.random.default_rng(0)
    size = np.repeat([1, 100, 10, 1000], 1000)[:3700, None] * np.array([1, 2])
    samples = np.rint(rng.normal(300, 1, size.shape) * size).clip(-32768, 32767).astype("int16")
    target = tmp_path / "a.ebin"
    options = {"sample_rate": 1000, "published": True, "workers": 2}
    recordings.compress(samples, target, chunk_length=130, **options)
    levels = np.load(overview.overview_path(target))
    assert (levels.shape, levels.dtype) == ((4, 2), np.uint8)
    for second in range(4):
        some = samples[1000 * second : 1000 * (second + 1)][::8].astype(float)
        expected = np.rint(8 * np.log2(1 + some.std(axis=0)))
        np.testing.assert_array_equal(levels[second], expected)
    with codec.Writer(tmp_path / "b.ebin", 2, "int16", 1000, overview=True) as writer:
        for block in np.array_split(samples, 7):
            writer.append(block)
    np.testing.assert_array_equal(np.load(tmp_path / "b.rms.npy"), levels)


@pytest.mark.parametrize("level", codec.LEVELS)
def test_short_chunks_cost_little(tmp_path: Path, level: str) -> None:
    """Given chunks of a tenth of a second of many channels, they take some per cent more."""
    samples = recording(60_000, 96)
    sizes = [
        recordings.compress(
            samples, tmp_path / "a.ebin", sample_rate=30_000, overwrite=True, level=level, **kind
        ).offsets[-1]
        for kind in ({}, {"published": True})
    ]
    assert sizes[1] < 1.04 * sizes[0]


def test_chunks_of_published_recordings_suit_a_picture() -> None:
    int16 = np.dtype("int16")
    assert header.published_chunk_length(385, int16) == 3000
    assert header.published_chunk_length(9, int16) == 14_563
    assert header.published_chunk_length(65_536, int16) == 2048
