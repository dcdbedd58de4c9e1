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

MEMBER = "fimbrialab_member"
"""Whose account a reader has where the page does not say."""

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
    account
        Account of the demonstration that the reader has here: the last one that the page names
        in a comment above.
    """

    page: Path
    line: int
    language: str
    skip: str
    code: str
    account: str

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
        named = _ACCOUNT.findall(text, 0, match.start())
        skip = reason[1] if reason else ""
        account = named[-1] if named else MEMBER
        found.append(Block(page, line, language, skip, match["code"], account))
    return found
