"""Files that hang a parser, fill the memory or end the process: refused, and the upload ends."""

from __future__ import annotations

import io
import os
import signal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.ingest import confined
from functions.ingest import finalise as module
from functions.ingest.confined import Confined
from functions.ingest.finalise import TRIES, finalise
from shared.alf.errors import FileInvalid
from shared.sessions.contents import session_contents
from tests.flow import npy, reasons, states

GOOD = {"alf/wheel.position.npy": npy(1, 2, 3)}


def merges(levels: int) -> bytes:
    """Return YAML of a few kilobytes whose merge keys make ten times as many values a level."""
    lines = ["a0: &a0 {x: 1}"]
    for n in range(1, levels):
        aliases = ", ".join([f"*a{n - 1}"] * 10)
        lines.append(f"a{n}: &a{n} {{<<: [{aliases}], k{n}: 1}}")
    return "\n".join(lines).encode()


def array_of(header: str, content: bytes = b"") -> bytes:
    """Return an npy file with a header of the test's own."""
    padded = header + " " * (63 - (10 + len(header)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode() + content


def shaped(shape: str, descr: str = "'<f8'") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"


def test_a_file_that_hangs_its_parser_is_refused_and_the_others_are_registered(flow, monkeypatch):
    assert states(flow.upload(GOOD)) == {"alf/wheel.position.npy": "registered"}
    monkeypatch.setattr(confined, "FILE_SECONDS", 1)
    more = {"alf/wheel.timestamps.npy": npy(1, 2, 3)}
    answer = flow.upload({"raw_poison_data/hangs.all.yaml": merges(10), **more})
    assert answer["state"] == "partial"
    assert states(answer)["alf/wheel.timestamps.npy"] == "registered"
    assert "takes longer than 1 s" in reasons(answer)["raw_poison_data/hangs.all.yaml"]
    assert flow.keys("quarantine/")


def test_a_description_that_hangs_is_refused_and_the_session_goes_on(flow, monkeypatch):
    flow.upload(GOOD)
    monkeypatch.setattr(confined, "FILE_SECONDS", 1)
    more = {"alf/wheel.timestamps.npy": npy(1, 2, 3)}
    answer = flow.upload({"_ibl_experiment.description.yaml": merges(10), **more})
    assert states(answer) == {
        "_ibl_experiment.description.yaml": "quarantined",
        "alf/wheel.timestamps.npy": "registered",
    }


def test_a_file_that_takes_all_memory_is_refused(flow, monkeypatch):
    confined._end_idle()
    monkeypatch.setattr(confined, "MEMORY_BYTES", 300 * 2**20)
    lists = b"[" + b"[]," * 6_000_000 + b"0]"
    answer = flow.upload({"raw_poison_data/lists.all.json": lists, **GOOD})
    confined._end_idle()
    assert states(answer)["alf/wheel.position.npy"] == "registered"
    assert "memory" in reasons(answer)["raw_poison_data/lists.all.json"]


def test_files_that_hang_one_after_the_other_do_not_outlast_the_function(flow, monkeypatch):
    flow.upload(GOOD)
    monkeypatch.setattr(confined, "FILE_SECONDS", 1)
    monkeypatch.setattr(confined, "UPLOAD_SECONDS", 2)
    answer = flow.upload({f"raw_poison_data/hangs.part{n}.yaml": merges(10 + n) for n in range(5)})
    assert answer["state"] == "rejected"
    told = [text for _, text in sorted(reasons(answer).items())]
    assert [("takes longer" in text, "took all the time" in text) for text in told] == [
        *[(True, False)] * 2,
        *[(False, True)] * 3,
    ]


class Deadly(io.BytesIO):
    """A file at whose bytes the process that reads them is killed, as by a lack of memory."""

    def __init__(self, looking: Confined) -> None:
        super().__init__(b"{}")
        self._looking = looking

    def read(self, size: int | None = -1, /) -> bytes:
        assert self._looking._inspector is not None
        os.kill(self._looking._inspector._process.pid, signal.SIGKILL)
        return super().read(size)


def test_a_process_that_dies_of_a_file_is_replaced():
    with confined.confined() as looking:
        with pytest.raises(FileInvalid, match="dies of it"):
            looking.header("raw_poison_data/dead.all.json", lambda: Deadly(looking), 2)
        content = npy(1, 2)
        found = looking.header("a/b.c.npy", lambda: io.BytesIO(content), len(content))
        assert found.rows == 2


def test_a_bucket_that_cannot_be_reached_is_no_fault_of_the_file():
    class Unreachable(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise ConnectionAbortedError("the network is away")

    with confined.confined() as looking:
        with pytest.raises(ConnectionAbortedError):
            looking.header("a/b.c.json", Unreachable, 2)
        found = looking.header("a/b.c.json", lambda: io.BytesIO(b"{}"), 2)
        assert found.rows is None


def test_the_process_that_looks_into_files_has_no_credentials(monkeypatch):
    confined._end_idle()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    with confined.confined() as looking:
        looking.header("a/b.c.json", lambda: io.BytesIO(b"{}"), 2)
        assert looking._inspector is not None
        environment = Path(f"/proc/{looking._inspector._process.pid}/environ")
        if not environment.exists():
            pytest.skip("only Linux shows the environment of a process")
        assert b"AWS" not in environment.read_bytes()


def test_an_upload_whose_check_is_cut_off_again_and_again_ends(flow, monkeypatch):
    answer = flow.open(GOOD)
    flow.send(answer, GOOD)

    class CutOff(BaseException):
        """The function is ended by its time limit: nothing of it can react."""

    def too_long(intake):
        raise CutOff

    monkeypatch.setattr(module, "judge", too_long)
    for _ in range(TRIES):
        with pytest.raises(CutOff):
            finalise(answer["id"], busy=module.OPEN * 0)
    assert finalise(answer["id"], busy=module.OPEN * 0) == "failed"
    after = flow.describe(answer["id"])
    assert after["state"] == "failed"
    assert "cut off" in after["reason"]
    assert len(flow.keys("quarantine/")) == 1


ROWS = {
    "more rows than a number can be": array_of(shaped(f"({2**70}, 0)")),
    "more rows than fit the index": array_of(shaped(f"({2**62}, 0)")),
    "rows of nothing": array_of(shaped(f"({10**30},)", "'<U0'")),
    "a truth for a number": array_of(shaped("(True,)", "'|i1'"), b"1"),
    "less than no rows": array_of(shaped("(-1, -1)", "'|i1'"), b"1"),
    "more dimensions than NumPy has": array_of(shaped(f"({'1,' * 60})", "'|i1'"), b"1"),
}


def test_arrays_that_claim_impossible_rows_are_refused_and_nothing_else(flow):
    names = [f"raw_poison_data/rows.part{n}.npy" for n in range(len(ROWS))]
    half = array_of(shaped("(1,)", "[('a\\ud800', '|i1')]"), b"1")
    files = dict(zip(names, ROWS.values(), strict=True))
    answer = flow.upload({**files, "raw_poison_data/half.all.npy": half, **GOOD})
    found = states(answer)
    assert found["alf/wheel.position.npy"] == "registered"
    assert {found[name] for name in [*names, "raw_poison_data/half.all.npy"]} == {"quarantined"}


def test_a_table_that_fills_the_memory_of_its_readers_is_refused(flow):
    table = io.BytesIO()
    zeros = pa.array(np.zeros(20_000_000, np.int8)).dictionary_encode()
    pq.write_table(pa.table({"a": zeros}), table, row_group_size=len(zeros))
    assert len(table.getvalue()) < 100_000
    answer = flow.upload({"raw_poison_data/rows.table.pqt": table.getvalue(), **GOOD})
    assert states(answer)["alf/wheel.position.npy"] == "registered"
    assert "is no table of 20000000 rows" in reasons(answer)["raw_poison_data/rows.table.pqt"]
    eid = answer["session"]
    assert [item.path for item in session_contents(eid)[1]] == ["alf/wheel.position.npy"]
