"""``fornix export nwb`` of a session on the server: the same file as from its folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import requests
from click.testing import CliRunner

pynwb = pytest.importorskip("pynwb", reason="the extra [nwb] is not installed")

from lab.commands.export import export  # noqa: E402
from lab.exports import served  # noqa: E402
from lab.transfer.upload import Transfer  # noqa: E402
from tests.exports import sessions  # noqa: E402
from tests.flow import DATE, LAB, SESSION, SUBJECT  # noqa: E402

NAME = f"{SUBJECT}/{DATE}/001"


@pytest.fixture
def uploaded(system, tmp_path):
    """A session that its lab has uploaded: behaviour, spikes, a compressed recording."""
    folder = sessions.make(tmp_path / "data")
    sessions.write_spikes(folder, "probe00", seed=3)
    sessions.write_recording(folder, "probe00")
    facts = sessions.FACTS[SUBJECT]
    system.client("manager").patch(
        f"/subjects/{SUBJECT}", {"sex": facts["sex"], "birth_date": facts["birth_date"]}
    )
    paths = [
        path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()
    ]
    about = SESSION | {"start_time": f"{DATE}T10:30:00", "synthetic": True}
    result = Transfer(system.client("member"), folder).upload(about, paths)
    assert result.state == "registered", result.answer
    return folder


def contents(nwb) -> dict[str, np.ndarray]:
    """Return the arrays of a file by their places."""
    found = {}
    for item in nwb.objects.values():
        for name, value in item.fields.items():
            if hasattr(value, "dtype"):
                where = f"{item.parent.name if item.parent else ''}/{item.name}/{name}"
                found[where] = np.asarray(value[:] if value.shape else value)
    return found


@pytest.fixture
def exported(system, tmp_path, monkeypatch):
    """Export by a member of the lab; return the files that were written."""

    def run(what: object, *options: object) -> list[Path]:
        for name, value in system.environment("member").items():
            monkeypatch.setenv(name, value)
        arguments = ["nwb", str(what), "--raw", "--json", "--no-check", *map(str, options)]
        done = CliRunner().invoke(export, arguments)
        assert done.exit_code == 0, done.output
        lines = [line for line in done.stdout.splitlines() if line.startswith('{"path"')]
        return [Path(json.loads(line)["path"]) for line in lines]

    return run


def test_a_session_of_the_api_gives_the_file_of_its_folder(uploaded, exported, tmp_path):
    from_folder = exported(uploaded, "--out", tmp_path / "folder")
    from_api = exported(NAME, "--out", tmp_path / "api")
    assert len(from_folder) == len(from_api) == 2
    for one, other in zip(from_folder, from_api, strict=True):
        with pynwb.NWBHDF5IO(str(one), "r") as left, pynwb.NWBHDF5IO(str(other), "r") as right:
            here, there = left.read(), right.read()
            assert here.subject.date_of_birth.date() == there.subject.date_of_birth.date()
            assert there.session_start_time.isoformat() == f"{DATE}T10:30:00+01:00"
            expected, found = contents(here), contents(there)
            assert expected.keys() == found.keys()
            for place, values in expected.items():
                np.testing.assert_array_equal(found[place], values, err_msg=place)


def test_a_release_is_exported_with_what_it_has_of_its_sessions(
    uploaded, exported, system, tmp_path, monkeypatch
):
    # Given a release of all but the wheel
    manager = system.client("manager")
    manager.post("/tags", {"name": "2026_Paper"})
    for row in manager.get("/datasets", subject=SUBJECT, limit=250)["results"]:
        if "wheel" not in row["name"]:
            manager.patch(f"/datasets/{row['id']}", {"tags": ["2026_Paper"]})
    manager.post("/releases", {"tag": "2026_Paper", "name": "2026_Paper"})
    for name, value in system.environment("manager").items():
        monkeypatch.setenv(name, value)
    out = tmp_path / "release"
    arguments = ["nwb", "2026_Paper@1", "--raw", "--json", "--no-check", "--out", str(out)]
    for did in ("written", "kept"):
        done = CliRunner().invoke(export, arguments)
        assert done.exit_code == 0, done.output
        line = json.loads(done.stdout)
        assert (line["did"], len(line["files"])) == (did, 2)
    with pynwb.NWBHDF5IO(str(out / line["files"][0]), "r") as file:
        nwb = file.read()
        assert nwb.subject.sex == "F"
        assert len(nwb.trials) == 20
        assert "wheel" not in nwb.processing


def test_recordings_are_read_by_ranges_and_kept_files_are_not_fetched_again(
    uploaded, exported, tmp_path, monkeypatch
):
    fetched = []
    get = requests.get

    def counted(url, **options):
        fetched.append(url)
        return get(url, **options)

    monkeypatch.setattr(served.requests, "get", counted)
    cache = tmp_path / "cache"
    exported(NAME, "--out", tmp_path / "out", "--cache", cache)
    assert fetched
    assert not any(".ebin" in url for url in fetched)  # never a whole recording
    assert not list(cache.rglob("*.ebin"))
    first = len(fetched)
    exported(NAME, "--out", tmp_path / "out", "--cache", cache)
    assert len(fetched) == first
    # A kept file that was damaged is fetched once more
    next(cache.rglob("_ibl_wheel.position.npy")).write_bytes(b"x")
    exported(NAME, "--out", tmp_path / "out", "--cache", cache)
    assert len(fetched) == first + 1


def test_a_name_that_means_nothing_or_several_sessions_is_refused(
    system,
    uploaded,
    tmp_path,
    monkeypatch,
):
    for name, value in system.environment("member").items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(export, ["nwb", f"{SUBJECT}/{DATE}/009", "--out", str(tmp_path)])
    assert done.exit_code == 1
    assert "There is no session" in done.output
    done = CliRunner().invoke(export, ["nwb", f"{LAB}-nobody", "--out", str(tmp_path)])
    assert done.exit_code == 1
