"""Typed objects from JSON: right ones come as they are, wrong ones with the field's name."""

from __future__ import annotations

import msgspec
import pytest

from shared.model import messages
from shared.model.json import Faulty, read


class File(msgspec.Struct, forbid_unknown_fields=True):
    size: int
    hashes: dict[str, str] = {}


class Request(msgspec.Struct, forbid_unknown_fields=True):
    files: list[File]


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ({"files": [{"size": 1}, {"size": "x"}]}, "files[1].size"),
        ({"files": [{}]}, "files[0].size"),
        ({"files": [{"size": 1, "bytes": 2}]}, "files[0].bytes"),
        ({"files": {}}, "files"),
        ({}, "files"),
        ([], "non_field_errors"),
        ("text", "non_field_errors"),
    ],
)
def test_a_fault_is_told_by_its_field(value, field):
    with pytest.raises(Faulty) as caught:
        read(value, Request)
    assert list(caught.value.fields) == [field]


@pytest.mark.parametrize(
    "message",
    [
        messages.SessionRegistered("e", again=True),
        messages.SessionShown("e"),
        messages.SessionFinished("e"),
        messages.TaskChanged("t"),
        messages.TaskWaits("t"),
        messages.Finalise("u"),
        messages.Sweep(start=True),
    ],
)
def test_a_message_comes_out_as_it_went_in(message):
    assert messages.decode(messages.encode(message)) == message


@pytest.mark.parametrize(
    "body", ["", "{}", "[]", '{"kind": "x"}', '{"kind": "finalise"}', '{"kind": "sweep", "x": 1}']
)
def test_another_message_is_refused(body):
    with pytest.raises(msgspec.DecodeError):
        messages.decode(body)
