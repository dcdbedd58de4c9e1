"""Code blocks of the README and the docs, as a reader would copy them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

LANGUAGES = frozenset({"bash", "python"})
"""Blocks of these languages are run."""

SILENT = frozenset({"", "text", "json", "yaml", "toml", "mermaid", "ini", "{toctree}"})
"""Blocks of these show something; nobody runs them."""

_FENCE = re.compile(r"^```(?P<info>.*?)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_ACCOUNT = re.compile(r"<!-- account: (\w+) -->")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes
    ----------
    page
        File it stands in.
    line
        Where it begins.
    language
        First word behind the fence.
    skip
        Why it is not run; empty if it is.
    code
        What a reader would copy.
    """

    page: Path
    line: int
    language: str
    skip: str
    code: str

    @property
    def name(self) -> str:
        """``page:line``."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """Return the README and every page of the docs."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = page.read_text()
    found = []
    for match in _FENCE.finditer(text):
        language, _, marks = match["info"].strip().partition(" ")
        reason = re.fullmatch(r'skip="(.+)"', marks.strip())
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, language, reason[1] if reason else "", match["code"]))
    return found


def account(page: Path) -> str:
    """Return the account of the demonstration that a page's reader has."""
    named = _ACCOUNT.search(page.read_text())
    return named[1] if named else "fimbrialab_member"
