"""Two labs upload a session of their mouse M1 of one day; ONE finds and loads each one's own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from functions.api.auth import passwords, tokens
from lab.commands.rig import rig
from shared import catalog
from shared.datasets.read import datasets_of
from shared.records import documents
from tests.flow import DATE, LAB, System

OTHER, MOUSE, PASSWORD = "otherlab", "M1", "correct horse"
LABS = {LAB: [1.0, 2.0, 3.0], OTHER: [4.0, 5.0]}
FILE = "raw_behavior_data/spikes.times.npy"


@pytest.fixture
def labs(system: System) -> System:
    """A second lab with a member beside the first."""
    documents.create("lab", OTHER, {"name": OTHER, "timezone": "Europe/London"}, who="test")
    body = {"username": f"{OTHER}_member", "role": "member", "lab": [OTHER], "is_active": True}
    body |= {"is_public_user": False, "email": "", "allowed_users": []}
    documents.create("user", f"{OTHER}_member", body, who="test")
    return system


@pytest.fixture
def one(labs: System, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The real ONE client of a member of the first lab."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from one.api import OneAlyx

        monkeypatch.setattr("iblutil.io.params.getfile", lambda name: str(tmp_path / f".{name}"))
        passwords.set_password(f"{LAB}_member", PASSWORD)
        one = OneAlyx(
            base_url=labs.url,
            username=f"{LAB}_member",
            password=PASSWORD,
            silent=True,
            cache_rest=None,
            cache_dir=tmp_path / "cache",
        )
    for name, value in (("", f"{labs.url}/data"), ("_LOGIN", f"{LAB}_member"), ("_PWD", PASSWORD)):
        one.alyx._par = one.alyx._par.set(f"HTTP_DATA_SERVER{name}", value)
    return one


def upload(system: System, lab: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Upload a session of the lab's M1, adding the mouse, as a member of the lab."""
    folder = root / lab / "Subjects" / MOUSE / DATE / "001"
    (folder / FILE).parent.mkdir(parents=True)
    np.save(folder / FILE, np.array(LABS[lab]))
    monkeypatch.setenv("FORNIX_API_URL", system.url)
    monkeypatch.setenv("FORNIX_TOKEN", tokens.issue(f"{lab}_member"))
    monkeypatch.setenv("FORNIX_RIG_STATE", str(root / "rig.sqlite"))
    return CliRunner().invoke(rig, ["upload", str(folder), "--create-subject"])


def test_each_lab_finds_and_loads_its_own_session(
    labs: System, one: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a session of M1 of the same day and number from each of two labs
    for lab in LABS:
        done = upload(labs, lab, tmp_path / "rigs", monkeypatch)
        assert done.exit_code == 0, done.output
    catalog.start_request()
    # When the real ONE looks for them
    both = one.search(subject=MOUSE, query_type="remote")
    assert len(both) == 2
    for lab, times in LABS.items():
        (eid,) = one.search(subject=MOUSE, lab=lab, query_type="remote")
        # Then each has its own folder and its own bytes
        (dataset,) = datasets_of(str(eid))
        assert str(dataset.stored_key).startswith(
            f"data/{lab}/Subjects/{MOUSE}/{DATE}/001/raw_behavior_data/"
        )
        assert one.load_dataset(eid, "spikes.times.npy").tolist() == times
        path = one.eid2path(eid)
        assert path.as_posix().endswith(f"{lab}/Subjects/{MOUSE}/{DATE}/001")
        assert one.get_details(eid)["lab"] == lab
    # and a mouse of another lab's name is not made without being asked for
    folder = (
        tmp_path / "rigs" / LAB / "Subjects" / "ONLY_HERE" / DATE / "001" / "raw_behavior_data"
    )
    labs.client("member").post("/subjects", {"nickname": "ONLY_HERE", "lab": LAB})
    folder.mkdir(parents=True)
    np.save(folder / "spikes.times.npy", np.zeros(3))
    monkeypatch.setenv("FORNIX_TOKEN", tokens.issue(f"{OTHER}_member"))
    refused = CliRunner().invoke(rig, ["upload", str(folder.parent), "--lab", OTHER])
    assert refused.exit_code == 1
    assert f"is of {LAB}, not of {OTHER}" in " ".join(refused.output.split())
