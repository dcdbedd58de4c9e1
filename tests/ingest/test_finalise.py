"""What becomes of an upload: registered, refused with a reason, never lost, never twice."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest

from functions.ingest import finalise as module
from functions.ingest.finalise import finalise
from functions.ingest.reconcile import reconcile
from shared.datasets.read import datasets_of
from shared.records import documents
from shared.sessions import store as sessions
from shared.sessions.delete import delete_session
from shared.uploads import transport
from shared.uploads.keys import incoming_key
from shared.uploads.lock import Lock, only_writer
from shared.uploads.state import BUSY, get_upload, mark_not_coming, request_of, start_validation
from shared.uploads.transport import Incomplete, assemble, sign_parts
from tests.flow import DATE, FOLDER, LAB, SUBJECT, npy, reasons, states

GOOD = {
    "alf/spikes.times.npy": npy(1, 2, 3),
    "alf/spikes.amps.npy": npy(4, 5, 6),
    "raw_behavior_data/_iblrig_taskSettings.raw.json": b'{"A": 1}',
}


def registered():
    session = sessions.find(SUBJECT, DATE, 1)
    return {item.path: item for item in datasets_of(session.id)} if session else {}


def test_good_files_are_registered_with_all_that_is_known_of_them(flow):
    # Given an open upload, when all files arrive and their events are delivered
    answer = flow.open(GOOD)
    assert states(answer) == dict.fromkeys(GOOD, "wanted")
    assert flow.send(answer, GOOD) == [200, 200, 200]
    flow.pump()
    # Then the session is there, with the datasets and their bytes
    after = flow.describe(answer["id"])
    assert after["state"] == "registered"
    assert states(after) == dict.fromkeys(GOOD, "registered")
    session = sessions.find(SUBJECT, DATE, 1)
    assert after["session"] == session.id
    assert session.users == ["rig"]
    times = registered()["alf/spikes.times.npy"]
    assert (times.dataset_type, times.data_format, times.rows) == ("spikes.times", "npy", 3)
    assert times.file_size == len(GOOD["alf/spikes.times.npy"])
    assert times.provenance == {"upload": answer["id"]}
    body = flow.s3.get_object(Bucket=flow.bucket, Key=times.stored_key)["Body"].read()
    assert body == GOOD["alf/spikes.times.npy"]
    # And nothing is left behind
    assert flow.keys(f"incoming/{answer['id']}/") == []


def test_nothing_is_registered_before_the_last_file_is_there(flow):
    answer = flow.open(GOOD)
    cut = {**answer, "files": answer["files"][:2]}
    assert flow.send(cut, GOOD) == [200, 200]
    flow.until(lambda: list(states(flow.describe(answer["id"])).values()).count("stored") == 2)
    assert registered() == {}
    half = flow.describe(answer["id"])
    assert half["state"] == "open"
    assert sorted(states(half).values()) == ["stored", "stored", "wanted"]
    # When the client comes again with the same files, then only the last is wanted
    again = flow.open(GOOD)
    assert again["id"] == answer["id"]
    assert flow.send(again, GOOD) == [200]
    flow.until(lambda: len(registered()) == 3)


def test_events_may_come_twice_and_late(flow):
    answer = flow.open(GOOD)
    flow.send(answer, GOOD)
    events = flow.messages("ingest")
    for _ in range(2):
        assert flow.deliver("ingest", *events) == {"batchItemFailures": []}
    assert len(flow.messages("dispatch")) == 1
    before = {path: item.attribute_values for path, item in registered().items()}
    manifests = flow.keys("manifests/")
    # When they come again much later, then nothing changes
    flow.deliver("ingest", *reversed(events))
    assert {path: item.attribute_values for path, item in registered().items()} == before
    assert (
        flow.keys("manifests/")
        == manifests
        == [f"{FOLDER.replace('Subjects/', '')}/{answer['id']}.json"]
    )


@pytest.mark.parametrize(
    "content",
    [
        b'{"Records": [{"s3": {"object": {"key": "incoming/x.json"}}}]}',
        b'{"Event": "s3:TestEvent"}',
        *(
            b'{"Records": [{"s3": {"object": {"key": "%b"}}}]}' % key
            for key in (
                *(b"incoming/", b"incoming//x", b"incoming/image-/original", b"incoming/%ff/x"),
                *(b"incoming/%2e%2e%2fx/y", b"incoming/a%00b/y", b"incoming/%25zz%/+", b"other"),
                *(b"incoming/image-%C3%A9%0A/x", b"incoming/" + b"a" * 900 + b"/x", b"", b"%"),
            )
        ),
    ],
)
def test_events_that_are_about_no_upload_are_passed_over(flow, content):
    import json

    assert flow.deliver("ingest", json.loads(content)) == {"batchItemFailures": []}


def test_one_bad_message_does_not_keep_the_others(flow):
    answer = flow.open(GOOD)
    flow.send(answer, GOOD)
    result = flow.deliver(
        "ingest", {"kind": "finalise"}, {"kind": "finalise", "upload": answer["id"]}
    )
    assert result == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    assert len(registered()) == 3


BAD = [
    ("alf/spikes times.npy", npy(1), "rejected", "attribute", "name"),
    ("alf/spikes.depths.npy", npy(1, 2, 3)[:-5], "quarantined", "makes 152 bytes", "truncated"),
    ("alf/spikes.depths.npy", npy(1, 2), "quarantined", "differ in their number of rows", "rows"),
    ("alf/trials.table.pqt", b"PAR1 nonsense", "quarantined", "Parquet", "footer"),
    ("alf/spikes.depths.xyz", b"?", "rejected", "extension", "format"),
    ("alf/_ibl_trials.goCue_times.npy", b"", "quarantined", "empty", "empty"),
]


@pytest.mark.parametrize(
    ("path", "content", "state", "words", "_id"), BAD, ids=[b[-1] for b in BAD]
)
def test_a_bad_file_is_refused_with_its_reason_and_the_good_ones_go_in(
    flow, path, content, state, words, _id
):
    after = flow.upload({**GOOD, path: content})
    assert after["state"] == "partial"
    assert states(after) == {**dict.fromkeys(GOOD, "registered"), path: state}
    assert words in reasons(after)[path]
    assert "To fix" in reasons(after)[path]
    assert set(registered()) == set(GOOD)
    # And what had arrived is kept
    kept = [f"{after['id']}/{path}"] if state == "quarantined" else []
    assert flow.keys("quarantine/") == kept


def test_a_wrong_checksum_is_refused_by_s3_itself(flow):
    answer = flow.open(GOOD)
    spoilt = {path: bytes(reversed(content)) for path, content in GOOD.items()}
    assert set(flow.send(answer, spoilt)) == {400}
    assert flow.keys("incoming/") == [f"{answer['id']}.json"]


def test_a_file_the_client_gave_up_is_refused_and_the_others_go_in(flow):
    path = "alf/spikes.amps.npy"
    answer = flow.open(GOOD)
    flow.send({"files": [f for f in answer["files"] if f["path"] != path]}, GOOD)
    mark_not_coming(get_upload(answer["id"]), {path: "the file changed while it was sent"})
    finalise(answer["id"])
    after = flow.describe(answer["id"])
    assert after["state"] == "partial"
    assert reasons(after) == {path: "the file changed while it was sent"}
    assert set(registered()) == set(GOOD) - {path}


def test_an_upload_of_bad_files_only_makes_no_session(flow):
    after = flow.upload({"alf/spikes.times.npy": b"no array"})
    assert after["state"] == "rejected"
    assert sessions.find(SUBJECT, DATE, 1) is None
    assert flow.keys("data/") == []


def test_unequal_rows_are_judged_against_what_is_registered(flow):
    flow.upload(GOOD)
    after = flow.upload({"alf/spikes.depths.npy": npy(1, 2), "alf/clusters.depths.npy": npy(1)})
    assert states(after) == {
        "alf/spikes.depths.npy": "quarantined",
        "alf/clusters.depths.npy": "registered",
    }


def test_the_same_content_again_is_no_change(flow):
    first = flow.upload(GOOD)
    again = flow.open(GOOD)
    assert (again["id"], again["state"]) == (first["id"], "registered")
    # Nor is it sent again among other files
    more = flow.open({**GOOD, "alf/spikes.depths.npy": npy(7, 8, 9)})
    assert states(more) == {**dict.fromkeys(GOOD, "present"), "alf/spikes.depths.npy": "wanted"}


def test_files_of_a_deleted_session_are_taken_again(flow):
    """Given a session that was deleted, when its files are sent again, then they are there."""
    first = flow.upload(GOOD)
    delete_session(sessions.find(SUBJECT, DATE, 1).id, who="admin")
    again = flow.open(GOOD)
    assert again["id"] != first["id"]
    assert set(states(again).values()) == {"wanted"}
    after = flow.upload(GOOD)
    assert (after["id"], set(states(after).values())) == (again["id"], {"registered"})
    now = registered()
    assert sorted(now) == sorted(GOOD)
    for path, item in now.items():
        assert item.sha256 == hashlib.sha256(GOOD[path]).hexdigest()
        found = flow.s3.get_object(Bucket=flow.bucket, Key=item.stored_key)
        assert found["Body"].read() == GOOD[path]


def test_files_of_an_account_that_was_deleted_meanwhile_are_registered(flow):
    flow.upload(GOOD)
    documents.create("user", "leaver", {"username": "leaver", "role": "rig"}, who="admin")
    new = {"alf/wheel.velocity.npy": npy(1, 2, 3)}
    answer = flow.open(new, by="leaver")
    documents.delete("user", "leaver", who="admin")
    flow.send(answer, new)
    flow.pump()
    found = registered()["alf/wheel.velocity.npy"]
    assert (found.created_by, found.provenance["upload"]) == (None, answer["id"])


def test_new_content_under_an_old_name_is_a_new_revision(flow):
    flow.upload(GOOD)
    today = datetime.now(UTC).date().isoformat()
    old = dict(registered())
    for n, letter in enumerate(("", "a", "b")):
        flow.upload({"alf/spikes.times.npy": npy(n, n, n), "alf/spikes.amps.npy": npy(n, 5, 6)})
        now = registered()
        for name in ("spikes.times.npy", "spikes.amps.npy"):
            assert now[f"alf/#{today}{letter}#/{name}"].default
            assert not now[f"alf/{name}"].default
    assert len(now) == len(GOOD) + 6
    assert {path: now[path].sha256 for path in old} == {p: item.sha256 for p, item in old.items()}


def test_what_is_registered_in_a_revision_is_never_overwritten(flow):
    path = "alf/#2024-07-02#/spikes.times.npy"
    flow.upload({path: npy(1, 2, 3)})
    after = flow.upload({path: npy(4, 5, 6)})
    assert states(after) == {path: "quarantined"}
    assert "never overwritten" in reasons(after)[path]
    assert registered()[path].sha256 is not None


def test_refused_files_can_be_tried_again(flow):
    files = {"alf/spikes.times.npy": b"no array"}
    first = flow.upload(files)
    assert flow.open(files)["id"] == first["id"]
    second = flow.open(files, again=True)
    assert second["id"] != first["id"]
    assert states(second) == {"alf/spikes.times.npy": "wanted"}


STEPS = [
    ("functions.ingest.finalise", "judge"),
    ("functions.ingest.finalise", "find_or_create_session"),
    ("shared.records.objects", "copy"),
    ("shared.records.objects", "write_once"),
    ("functions.ingest.finalise", "register"),
    ("shared.uploads.register", "register_datasets"),
    ("shared.uploads.state", "finish_upload"),
    ("shared.records.queues", "notify"),
    ("shared.records.objects", "delete"),
]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS, ids=[name for _, name in STEPS])
def test_a_crash_at_any_step_is_repaired_by_the_reconciler(flow, monkeypatch, step, when):
    import importlib

    files = {**GOOD, "alf/clusters.depths.npy": b"no array"}
    answer = flow.open(files)
    flow.send(answer, files)
    target, name = importlib.import_module(step[0]), step[1]
    real = getattr(target, name)

    def crash(*args, **kwargs):
        if when == "after":
            real(*args, **kwargs)
        raise KeyboardInterrupt

    monkeypatch.setattr(target, name, crash)
    with pytest.raises(KeyboardInterrupt):
        finalise(answer["id"])
    monkeypatch.setattr(target, name, real)
    flow.messages("ingest")  # the events are lost
    flow.messages("dispatch")
    # When the reconciler comes by later, then the end is as if nothing had happened
    later = datetime.now(UTC) + timedelta(minutes=10)
    reconcile(now=later)
    after = flow.describe(answer["id"])
    assert after["state"] == "partial"
    assert set(registered()) == set(GOOD)
    assert flow.keys("quarantine/") == [f"{answer['id']}/alf/clusters.depths.npy"]
    assert {message["session"] for message in flow.messages("dispatch")} == {after["session"]}
    assert len(flow.keys("data/")) == len(GOOD)
    assert len(flow.keys("manifests/")) == 1
    # And a while later nothing is left to do
    reconcile(now=later + timedelta(minutes=5))
    assert flow.keys("incoming/") == []
    assert reconcile(now=later + timedelta(minutes=10)) == {}


def test_lost_events_are_made_up_for(flow):
    answer = flow.open(GOOD)
    flow.send(answer, GOOD)
    flow.messages("ingest")
    assert reconcile() == {}  # too young: the events may be on the way
    assert reconcile(now=datetime.now(UTC) + timedelta(minutes=5)) == {"registered": 1}
    assert len(registered()) == 3


def test_an_upload_that_is_never_completed_ends_with_what_came(flow):
    answer = flow.open(GOOD)
    flow.send({"files": answer["files"][:2]}, GOOD)
    week = datetime.now(UTC) + timedelta(days=8)
    assert reconcile(now=week) == {"partial": 1}
    after = flow.describe(answer["id"])
    assert sorted(states(after).values()) == ["registered", "registered", "rejected"]
    assert list(reasons(after).values()) == ["did not arrive within 7 days"]


def test_the_reconciler_leaves_what_it_has_no_time_for_to_the_next_run(flow):
    answer = flow.open({"alf/a.times.npy": npy(1)})
    flow.send(answer, {"alf/a.times.npy": npy(1)})
    later = datetime.now(UTC) + timedelta(minutes=5)
    assert reconcile(now=later, remaining=lambda: timedelta(seconds=5)) == {}
    assert reconcile(now=later, remaining=lambda: timedelta(minutes=4)) == {"registered": 1}


def test_an_upload_of_which_nothing_came_expires_and_can_be_opened_again(flow):
    answer = flow.open(GOOD)
    assert reconcile(now=datetime.now(UTC) + timedelta(days=8)) == {"expired": 1}
    again = flow.open(GOOD)
    assert again["id"] != answer["id"]
    assert again["state"] == "open"


def test_two_uploads_to_one_session_go_one_after_the_other(flow):
    first, second = {"alf/spikes.times.npy": npy(1)}, {"alf/spikes.times.npy": npy(2)}
    one, two = flow.open(first), flow.open(second)
    flow.send(one, first)
    flow.send(two, second)
    flow.messages("ingest")
    with only_writer(FOLDER, one["id"]):
        assert finalise(two["id"]) == "busy"
    assert finalise(one["id"]) == "registered"
    assert finalise(two["id"]) == "registered"
    today = datetime.now(UTC).date().isoformat()
    assert sorted(registered()) == [f"alf/#{today}#/spikes.times.npy", "alf/spikes.times.npy"]


def test_a_second_run_of_a_validation_that_has_just_begun_keeps_out(flow):
    answer = flow.open(GOOD)
    flow.send(answer, GOOD)
    assert start_validation(get_upload(answer["id"]))
    assert finalise(answer["id"]) == "busy"
    assert finalise(answer["id"], now=datetime.now(UTC) + 2 * BUSY) == "registered"


def test_large_files_come_in_parts_and_are_checked_whole(flow, monkeypatch):
    import hashlib

    import requests

    monkeypatch.setattr(transport, "MULTIPART_FROM", 1000)
    monkeypatch.setattr(transport, "PART_SIZE", 2**20)
    path, content = "raw_ephys_data/probe00/x.y.bin", bytes(range(256)) * 10_000
    files = {path: content}
    answer = flow.open(files)
    (file,) = answer["files"]
    assert (file["method"], file["part_size"], file["n_parts"]) == ("multipart", 2**20, 3)
    entry = request_of(answer["id"]).file(path)
    pieces = [content[i * 2**20 : (i + 1) * 2**20] for i in range(3)]
    wanted = [(n, hashlib.sha256(piece).hexdigest()) for n, piece in enumerate(pieces, start=1)]
    # Given two of three parts, then the whole is not assembled
    signed = sign_parts(answer["id"], entry, wanted)
    for part in signed[:2]:
        piece = pieces[part["number"] - 1]
        put = requests.put(part["url"], data=piece, headers=part["headers"], timeout=10)
        assert put.status_code == 200
    with pytest.raises(Incomplete, match=r"1 of 3 parts are missing \(3\)"):
        assemble(answer["id"], entry)
    # When asked again, then only the third is wanted
    signed = sign_parts(answer["id"], entry, wanted)
    assert [part["state"] for part in signed] == ["stored", "stored", "wanted"]
    bad = requests.put(
        signed[2]["url"], data=pieces[2][::-1], headers=signed[2]["headers"], timeout=10
    )
    assert bad.status_code == 400
    requests.put(signed[2]["url"], data=pieces[2], headers=signed[2]["headers"], timeout=10)
    for _ in range(2):
        assemble(answer["id"], entry)
    flow.pump()
    assert flow.describe(answer["id"])["state"] == "registered"
    assert registered()[path].sha256 == hashlib.sha256(content).hexdigest()


def test_an_object_of_other_content_than_announced_is_caught_where_s3_could_not(flow):
    answer = flow.open(GOOD)
    flow.send(answer, GOOD)
    path = "alf/spikes.amps.npy"
    flow.s3.put_object(Bucket=flow.bucket, Key=incoming_key(answer["id"], path), Body=npy(6, 5, 4))
    finalise(answer["id"])
    assert "SHA-256 of what arrived" in reasons(flow.describe(answer["id"]))[path]


def test_the_experiment_description_is_kept_with_the_session(flow):
    yaml = (
        b"version: 1.0.0\ntasks:\n- choiceWorld: {collection: raw_task_data_00}\nday: 2024-07-01\n"
    )
    flow.upload({"_ibl_experiment.description.yaml": yaml})
    assert sessions.find(SUBJECT, DATE, 1).json == {
        "experiment_description": {
            "version": "1.0.0",
            "tasks": [{"choiceWorld": {"collection": "raw_task_data_00"}}],
            "day": "2024-07-01",
        }
    }


def test_one_broken_upload_does_not_keep_the_reconciler_from_others(flow, monkeypatch):
    for path in ("alf/spikes.times.npy", "alf/spikes.amps.npy"):
        flow.send(flow.open({path: GOOD[path]}), {path: GOOD[path]})
    real, broken = module.complete, []

    def sometimes(waiting, **kwargs):
        if not broken:
            broken.append(waiting.upload.id)
            raise RuntimeError
        return real(waiting, **kwargs)

    monkeypatch.setattr(module, "complete", sometimes)
    assert reconcile(now=datetime.now(UTC) + timedelta(minutes=5)) == {
        "error": 1,
        "registered": 1,
    }


def test_at_the_start_of_the_system_nothing_is_waited_for(flow):
    answer = flow.open(GOOD)
    flow.send(answer, GOOD)
    flow.messages("ingest")
    start_validation(get_upload(answer["id"]))  # the validation was killed
    from functions.ingest.handler import handler

    assert handler({"kind": "reconcile"}) == {}
    assert handler({"kind": "reconcile", "start": True}) == {"registered": 1}
    assert len(flow.messages("dispatch")) == 2
    assert flow.keys("incoming/") == []


def test_an_upload_and_its_files_are_counted_once(flow, monkeypatch, capsys):
    monkeypatch.setenv("FORNIX_METRICS", "fornix")
    files = {"alf/_ibl_wheel.position.npy": npy(1, 2), "alf/wrong name.npy": npy(1)}
    answer = flow.open(files)
    flow.send(answer, files)
    for _ in range(2):
        flow.deliver("ingest", {"kind": "finalise", "upload": answer["id"]})
    lines = [json.loads(text) for text in capsys.readouterr().out.splitlines()]
    (counted,) = [line for line in lines if "FilesRegistered" in line]
    assert counted["upload"] == answer["id"]
    assert counted["lab"] == LAB
    assert (counted["UploadsRegistered"], counted["FilesRegistered"]) == (1, 1)
    assert counted["FilesRefused"] == 1


def test_the_lock_of_an_upload_that_was_killed_at_its_very_end_is_taken_over(flow):
    # Given an upload that is registered, whose process died before it let go of the session
    first = flow.upload({"alf/spikes.times.npy": npy(1, 2)})
    until = (datetime.now(UTC) + timedelta(minutes=6)).isoformat()
    Lock(pk=f"LOCK#{FOLDER}", sk="A", holder=first["id"], until=until, expires=2**33).save()
    # When another upload comes, then it does not wait for the lock to end by itself
    second = flow.open({"alf/wheel.position.npy": npy(3)})
    flow.send(second, {"alf/wheel.position.npy": npy(3)})
    assert finalise(second["id"]) == "registered"
    # And nothing is left of the lock
    with only_writer(FOLDER, first["id"]):
        pass
