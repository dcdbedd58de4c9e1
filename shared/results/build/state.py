"""The builders' memory under ``_state/``, and the version of the code that computes it.

One object per subject with a fingerprint and the key figures of each of its published sessions,
one per month with the rows of the session list, one with a row per subject.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from shared.results.addresses import safe_name
from shared.results.render import TEMPLATES
from shared.results.store import SiteStore, load
from shared.results.views.rows import ListedSession, ListedSubject
from shared.results.views.subject import Published

INDEX = "_state/index.json"


class SubjectState(Struct, frozen=True):
    """The sessions of a subject that are published, or about to be, by id."""

    subject: str
    sessions: dict[str, Published] = {}

    @property
    def confirmed(self) -> dict[str, Published]:
        """The sessions whose pages are complete."""
        return {eid: one for eid, one in self.sessions.items() if one.row}


class MonthState(Struct, frozen=True):
    """A month's rows of the session list, by session id."""

    rows: dict[str, ListedSession] = {}


class SubjectIndex(Struct, frozen=True):
    """A row for each published subject, by nickname."""

    subjects: dict[str, ListedSubject] = {}


def subject_state(nickname: str) -> str:
    """Return the key of a subject's state."""
    return f"_state/subjects/{safe_name(nickname)}.json"


def month_state(month: str) -> str:
    """Return the key of a month's rows of the session list."""
    return f"_state/months/{month}.json"


def confirmed(store: SiteStore, nickname: str) -> dict[str, Published]:
    """Return the published sessions of a subject whose pages are complete, by id."""
    state, _ = load(store, subject_state(nickname), SubjectState)
    return state.confirmed if state else {}


def index_of(store: SiteStore) -> SubjectIndex:
    """Return the rows of all published subjects."""
    return load(store, INDEX, SubjectIndex)[0] or SubjectIndex()


@cache
def code_version() -> str:
    """Return a digest of the code and templates that make the site: it changes with the pages."""
    digest = sha256()
    shared = Path(__file__).parents[2]
    files = [
        *sorted((shared / "results").rglob("*.py")),
        *sorted((shared / "science").rglob("*.py")),
        *sorted(TEMPLATES.glob("*.html")),
    ]
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]
