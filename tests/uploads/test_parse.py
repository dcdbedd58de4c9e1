"""Properties of requests: whatever comes is understood or refused, and ids say what is sent."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.identity import SessionKey
from shared.model.limits import JSON_BYTES, TEXT_CHARACTERS
from shared.model.session import SessionMetadata
from shared.model.upload import Target
from shared.records.objects import MOST_PARTS
from shared.uploads.request import InvalidUpload, parse
from shared.uploads.state import upload_id
from shared.uploads.transport import PART_SIZE, parts_of
from tests.flow import announced

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
files = st.lists(
    st.fixed_dictionaries(
        {
            "path": st.text("abc./#_", min_size=1, max_size=20),
            "size": st.integers(0, 2**45),
            "sha256": digests,
        }
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda file: file["path"],
)
TARGET = Target(SessionKey("lab", "M1", "2024-07-01", 1))
SESSION = {"lab": "lab", "subject": "M1", "date": "2024-07-01", "number": 1}


def refused(body):
    """Return the fields that a request is refused for; none if it is understood."""
    try:
        parse(body)
    except InvalidUpload as error:
        return set(error.errors)
    return set()


@given(json_values)
def test_anything_else_is_refused_with_a_reason(body):
    assert refused(body)


@given(json_values, json_values, json_values)
def test_any_fields_are_understood_or_refused(session, files, task):
    body = {"session": session, "files": files, "task": task}
    assert refused(body) <= {"session", "files", "task"}


@given(files, st.randoms())
def test_the_id_depends_on_the_files_and_not_on_their_order(listed, random):
    one = parse({"session": SESSION, "files": listed})
    shuffled = random.sample(listed, len(listed))
    other = parse({"session": SESSION | {"task_protocol": "x"}, "files": shuffled})
    assert upload_id(TARGET, one) == upload_id(TARGET, other)
    assert UUID(upload_id(TARGET, one)).version == 4
    assert upload_id(TARGET, one, 1) != upload_id(TARGET, one)
    grown = [{**listed[0], "size": listed[0]["size"] + 1}, *listed[1:]]
    assert upload_id(TARGET, parse({"session": SESSION, "files": grown})) != upload_id(TARGET, one)


@given(st.integers(1, 5 * 2**40))
def test_parts_cover_a_file_within_s3_s_limits(size):
    part, count = parts_of(size)
    assert part >= PART_SIZE
    assert count <= MOST_PARTS
    assert (count - 1) * part < size <= count * part


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "Give a list"),
        ("x", "Give a list"),
        ([{"path": "a.b.npy"}], "path, size and sha256 are required"),
        ([None], "required"),
        ([announced("a.b.npy", b"")] * 2, "listed twice"),
        ([announced("a.b.npy", b"") | {"size": -1}], "size must be"),
        ([announced("a.b.npy", b"") | {"size": True}], "size must be"),
        ([announced("a.b.npy", b"") | {"sha256": "0" * 63}], "sha256 must be"),
        ([announced("a.b.npy", b"") | {"sha256": "G" * 64}], "sha256 must be"),
        ([announced("a.b.npy", b"") | {"md5": "x"}], "md5 must be"),
        ([announced("a.b.npy", b"") | {"qc": "GREAT"}], "qc must be one of"),
        ([announced("", b"")], "path must be text"),
        ([announced("a.b." + "x" * 700, b"")], "path must be text"),
        ([announced(f"a.b{n}.npy", b"") for n in range(5001)], "too many"),
    ],
)
def test_files_that_cannot_be_understood_are_named(files, words):
    with pytest.raises(InvalidUpload) as caught:
        parse({"session": SESSION, "files": files})
    assert words in caught.value.errors["files"][0]


def test_metadata_have_the_bounds_of_the_session_s_resource():
    from functions.api.engine import read_values
    from functions.api.resources.sessions import SESSION as resource

    assert set(SessionMetadata.__struct_fields__) <= set(resource.fields)
    assert (TEXT_CHARACTERS, JSON_BYTES) == (read_values.MAX_TEXT, read_values.MAX_JSON)
    for name in ("task_protocol", "type", "narrative"):
        most = int(resource.fields[name].maximum or read_values.MAX_TEXT)
        session = {**SESSION, name: "x" * most}
        assert refused({"session": session, "files": [announced("a.b.npy", b"")]}) == set()
        session = {**SESSION, name: "x" * (most + 1)}
        assert refused({"session": session, "files": [announced("a.b.npy", b"")]}) == {"session"}
