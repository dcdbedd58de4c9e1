"""Dumps are read row by row; damaged ones say where. Rows that descend are put in order."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.importers.dump import reading
from lab.importers.dump.genealogy import generations
from lab.importers.dump.reading import NO_MODEL, BadDump, DumpRow, read_dump

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
ROWS = st.lists(
    st.builds(
        DumpRow,
        st.sampled_from(["subjects.subject", "misc.lab"]),
        st.none() | st.integers(0, 99).map(str),
        st.dictionaries(st.text(max_size=8), VALUES, max_size=4),
    ),
    max_size=6,
)


def text_of(rows: list[DumpRow], *, lines: bool, indent: int | None, ascii_only: bool) -> str:
    shown = [{"model": r.model, "pk": r.pk, "fields": r.fields} for r in rows]
    if lines:
        return "\n".join(json.dumps(each, ensure_ascii=ascii_only) for each in shown)
    return json.dumps(shown, indent=indent, ensure_ascii=ascii_only)


@given(
    ROWS,
    st.integers(1, 40),
    st.booleans(),
    st.sampled_from([None, 1]),
    st.booleans(),
    st.booleans(),
)
def test_rows_are_the_same_wherever_the_file_is_cut(
    tmp_path_factory, rows, chunk, lines, indent, ascii_only, zipped
):
    path = tmp_path_factory.mktemp("dump") / "dump"
    text = text_of(rows, lines=lines, indent=indent, ascii_only=ascii_only)
    data = text.encode("utf-8", "surrogatepass" if ascii_only else "strict")
    path.write_bytes(gzip.compress(data) if zipped else data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "CHUNK", chunk)
        assert list(read_dump(path)) == rows


def test_what_is_no_row_is_kept_as_such(tmp_path: Path):
    path = tmp_path / "d.json"
    wrong: list[Any] = [7, None, {"model": "a.b"}, {"model": "x", "pk": 1, "fields": {}}]
    path.write_text(json.dumps([*wrong, {"model": "A.B", "pk": 1, "fields": {"n": float("nan")}}]))
    *odd, good = read_dump(path)
    assert [row.model for row in odd] == [NO_MODEL] * 4
    assert good == DumpRow("a.b", "1", {"n": None})


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b'[{"model": "a.b", "pk": 1, "fields": {}}, {"mod', "row 2"),
        (b'[{"model": "a.b", "pk": 1, "fields": {}}', "cut off"),
        (b'[{"model": "a.b", "pk": 1, "fields": {}} {}]', "comma"),
        (b"[] []", "behind the list"),
        (b"[" * 100_000, "nested too deeply"),
        (b'[{"model": "\xff"}]', "UTF-8"),
        (b"-- PostgreSQL database dump", "row 1"),
        (gzip.compress(b'[{"model": "a.b", "pk": 1, "fields": {}}]' * 99)[:-20], "breaks off"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_damaged_file_says_where(tmp_path: Path, content: bytes, where: str):
    path = tmp_path / "d.json"
    path.write_bytes(content)
    with pytest.raises(BadDump, match=where):
        list(read_dump(path))


def test_a_row_that_never_ends_is_not_read_for_ever(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_ROW", 1000)
    monkeypatch.setattr(reading, "CHUNK", 100)
    path = tmp_path / "d.json"
    path.write_text('[{"model": "' + "x" * 5000)
    with pytest.raises(BadDump, match="longer than 1,000"):
        list(read_dump(path))


@given(st.dictionaries(st.integers(0, 12), st.lists(st.integers(0, 15), max_size=3), max_size=12))
def test_every_row_comes_once_behind_those_it_descends_from(parents):
    cut: set[tuple[int, int]] = set()
    done: list[int] = []
    for generation in generations(parents, parents, cut):
        for n in generation:
            above = {p for p in parents[n] if p in parents and (n, p) not in cut}
            assert above <= set(done)
        done += generation
    assert sorted(done) == sorted(parents)


@given(st.integers(1, 6), st.integers(0, 5))
def test_a_circle_is_cut_once_and_at_a_link_that_may_be_cut(length, at):
    circle = {n: [(n + 1) % length] for n in range(length)}
    cut: set[tuple[int, int]] = set()
    list(generations(circle, [at % length], cut))
    assert cut == {(at % length, (at + 1) % length if at % length + 1 < length else 0)}
