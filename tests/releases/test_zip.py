"""Zips of releases and of plain folders: the same bytes each time, resumed, loaded by ONE."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lab.releases.folder import folder_release
from lab.releases.verify import NoCopy, verify_copy
from shared.alf.io import load
from shared.model.release import ReleasedFile, ReleaseTerms
from shared.releases import proving
from shared.releases.copy import copied_files
from shared.releases.describe import ReleaseAddresses
from shared.releases.proving import Block, ContentDiffers
from shared.releases.zipped import TooLargeForPart, part_name, parts_of, write_zip
from tests.processes import until
from tests.releases.conftest import write_session

FORNIX = Path(sys.executable).with_name("fornix")
FIRST = "alf/_ibl_trials.table.pqt"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sessions of one mouse, with what lies about on disks."""
    for seed, date in enumerate(("2024-07-01", "2024-07-02")):
        write_session(tmp_path / f"data/fimbrialab/Subjects/FI_001/{date}/001", seed)
    session = tmp_path / "data/fimbrialab/Subjects/FI_001/2024-07-01/001"
    revised = session / "alf/#2025-01-01#"
    revised.mkdir()
    np.save(revised / "_ibl_wheel.position.npy", np.arange(5000.0))
    (session / "alf/._spikes.times.npy").write_bytes(b"macOS")
    (tmp_path / "data/notes.txt").write_text("stray")
    return tmp_path / "data"


def zipped(folder: Path, out: Path, **more: Any) -> Path:
    made = folder_release(folder, "data", ReleaseTerms(title="Mice"), **more)
    files = copied_files(made.manifest, ReleaseAddresses())
    return write_zip(files, out, made.blocks, sums=made.sums)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def unpacked(path: Path, into: Path) -> Path:
    with zipfile.ZipFile(path) as archive:
        archive.extractall(into)
    return into


def test_the_same_folder_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    first = zipped(folder, tmp_path / "one.zip")
    for path in sorted(folder.rglob("*.npy")):
        os.utime(path, (1, 1))
    second = zipped(folder, tmp_path / "two.zip")
    assert digest(first) == digest(second)
    with zipfile.ZipFile(first) as archive:
        assert archive.testzip() is None
        infos = archive.infolist()
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert {info.extra for info in infos} == {b""}
    names = [info.filename for info in infos]
    assert "README.md" in names
    assert not any("._" in name or "notes" in name for name in names)


@pytest.mark.parametrize("stage", ["before", "after"])
def test_real_one_loads_an_unpacked_zip_without_a_warning(
    folder: Path, tmp_path: Path, stage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Before: the revision that was not the default; after: the default one."""
    if stage == "before":
        revised = next(folder.rglob("#2025-01-01#"))
        (revised / "_ibl_wheel.position.npy").unlink()
        revised.rmdir()
    root = unpacked(zipped(folder, tmp_path / "a.zip"), tmp_path / "unpacked")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # ONE-api 3.6.1 itself uses what pandas 3 will remove
        warnings.filterwarnings("ignore", category=pd.errors.Pandas4Warning)
        if stage == "after":  # an object that really mixes revisions is told of
            warnings.filterwarnings("ignore", message="Multiple revisions")
        from one.api import One

        one = One(cache_dir=root, mode="local")
        assert len(one.search()) == 2
        (eid,) = one.search(date_range=["2024-07-01", "2024-07-01"])
        trials = one.load_object(eid, "trials")
        wheel = one.load_object(eid, "wheel")
        spikes = one.load_object(eid, "spikes", collection="alf/probe00")
    session = folder / "fimbrialab/Subjects/FI_001/2024-07-01/001"
    table = load(session / FIRST)
    assert np.array_equal(trials["choice"], table["choice"])
    expected = (
        np.arange(5000.0) if stage == "after" else load(session / "alf/_ibl_wheel.position.npy")
    )
    assert np.array_equal(wheel["position"], expected)
    assert len(spikes["times"]) == 20_000
    ours = [record for record in caplog.records if "revision" not in record.message]
    assert [record.message for record in ours if record.levelname == "WARNING"] == []


def test_a_killed_run_goes_on_and_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    # Given a file too large to be written in no time, and what the zip is to be
    big = folder / "fimbrialab/Subjects/FI_001/2024-07-02/001/raw_ephys_data/probe00"
    big.mkdir(parents=True)
    (big / "_spikeglx_ephysData_g0_t0.imec0.ap.cbin").write_bytes(os.urandom(1000) * 60_000)
    whole = digest(zipped(folder, tmp_path / "whole.zip"))
    # When the command is killed in the middle
    out = tmp_path / "killed.zip"
    command = [FORNIX, "zip", folder, "--name", "data", "--title", "Mice", "--out", out]
    process = subprocess.Popen([*map(str, command)], stderr=subprocess.DEVNULL)
    journal, partial = tmp_path / "killed.zip.journal", tmp_path / "killed.zip.partial"
    until(lambda: journal.exists() and journal.read_bytes().count(b"\n") > 8, every=0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    # and a line of the journal is torn, and the zip has bytes beyond
    with journal.open("ab") as notes:
        notes.write(b'{"path":"al')
    with partial.open("ab") as more:
        more.write(b"torn")
    kept = partial.stat().st_ino
    # Then the same command goes on where it stopped
    done = json.loads(subprocess.check_output([*map(str, command), "--json"], text=True))
    assert done["done"]
    assert out.stat().st_ino == kept
    assert digest(out) == whole
    assert sorted(path.name for path in tmp_path.glob("killed*")) == ["killed.zip"]


def test_the_bytes_do_not_depend_on_how_files_are_read(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = digest(zipped(folder, tmp_path / "whole.zip"))
    # Given blocks so small that most files are streams, in buffers used again and again
    monkeypatch.setattr(proving, "WHOLE", 20_000)
    monkeypatch.setattr(proving, "BLOCK", 4_096)
    monkeypatch.setattr(proving, "BATCH", 2)
    monkeypatch.setattr("shared.releases.zipped.SYNCED", 10_000)
    assert digest(zipped(folder, tmp_path / "streams.zip")) == whole
    # and of a release that another process hashed, as they come from a server
    made = folder_release(folder, "data", ReleaseTerms(title="Mice"))
    files = copied_files(made.manifest, ReleaseAddresses())
    assert digest(write_zip(files, tmp_path / "hashed.zip", made.blocks)) == whole


def test_small_files_of_a_server_are_fetched_several_at_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = folder_release(folder, "data", ReleaseTerms())
    files = copied_files(made.manifest, ReleaseAddresses())
    monkeypatch.setattr(proving, "BATCH", 1)
    together = threading.Barrier(3)

    def waiting(path: str, file: ReleasedFile) -> Iterator[Block]:
        together.wait(timeout=60)  # until three ask
        return made.blocks(path, file)

    assert len(made.manifest.files) == 9
    path = write_zip(files, tmp_path / "a.zip", waiting, readers=3)
    assert verify_copy(path).faults == []


def test_only_what_was_not_written_is_read_again(folder: Path, tmp_path: Path) -> None:
    made = folder_release(folder, "data", ReleaseTerms())
    files = copied_files(made.manifest, ReleaseAddresses())
    read: list[str] = []

    def failing(path: str, file: ReleasedFile) -> Iterator[Block]:
        read.append(path)
        if len(read) == 4:
            raise OSError("No space left on device")
        return made.blocks(path, file)

    with pytest.raises(OSError, match="No space"):
        write_zip(files, tmp_path / "a.zip", failing)
    assert not (tmp_path / "a.zip").exists()
    write_zip(files, tmp_path / "a.zip", failing)
    assert len(read) == len(made.manifest.files) + 1
    # of another release nothing is taken over
    other = folder_release(folder, "other", ReleaseTerms())
    read.clear()
    with pytest.raises(OSError, match="No space"):
        write_zip(files, tmp_path / "b.zip", failing)
    write_zip(copied_files(other.manifest, ReleaseAddresses()), tmp_path / "b.zip", other.blocks)
    assert verify_copy(tmp_path / "b.zip").faults == []


def test_parts_are_whole_zips_below_the_size_and_unpack_to_the_same(
    folder: Path, tmp_path: Path
) -> None:
    made = folder_release(folder, "data", ReleaseTerms())
    files = copied_files(made.manifest, ReleaseAddresses())
    parts = parts_of(files, 200_000)
    assert len(parts) > 2
    paths = []
    for number, part in enumerate(parts, 1):
        path = part_name(tmp_path / "data.zip", number, len(parts))
        paths.append(write_zip(part, path, made.blocks))
    assert all(path.stat().st_size <= 200_000 for path in paths)
    for path in paths:
        unpacked(path, tmp_path / "unpacked")
    assert verify_copy(tmp_path / "unpacked").faults == []
    assert verify_copy(paths[1]).faults == []
    with pytest.raises(TooLargeForPart, match=r"spikes.times.npy has 160,128 bytes"):
        parts_of(files, 150_000)


@pytest.mark.parametrize("whole", [20_000, proving.WHOLE], ids=["stream", "whole"])
@pytest.mark.parametrize("known", [True, False], ids=["CRC-32", "SHA-256"])
@pytest.mark.parametrize("change", ["a bit", "shorter", "longer"])
def test_a_file_that_changed_since_it_was_hashed_is_refused(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole: int,
    known: bool,
    change: str,
) -> None:
    monkeypatch.setattr(proving, "WHOLE", whole)
    made = folder_release(folder, "data", ReleaseTerms())
    path = next(folder.rglob("spikes.times.npy"))
    body = path.read_bytes()
    changed = {
        "a bit": body[:-1] + bytes([body[-1] ^ 1]),
        "shorter": body[:-8],
        "longer": body + b"x",
    }
    path.write_bytes(changed[change])
    files = copied_files(made.manifest, ReleaseAddresses())
    sums = made.sums if known else {}
    with pytest.raises(ContentDiffers, match=r"spikes.times.npy is not what the release says"):
        write_zip(files, tmp_path / "a.zip", made.blocks, sums=sums)
    assert not (tmp_path / "a.zip").exists()


def test_a_copy_is_verified_file_by_file(folder: Path, tmp_path: Path) -> None:
    root = unpacked(zipped(folder, tmp_path / "a.zip"), tmp_path / "unpacked")
    assert (
        subprocess.call(["sha256sum", "--check", "--quiet", "manifest-sha256.txt"], cwd=root) == 0
    )
    assert verify_copy(root).faults == verify_copy(tmp_path / "a.zip").faults == []
    session = next(root.glob("*/Subjects/FI_001/2024-07-01/001"))
    (session / FIRST).unlink()
    wheel = session / "alf/_ibl_wheel.position.npy"
    wheel.write_bytes(wheel.read_bytes()[:-8])
    (session / "alf/more.times.npy").write_bytes(b"x")
    found = verify_copy(root)
    assert [
        (fault.path.rpartition("/")[2], fault.reason.split()[0]) for fault in found.faults
    ] == [
        ("_ibl_trials.table.pqt", "it"),
        ("_ibl_wheel.position.npy", "it"),
    ]
    assert [path.rpartition("/")[2] for path in found.extra] == ["more.times.npy"]
    done = subprocess.run(
        [FORNIX, "release", "verify", root, "--json"], capture_output=True, text=True
    )
    assert (done.returncode, len(json.loads(done.stdout)["faults"])) == (1, 2)
    (root / "manifest.json").unlink()
    with pytest.raises(NoCopy, match="no copy of a release"):
        verify_copy(root)
    (tmp_path / "no.zip").write_bytes(b"PK")
    with pytest.raises(NoCopy, match="no whole zip"):
        verify_copy(tmp_path / "no.zip")


def test_descriptions_are_valid_for_who_reads_them(folder: Path, tmp_path: Path) -> None:
    root = unpacked(zipped(folder, tmp_path / "a.zip"), tmp_path / "unpacked")
    datacite = json.loads((root / "datacite.json").read_text())
    for needed in ("creators", "titles", "publisher", "publicationYear", "types", "schemaVersion"):
        assert datacite[needed]
    crate = json.loads((root / "ro-crate-metadata.json").read_text())
    entities = {one["@id"]: one for one in crate["@graph"]}
    listed = {part["@id"] for part in entities["./"]["hasPart"]}
    assert len(listed) == 9
    assert listed <= entities.keys()
    assert all((root / one.replace("%23", "#")).is_file() for one in listed)
