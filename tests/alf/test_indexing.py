"""Indexes of tables and videos: the rows and frames that they tell of, and damaged files."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lab.loading.sources import FolderSource
from lab.loading.windows import RemoteTable, open_video
from shared.alf.errors import FileInvalid
from shared.alf.indexing import table_index, video_index
from shared.alf.io import save
from shared.alf.mp4 import video_tables
from tests.alf.mp4_files import mp4

FOLDER = "lab/Subjects/M1/2024-07-01/001"


def frames_of(n: int, seed: int = 0) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(rng.randrange(1, 900)) for _ in range(n)]


def opened(root: Path, path: str, content: bytes | pd.DataFrame) -> Any:
    """Write a file of a session; return the source, what it says of the file, and its bytes."""
    place = root / FOLDER / path
    place.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        place.write_bytes(content)
    else:
        save(place, content)
    source = FolderSource(root)
    (file,) = source.manifest.files
    return source, file, place.read_bytes()


@pytest.mark.parametrize("moov_first", [False, True])
@pytest.mark.parametrize(("per_chunk", "sound"), [(1, b""), (7, b""), (7, b"la la"), (200, b"")])
def test_frames_are_cut_where_they_lie(
    tmp_path: Path, per_chunk: int, sound: bytes, moov_first: bool
) -> None:
    frames = frames_of(100)
    content = mp4(
        frames, keyframes=[0, 30, 60, 90], per_chunk=per_chunk, sound=sound, moov_first=moov_first
    )
    source, file, _ = opened(tmp_path, "raw_video_data/_iblrig_leftCamera.raw.mp4", content)
    video = open_video(source, file)
    assert video.shape == (100, 120, 160)
    assert video.times[60] == pytest.approx(1.0)
    for start, stop, first in ((0, 1, 0), (29, 31, 0), (30, 31, 30), (95, 100, 90)):
        found = video.frames(start, stop)
        assert (found.first, found.data) == (first, frames[first:stop])
        assert b"set-up" in found.description
    assert video.second(1.0).data == frames[60:100]
    with pytest.raises(IndexError):
        video.frames(99, 101)


def test_rows_of_a_table_are_those_of_its_parts(tmp_path: Path) -> None:
    n = 150_000
    table = pd.DataFrame({"x": np.arange(n), "y": np.random.default_rng(0).normal(size=n)})
    source, file, content = opened(tmp_path, "alf/_ibl_leftCamera.dlc.pqt", table)
    index = table_index(io.BytesIO(content), len(content))
    assert index is not None
    assert (index.facts["rows"], index.shape) == ([65_536, 65_536, 18_928], (n, 2))
    remote = RemoteTable(source, file, index)
    for start, stop in ((0, 10), (65_530, 65_540), (149_990, n), (5, 5), (0, n)):
        expected = table.iloc[start:stop].reset_index(drop=True)
        pd.testing.assert_frame_equal(remote[start:stop].reset_index(drop=True), expected)
    assert remote[0:100:7]["x"].tolist() == list(range(0, 100, 7))


def test_an_odd_video_has_no_index_and_a_damaged_one_says_why() -> None:
    frames = frames_of(20)
    whole = mp4(frames, keyframes=[0, 10])
    assert video_index(io.BytesIO(whole), len(whole), "v.mp4") is not None
    late = mp4(frames, keyframes=[3])  # nothing decodes its first frames
    assert video_index(io.BytesIO(late), len(late), "v.mp4") is None
    for content in (whole[:-20], whole[: len(whole) // 2], whole[:40], b""):
        with pytest.raises(FileInvalid, match="copy the video again"):
            video_tables(io.BytesIO(content), len(content), "v.mp4")


def test_no_damage_is_anything_but_refused() -> None:
    rng = random.Random(1)
    whole = mp4(frames_of(20), keyframes=[0, 10], per_chunk=3, sound=b"la")
    for _ in range(2_000):
        content = bytearray(whole)
        for _ in range(rng.randrange(1, 6)):
            # tables come last: that is where damage matters
            content[rng.randrange(len(content) // 2, len(content))] = rng.randrange(256)
        try:
            found = video_tables(io.BytesIO(bytes(content)), len(content), "v.mp4")
        except FileInvalid:
            continue
        assert len(found.sizes) == len(found.offsets) == len(found.times)
