"""The private pages of a lab, for mice that the public does not see completely.

They are the same pages as on the results site, but built from what the public does not see yet
into a folder of the data bucket, never into the site's. For a mouse with a private session they
have all of its sessions, so that they show its whole learning. The mouse leaves when its last
session is published; a withdrawn one brings it back. The API serves the pages to lab members.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

import msgspec
import pandas as pd

from shared.results.render import SiteSettings
from shared.results.source import Lab, SiteSession, Sorting, Source, Subject, is_visible


class LabSource:
    """A lab's mice with private sessions, with all of their sessions.

    Parameters
    ----------
    source : Source
    lab : str
    hidden : callable
        Returns the nicknames of the lab's mice that may have a private session.
    now : callable
        The moment at which embargoes are judged.
    """

    def __init__(
        self,
        source: Source,
        lab: str,
        hidden: Callable[[], Iterable[str]],
        now: Callable[[], datetime],
    ) -> None:
        self.source = source
        self.lab = lab
        self.hidden = hidden
        self.now = now

    def subjects(self) -> Iterable[str]:
        """Return the nicknames of mice that may have a private session."""
        return self.hidden()

    def subject(self, nickname: str) -> Subject:
        """Return the facts about a subject."""
        return self.source.subject(nickname)

    def sessions(self, subject: str) -> list[SiteSession]:
        """Return a mouse's sessions, open to the lab; none if the public sees all of them."""
        sessions = [
            session for session in self.source.sessions(subject) if session.lab == self.lab
        ]
        if all(is_visible(session, self.now()) for session in sessions if not session.refused):
            return []
        return [replace(session, public=True, embargo_until=None) for session in sessions]

    def labs(self) -> list[Lab]:
        """Return the lab."""
        return [lab for lab in self.source.labs() if lab.name == self.lab]

    def trials(self, session: SiteSession) -> pd.DataFrame | None:
        """Return the session's trials table."""
        return self.source.trials(session)

    def sorting(self, session: SiteSession, collection: str) -> Sorting | None:
        """Return the sorted spikes in a collection."""
        return self.source.sorting(session, collection)


def lab_settings(settings: SiteSettings, lab: str) -> SiteSettings:
    """Return the settings of a lab's private pages: without address, licence and DOI."""
    return msgspec.structs.replace(
        settings,
        site_url="",
        licence=f"Not public: for {lab} alone",
        licence_url="",
        doi="",
        recordings=False,  # members have the files: a copy costs more than it is used
        releases=False,
    )
