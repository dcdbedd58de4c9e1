"""`fornix codec …` as it is typed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

import lab.codec
from lab.codec import codec as command
from shared import recordings
from tests.codec.arrays import recording


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(command, [str(each) for each in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    recording(3000, 6).tofile(tmp_path / "a.bin")
    return tmp_path / "a.bin"


def test_there_and_back(raw: Path) -> None:
    result = run("compress", raw, "-c", 6, "-r", 1000, "--json")
    facts = json.loads(result.stdout)
    assert facts["raw_bytes"] == 36_000
    assert facts["ratio"] > 1.5
    target = raw.with_suffix(".ebin")
    assert facts["bytes"] == target.stat().st_size
    assert run("verify", target, "--against", raw).exit_code == 0
    facts = json.loads(run("info", target, "--json").stdout)
    assert (facts["samples"], facts["channels"], facts["seconds"]) == (3000, 6, 3.0)
    assert facts["level"] == "default"
    assert run("decompress", target, raw.with_name("b.npy"), "-j", 2).exit_code == 0
    np.testing.assert_array_equal(np.load(raw.with_name("b.npy")), recording(3000, 6))


def test_mtscomp_pairs_both_ways(raw: Path) -> None:
    assert run("compress", raw, raw.with_name("m.cbin"), "-c", 6, "-r", 1000).exit_code == 0
    assert raw.with_name("m.ch").is_file()
    assert run("compress", raw.with_name("m.cbin")).exit_code == 0
    assert recordings.verify(raw.with_name("m.ebin"), recording(3000, 6)) == []


def test_a_dry_run_writes_nothing(raw: Path) -> None:
    result = run("compress", raw, "-c", 6, "-r", 1000, "--dry-run", "--json")
    assert json.loads(result.stdout)["raw_bytes"] == 36_000
    assert list(raw.parent.iterdir()) == [raw]


def test_following_a_file(raw: Path) -> None:
    arguments = ["compress", raw, "-c", 6, "-r", 1000, "--follow", "--idle", 0]
    assert run(*arguments).exit_code == 0
    assert recordings.verify(raw.with_suffix(".ebin"), recording(3000, 6)) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dry-run"], "--dry-run has no meaning with --follow"),
        (["--trim"], "--trim has no meaning with --follow"),
        (["-j", 2], "works by one process"),
        (["m.cbin"], "writes .ebin only"),
    ],
)
def test_following_refuses_what_it_would_ignore(
    raw: Path, options: list[object], message: str
) -> None:
    result = run("compress", raw, *options, "-c", 6, "-r", 1000, "--follow", "--idle", 0)
    assert result.exit_code == 1
    assert message in result.output
    assert list(raw.parent.iterdir()) == [raw]


def test_following_does_what_it_is_told(raw: Path) -> None:
    options = ["-c", 6, "-r", 1000, "--idle", 0, "--sha1", "--chunk", 0.5]
    assert run("compress", raw, "--follow", *options).exit_code == 0
    with recordings.open(raw.with_suffix(".ebin")) as reader:
        assert reader.sha1 == hashlib.sha1(raw.read_bytes()).hexdigest()
        assert reader.index.chunk_length == 500


def test_for_the_web(raw: Path) -> None:
    assert run("compress", raw, "-c", 6, "-r", 1000, "--published").exit_code == 0
    with recordings.open(raw.with_suffix(".ebin")) as reader:
        assert reader.index.chunk_length == 21_845
    assert np.load(raw.with_suffix(".rms.npy")).shape == (3, 6)


def test_progress_is_shown_on_a_terminal_only(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run("compress", raw, "-c", 6, "-r", 1000, "--json")
    assert result.stderr == ""
    monkeypatch.setattr(
        lab.codec, "Console", lambda **options: Console(force_terminal=True, **options)
    )
    assert "verifying" in run("verify", raw.with_suffix(".ebin")).stderr


def test_torn_files_say_how_to_go_on(raw: Path) -> None:
    """Given a raw and a compressed file that were cut short, the message names what does it."""
    raw.write_bytes(raw.read_bytes()[:-5])
    options = ["-c", 6, "-r", 1000, "--chunk", 1]
    assert "--trim" in run("compress", raw, *options).output
    assert run("compress", raw, *options, "--trim").exit_code == 0
    target = raw.with_suffix(".ebin")
    target.write_bytes(target.read_bytes()[:-300])
    output = run("decompress", target, raw.with_name("b.bin")).output
    assert "decompress --salvage" in output
    assert run("decompress", target, raw.with_name("b.bin"), "--salvage").exit_code == 1
    restored = np.fromfile(raw.with_name("b.bin"), "int16").reshape(-1, 6)
    np.testing.assert_array_equal(restored[:2000], recording(3000, 6)[:2000])


def test_mistakes_are_explained(raw: Path) -> None:
    result = run("compress", raw, "-c", 7, "-r", 1000)
    assert result.exit_code == 1
    assert "no whole number of samples" in result.output
    assert "give --rate" in run("compress", raw, "-c", 6).output
    run("compress", raw, "-c", 6, "-r", 1000)
    assert "exists" in run("compress", raw, "-c", 6, "-r", 1000).output
    assert run("compress", raw, "-c", 6, "-r", 1000, "--overwrite").exit_code == 0
    assert "not a fornix-ephys recording" in run("info", raw).output


def test_damage_is_named_and_salvaged(raw: Path) -> None:
    run("compress", raw, "-c", 6, "-r", 1000, "--chunk", 1)
    target = raw.with_suffix(".ebin")
    data = bytearray(target.read_bytes())
    with recordings.open(target) as reader:
        data[reader.index.offsets[2] - 5] ^= 1
    target.write_bytes(data)
    result = run("verify", target, "--json")
    assert result.exit_code == 1
    [problem] = json.loads(result.stdout)["problems"]
    assert "chunk 1" in problem
    assert run("decompress", target, raw.with_name("b.bin")).exit_code == 1
    assert run("decompress", target, raw.with_name("b.bin"), "--salvage").exit_code == 1
    restored = np.fromfile(raw.with_name("b.bin"), "int16").reshape(-1, 6)
    expected = recording(3000, 6)
    expected[1000:2000] = 0
    np.testing.assert_array_equal(restored, expected)


def test_a_lost_sidecar_is_rebuilt(raw: Path) -> None:
    run("compress", raw, "-c", 6, "-r", 1000)
    sidecar = raw.with_suffix(".eh")
    text = sidecar.read_text()
    sidecar.unlink()
    assert run("rebuild-index", raw.with_suffix(".ebin")).exit_code == 0
    assert sidecar.read_text() == text
    assert "exists" in run("rebuild-index", raw.with_suffix(".ebin")).output
