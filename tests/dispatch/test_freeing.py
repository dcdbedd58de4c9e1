"""Raw recordings are freed after a proof of their compressed copy, and only then."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import requests
from click.testing import CliRunner

from functions.dispatch import freeing
from functions.dispatch.freeing import proof
from infra.local.expiry import expire, put_rules
from lab.codec import codec
from lab.commands.rig import rig
from lab.simulate.recording import simulate_recording, write_recording
from lab.simulate.spikes import simulate_sorting
from lab.worker.run import Worker
from shared.datasets.edit import delete_dataset, update_dataset
from shared.datasets.freed import freed
from shared.datasets.read import content_hashes, datasets_of
from shared.datasets.register import register_datasets
from shared.model.copies import OWN
from shared.model.dataset import FileRecord
from shared.model.messages import SessionRegistered, TaskChanged
from shared.model.task import RunFile, RunRecord
from shared.publishing.gather import NotReleasable, gather
from shared.records import documents, objects, queues
from shared.records.errors import Kept
from shared.records.items import Dataset
from shared.sessions import store as sessions
from shared.work import read
from shared.work.item import Task
from tests.flow import DATE, FOLDER, LAB, SUBJECT
from tests.site.conftest import trials_of

PROBE = "raw_ephys_data/probe00"
STEM = f"{PROBE}/_spikeglx_ephysData_g0_t0.imec0.ap"
EID, TASK = "0f6b3c4e-95b4-4d4b-8f5b-6d0c2f1a9b3d", "0f6b3c4e-95b4-4d4b-8f5b-000000000001"


@pytest.fixture
def frees(monkeypatch):
    """A deployment that frees raw files."""
    monkeypatch.setenv("FORNIX_FREE_RAW", "yes")


@pytest.fixture
def recorded(system, frees, tmp_path, monkeypatch):
    """A session with a probe, sent by `fornix rig upload`; the raw file's path on the rig."""
    sorting = simulate_sorting(trials_of(20, 1), seed=1, n_units=2)
    samples = simulate_recording(sorting, seconds=0.5, channels=4, seed=1)
    places = sorting["channels.localCoordinates.npy"]
    folder = tmp_path / "rig" / LAB / "Subjects" / SUBJECT / DATE / "001"
    raw = write_recording(samples, places, folder / PROBE)
    for name, value in system.environment("member").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FORNIX_RIG_STATE", str(tmp_path / "rig.sqlite"))
    sent = CliRunner().invoke(rig, ["upload", str(folder)])
    assert sent.exit_code == 0, sent.output
    return raw


def compress(system, tmp_path):
    """Have a worker run the one task that waits; return the session's id."""
    eid = sessions.find(SUBJECT, DATE, 1).id
    system.flow.until(lambda: bool(read.of_session(eid)))
    Worker(system.client("worker"), lease=5, folder=tmp_path, poll=2).run(most=1)
    return eid


def the(eid, path=f"{STEM}.bin"):
    return next(item for item in datasets_of(eid) if item.path == path)


def tags(system, key):
    found = system.flow.s3.get_object_tagging(Bucket=system.flow.bucket, Key=key)["TagSet"]
    return {tag["Key"]: tag["Value"] for tag in found}


@pytest.mark.integration
def test_a_raw_file_goes_from_rig_to_proof_to_expiry(system, recorded, tmp_path):
    content = recorded.read_bytes()
    # When a worker has compressed what a rig has sent
    eid = compress(system, tmp_path)
    system.flow.until(lambda: (note := freed(the(eid))) is not None and note.marked)
    raw, note = the(eid), freed(the(eid))
    # Then the record says where the content is, and the object may expire
    assert not raw.in_own_store
    assert (note.copy, note.index) == (f"{STEM}.ebin", f"{STEM}.eh")
    assert note.sha256 == raw.sha256 == hashlib.sha256(content).hexdigest()
    assert tags(system, raw.stored_key) == {"fornix": "freed"}
    # Then its content still counts, so no task runs again
    assert content_hashes(datasets_of(eid))[raw.path] == raw.sha256
    queues.send(queues.url("dispatch"), SessionRegistered(eid))
    system.flow.pump()
    (done, *_) = [task for task in read.of_session(eid) if task.executable == "ephys.compress"]
    assert (done.status, int(done.attempt)) == ("Complete", 1)
    # Then ONE's users are not sent to it, and who asks all the same is told what to do
    client = system.client("member")
    listed = client.get(f"/sessions/{eid}")["data_dataset_session_related"]
    assert {item["name"] for item in listed}.isdisjoint({raw.name})
    address = f"{system.url}/data/{FOLDER}/{STEM}.{raw.uuid}.bin"
    headers = {"Authorization": f"Token {system.environment('member')['FORNIX_TOKEN']}"}
    answer = requests.get(address, headers=headers, timeout=10)
    assert answer.status_code == 410
    assert "`fornix codec decompress`" in answer.json()["detail"]
    assert note.sha256 in answer.json()["detail"]
    # Then the recipe gives the same bytes
    for path in (note.copy, note.index):
        place = tmp_path / path.rpartition("/")[2]
        place.write_bytes(objects.read(the(eid, path).stored_key))
    copy = tmp_path / note.copy.rpartition("/")[2]
    restored = CliRunner().invoke(codec, ["decompress", str(copy), str(tmp_path / "back.bin")])
    assert restored.exit_code == 0, restored.output
    assert (tmp_path / "back.bin").read_bytes() == content
    # Then sending it again brings nothing back
    again = CliRunner().invoke(rig, ["upload", str(recorded.parents[2]), "--again"])
    assert again.exit_code == 0, again.output
    assert freed(the(eid)) == note
    # Then its copy cannot be deleted
    with pytest.raises(Kept, match="only copy"):
        delete_dataset(eid, note.copy, who="admin")
    # When its time is over, then the bucket's rule deletes this object and no other
    kept = set(system.flow.keys("data/"))
    put_rules(system.flow.s3, system.flow.bucket, {"Resources": {"Data": RULES}})
    assert expire(system.flow.s3, system.flow.bucket, datetime.now(UTC)) == []
    late = datetime.now(UTC) + timedelta(days=15)
    assert expire(system.flow.s3, system.flow.bucket, late) == [raw.stored_key]
    assert kept - set(system.flow.keys("data/")) == {raw.stored_key.removeprefix("data/")}
    queues.send(queues.url("dispatch"), SessionRegistered(eid))
    system.flow.pump()  # what dispatch repeats then is no error
    # Then a release that names it is refused with the reason
    documents.create("tag", "r1", {"name": "r1"}, who="admin")
    update_dataset(eid, raw.path, lambda item: setattr(item, "tags", ["r1"]), who="admin")
    with pytest.raises(NotReleasable, match="tag the copy"):
        gather("r1")


RULES = {
    "Type": "AWS::S3::Bucket",
    "Properties": {
        "LifecycleConfiguration": {
            "Rules": [
                {
                    "Id": "expire-what-was-freed",
                    "Status": "Enabled",
                    "Prefix": "data/",
                    "TagFilters": [{"Key": "fornix", "Value": "freed"}],
                    "ExpirationInDays": 14,
                }
            ]
        }
    },
}


@pytest.mark.integration
def test_a_kill_at_any_point_ends_the_same(system, recorded, tmp_path, monkeypatch):
    # Given a compressed recording that is not freed yet
    monkeypatch.delenv("FORNIX_FREE_RAW")
    eid = compress(system, tmp_path)
    system.flow.until(lambda: all(task.status != "Started" for task in read.of_session(eid)))
    system.rest()
    system.flow.pump()
    assert freed(the(eid)) is None
    monkeypatch.setenv("FORNIX_FREE_RAW", "yes")
    (task,) = (each for each in read.of_session(eid) if each.executable == "ephys.compress")
    for place, name, after in (
        (freeing, "update_dataset", False),
        (freeing, "update_dataset", True),
        (objects, "mark_freed", False),
        (objects, "mark_freed", True),
    ):
        # When the function is killed there, and its message comes again, twice
        with monkeypatch.context() as patched:
            patched.setattr(place, name, killed_once(getattr(place, name), after=after))
            message = {"kind": "task.changed", "task": task.id}
            assert system.flow.deliver("dispatch", message)["batchItemFailures"], (name, after)
            for _ in range(2):
                queues.send(queues.url("dispatch"), TaskChanged(task.id))
                system.flow.pump(times=2)
        # Then the file is freed, and may expire
        raw = the(eid)
        note = freed(raw)
        assert note is not None, (name, after)
        assert note.marked
        assert tags(system, raw.stored_key) == {"fornix": "freed"}
        assert the(eid, note.copy).in_own_store
        update_dataset(eid, raw.path, unfree, who="test")
        system.flow.s3.delete_object_tagging(Bucket=system.flow.bucket, Key=raw.stored_key)
    # Given that its copy was replaced meanwhile, when the message comes, then the file stays
    copy = the(eid, note.copy)
    newer = Dataset.of(
        eid, f"{PROBE}/#2030-01-01#/{copy.name}", sha256="ab" * 32, hash="ab" * 16, file_size=3
    )
    register_datasets(eid, [newer], manifest="newer", who="test")
    queues.send(queues.url("dispatch"), TaskChanged(task.id))
    system.flow.pump()
    assert the(eid).in_own_store
    assert tags(system, the(eid).stored_key) == {}


def killed_once(real, *, after):
    """Return a function that fails the first time, before or after it has done its work."""
    calls = []

    def wrapped(*args, **kwargs):
        calls.append(args)
        if len(calls) == 1 and not after:
            raise RuntimeError("killed")
        result = real(*args, **kwargs)
        if len(calls) == 1:
            raise RuntimeError("killed")
        return result

    return wrapped


def unfree(item):
    item.records = [FileRecord(OWN)]


RAW_HASH, COPY_HASH, INDEX_HASH = "11" * 32, "22" * 32, "33" * 32


def given(**changed):
    """Return a raw file that may be freed, but for changes, with its datasets and tasks."""
    raw = Dataset.of(EID, f"{STEM}.bin", sha256=RAW_HASH, stored_in=FOLDER, file_size=9)
    made = {"task": TASK, "upload": "u"}
    parts = [
        Dataset.of(EID, path, sha256=sha, stored_in=FOLDER, file_size=5, provenance=made)
        for path, sha in ((f"{STEM}.ebin", COPY_HASH), (f"{STEM}.eh", INDEX_HASH))
    ]
    record = RunRecord(
        inputs=(RunFile(raw.path, 9, RAW_HASH, raw.uuid),),
        outputs=tuple(RunFile(part.path, 5, part.sha256) for part in parts),
    )
    task = Task(
        pk=f"SES#{EID}",
        sk=f"J#{TASK}",
        id=TASK,
        lab=LAB,
        name="ephys.compress",
        executable="ephys.compress",
        graph="ephys",
        status=changed.pop("status", "Complete"),
        datetime="2024-01-01T00:00:00Z",
        run_record=msgspec.json.encode(changed.pop("record", record)).decode(),
    )
    for name, value in changed.pop("raw", {}).items():
        setattr(raw, name, value)
    for name, value in changed.pop("copy", {}).items():
        setattr(parts[0], name, value)
    others = changed.pop("tasks", [])
    datasets = [raw, *parts[: changed.pop("parts", 2)]]
    assert not changed
    return raw, datasets, [task, *others]


def reader(status):
    """Return a task that reads every file of the folder."""
    return Task(
        pk=f"SES#{EID}",
        sk="J#other",
        id="other",
        lab=LAB,
        name="sync.pulses",
        executable="sync.pulses",
        graph="ephys",
        status=status,
        datetime="2024-01-01T00:00:00Z",
        arguments=f'{{"collection": "{PROBE}"}}',
    )


def test_where_everything_holds_the_proof_is_found():
    assert proof(*given()).copy == f"{STEM}.ebin"
    assert proof(*given(tasks=[reader("Complete")])) is not None


UNPROVED = RunRecord(inputs=(), outputs=())
OF_OTHER = RunRecord(
    inputs=(RunFile(f"{STEM}.bin", 9, "44" * 32, "x"),),
    outputs=(RunFile(f"{STEM}.ebin", 5, COPY_HASH), RunFile(f"{STEM}.eh", 5, INDEX_HASH)),
)


@pytest.mark.parametrize(
    "changed",
    [
        {"status": "Incomplete"},
        {"status": "Errored"},
        {"status": "Waiting"},
        {"record": UNPROVED},
        {"record": OF_OTHER},
        {"raw": {"tags": ["protected"]}},
        {"raw": {"default": False}},
        {"raw": {"stored_in": None}},
        {"copy": {"sha256": "55" * 32}},
        {"copy": {"default": False}},
        {"copy": {"provenance": {"task": "another"}}},
        {"copy": {"provenance": None}},
        {"copy": {"records": [FileRecord(OWN, False)]}},
        {"parts": 1},  # the index is missing
        {"parts": 0},
        {"tasks": [reader("Held")]},
        {"tasks": [reader("Errored")]},
        {"tasks": [reader("Started")]},
    ],
    ids=str,
)
def test_where_anything_is_missing_the_file_stays(changed):
    assert proof(*given(**changed)) is None
