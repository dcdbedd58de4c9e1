"""A session's entry in its subject's state: what the lists and the subject's page show of it."""

from __future__ import annotations

from shared.results.build.said import Said
from shared.results.source import SiteSession
from shared.results.store import encode_as
from shared.results.views.rows import ListedProbe
from shared.results.views.session import Behaviour, session_row
from shared.results.views.subject import Published, SessionOfSubject, session_of_subject


def entry_of(
    session: SiteSession,
    print_: str,
    seen: Behaviour | None,
    probes: list[ListedProbe],
    said: Said,
) -> Published:
    """Return the entry of a session whose pages are written.

    An entry that could not be read back would take those of the whole subject with it: such a
    session is listed without its numbers.

    Parameters
    ----------
    session
    print_
        Fingerprint of the pages' inputs.
    seen
        What its trials show; None if they cannot be shown.
    probes
        Rows of the probe list.
    said
        What could not be shown; gets one more sentence if the numbers cannot be kept.
    """
    day = session_of_subject(session, seen, probes)
    with said.of(session, "Its numbers in lists"):
        row = session_row(session, seen, said.problems)
        entry = Published(print_, row, day, said.problems, said.failed)
        encode_as(entry, Published)
        return entry
    row = session_row(session, None, said.problems)
    return Published(print_, row, SessionOfSubject(session.start_time), said.problems, said.failed)
