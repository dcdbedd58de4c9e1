"""A class name has one meaning in the repository."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

OF_THE_LIBRARY = frozenset({"Meta"})
"""Names that a library asks for: PynamoDB reads a model's settings from ``Meta``."""


def test_no_two_things_have_one_name():
    homes: dict[str, list[str]] = defaultdict(list)
    for top in ("infra", "functions", "lab", "shared"):
        for file in sorted((ROOT / top).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.ClassDef) and node.name not in OF_THE_LIBRARY:
                    homes[node.name].append(str(file.relative_to(ROOT)))

    assert {name: where for name, where in homes.items() if len(where) > 1} == {}
