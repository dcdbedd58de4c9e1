"""A recording that stays where it is: a task gets its index in a file of its size, no samples."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.client import Unreachable
from lab.worker.inputs import BadInput, place_hollow
from shared import recordings
from shared.codec.errors import CodecError
from shared.model.task import TaskInput
from tests.codec.arrays import recording
from tests.codec.test_remote import Server

NAME = "_spikeglx_ephysData_g0_t0.imec0.ap.ebin"
PATH = f"raw_ephys_data/probe00/{NAME}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "served"
    folder.mkdir()
    recordings.compress(
        recording(60_000, 8), folder / NAME, sample_rate=3_000, chunk_length=3_000, workers=1
    )
    with Server(folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def linked(server: Server, size: int | None = None) -> TaskInput:
    there = (server.folder / NAME).stat().st_size if size is None else size
    return TaskInput(PATH, "id", there, server.address(NAME), linked=True)


def test_of_a_recording_only_its_index_comes(server: Server, tmp_path: Path) -> None:
    whole, target = server.folder / NAME, tmp_path / NAME
    place_hollow(linked(server), target)
    assert target.stat().st_size == whole.stat().st_size > 200_000
    # Then it opens as the whole one does, without samples
    with recordings.open(whole) as there, recordings.open(target) as here:
        assert here.index == there.index
        with pytest.raises(CodecError):
            here.read(0, 10)
    ranges = [span for _, span in server.asked]
    assert ranges[0] == "bytes=-65536"
    assert all(span and len(span.split("-")[1]) < 4 for span in ranges[1:]), ranges


def test_of_a_film_nothing_comes(tmp_path: Path) -> None:
    film = TaskInput("raw_video_data/_iblrig_leftCamera.raw.mp4", "id", 5_000_000, "", linked=True)
    place_hollow(film, tmp_path / "film.mp4")
    assert (tmp_path / "film.mp4").stat().st_size == 5_000_000


@pytest.mark.parametrize("damage", ["torn", "another size", "no recording", "gone", "no ranges"])
def test_what_is_no_such_recording_is_named_and_leaves_no_file(
    server: Server, tmp_path: Path, damage: str
) -> None:
    path = server.folder / NAME
    asked = linked(server, 123_456 if damage == "another size" else None)
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:-40] + bytes(40))
    elif damage == "no recording":
        path.write_bytes(bytes(asked.size))
    elif damage == "gone":
        path.unlink()
    server.ranges = damage != "no ranges"
    with pytest.raises(BadInput, match="raw_ephys_data/probe00"):
        place_hollow(asked, tmp_path / NAME)
    assert not (tmp_path / NAME).exists()


def test_a_server_that_is_away_is_asked_again_later(server: Server, tmp_path: Path) -> None:
    server.faults = [503] * 4
    with pytest.raises(Unreachable):
        place_hollow(linked(server), tmp_path / NAME)
    assert not (tmp_path / NAME).exists()
