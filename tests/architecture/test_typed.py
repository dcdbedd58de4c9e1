"""On the way of an upload data are typed objects: few functions take or return a bare mapping."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BARE = re.compile(r"(dict|Mapping)\[str, Any\]|\bdict\b(?!\[)")

MOST = {
    "shared/model": 0.05,  # what decodes JSON
    "shared/datasets": 0.07,
    "shared/uploads": 0.12,  # events and requests of S3 are S3's
    "functions/ingest": 0.12,  # events of Lambda are Lambda's
    "shared/work": 0.17,  # a task's arguments are its own
    "shared": 0.11,
    "lab": 0.21,  # bodies of other people's servers and files
    "functions": 0.38,  # resources are declared: a declaration is the type of a body
}
"""The largest share of a room's functions; it may only fall."""


def annotations(function: ast.FunctionDef) -> list[str]:
    """Return how a function's parameters and its result are annotated."""
    given = function.args
    every = [*given.posonlyargs, *given.args, *given.kwonlyargs]
    found = [each.annotation for each in every] + [function.returns]
    return [ast.unparse(each) for each in found if each is not None]


POSITION = re.compile(r"\b(record|manifest|checksums|entry)\[\d\]")
"""A part of a thing, taken by its position."""


@pytest.mark.parametrize("room", MOST)
def test_few_functions_of_a_room_have_bare_mappings(room: str) -> None:
    functions = [
        (path.name, node)
        for path in sorted((ROOT / room).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    ]
    bare = [
        f"{name}:{node.name}"
        for name, node in functions
        if any(BARE.search(each) for each in annotations(node))
    ]

    assert len(bare) <= MOST[room] * len(functions), f"{room}: give these a struct: {bare}"


@pytest.mark.parametrize("room", ["shared", "functions", "lab", "infra"])
def test_parts_of_things_have_names(room: str) -> None:
    by_position = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted((ROOT / room).rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if POSITION.search(line)
    ]

    assert by_position == []
