"""Sentences on a session's page about parts of it that cannot be shown."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from shared.results.source import SiteSession, Unreadable

log = logging.getLogger(__name__)


@dataclass
class Said:
    """Sentences on a session's page about its missing parts, and whether to try again."""

    problems: list[str] = field(default_factory=list)
    failed: bool = False

    @contextmanager
    def of(self, session: SiteSession, what: str) -> Iterator[None]:
        """Turn an error into a sentence; the rest of the session is shown."""
        try:
            yield
        except Unreadable as error:
            self.problems.append(f"{what} cannot be shown: {error}.")
        except Exception as error:
            log.exception("%s of %s", what, session.reference)
            self.problems.append(f"{what} cannot be shown: {kind_of(error)}.")
            self.failed = True


def kind_of(error: Exception) -> str:
    """Return the kind of a failure; its text may hold private names and places."""
    return str(error) if isinstance(error, Unreadable) else type(error).__name__
