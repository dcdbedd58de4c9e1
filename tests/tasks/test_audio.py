"""The sound of a rig's microphone, compressed without loss."""

from __future__ import annotations

import re
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from lab.tasks.run import orders, run
from shared.model.task import RunResult
from shared.tasks.planning import plan, unprocessed
from shared.tasks.states import Status

EID = "5" * 32
RATE = 192_000
"""Samples a second of the IBL's microphones."""

RECORDED = "raw_behavior_data/_iblrig_micData.raw.wav"
COMPRESSED = "raw_behavior_data/_iblrig_micData.raw.flac"


def recorded(session: Path, samples: np.ndarray, width: int) -> Path:
    """Write a sound as a rig does; samples are (n, channels), their width is in bytes."""
    path = session / RECORDED
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(width)
        file.setframerate(RATE)
        of_each = samples.astype("<i4").tobytes()
        file.writeframes(np.frombuffer(of_each, "u1").reshape(-1, 4)[:, :width].tobytes())
    return path


def noise(width: int, n: int = 50_001, channels: int = 1) -> np.ndarray:
    """Return a sound of all values, the smallest and the largest among them."""
    most = 2 ** (8 * width - 1)
    sound = np.random.default_rng(width).integers(-most, most, (n, channels))
    sound[:2] = [[-most], [most - 1]]
    return sound


def compressed(session: Path, out: Path) -> RunResult:
    (order,) = orders("audio.compress", session, {})
    return run(order, session, out)


def heard(path: Path, width: int) -> np.ndarray:
    """Return the samples of a FLAC file, decoded anew: (n, channels)."""
    with av.open(str(path)) as file:
        blocks = [block.to_ndarray().reshape(-1) for block in file.decode(audio=0)]
        channels = file.streams.audio[0].channels
    whole = np.concatenate(blocks).reshape(-1, channels).astype(np.int64)
    return whole >> 8 if width == 3 else whole  # 24 bits come in the upper part of 32


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("width", [2, 3])
def test_every_sample_of_a_sound_is_kept(tmp_path: Path, width: int, channels: int) -> None:
    sound = noise(width, channels=channels)
    recorded(tmp_path / "session", sound, width)

    result = compressed(tmp_path / "session", tmp_path / "out")

    assert result.status == Status.COMPLETE.label, result.error
    assert np.array_equal(heard(tmp_path / "out" / COMPRESSED, width), sound)
    with av.open(str(tmp_path / "out" / COMPRESSED)) as file:
        assert file.streams.audio[0].rate == RATE


def test_a_quiet_room_takes_less_space(tmp_path: Path) -> None:
    quiet = np.random.default_rng(0).normal(0, 20, (RATE, 1)).astype(int)
    raw = recorded(tmp_path / "session", quiet, 2)
    compressed(tmp_path / "session", tmp_path / "out")
    assert (tmp_path / "out" / COMPRESSED).stat().st_size < raw.stat().st_size / 2


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda whole: whole[: len(whole) // 2], "bytes are missing"),
        (lambda whole: whole[:40], "it has no samples"),
        (lambda whole: whole[:44], "bytes are missing"),
        (lambda whole: b"", "does not begin as a WAV file"),
        (lambda whole: b"\0" * len(whole), "does not begin as a WAV file"),
        (lambda whole: whole[:20] + b"\x03\x00" + whole[22:], "of an unknown kind"),
    ],
)
def test_a_damaged_sound_is_refused_and_nothing_is_registered(
    tmp_path: Path, damage: Callable[[bytes], bytes], said: str
) -> None:
    path = recorded(tmp_path / "session", noise(2), 2)
    path.write_bytes(damage(path.read_bytes()))

    result = compressed(tmp_path / "session", tmp_path / "out")

    assert result.status == Status.ERRORED.label
    assert "no sound that can be compressed" in result.error
    assert re.search(said, result.error)
    assert result.outputs == ()


def test_samples_that_flac_cannot_hold_are_said(tmp_path: Path) -> None:
    recorded(tmp_path / "session", noise(4), 4)
    result = compressed(tmp_path / "session", tmp_path / "out")
    assert "its samples are pcm_s32le, and FLAC holds 16 or 24 bits" in result.error


def test_each_sound_has_one_task_and_the_board_says_what_is_missing() -> None:
    paths = [RECORDED, "raw_task_data_01/_iblrig_micData.raw.wav"]
    planned = plan(EID, paths, {"devices": {"microphone": {"microphone": {}}}})
    assert [(one.name, one.arguments["collection"]) for one in planned] == [
        ("audio.compress", "raw_behavior_data"),
        ("audio.compress", "raw_task_data_01"),
    ]
    # when it has been compressed, nothing is planned anew
    again = plan(EID, [*paths, COMPRESSED])
    assert [one.id for one in again] == [one.id for one in planned]
    assert unprocessed(paths) == [
        "microphone: recorded, not processed here: "
        "its sound is compressed, and no task finds when it was heard"
    ]
