"""What rigs and pipelines really write passes the gate, all files of a session together."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from lab.commands.rig import rig
from shared.alf.acceptance import check_contents, check_names
from shared.alf.validate import Header, header
from tests.processes import ended, free_port

LISTED = Path(__file__).with_name("footprints.tsv")


def footprints() -> dict[str, dict[str, str]]:
    """Return, by footprint, what each path holds."""
    found: dict[str, dict[str, str]] = {}
    with LISTED.open(encoding="utf-8", newline="") as file:
        next(file)
        for line in file:
            name, path, content = line.rstrip("\n").split("\t", 2)
            found.setdefault(name, {})[path] = content
    return found


def content_of(said: str) -> bytes:
    """Return a file of a kind and shape."""
    kind, _, rest = said.partition(" ")
    if kind == "npy":
        shape, dtype = rest.split()
        buffer = io.BytesIO()
        np.save(buffer, np.zeros(tuple(map(int, shape.split(","))), dtype))
        return buffer.getvalue()
    if kind == "table":
        import pandas as pd

        rows, columns = map(int, rest.split())
        names = [f"c{i}" for i in range(columns)]
        return pd.DataFrame(np.zeros((rows, columns)), columns=names).to_parquet()
    if kind == "lines":
        count, _, line = rest.partition(" ")
        return (line + "\r\n").encode() * int(count)
    if kind == "jsonable":
        return b'{"trial": 1}\n' * int(rest)
    if kind == "bytes":
        return bytes(int(rest))
    return {
        "json": json.dumps({"a": 1}).encode(),
        "yaml": b"version: 1.0.0\n",
        "flag": b"",
        "zip": b"PK\x05\x06" + bytes(18),
        "wav": b"RIFF" + bytes(40),
        "avi": b"RIFF" + bytes(40),
        "mp4": bytes(4) + b"ftypisom" + bytes(40),
        "tar": bytes(257) + b"ustar" + bytes(250),
        "npz": b"PK\x03\x04" + bytes(40),
        "bz2": b"BZh9",
        "flac": b"fLaC" + bytes(40),
        "mov": bytes(4) + b"ftypqt  " + bytes(40),
        "tdms": b"TDSm" + bytes(40),
        "tif": b"II*\x00" + bytes(40),
        "refused": b"x",
    }[kind]


@pytest.mark.parametrize("name", footprints())
def test_a_footprint_passes_the_gate(name: str):
    # Given the files of a session as that program writes them
    said = footprints()[name]
    files = {path: content_of(what) for path, what in said.items()}
    # When their names and contents are checked, as rig and server do
    wrong = check_names(files)
    _, problems = check_contents(
        {
            path: (lambda content=content: io.BytesIO(content), len(content))
            for path, content in files.items()
            if path not in wrong
        }
    )
    # Then only what is no ALF file is refused, each by itself
    assert {path: str(error) for path, error in problems.items()} == {}
    assert set(wrong) == {path for path, what in said.items() if what == "refused"}


@pytest.mark.parametrize("name", footprints())
def test_a_rig_s_dry_run_takes_a_footprint(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # Given a rig that is without a network, and has such a session
    monkeypatch.setenv("FORNIX_API_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("FORNIX_TOKEN", "t")
    said = footprints()[name]
    session = tmp_path / "Subjects" / "M1" / "2024-02-29" / "001"
    for path, what in said.items():
        (session / path).parent.mkdir(parents=True, exist_ok=True)
        (session / path).write_bytes(content_of(what))
    # When it asks what would be sent, then only what is no ALF file would be refused
    dry = ["upload", str(session), "--dry-run", "--json", "--include", "*"]
    done = CliRunner().invoke(rig, dry, catch_exceptions=False)
    (report,) = ended(done.stdout)
    refused = {file["path"]: file["reason"] for file in report["files"] if "reason" in file}
    assert set(refused) == {path for path, what in said.items() if what == "refused"}, refused
    assert len(report["files"]) == len(said)


@pytest.mark.parametrize(
    "line", ["1 2", "1 2 ", "1\t2", "1,2", "1;2", "1  2", "2024-02-29T12:15:23.5891968+01:00 2"]
)
def test_a_log_without_a_header_has_as_many_rows_as_lines(line: str):
    assert header((line + "\n").encode() * 5, "ssv") == Header(5, (5, 2))
    assert header((line + "\n").encode() * 5 + b"\n", "ssv").rows == 5
    assert header(b"time position \n" + (line + "\n").encode() * 5, "ssv").rows == 5


def test_the_footprints_cover_what_they_say():
    assert csv.field_size_limit() >= 131_072
    assert len(footprints()) >= 18
    assert sum(map(len, footprints().values())) > 260
