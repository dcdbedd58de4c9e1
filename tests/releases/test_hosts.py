"""Deposits at hosts by their protocols, over real sockets; the real hosts need accounts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.releases.folder import folder_release
from shared.model.release import Creator, ReleaseTerms
from shared.releases.copy import copied_files
from shared.releases.describe import ReleaseAddresses
from shared.releases.zipped import write_zip
from tests.flow import LAB, SUBJECT
from tests.releases.conftest import write_session
from tests.releases.host_servers import HostState, host_server
from tests.releases.test_whole_way import fornix

TOKENS = {"zenodo": "Bearer secret", "figshare": "token secret", "dandi": "token secret"}
VARIABLES = {"zenodo": "ZENODO_TOKEN", "figshare": "FIGSHARE_TOKEN", "dandi": "DANDI_API_KEY"}


@pytest.fixture
def zipped(tmp_path: Path) -> Path:
    write_session(tmp_path / "data" / LAB / "Subjects" / SUBJECT / "2024-07-01/001")
    people = (Creator("Garrett, Ada", "0000-0002-1825-0097", "Fimbria"),)
    made = folder_release(tmp_path / "data", "mice", ReleaseTerms("Mice", creators=people))
    files = copied_files(made.manifest, ReleaseAddresses())
    return write_zip(files, tmp_path / "mice.zip", made.blocks)


@pytest.mark.parametrize("host", ["zenodo", "figshare", "dandi"])
def test_a_zip_becomes_a_draft_and_nothing_is_sent_twice(host: str, zipped: Path) -> None:
    state = HostState()
    with host_server(state, TOKENS[host]) as url:
        env = {VARIABLES[host]: "secret"}
        command = ("deposit", host, zipped, "--url", url)
        assert "would send" in fornix(env, *command, "--dry-run")
        assert state.asked == []
        fornix({VARIABLES[host]: ""}, *command, code=1)
        fornix({VARIABLES[host]: "wrong"}, *command, code=1)
        assert state.drafts == []
        # When a run breaks off
        state.fails_at = {
            "zenodo": "PUT /bucket",
            "figshare": "PUT /upload/0/3",
            "dandi": "PUT /signed",
        }[host]
        fornix(env, *command, code=1)
        # Then the next goes on with the same draft
        state.fails_at = ""
        done = json.loads(fornix(env, *command, "--json"))
        assert (done["sent"], len(state.drafts)) == (1, 1)
        assert next(iter(state.files.values())) == zipped.read_bytes()
        assert json.loads(fornix(env, *command, "--json"))["sent"] == 0
    if host == "figshare":
        sent = [asked for asked in state.asked if asked.startswith("PUT /upload/0/1")]
        assert len(sent) == 1, "a part that is there is not sent again"
    if host == "dandi":
        assert state.assets[0]["metadata"]["path"] == "mice.zip"
        assert not state.signed_with_token
    described = json.dumps(state.drafts[0])
    assert "Mice" in described
    assert host != "zenodo" or '"orcid": "0000-0002-1825-0097"' in described


def test_what_has_no_description_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    fornix({"ZENODO_TOKEN": "secret"}, "deposit", "zenodo", tmp_path / "a.zip", code=1)
