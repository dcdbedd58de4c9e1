"""Map of the house: what each room says of itself in the first lines of its package.

``python -m tests.architecture.house --write`` puts it into ``docs/architecture.md``.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- map -->\n", "<!-- end of map -->"
HOUSE = ("infra", "functions", "lab", "shared")


def rooms() -> list[Path]:
    """Return the folders that hold Python files of the product, in order."""
    found = {file.parent for top in HOUSE for file in (ROOT / top).rglob("*.py")}
    return sorted(folder for folder in found if "__pycache__" not in folder.parts)


def says(room: Path) -> str:
    """Return the first sentence of a room's docstring; empty if it has none."""
    file = room / "__init__.py"
    text = ast.get_docstring(ast.parse(file.read_text())) if file.is_file() else None
    return " ".join((text or "").split("\n\n")[0].split())


def drawn() -> str:
    """Return the map as Markdown."""
    lines = [f"- `{room.relative_to(ROOT)}/`: {says(room)}" for room in rooms()]
    return "\n".join(["", *lines, ""]) + "\n"


def written() -> str:
    """Return the map that the page has."""
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0]


if __name__ == "__main__":
    if "--write" in sys.argv:
        head, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(head + BEGIN + drawn() + END + rest.partition(END)[2])
    else:
        print(drawn())
