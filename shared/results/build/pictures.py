"""Pictures for sharing, drawn from the pages' data after all pages are written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from msgspec import Struct

from shared.results import addresses
from shared.results.addresses import safe_name
from shared.results.build.state import code_version, confirmed, index_of
from shared.results.store import SiteStore, encode, load, write_derived, write_if_changed
from shared.results.views.lab import LabData
from shared.results.views.overview import OverviewData
from shared.results.views.session import SessionData
from shared.results.views.subject import SubjectData

LAB_IMAGES = "_state/images.json"

LAB_IMAGE_INTERVAL = timedelta(minutes=10)
"""Least time between two drawings of a lab's picture while single sessions come in."""


class LabImages(Struct, frozen=True):
    """The data, by key, that the pictures of labs were drawn from, and when the last was drawn."""

    at: datetime
    made_from: dict[str, str] = {}


class _Picture(NamedTuple):
    """A picture of labs: its key, the kind of its data, and the function that draws it."""

    image: str
    kind: Any
    draw: Callable[[Any], bytes]


class PictureBuilder:
    """Draws the pictures that are missing or outdated.

    Parameters
    ----------
    store
        As for :class:`shared.results.build.Site`.
    """

    def __init__(self, store: SiteStore) -> None:
        self.store = store

    def draw_subject(self, nickname: str) -> int:
        """Draw the pictures of a subject and its sessions that are missing or outdated.

        Returns
        -------
        int
            Pictures drawn.
        """
        from shared.results import images

        key = f"_state/images/{safe_name(nickname)}.json"
        drawn = load(self.store, key, dict[str, str])[0] or {}
        prints = {eid: entry.print for eid, entry in confirmed(self.store, nickname).items()}
        todo = [eid for eid, made_from in prints.items() if drawn.get(eid) != made_from]
        if not todo and set(drawn) == set(prints):
            return 0
        for eid in todo:
            content, _ = load(self.store, addresses.session_data(eid), SessionData)
            if content and content.blocks:
                self._put(addresses.session_image(eid), images.session(content))
        subject, _ = load(self.store, addresses.subject_data(nickname), SubjectData)
        if subject:
            self._put(addresses.subject_image(nickname), images.subject(subject))
        # A session withdrawn during the drawing must not keep its picture.
        remaining = confirmed(self.store, nickname)
        gone = [addresses.session_image(eid) for eid in prints if eid not in remaining]
        self.store.delete(gone if remaining else [*gone, addresses.subject_image(nickname)])
        if prints:
            self.store.write(
                key, encode({eid: p for eid, p in prints.items() if eid in remaining})
            )
        else:
            self.store.delete([key])
        return len(todo)

    def draw_labs(self, *, seldom: bool = False) -> int:
        """Draw the pictures of labs and of all of them whose data changed.

        Parameters
        ----------
        seldom : bool
            Leave pictures drawn within :data:`LAB_IMAGE_INTERVAL`: in a burst of new sessions
            every one of them would change the picture.

        Returns
        -------
        int
            Pictures drawn.
        """
        from shared.results import images

        labs = sorted({subject.lab for subject in index_of(self.store).subjects.values()})
        todo: dict[str, _Picture] = {}
        if labs:
            all_labs = _Picture(addresses.OVERVIEW_IMAGE, OverviewData, images.overview)
            todo[addresses.OVERVIEW_DATA] = all_labs
        for lab in labs:
            of_lab = _Picture(addresses.lab_image(lab), LabData, images.lab)
            todo[addresses.lab_data(lab)] = of_lab
        now = datetime.now(UTC)
        before = load(self.store, LAB_IMAGES, LabImages)[0] or LabImages(
            datetime.min.replace(tzinfo=UTC)
        )
        fresh = now - before.at < LAB_IMAGE_INTERVAL
        if seldom and fresh and before.made_from.keys() >= todo.keys():
            return 0
        drawn = {key: f"{code_version()} {self.store.etag(key)}" for key in todo}
        changed = [key for key in todo if before.made_from.get(key) != drawn[key]]
        for key in changed:
            self._draw_lab(key, todo[key])
        if not labs:
            self.store.delete([addresses.OVERVIEW_IMAGE])
        if drawn != before.made_from:
            self._put(LAB_IMAGES, encode(LabImages(now, drawn)))
        return len(changed)

    def _draw_lab(self, key: str, picture: _Picture) -> None:
        def make(data: Any) -> dict[str, bytes]:
            return {picture.image: picture.draw(data)} if data else {}

        write_derived(self.store, key, picture.kind, make)
        if self.store.read(key) is None:  # withdrawn during the drawing
            self.store.delete([picture.image])

    def _put(self, key: str, body: bytes) -> None:
        write_if_changed(self.store, key, body)
