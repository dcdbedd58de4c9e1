"""What the many events of one upload cost in the table, and its files in requests to S3."""

from __future__ import annotations

from shared.records import objects
from shared.records.meter import metered
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


def test_text_is_read_through_with_one_request(flow, monkeypatch):
    lines = b"Event,1,2024-07-01T10:00:00.0000000-07:00,0\n" * 5_000
    flow.s3.put_object(Bucket=flow.bucket, Key="incoming/x/a.ssv", Body=lines)
    ranges = []
    get = objects.RangeReader.readinto

    def counted(self, buffer):
        ranges.append(read := get(self, buffer))
        return read

    monkeypatch.setattr(objects.RangeReader, "readinto", counted)
    with objects.opened("incoming/x/a.ssv", len(lines)) as file:
        read = b"".join(iter(lambda: file.read1(8192), b""))
    assert read == lines
    assert [size for size in ranges if size] == [len(lines)]
