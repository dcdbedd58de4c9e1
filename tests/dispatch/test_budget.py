"""The design's budgets, counted in capacity units by a real DynamoDB."""

from __future__ import annotations

import hashlib

from functions.ingest.finalise import finalise
from shared.datasets.read import datasets_of
from shared.model.task import Completion, RunRecord
from shared.records.meter import metered
from shared.sessions import store as sessions
from shared.uploads.keys import incoming_key
from shared.uploads.transport import b64
from shared.work import lease, read
from tests.flow import DATE, SUBJECT

RAW = {
    f"raw_task_data_{n:02}/_iblrig_{name}": b"{}"
    for n in range(3)
    for name in ("taskData.raw.jsonable", "taskSettings.raw.json", "encoderEvents.raw.ssv")
}
FILES = {
    **dict(list(RAW.items())[:8]),
    **{f"alf/probe00/thing{n:03}.values.ssv": f"v\n{n}\n".encode() for n in range(142)},
}


def writes(meter):
    return sum(units for name, units in meter.by_operation.items() if name not in READS)


READS = {"GetItem", "Query", "BatchGetItem", "TransactGetItems"}


def test_a_session_of_150_datasets_and_5_tasks_costs_at_most_246_write_units(flow):
    assert len(FILES) == 150
    with metered() as meter:
        answer = flow.open(FILES)
        for path, content in FILES.items():  # straight into the bucket: no capacity is at stake
            digest = b64(hashlib.sha256(content).hexdigest())
            flow.s3.put_object(
                Bucket=flow.bucket,
                Key=incoming_key(answer["id"], path),
                Body=content,
                ChecksumSHA256=digest,
            )
        assert finalise(answer["id"]) == "registered"
        flow.deliver("dispatch", *flow.messages("dispatch"))
    session = sessions.find(SUBJECT, DATE, 1)
    assert len(datasets_of(session.id)) == 150
    assert len(read.of_session(session.id)) == 5
    # Six of them ask that what the session names is there, and not being deleted
    assert writes(meter) <= 246
    # And all of it again costs nothing
    with metered() as meter:
        finalise(answer["id"])
        flow.deliver("dispatch", {"kind": "session.registered", "session": session.id})
    assert writes(meter) == 0


def test_a_task_s_whole_life_costs_few_write_units(flow):
    flow.upload({path: RAW[path] for path in list(RAW)[:2]})
    (task,) = read.of_session(sessions.find(SUBJECT, DATE, 1).id)
    costs = []
    for step in (
        lambda: lease.claim(task.id, "w"),
        lambda: lease.heartbeat(task.id, 1),
        lambda: lease.complete(
            task.id, Completion(1, "Complete", log="done\n" * 100, run_record=RunRecord("a"))
        ),
    ):
        with metered() as meter:
            step()
        costs.append(writes(meter))
    # Audit, feed and journal entries of claim and end are among them. They are compressed: one of
    # some 1,024 bytes costs two units more or less, as its random identifiers fall.
    assert all(cost <= most for cost, most in zip(costs, [10, 1, 13], strict=True)), costs
