"""Mirrors: whole, incremental, resumed within a file, shared between versions, taken up again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.client import ClientError
from lab.releases.mirror import OtherRelease, mirror_release, mirror_server
from lab.releases.remote import ReleaseServer
from lab.releases.verify import verify_copy
from shared.model.release import ReleasedFile
from tests.releases.conftest import TAG, Published
from tests.releases.test_whole_way import fornix

pytestmark = pytest.mark.integration


class Watched(ReleaseServer):
    """A server whose files are noted, and which breaks off where it is told to."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked: list[tuple[str, int]] = []
        self.breaks = ""

    def blocks(self, path: str, file: ReleasedFile, start: int = 0) -> Iterator[bytes]:
        self.asked.append((file.path, start))
        sent = start
        for block in super().blocks(path, file, start):
            if self.breaks and file.path.endswith(self.breaks):
                yield block[:1000]
                raise ClientError("broken off")
            yield block
            sent += len(block)


@pytest.fixture
def server(published: Published) -> Watched:
    published.create()
    published.publish()
    return Watched(published.system.url)


def test_a_mirror_is_whole_then_incremental_and_goes_on_within_a_file(
    published: Published, server: Watched, tmp_path: Path
) -> None:
    folder = tmp_path / "mirror"
    record = server.record(TAG)
    # Given a run that broke off within a file
    server.breaks = "spikes.times.npy"
    first = mirror_release(server, record, folder)
    assert (first.fetched, len(first.faults)) == (6, 2)
    assert not (folder / "manifest.json").exists(), "it does not say that all is there"
    # When it is run again
    server.breaks, server.asked = "", []
    second = mirror_release(server, record, folder)
    # Then only what is missing comes, from where it broke off
    assert server.asked == [("alf/probe00/spikes.times.npy", 1000)] * 2
    assert (second.fetched, second.kept, second.faults) == (2, 6, [])
    assert verify_copy(folder, record).faults == []
    # and once more nothing
    server.asked = []
    assert mirror_release(server, record, folder).kept == 8
    assert server.asked == []
    # A file that was damaged on disk is found where it is asked for
    damaged = next(folder.rglob("_ibl_wheel.position.npy"))
    damaged.write_bytes(bytes(damaged.stat().st_size))
    assert mirror_release(server, record, folder).fetched == 0
    assert mirror_release(server, record, folder, trust=False).fetched == 1
    # and of a new version only what is new
    published.more()
    published.create()
    published.publish(version=2)
    server.asked = []
    third = mirror_release(server, server.record(TAG), folder)
    assert (third.fetched, third.kept, third.removed) == (4, 8, 0)
    # What is withdrawn goes
    row = published.manager.get("/datasets", session=published.eids[0])["results"][0]
    published.manager.post(
        f"/releases/{TAG}/2/withdraw", {"datasets": [row["id"]], "reason": "Wrong."}
    )
    last = mirror_release(server, server.record(TAG), folder)
    assert (last.kept, last.removed) == (11, 1)
    assert verify_copy(folder, server.record(TAG)).faults == []
    published.tag("other", published.eids[:1])
    published.manager.post("/releases", {"tag": "other"})
    published.manager.post("/releases/other/1/publish")
    with pytest.raises(OtherRelease, match="give another folder"):
        mirror_release(server, server.record("other"), folder)


def test_a_server_is_mirrored_with_its_versions_sharing_files(
    published: Published, server: Watched, tmp_path: Path
) -> None:
    published.more()
    published.create()
    published.publish(version=2)
    done = list(mirror_server(server, tmp_path / "all"))
    assert [(one.key, one.fetched, one.linked) for one in done] == [
        (f"{TAG}@1", 8, 0),
        (f"{TAG}@2", 4, 8),
    ]
    one, two = (tmp_path / "all" / TAG / version for version in ("1", "2"))
    path = next(one.rglob("spikes.times.npy"))
    assert os.path.samefile(path, two / path.relative_to(one))
    assert all(verify_copy(folder).faults == [] for folder in (one, two))
    published.manager.post(f"/releases/{TAG}/1/withdraw", {"reason": "Superseded."})
    list(mirror_server(server, tmp_path / "all"))
    assert (one.exists(), verify_copy(two).faults) == (False, [])


def test_the_command_tells_what_it_does(
    published: Published, server: Watched, tmp_path: Path
) -> None:
    env = {"XDG_CONFIG_HOME": str(tmp_path / "none")}
    address = f"{published.system.url}/releases/{TAG}"
    assert "would mirror" in fornix(env, "mirror", address, tmp_path / "mirror", "--dry-run")
    row = json.loads(fornix(env, "mirror", address, tmp_path / "mirror", "--json"))
    assert (row["fetched"], row["faults"]) == (8, [])
    told = fornix(env, "mirror", published.system.url, tmp_path / "all")
    assert "8 files fetched" in told
    fornix(env, "mirror", address + "x", tmp_path / "mirror", code=1)
