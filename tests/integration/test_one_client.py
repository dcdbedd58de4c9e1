"""ONE-api through the whole system: gateway, function, bucket, as any member uses it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.site.conftest import trials_of

pytestmark = pytest.mark.integration

LAB, MEMBER = "fimbrialab", "fimbrialab_member"
NAMES = ["alf/spikes.times.npy", "alf/#2024-08-01#/spikes.times.npy", "alf/wheel.position.npy"]


@pytest.fixture
def one(cloud: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from one.api import OneAlyx
    monkeypatch.setattr("iblutil.io.params.getfile", lambda name: str(tmp_path / f".{name}"))
    account = cloud.credentials[MEMBER]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there may be no tables yet
        client = OneAlyx(
            base_url=cloud.api_url,
            username=account["username"],
            password=account["password"],
            silent=True,
            cache_dir=tmp_path / "cache",
            cache_rest=None,
        )
    parameters = client.alyx._par.set("HTTP_DATA_SERVER", f"{cloud.api_url}/data")
    parameters = parameters.set("HTTP_DATA_SERVER_LOGIN", account["username"])
    client.alyx._par = parameters.set("HTTP_DATA_SERVER_PWD", account["password"])
    return client


@pytest.fixture
def subject(one: Any) -> str:
    made = one.alyx.rest("subjects", "create", data={"nickname": "ONE_001", "lab": LAB})
    return str(made["nickname"])


def test_from_registration_to_loading(cloud: Any, one: Any, subject: str, tmp_path: Path) -> None:
    from one.registration import RegistrationClient

    # Given a session registered by the client, whose files the lab's rig uploads
    client = RegistrationClient(one)
    folder, eid = client.create_new_session(subject, date="2024-07-01")
    for i, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / name, np.arange(3.0) + i)
    files = [folder / name for name in NAMES]
    # (asked with a body in a GET, which not every gateway lets through)
    assert client.check_protected_files(files)[0]["status_code"] == 200
    done = subprocess.run(
        [sys.executable, "-m", "lab.cli", "rig", "upload", folder, "--include", "alf/*"],
        env=cloud.user_env(f"{LAB}_rig"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    listed = one.alyx.rest("datasets", "list", session=str(eid), no_cache=True)
    by_name = {(row["collection"], row["revision"], row["name"]): row for row in listed}
    first = by_name["alf", "", "spikes.times.npy"]
    for file in files:
        file.unlink()
    # When another, who knows the base URL, searches and loads
    assert [str(each) for each in one.search(subject=subject, query_type="remote")] == [str(eid)]
    wheel = one.load_object(eid, "wheel", collection="alf", query_type="remote")
    np.testing.assert_array_equal(wheel["position"], np.arange(3.0) + 2)
    times = one.load_dataset(eid, "spikes.times", collection="alf", query_type="remote")
    np.testing.assert_array_equal(times, np.arange(3.0) + 1)  # the revision
    times = one.load_dataset(eid, "spikes.times", collection="alf", revision="2024-07-31")
    np.testing.assert_array_equal(times, np.arange(3.0))
    loaded = one.eid2path(eid) / NAMES[0]
    digest = hashlib.md5(loaded.read_bytes(), usedforsecurity=False).hexdigest()
    assert digest == one.alyx.rest("datasets", "read", first["url"][-36:])["hash"]
    # Then it looks at it and says so, with a picture that arrives as it is
    picture = tmp_path / "drift.png"
    noise = np.random.default_rng(1).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    Image.fromarray(noise).save(picture)
    note = {
        "user": MEMBER,
        "content_type": "session",
        "object_id": str(eid),
        "text": "drift in the second half",
        "width": "orig",
    }
    with picture.open("rb") as file:
        made = one.alyx.rest("notes", "create", data=note, files={"image": file})
    from one.webclient import http_download_file

    account = cloud.credentials[MEMBER]
    copy = http_download_file(
        made["image"],
        target_dir=tmp_path,
        username=account["username"],
        password=account["password"],
        silent=True,
    )
    assert copy.read_bytes() == picture.read_bytes()
    assert one.get_details(eid, full=True)["notes"][0]["text"] == "drift in the second half"


def test_lists_longer_than_a_page(one: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        types = one.alyx.rest("dataset-types", "list", limit=10)
        names = [row["name"] for row in types]
    assert len(names) == len(set(names)) == len(types) > 20
    assert types[-1]["name"] == names[-1]


def test_aggregates_are_made_at_night_by_the_role_of_analyses(
    cloud: Any, one: Any, tmp_path: Path
) -> None:
    # Given trials of two sessions that a rig sends
    one.alyx.rest("subjects", "create", data={"nickname": "ONE_002", "lab": LAB})
    for day in (1, 2):
        alf = tmp_path / "rig" / LAB / "Subjects" / "ONE_002" / f"2024-07-0{day}" / "001" / "alf"
        alf.mkdir(parents=True)
        trials_of(20 + day, day).to_parquet(alf / "_ibl_trials.table.pqt")
    sent = subprocess.run(
        [sys.executable, "-m", "lab.cli", "rig", "upload", tmp_path / "rig", "--include", "alf/*"],
        env=cloud.user_env(f"{LAB}_rig"),
        capture_output=True,
        text=True,
    )
    assert sent.returncode == 0, sent.stdout + sent.stderr
    for row in one.alyx.rest("sessions", "list", subject="ONE_002", no_cache=True):
        change = {"task_protocol": "_iblrig_tasks_trainingChoiceWorld"}
        one.alyx.rest("sessions", "partial_update", id=row["url"][-36:], data=change)
    # When the night has passed, then a member loads them
    cloud.invoke("analysis", {"kind": "nightly"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trials = one.load_aggregate("subjects", "ONE_002", "_ibl_subjectTrials.table")
        training = one.load_aggregate("subjects", "ONE_002", "_ibl_subjectTraining.table")
    assert len(trials) == 21 + 22
    assert training["training_status"].tolist() == ["in training"]
    assert training["session"].tolist() == [trials["session"].iloc[0]]
