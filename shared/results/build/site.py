"""A whole site: the subjects, then what follows from them, then the pictures."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime

from msgspec import Struct

from shared.results.build.lists import ListBuilder
from shared.results.build.pictures import PictureBuilder
from shared.results.build.state import index_of
from shared.results.build.subject import Changes, SubjectBuilder
from shared.results.render import SiteSettings
from shared.results.source import Source
from shared.results.store import SiteStore
from shared.results.views.page import Problem


def utc_now() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


log = logging.getLogger(__name__)


class BuildReport(Struct, frozen=True):
    """The result of a build, and what it could not show.

    Attributes
    ----------
    changed : int
        Sessions whose pages were written or removed.
    problems : list of Problem
        Problems of the subjects in this build; their pages show the same sentences.
    failed : list of str
        Subjects whose pages could not be brought up to date.
    """

    changed: int
    problems: list[Problem] = []
    failed: list[str] = []


class Site:
    """A results site, built from a source into a store.

    Parameters
    ----------
    source : Source
        Where sessions come from. It may yield private ones: they never pass
        :func:`shared.results.source.is_visible`.
    store : SiteStore
        Where the site is kept.
    settings : SiteSettings
    now : callable
        The moment at which embargoes are judged.
    images : bool
        Whether to draw the pictures for sharing too.
    """

    def __init__(
        self,
        source: Source,
        store: SiteStore,
        settings: SiteSettings | None = None,
        now: Callable[[], datetime] = utc_now,
        images: bool = True,
    ) -> None:
        self.source = source
        self.store = store
        self.settings = settings or SiteSettings()
        self.now = now
        self.images = images
        self.subjects = SubjectBuilder(source, store, self.settings, now)
        self.lists = ListBuilder(store, self.settings)
        self.pictures = PictureBuilder(store)

    def refresh(
        self,
        subjects: Iterable[str] | None = None,
        progress: Callable[[str], None] = lambda nickname: None,
        workers: int = 1,
        pace: Callable[[Iterable[str]], Iterable[str]] = lambda names: names,
    ) -> BuildReport:
        """Bring the pages of all subjects, or of those given, up to date.

        Parameters
        ----------
        subjects : iterable of str, optional
            Without it also subjects that are published but no longer in the source.
        progress : callable
            Called with each subject when it is done.
        workers : int
            Processes; more than one needs a source and a store that can be pickled.
        pace : callable
            Passes the subjects on and may stop early; the next refresh does the others.

        Returns
        -------
        BuildReport
        """
        everything = subjects is None
        names = set(subjects if subjects is not None else self.source.subjects())
        if everything:
            names |= set(index_of(self.store).subjects)
        done: dict[str, Changes] = {}
        with ProcessPoolExecutor(workers) if workers > 1 else nullcontext() as pool:
            run = pool.map if pool else map
            for nickname, changes in run(self._refresh_named, pace(sorted(names))):
                done[nickname] = changes
                progress(nickname)
            self.lists.refresh(done, self.source.labs())
            # Pictures come last: no page waits for them.
            if self.images:
                for _ in run(self._draw_named, pace(sorted(done))):
                    pass
                removed = any(changes.removed for changes in done.values())
                self.pictures.draw_labs(seldom=not everything and not removed)
        return BuildReport(
            changed=sum(changes.written + changes.removed for changes in done.values()),
            problems=[problem for changes in done.values() for problem in changes.problems],
            failed=sorted(name for name, changes in done.items() if changes.failed),
        )

    def _refresh_named(self, nickname: str) -> tuple[str, Changes]:
        """Refresh a subject; its errors must not stop the others."""
        try:
            return nickname, self.refresh_subject(nickname)
        except Exception as error:
            log.exception("the pages of %s could not be brought up to date", nickname)
            problem = Problem(nickname, f"Its pages stay as they were: {type(error).__name__}.")
            return nickname, Changes(0, 0, (problem,), failed=True)

    def _draw_named(self, nickname: str) -> None:
        try:
            self.pictures.draw_subject(nickname)
        except Exception:
            log.exception("the pictures of %s could not be drawn", nickname)

    def refresh_subject(self, nickname: str) -> Changes:
        """Bring a subject's page and those of its sessions up to date."""
        return self.subjects.refresh(nickname)
