"""The grammar against itself (build after parse is the identity) and against the ONE client."""

from __future__ import annotations

import datetime
import pickle
import subprocess
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from one.alf import spec as one_spec
from one.alf.exceptions import ALFInvalid as ONEInvalid
from one.alf.path import filename_parts, rel_path_parts, session_path_parts

from shared.alf import (
    ALFInvalid,
    DatasetPath,
    SessionPath,
    is_valid,
    parse_dataset_path,
    parse_session_path,
    split_session,
)
from shared.alf.spec import PARTS, describe

WORD = "abzABZ019_"
# Everything that the grammar treats differently, and some that it must refuse.
NASTY = st.text(alphabet="abT1_.#/-~ \\\n\x00àé٣times", max_size=30)
ALNUM = st.text(alphabet="abzABZ019", min_size=1, max_size=8)
WORDS = st.text(alphabet=WORD + "é", min_size=1, max_size=8)
FOLDER = st.text(alphabet=WORD + ".-", min_size=1, max_size=8).filter(
    lambda t: t not in (".", "..")
)


@st.composite
def filenames(draw: st.DrawFn) -> str:
    """Names put together from the parts of the grammar."""
    namespace = draw(st.none() | ALNUM)
    old_namespace = draw(st.sampled_from(["", "", "_phy_"]))
    ending = draw(st.sampled_from(["", "_times", "_intervals", "_timestamps"]))
    timescale = draw(st.none() | WORDS)
    extra = draw(st.lists(st.text(alphabet=WORD + "-", min_size=1, max_size=6), max_size=3))
    return (
        (f"_{namespace}_" if namespace else "")
        + draw(WORDS)
        + "."
        + old_namespace
        + draw(ALNUM)
        + ending
        + (f"_{timescale}" if timescale else "")
        + "".join(f".{e}" for e in extra)
        + "."
        + draw(WORDS)
    )


@st.composite
def dataset_paths(draw: st.DrawFn) -> str:
    """Paths within a session put together from the parts of the grammar."""
    folders = draw(st.lists(FOLDER, max_size=3))
    revision = draw(st.none() | st.text(alphabet=WORD + ".-", min_size=1, max_size=8))
    return "/".join([*folders, *([f"#{revision}#"] if revision else []), draw(filenames())])


@given(dataset_paths())
def test_building_what_was_parsed_gives_the_same_path(path: str) -> None:
    parsed = parse_dataset_path(path)
    assert parsed.build() == str(parsed) == path
    assert parse_dataset_path(parsed.build()) == parsed


@given(NASTY | filenames())
def test_a_name_is_valid_exactly_when_the_one_client_says_so(name: str) -> None:
    # "$" lets the client accept a final newline; here the whole name must match.
    expected = one_spec.is_valid(name) and not name.endswith("\n")
    assert is_valid(name, "file") == expected


@given(filenames())
def test_parts_are_those_of_the_one_client(name: str) -> None:
    # Of names that start with a lone underscore the client splits letters off as a namespace.
    parsed = parse_dataset_path(name)
    assume(parsed.namespace is not None or not name.startswith("_"))
    one = filename_parts(name, as_dict=True)
    assert {part: getattr(parsed, part) for part in one} == one


@given(NASTY | dataset_paths())
def test_a_dataset_path_is_valid_when_the_one_client_says_so(path: str) -> None:
    try:
        collection, revision, *_ = rel_path_parts(path, assert_valid=True)
    except ONEInvalid:
        assert not is_valid(path)
        return
    folders = path.split("/")[:-1]
    # The client lets paths leave the session or repeat separators; we do not.
    assume(not path.endswith("\n") and not {"", ".", ".."} & set(folders))
    parsed = parse_dataset_path(path)
    assert (parsed.collection or None, parsed.revision or None) == (collection, revision)


@given(NASTY | dataset_paths() | st.text(max_size=20))
def test_every_refusal_names_the_path_the_part_the_rule_and_the_fix(path: str) -> None:
    assume(not is_valid(path))
    with pytest.raises(ALFInvalid) as refused:
        parse_dataset_path(path)
    error = refused.value
    assert error.code == "invalid_name"
    assert error.where == path
    assert error.part in {*PARTS, "name"}
    assert error.rule
    assert error.fix
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@given(
    lab=st.none() | WORDS,
    subject=FOLDER,
    date=st.dates(),
    number=st.integers(0, 999),
)
def test_sessions_are_built_and_parsed(
    lab: str | None, subject: str, date: datetime.date, number: int
) -> None:
    session = SessionPath(lab, subject, date, number)
    path = session.build()
    assert parse_session_path(path) == session
    assert one_spec.is_session_path(path)
    one = session_path_parts(path, as_dict=True)
    assert one["lab"] == lab
    assert one["subject"] == subject
    assert one["date"] == date.isoformat()
    assert int(one["number"]) == number
    assert split_session(path + "/alf/spikes.times.npy") == (session, "alf/spikes.times.npy")
    assert is_valid(path + "/alf/spikes.times.npy", "full")


@given(NASTY)
def test_no_session_is_read_where_the_one_client_reads_none(path: str) -> None:
    if is_valid(path, "session"):
        assert one_spec.is_session_path(path)


@pytest.mark.parametrize(
    ("path", "part", "text"),
    [
        ("lab/subjects/KS023/2019-12-10/001", "lab", "subjects"),
        ("my lab/Subjects/KS023/2019-12-10/001", "lab", "my lab"),
        ("KS 023/2019-12-10/001", "subject", "KS 023"),
        ("../2019-12-10/001", "subject", ".."),
        ("KS023/2019-12-1/001", "date", "2019-12-1"),
        ("KS023/2020-13-45/001", "date", "2020-13-45"),
        ("KS023/2019-12-10/1000", "number", "1000"),
        ("KS023/2019-12-10/one", "number", "one"),
        ("KS023/2019-12-10", "number", "KS023/2019-12-10"),
        ("KS023\\2019-12-10\\001", "subject", "KS023\\2019-12-10\\001"),
        ("/data/KS023/2019-12-10/001", "lab", "data"),
    ],
)
def test_a_wrong_session_path_is_refused_with_the_part_at_fault(
    path: str, part: str, text: str
) -> None:
    with pytest.raises(ALFInvalid) as refused:
        parse_session_path(path)
    assert (refused.value.part, refused.value.text) == (part, text)


@pytest.mark.parametrize(
    ("path", "part", "text"),
    [
        ("spikes.npy", "attribute", "spikes.npy"),
        ("alf/notes", "extension", "notes"),
        ("._spikes.times.npy", "object", "._spikes.times.npy"),
        ("my-spikes.times.npy", "object", "my-spikes"),
        ("spikes.spike-times.npy", "attribute", "spike-times"),
        ("spikes..npy", "attribute", ""),
        ("spikes.times_.npy", "timescale", ""),
        ("spikes.times.n-py", "extension", "n-py"),
        ("spikes.times.my copy.npy", "extra", "my copy"),
        ("spikes.times.npy\n", "extension", "npy\n"),
        ("../spikes.times.npy", "collection", ".."),
        ("/alf/spikes.times.npy", "collection", ""),
        ("alf//spikes.times.npy", "collection", ""),
        ("alf/probe 00/spikes.times.npy", "collection", "probe 00"),
        ("alf\\spikes.times.npy", "collection", "alf\\spikes.times.npy"),
        ("#2020-01-01#/alf/spikes.times.npy", "revision", "#2020-01-01#"),
        ("alf/#2020/spikes.times.npy", "revision", "#2020"),
        ("alf/#a b#/spikes.times.npy", "revision", "a b"),
    ],
)
def test_a_wrong_name_is_refused_with_the_part_at_fault(path: str, part: str, text: str) -> None:
    with pytest.raises(ALFInvalid) as refused:
        parse_dataset_path(path)
    assert (refused.value.part, refused.value.text) == (part, text)
    assert "To fix:" in str(refused.value)


def test_a_name_of_300_letters_is_refused() -> None:
    with pytest.raises(ALFInvalid, match="longer than 255 bytes"):
        parse_dataset_path("x" * 300 + ".times.npy")


@pytest.mark.parametrize(
    ("parts", "at_fault"),
    [
        ({"namespace": "i_bl"}, "namespace"),
        ({"namespace": ""}, "namespace"),
        ({"object": ""}, "object"),
        ({"object": "_ibl_trials"}, "namespace"),  # would be read as namespace ibl
        ({"timescale": "times"}, "attribute"),  # would be read as attribute x_times
        ({"extension": "tar.gz"}, "extension"),
        ({"collection": "alf/../raw"}, "collection"),
        ({"revision": "a/b"}, "revision"),
    ],
)
def test_parts_that_would_not_read_back_are_refused(parts: dict[str, str], at_fault: str) -> None:
    valid = {"object": "trials", "attribute": "x", "extension": "npy"}
    assert DatasetPath(**valid).build() == "trials.x.npy"
    with pytest.raises(ALFInvalid) as refused:
        DatasetPath(**(valid | parts))
    assert refused.value.part == at_fault


def test_session_numbers_are_padded_and_limited() -> None:
    assert str(parse_session_path("KS023/2019-12-10/1")) == "KS023/2019-12-10/001"
    with pytest.raises(ALFInvalid, match="0 to 999"):
        SessionPath(None, "KS023", datetime.date(2019, 12, 10), 1000)


def test_a_dataset_path_gives_its_parts() -> None:
    parsed = parse_dataset_path(
        "alf/probe00/#2024-05-06a#/_ibl_trials.goCue_times_bpod.raw.v1.csv"
    )
    assert parsed == DatasetPath(
        collection="alf/probe00",
        revision="2024-05-06a",
        namespace="ibl",
        object="trials",
        attribute="goCue_times",
        timescale="bpod",
        extra="raw.v1",
        extension="csv",
    )
    assert parsed.filename == "_ibl_trials.goCue_times_bpod.raw.v1.csv"
    assert parsed.without_revision == "alf/probe00/_ibl_trials.goCue_times_bpod.raw.v1.csv"


def test_the_grammar_describes_itself() -> None:
    lines = describe().splitlines()
    assert [line.split()[0] for line in lines] == list(PARTS)


def test_names_are_checked_without_importing_numpy() -> None:
    code = "import sys, shared.alf; print({'numpy', 'pandas', 'pyarrow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
