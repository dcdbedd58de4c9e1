"""What people do with a session whose raw recording was freed: run again, mirror, restore."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from functions.journal.append import append
from infra.local.expiry import expire, put_rules
from infra.recovery import restore
from lab.client import RequestRefused
from lab.codec import codec
from lab.worker.run import Worker
from shared import catalog
from shared.datasets.edit import update_dataset
from shared.datasets.freed import freed
from shared.datasets.read import datasets_of
from shared.model import moment
from shared.model.messages import TaskChanged
from shared.records import documents, queues
from shared.sessions import store as sessions
from shared.work import read
from tests.dispatch.test_freeing import (  # noqa: F401
    RULES,
    STEM,
    compress,
    frees,
    recorded,
    tags,
    the,
)
from tests.flow import DATE, SUBJECT
from tests.releases.test_whole_way import FORNIX, fornix

pytestmark = pytest.mark.integration


@pytest.fixture
def expired(system, recorded, tmp_path):  # noqa: F811
    """The id of a session whose raw file was freed, and has expired."""
    eid = compress(system, tmp_path)
    is_freed(system, eid)
    let_expire(system)
    return eid


def is_freed(system, eid):
    system.flow.until(lambda: (note := freed(the(eid))) is not None and note.marked)


def let_expire(system):
    put_rules(system.flow.s3, system.flow.bucket, {"Resources": {"Data": RULES}})
    late = datetime.now(UTC) + timedelta(days=15)
    return expire(system.flow.s3, system.flow.bucket, late)


def test_a_run_whose_input_was_freed_is_repeated(system, expired, tmp_path):
    # Given a file whose bytes are gone
    assert the(expired).stored_key not in all_keys(system)
    # When the run that read it is repeated
    copy = the(expired, f"{STEM}.ebin")
    folder = tmp_path / "again"
    told = fornix(system.environment("member"), "rerun", copy.uuid, "--folder", folder, "--json")
    # Then it read the same bytes, and made the same
    said = json.loads(told)
    assert (said["status"], said["same"]) == ("Complete", True)
    assert f"{STEM}.ebin" in {each["path"] for each in said["outputs"]}
    # When the copy is not of that file, then the command says so
    record = system.client("member").get(f"/datasets/{copy.uuid}/run-record")
    for one in record["inputs"]:
        one["sha256"] = "0" * 64 if one["path"].endswith(".bin") else one["sha256"]
    (tmp_path / "record.json").write_text(json.dumps(record))
    env = system.environment("member")
    done = subprocess.run(
        [FORNIX, "rerun", tmp_path / "record.json"],
        env=os.environ | env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"made from {copy.path}" in done.stderr
    assert "0000" in done.stderr


def test_a_task_whose_input_was_freed_runs_again(system, expired, tmp_path):
    copy = the(expired, f"{STEM}.ebin")
    # When a person asks for the compression once more
    (task,) = (each for each in read.of_session(expired) if each.executable == "ephys.compress")
    fornix(system.environment("manager"), "task", "retry", task.id)
    Worker(system.client("worker"), lease=5, folder=tmp_path, poll=2).run(idle=1)
    # Then the worker made its input again, and the result is the same
    again = read.get_task(task.id)
    assert (again.status, int(again.attempt)) == ("Complete", 2), again.log
    (raw,) = (
        one for one in json.loads(again.run_record)["inputs"] if one["path"] == the(expired).path
    )
    assert raw["sha256"] == the(expired).sha256
    assert the(expired, copy.path).sha256 == copy.sha256
    assert not [item for item in datasets_of(expired) if item.revision]
    # Then the file stays freed
    assert not the(expired).in_own_store


def test_a_release_of_the_copies_is_mirrored_and_gives_the_raw_file(
    system, recorded, expired, tmp_path  # noqa: F811
):  # fmt: skip
    manager = system.client("manager")
    # Given a release of the session; the freed file cannot be in it, as the server says
    manager.post("/tags", {"name": "paper"})
    rows = manager.get("/datasets", session=expired, limit=250)["results"]
    for row in rows:
        manager.patch(f"/datasets/{row['id']}", {"tags": ["paper"]})
    with pytest.raises(RequestRefused, match="tag the copy"):
        manager.post("/releases", {"tag": "paper"})
    (raw,) = (row for row in rows if row["name"].endswith(".bin"))
    manager.patch(f"/datasets/{raw['id']}", {"tags": []})
    manager.post("/releases", {"tag": "paper"})
    manager.post("/releases/paper/1/publish")
    # When it is mirrored
    told = fornix({}, "mirror", f"{system.url}/releases/paper", tmp_path / "mirror", "--json")
    # Then all is there, and the raw file's bytes come from the copy
    assert json.loads(told)["faults"] == []
    (copy,) = (tmp_path / "mirror").rglob("*.ebin")
    done = CliRunner().invoke(codec, ["decompress", str(copy), str(tmp_path / "back.bin")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "back.bin").read_bytes() == recorded.read_bytes()
    # Then those who verify the copy find no fault
    fornix({}, "release", "verify", tmp_path / "mirror")


def test_what_an_earlier_release_names_is_never_freed(
    system, recorded, tmp_path, monkeypatch  # noqa: F811
):  # fmt: skip
    # Given a raw file that had a release's tag, which is taken from it
    monkeypatch.delenv("FORNIX_FREE_RAW")
    eid = compress(system, tmp_path)
    system.rest()
    documents.create("tag", "r1", {"name": "r1"}, who="admin")
    for given in (["r1"], None):
        update_dataset(
            eid, f"{STEM}.bin", lambda x, given=given: setattr(x, "tags", given), who="a"
        )
    monkeypatch.setenv("FORNIX_FREE_RAW", "yes")
    # When dispatch looks at the session
    (task,) = (each for each in read.of_session(eid) if each.executable == "ephys.compress")
    queues.send(queues.url("dispatch"), TaskChanged(task.id))
    system.flow.pump()
    # Then it stays: the first version of the release has it
    assert freed(the(eid)) is None
    assert the(eid).in_own_store


def test_a_restore_to_a_moment_before_keeps_the_file(
    system, recorded, tmp_path, monkeypatch  # noqa: F811
):  # fmt: skip
    # Given a compressed recording
    monkeypatch.delenv("FORNIX_FREE_RAW")
    eid = compress(system, tmp_path)
    system.rest()
    system.flow.pump()
    append()
    before = moment.stamp()
    # that is freed later
    monkeypatch.setenv("FORNIX_FREE_RAW", "yes")
    (task,) = (each for each in read.of_session(eid) if each.executable == "ephys.compress")
    queues.send(queues.url("dispatch"), TaskChanged(task.id))
    is_freed(system, eid)
    system.rest()
    append()
    key = the(eid).stored_key
    # When the table is made what it is now, then nothing is missing and the file may still expire
    done = restored("--replace")
    assert (done["missing"], done["kept"], done["expired"]) == ([], [], {})
    assert tags(system, key) == {"fornix": "freed"}
    # When it is made what it was before (tried first)
    tried = restored("--to", text_of(before), "--replace", "--dry-run")
    assert (tried["kept"], freed(the(eid)) is None) == ([key], False)
    done = restored("--to", text_of(before), "--replace")
    # Then the file counts as present again, and stays
    assert (done["missing"], done["kept"], done["expired"]) == ([], [key], {})
    assert the(eid).in_own_store
    assert let_expire(system) == []
    assert key in all_keys(system)


def test_a_restore_names_the_copy_of_a_file_that_has_expired(system, recorded, tmp_path):  # noqa: F811
    # Given a recording that is freed and expires
    system.flow.until(lambda: sessions.find(SUBJECT, DATE, 1) is not None)
    append()
    before = moment.stamp()
    eid = compress(system, tmp_path)
    is_freed(system, eid)
    let_expire(system)
    system.rest()
    append()
    raw, copy = the(eid).stored_key, the(eid, f"{STEM}.ebin").stored_key
    # When the table is made what it is now, then nothing is missing
    assert restored("--replace")["missing"] == []
    # When it is made what it was before, then the command says where the content is
    done = restored("--to", text_of(before), "--replace", code=1)
    assert (done["missing"], done["expired"]) == ([], {raw: copy})


def text_of(stamp):
    return moment.of_stamp(stamp).isoformat()


def restored(*arguments, code=0):
    """Restore by the command; return its report."""
    done = CliRunner().invoke(restore, [*arguments, "--json"])
    assert done.exit_code == code, (done.output, done.exception)
    catalog.reset_for_tests()
    return json.loads(done.output.splitlines()[-1])


def all_keys(system):
    return {f"data/{key}" for key in system.flow.keys("data/")}
