"""Files and metadata made to break parsers: each is refused with its reason, every upload ends."""

from __future__ import annotations

import io
import json
import os
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from functions.ingest import finalise as module
from functions.ingest.finalise import TRIES, finalise
from lab.client import RequestRefused
from shared.model.upload import FINAL
from shared.sessions import store as sessions
from tests.flow import DATE, SESSION, SUBJECT, announced, npy, states

SEED = int(os.environ.get("FORNIX_POISON_SEED", "1"))
ROUNDS = int(os.environ.get("FORNIX_POISON_ROUNDS", "1"))
"""Of a longer run (``make proof``) each round has other mutations."""

GOOD = {"alf/wheel.position.npy": npy(1, 2, 3)}


def whole() -> dict[str, bytes]:
    """Return a sound file of every type that is read on the way in."""
    table = io.BytesIO()
    pq.write_table(pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"]}), table)
    array = io.BytesIO()
    np.save(array, np.arange(12).reshape(3, 4))
    return {
        "json": b'{"a": [1, 2, {"b": null}]}',
        "jsonable": b'{"a": 1}\n{"a": 2}\n',
        "yaml": b"a: 1\nb: [1, 2]\n",
        "csv": b"a,b\n1,2\n",
        "tsv": b"a\tb\n1\t2\n",
        "ssv": b"a b\n1 2\n",
        "npy": array.getvalue(),
        "pqt": table.getvalue(),
        "mp4": b"\0\0\0\x18ftypmp42",
        "npz": b"PK\x03\x04rest",
    }


def crafted() -> list[tuple[str, bytes]]:
    """Return contents that are known to break one parser or another."""
    aliases = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)
    )
    return [
        ("json", b"[" * 100_000),
        ("json", b'{"a":' * 1_500 + b"1" + b"}" * 1_500),
        ("json", b'{"a": 1' + b"0" * 10_000 + b"}"),
        ("json", b'"\\ud800'),
        ("json", b"\xff\xfe\x00"),
        ("jsonable", b"[" * 1_500 + b"\n"),
        ("jsonable", b'{"a": 1}\n{"a":\n{"a": 3}\n'),
        ("yaml", b"[" * 1_500),
        ("yaml", b"a: 2024-13-45\n"),
        ("yaml", aliases.encode()),
        ("yaml", b"a: " + b"x" * 576_000),
        ("yaml", b"? [1, 2]\n: 3\n? {a: 1}\n: 4\n"),
        ("yaml", b"!!python/object/apply:os.system ['true']\n"),
        ("yaml", b"a: &a [*a]\n"),
        ("yaml", b"\x00\x01"),
        ("csv", b'a,"' + b"x" * 200_000),
        ("tsv", b"\xff\xff\n"),
        ("npy", b"\x93NUMPY\x01\x00\xff\xff" + b"{" * 70_000),
        ("npy", b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"),
        ("npy", b"\x93NUMPY\x09\x09"),
        ("pqt", b"PAR1" + b"\xff" * 100 + b"PAR1"),
        ("pqt", b"PAR1\xff\xff\xff\x7fPAR1"),
    ]


def mutations(draw: random.Random, n: int) -> list[tuple[str, bytes]]:
    """Return damaged copies of sound files: bytes changed, cut off, doubled."""
    made = []
    for extension, content in whole().items():
        for _ in range(n):
            data = bytearray(content)
            for _ in range(draw.randint(1, 4)):
                what, at = draw.randrange(3), draw.randrange(len(data) or 1)
                if what == 0 and data:
                    data[at] = draw.randrange(256)
                elif what == 1:
                    del data[at:]
                else:
                    data[at:at] = data[at : at + draw.randint(1, 40)]
            made.append((extension, bytes(data)))
    return made


@pytest.mark.parametrize("turn", range(ROUNDS))
def test_poisoned_files_are_refused_one_by_one_and_the_others_registered(flow, turn):
    draw = random.Random(f"{SEED}-{turn}")
    contents = [*crafted(), *mutations(draw, 4)]
    files = {
        f"raw_poison_data/thing{n:03}.part.{extension}": content
        for n, (extension, content) in enumerate(contents)
    }
    answer = flow.upload({**files, **GOOD})
    assert answer["state"] in ("partial", "registered")
    found = states(answer)
    assert found["alf/wheel.position.npy"] == "registered"
    assert set(found.values()) <= {"registered", "quarantined"}
    told = {file["path"]: file for file in answer["files"]}
    for path, state in found.items():
        assert state == "registered" or told[path]["reason"], path
    # What cannot be read by those who come after is among the refused
    for n, (extension, content) in enumerate(crafted()):
        if extension == "json" or b"2024-13-45" in content or b"python/object" in content:
            assert found[f"raw_poison_data/thing{n:03}.part.{extension}"] == "quarantined", content


@pytest.mark.parametrize(
    "content",
    [content for extension, content in crafted() if extension == "yaml"] + [b"- a\n- b\n", b"5"],
    ids=lambda content: repr(content[:12]),
)
def test_a_poisoned_description_is_refused_and_the_session_goes_on(flow, content):
    files = {"_ibl_experiment.description.yaml": content, **GOOD}
    answer = flow.upload(files)
    assert answer["state"] in FINAL
    assert states(answer)["alf/wheel.position.npy"] == "registered"
    session = sessions.find(SUBJECT, DATE, 1)
    assert len(json.dumps(session.json)) < 100_000


METADATA = [
    {"narrative": {"a": 1}},
    {"narrative": "x" * 500_000},
    {"narrative": "\ud800"},
    {"type": [1]},
    {"type": "x" * 300},
    {"task_protocol": 5},
    {"procedures": [1, 2]},
    {"procedures": "x"},
    {"users": {"a": 1}},
    {"projects": [None]},
    {"location": {}},
    {"location": ["a"]},
    {"json": "text"},
    {"json": [1]},
    {"json": {"a": "x" * 600_000}},
    {"json": {"a": 10**400}},
    {"synthetic": "yes"},
    {"start_time": 5},
    {"start_time": "0001-01-01T00:00:00+14:00"},
    {"start_time": "soon"},
    {"end_time": []},
    {"number": 1.5},
    {"number": True},
    {"number": 10**30},
    {"date": "0001-01-01"},
    {"date": "9999-12-31"},
    {"date": 5},
    {"subject": "../.."},
    {"lab": {}},
]


@pytest.mark.parametrize("poison", METADATA, ids=lambda poison: repr(poison)[:40])
def test_metadata_of_the_wrong_type_or_size_is_refused_at_once(system, poison):
    system.rest()
    rig = system.client("rig")
    body = {"session": SESSION | poison, "files": [announced(*item) for item in GOOD.items()]}
    with pytest.raises(RequestRefused) as caught:
        rig.post("/uploads", body)
    assert caught.value.status in (400, 403)
    assert sessions.find(SUBJECT, DATE, 1) is None


def test_an_upload_whose_check_always_fails_ends_and_says_so(flow, monkeypatch):
    answer = flow.open(GOOD)
    flow.send(answer, GOOD)

    def broken(intake):
        raise RuntimeError("the parser was hit by a meteorite")

    with monkeypatch.context() as always:
        always.setattr(module, "judge", broken)
        for _ in range(TRIES - 1):
            with pytest.raises(RuntimeError):
                finalise(answer["id"], busy=module.OPEN * 0)
        assert finalise(answer["id"], busy=module.OPEN * 0) == "failed"
    after = flow.describe(answer["id"])
    assert after["state"] == "failed"
    assert "meteorite" in after["reason"]
    assert len(flow.keys("quarantine/")) == len(GOOD)
    # The client may send the same files again
    assert flow.open(GOOD, again=True)["id"] != answer["id"]
