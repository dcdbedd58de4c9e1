"""What the many events of one upload cost in the table."""

from __future__ import annotations

from shared.records.table import metered
from tests.flow import npy


def test_events_of_an_upload_that_is_not_complete_read_one_item_each(flow):
    flow.messages("ingest")
    files = {f"alf/obj{n}.times.npy": npy(n) for n in range(4)}
    answer = flow.open(files)
    flow.send({"files": answer["files"][:3]}, files)
    events = flow.messages("ingest")
    assert len(events) == 4  # the request's own, and three files
    with metered() as meter:
        for event in events:
            flow.deliver("ingest", event)
    assert meter.by_operation == {"GetItem": 3.0}
