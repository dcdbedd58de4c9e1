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

MADE_ONCE = ("processed", "syntheses")
"""Fixtures of minutes; each names the group of the tests that use it, or one made of it."""

_DEFINED = re.compile(r"^def (\w+)\(([^)]*)", re.MULTILINE)


class OneFileOneProcess(LoadScopeScheduling):
    """Gives all tests of a group to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid.partition("::")[0])


@functools.cache
def group(path: str) -> str:
    """Return the group of a file's tests: its path, or the costly fixture that one uses."""
    made_of = {name: name for name in MADE_ONCE}
    for file in (ROOT / path).with_name("conftest.py"), ROOT / path:
        text = file.read_text() if file.exists() else ""
        used: dict[str, str] = {}
        for name, arguments in _DEFINED.findall(text):
            for argument in re.findall(r"\w+", arguments):
                if argument in made_of:
                    made_of[name] = used[name] = made_of[argument]
    return next(iter(used.values()), path)
