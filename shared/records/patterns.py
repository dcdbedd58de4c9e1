"""Patterns of the ``__regex`` and ``__iregex`` lookups, matched in time linear in the text.

RE2 has no backtracking, so that no pattern takes for ever; its memory is bounded, too. Its
language is that of Python and PostgreSQL without back references and look-around. It is imported
only where somebody asks for a pattern.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

LONGEST = 300
"""Characters of a pattern."""

MEMORY = 1 << 20
"""Bytes that a compiled pattern may take."""


class BadPattern(ValueError):
    """A pattern that is not one, or takes too much; the message says which part."""


@lru_cache(128)
def found_by(pattern: str, *, fold: bool = False) -> Callable[[Any], bool]:
    """Return the test whether a pattern is found anywhere in a value.

    Parameters
    ----------
    pattern
        In the language of RE2.
    fold
        Whether capital and small letters are the same.

    Raises
    ------
    BadPattern
        It cannot be read, or is too long.
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
        except UnicodeEncodeError:  # half of a surrogate pair: no text that a pattern could mean
            return False

    return test
