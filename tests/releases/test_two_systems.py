"""A release goes from one running Fornix to another: mirrored, taken up, equal, kept in step."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lab.client import Client, Settings
from lab.releases.mirror import mirror_release
from lab.releases.remote import ReleaseServer
from lab.releases.verify import verify_server
from shared.model.release import ReleaseManifest
from tests import tables
from tests.processes import until
from tests.releases.conftest import TAG, Published
from tests.releases.test_mirror import Watched
from tests.releases.test_whole_way import FORNIX, fornix

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


@pytest.fixture
def another(dynamodb_url: str, published: Published) -> Iterator[Client]:
    """Client of an administrator of another Fornix: own process, table, bucket and queues."""
    tables.create(dynamodb_url, "another")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FORNIX_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.releases.another"],
        cwd=ROOT,
        env=kept | {"FORNIX_TABLE": "another"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    words: list[str] = []
    while len(words) != 2:
        words = process.stdout.readline().split()
    yield Client(Settings(words[0], "admin", token=words[1]))
    process.communicate()
    tables.drop(dynamodb_url, "another")


def environment(client: Client, state: Path) -> dict[str, str]:
    return {
        "FORNIX_API_URL": client.settings.url,
        "FORNIX_TOKEN": client.settings.token or "",
        "XDG_STATE_HOME": str(state),
        "XDG_CONFIG_HOME": str(state / "none"),
    }


def content(manifest: ReleaseManifest) -> dict[str, Any]:
    """Return what a manifest says, without where and by whom it was made."""
    own = {"created", "created_by", "previous", "version"}
    said: dict[str, Any] = msgspec.to_builtins(manifest)
    files = [{name: value for name, value in f.items() if name != "place"} for f in said["files"]]
    sessions = [{n: v for n, v in one.items() if n != "users"} for one in said["sessions"]]
    rest = {name: value for name, value in said.items() if name not in own}
    return rest | {"files": files, "sessions": sessions}


def test_a_release_is_mirrored_and_taken_up_by_another_fornix(
    published: Published, another: Client, tmp_path: Path
) -> None:
    published.create()
    published.publish()
    source = Watched(published.system.url)
    address = f"{published.system.url}/releases/{TAG}"
    stranger = {"XDG_CONFIG_HOME": str(tmp_path / "none")}
    theirs = environment(another, tmp_path / "state")
    mirror = tmp_path / "mirror"
    # Given a mirror of which the first run broke off within a file
    source.breaks = "spikes.times.npy"
    assert len(mirror_release(source, source.record(TAG), mirror).faults) == 2
    # When it is run again, and the other Fornix takes the copy up, killed on the way
    assert "2 files fetched" in fornix(stranger, "mirror", address, mirror)
    command = [FORNIX, "import", "folder", mirror, "--release", "--json"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FORNIX_")}
    with subprocess.Popen(
        command, env=kept | theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        until(lambda: another.get("/sessions")["count"] >= 1)
        process.send_signal(signal.SIGKILL)
    fornix(theirs, *command[1:])
    # Then it has the same release, which it may publish, and every file proves itself
    there = ReleaseServer(another.settings.url, another.settings.token)
    first = there.record(TAG)
    assert content(there.manifest(first)) == content(source.manifest(source.record(TAG)))
    assert "is public now" in fornix(theirs, "release", "publish", TAG, "--no-nwb")
    assert first.content == source.record(TAG).content
    public = ReleaseServer(another.settings.url)
    assert verify_server(public, public.record(TAG)).faults == []
    # A second time nothing moves and nothing is made
    assert "0 files fetched (0 B)" in fornix(stranger, "mirror", address, mirror)
    fornix(theirs, "import", "folder", mirror, "--release", "--json")
    assert there.record(TAG).version == 1
    # When the first has a new version, only what is new moves
    published.more()
    published.create()
    published.publish(version=2)
    told = fornix(stranger, "mirror", address, mirror)
    new = [f for f in source.manifest(source.record(TAG)).files if f.session == published.eids[2]]
    size = f"{sum(file.size for file in new):,}"
    assert re.search(rf": 4 files fetched \({size} B\), 8 there", told), told
    # (of a copy that lost one of them no version is made)
    manifest = source.manifest(source.record(TAG))
    lost = mirror / manifest.path_of(next(file for file in new if "spikes" in file.path))
    os.replace(lost, tmp_path / "lost")
    fornix(theirs, "import", "folder", mirror, "--release", "--json", code=1)
    assert there.record(TAG).version == 1
    os.replace(tmp_path / "lost", lost)
    fornix(theirs, "import", "folder", mirror, "--release", "--json")
    second = there.record(TAG)
    assert (second.version, second.n_sessions) == (2, 3)
    assert content(there.manifest(second)) == content(source.manifest(source.record(TAG)))
