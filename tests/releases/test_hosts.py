"""Deposits at hosts by their protocols, over real sockets; the real hosts need accounts."""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from lab.commands.deposit import deposit as command
from lab.releases.folder import folder_release
from shared.model.release import Creator, ReleaseTerms
from shared.releases.copy import copied_files
from shared.releases.describe import ReleaseAddresses
from shared.releases.zipped import write_zip
from tests.flow import LAB, SUBJECT
from tests.releases.conftest import write_session
from tests.releases.host_servers import PART, HostState, host_server
from tests.releases.test_whole_way import fornix

TOKENS = {"zenodo": "Bearer secret", "figshare": "token secret", "dandi": "token secret"}
VARIABLES = {"zenodo": "ZENODO_TOKEN", "figshare": "FIGSHARE_TOKEN", "dandi": "DANDI_API_KEY"}


@pytest.fixture
def zipped(tmp_path: Path) -> Path:
    ada = Creator("Garrett, Ada", "0000-0002-1825-0097", "Fimbria")
    both = (ada, Creator("Fimbria", organisation=True))
    return zip_of(tmp_path, ReleaseTerms("Mice", creators=both))


def zip_of(tmp_path: Path, terms: ReleaseTerms) -> Path:
    """Write a zip of one session."""
    write_session(tmp_path / "data" / LAB / "Subjects" / SUBJECT / "2024-07-01/001")
    made = folder_release(tmp_path / "data", "mice", terms)
    files = copied_files(made.manifest, ReleaseAddresses())
    return write_zip(files, tmp_path / "mice.zip", made.blocks)


@pytest.mark.parametrize("host", ["zenodo", "figshare", "dandi"])
def test_a_zip_becomes_a_draft_and_nothing_is_sent_twice(host: str, zipped: Path) -> None:
    state = HostState()
    with host_server(state, TOKENS[host]) as url:
        env = {VARIABLES[host]: "secret"}
        deposited = ("deposit", host, zipped, "--url", url)
        assert "would send" in fornix(env, *deposited, "--dry-run")
        assert state.asked == []
        fornix({VARIABLES[host]: ""}, *deposited, code=1)
        fornix({VARIABLES[host]: "wrong"}, *deposited, code=1)
        assert state.drafts == []
        # When a run breaks off
        state.fails_at = {
            "zenodo": "PUT /bucket",
            "figshare": "PUT /upload/0/3",
            "dandi": "PUT /signed/1",
        }[host]
        fornix(env, *deposited, code=1)
        # Then the next goes on with the same draft
        state.fails_at = ""
        done = json.loads(fornix(env, *deposited, "--json"))
        assert (done["sent"], len(state.drafts)) == (1, 1)
        assert next(iter(state.files.values())) == zipped.read_bytes()
        assert json.loads(fornix(env, *deposited, "--json"))["sent"] == 0
    if host == "figshare":
        sent = [asked for asked in state.asked if asked.startswith("PUT /upload/0/1")]
        assert len(sent) == 1, "a part that is there is not sent again"
    if host == "dandi":
        assert state.assets[0]["metadata"]["path"] == "mice.zip"
        assert not state.signed_with_token
    # And title, licence and people are those of the release
    draft = state.drafts[0].get("metadata", state.drafts[0])
    assert draft.get("title", draft.get("name")) == "Mice"
    assert (
        draft["license"]
        == {"zenodo": "cc-by-4.0", "figshare": 1, "dandi": ["spdx:CC-BY-4.0"]}[host]
    )
    assert people(host, state) == [("Garrett, Ada", "0000-0002-1825-0097"), ("Fimbria", None)]


def people(host: str, state: HostState) -> list[tuple[str, str | None]]:
    """Return names and ORCIDs as a host has them; the contact person of DANDI's stays."""
    if host == "dandi":
        contact, *listed = state.dandiset["contributor"]
        assert contact["roleName"] == ["dcite:ContactPerson"]
        assert [one["schemaKey"] for one in listed] == ["Person", "Organization"]
        return [(one["name"], one.get("identifier")) for one in listed]
    if host == "figshare":
        return [(one["name"], one.get("orcid_id")) for one in state.drafts[0]["authors"]]
    creators = state.drafts[0]["metadata"]["creators"]
    return [(one["name"], one.get("orcid")) for one in creators]


def deposit(host: str, url: str, *paths: Path, code: int = 0) -> str:
    """Run the command in this process; return what it prints, or the error it ends with."""
    done = CliRunner(env={VARIABLES[host]: "secret"}).invoke(
        command, [host, *map(str, paths), "--url", url, "--json"]
    )
    assert (done.exit_code != 0) == bool(code), (done.output, done.exception)
    return str(done.exception) if code else done.output


def small_parts(monkeypatch: pytest.MonkeyPatch) -> HostState:
    """Return a DANDI with parts of which a small zip has several."""
    monkeypatch.setattr("lab.releases.dandi.PART", PART)
    state = HostState()
    state.dandi_part = PART
    return state


def test_an_upload_to_dandi_goes_on_with_the_parts_that_have_not_arrived(
    zipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = small_parts(monkeypatch)
    n_parts = -(-zipped.stat().st_size // PART)
    assert n_parts > 2
    with host_server(state, TOKENS["dandi"]) as url:
        # Given an upload that broke off at its third part
        state.fails_at = "PUT /signed/1/3"
        assert "Signature" not in deposit("dandi", url, zipped, code=1)
        note = zipped.with_name("mice.zip.dandi.json")
        assert stat.S_IMODE(note.stat().st_mode) == 0o600
        # When it is sent once more, then the first two parts are not
        state.fails_at, state.asked = "", []
        assert json.loads(deposit("dandi", url, zipped))["sent"] == 1
        put = [asked.partition("?")[0] for asked in state.asked if asked.startswith("PUT /signed")]
        assert put == [f"PUT /signed/1/{number}" for number in range(3, n_parts + 1)]
        assert list(state.files.values()) == [zipped.read_bytes()]
        assert (state.uploads, note.exists()) == (1, False)


@pytest.mark.parametrize("break_off", ["over", "other file", "damaged"])
def test_an_upload_that_dandi_has_no_more_begins_anew(
    break_off: str, zipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = small_parts(monkeypatch)
    with host_server(state, TOKENS["dandi"]) as url:
        state.fails_at = "PUT /signed/1/2"
        deposit("dandi", url, zipped, code=1)
        state.fails_at = ""
        if break_off == "over":
            state.over.add("1")
        elif break_off == "damaged":
            zipped.with_name("mice.zip.dandi.json").write_text("{")
        else:
            with zipfile.ZipFile(zipped, "a") as archive:
                archive.writestr("more.txt", "x")
        assert json.loads(deposit("dandi", url, zipped))["sent"] == 1
        assert state.uploads == 2
        assert list(state.files.values()) == [zipped.read_bytes()]


def test_an_upload_to_dandi_that_was_put_together_is_only_validated(
    zipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = small_parts(monkeypatch)
    with host_server(state, TOKENS["dandi"]) as url:
        state.fails_at = "/validate"
        deposit("dandi", url, zipped, code=1)
        state.fails_at, state.asked = "", []
        assert json.loads(deposit("dandi", url, zipped))["sent"] == 1
        assert [asked for asked in state.asked if "upload" in asked or "signed" in asked] == [
            "POST /uploads/1/validate/"
        ]


def test_an_upload_to_zenodo_goes_on_with_the_files_that_have_not_arrived(
    zipped: Path,
) -> None:
    parts = [zipped, zipped.with_name("mice.part02.zip"), zipped.with_name("mice.part03.zip")]
    for number, part in enumerate(parts[1:]):
        part.write_bytes(bytes([number]) * 10**6)
    state = HostState()
    with host_server(state, TOKENS["zenodo"]) as url:
        # Given a connection that was cut in the middle of a file: it is sent again by itself
        state.cuts_at, state.fails_at = "PUT /bucket/mice.zip", "PUT /bucket/mice.part02.zip"
        deposit("zenodo", url, *parts, code=1)
        assert state.files == {"mice.zip": zipped.read_bytes()}
        assert state.asked.count("PUT /bucket/mice.zip") == 2
        # When the command is run again, then it sends the others to the same draft
        state.fails_at, state.asked = "", []
        assert json.loads(deposit("zenodo", url, *parts))["sent"] == 2
        assert not [asked for asked in state.asked if asked == "PUT /bucket/mice.zip"]
        assert state.files == {part.name: part.read_bytes() for part in parts}
        assert len(state.drafts) == 1


@pytest.mark.parametrize("host", ["figshare", "dandi"])
def test_a_licence_that_a_host_does_not_take_makes_no_draft(host: str, tmp_path: Path) -> None:
    odd = zip_of(tmp_path, ReleaseTerms("Mice", licence="ODbL-1.0"))
    state = HostState()
    with host_server(state, TOKENS[host]) as url:
        told = deposit(host, url, odd, code=1)
    assert "ODbL-1.0" in told
    assert "CC0" in told
    assert state.drafts == []


def test_what_has_no_description_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    fornix({"ZENODO_TOKEN": "secret"}, "deposit", "zenodo", tmp_path / "a.zip", code=1)
