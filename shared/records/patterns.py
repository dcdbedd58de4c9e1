"""Patterns of the ``__regex`` and ``__iregex`` lookups, matched in time linear in the text.

RE2 does not backtrack, so no pattern takes for ever, and its memory is bounded. Its language is
that of Python and PostgreSQL without back references and look-around. It is imported only when a
pattern is used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

LONGEST = 300
"""Most characters of a pattern."""

MEMORY = 1 << 20
"""Most bytes of a compiled pattern."""


class BadPattern(ValueError):
    """An invalid or too large pattern; the message names the fault."""


@lru_cache(128)
def found_by(pattern: str, *, fold: bool = False) -> Callable[[Any], bool]:
    """Return the test whether a value contains a pattern.

    Parameters
    ----------
    pattern
        Pattern in the language of RE2.
    fold
        Whether the case of letters is ignored.

    Raises
    ------
    BadPattern
        The pattern is invalid or too long.
    """
    import re2

    if len(pattern) > LONGEST:
        raise BadPattern(f"the pattern is longer than {LONGEST} characters.")
    options = re2.Options()
    options.case_sensitive = not fold
    options.log_errors = False
    options.max_mem = MEMORY
    options.never_capture = True
    try:
        compiled = re2.compile(pattern, options=options)
    except (re2.error, UnicodeEncodeError) as error:
        why = error.args[0]
        why = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(error)
        raise BadPattern(f"{pattern!r} is no pattern: {why}.") from None

    def test(value: Any) -> bool:
        if value is None or isinstance(value, (dict, list)):
            return False
        text = value if isinstance(value, str) else str(value)
        try:
            return compiled.search(text) is not None
        except UnicodeEncodeError:  # half of a surrogate pair, which no pattern matches
            return False

    return test
