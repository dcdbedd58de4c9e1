"""The pages that a lab keeps to itself, until all of a mouse's sessions are public.

They are the very pages of the results site, built from what the public does not see yet into a
folder of the data bucket, never into the site's. A mouse with a session that is not public has all
of its sessions there, so that its learning is shown whole. With the last one published the mouse
leaves; withdrawing one brings it back. The API serves them to members of the lab.
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
    """A lab's mice that the public does not see whole, with all of their sessions.

    Parameters
    ----------
    source : Source
    lab : str
    hidden : callable
        Returns the nicknames of the lab's mice that may have a session that is not public.
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
        """Return the nicknames of mice that may have a session that is not public."""
        return self.hidden()

    def subject(self, nickname: str) -> Subject:
        """Return what is known of a subject."""
        return self.source.subject(nickname)

    def sessions(self, subject: str) -> list[SiteSession]:
        """Return the sessions of a mouse, open to the lab; none if the public sees all of them."""
        found = [one for one in self.source.sessions(subject) if one.lab == self.lab]
        if all(is_visible(one, self.now()) for one in found if not one.refused):
            return []
        return [replace(one, public=True, embargo_until=None) for one in found]

    def labs(self) -> list[Lab]:
        """Return the lab."""
        return [one for one in self.source.labs() if one.name == self.lab]

    def trials(self, session: SiteSession) -> pd.DataFrame | None:
        """Return the session's trials table."""
        return self.source.trials(session)

    def sorting(self, session: SiteSession, collection: str) -> Sorting | None:
        """Return the sorted spikes in a collection."""
        return self.source.sorting(session, collection)


def lab_settings(settings: SiteSettings, lab: str) -> SiteSettings:
    """Return what a lab's own pages say of themselves: no address, licence or DOI is theirs."""
    return msgspec.structs.replace(
        settings,
        site_url="",
        licence=f"Not public: for {lab} alone",
        licence_url="",
        doi="",
        recordings=False,  # a lab has its own: a second copy would cost more than it is looked at
        releases=False,
    )
