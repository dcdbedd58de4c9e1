"""Which tests run in one process, where several run: a file's, and all that use a costly fixture.

xdist 3.8 writes its own groups into the names of tests, where pytest 9.2 does not read them: they
are lost without a word.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[1]

MADE_ONCE = {
    "processed": "processed",
    "syntheses": "syntheses",
    "synthesized": "syntheses",
    "hardened": "syntheses",
}
"""Fixtures of minutes, and those made of them → the name of the process that makes them."""

_USES = re.compile(rf"def \w+\([^)]*\b({'|'.join(MADE_ONCE)})\b")


class OneFileOneProcess(LoadScopeScheduling):
    """Gives all tests of a group to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid.partition("::")[0])


@functools.cache
def group(path: str) -> str:
    """Return the group of a file's tests: its path, or that of the costly fixture it uses."""
    file = ROOT / path
    found = _USES.search(file.read_text()) if file.exists() else None
    return MADE_ONCE[found[1]] if found else path
