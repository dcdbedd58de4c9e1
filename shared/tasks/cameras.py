"""The films of a session, by the names of their files."""

from __future__ import annotations

import re
from collections.abc import Collection

import msgspec

_FILM = r"(?P<folder>[^#]*)/_iblrig_(?P<label>[a-z]+)Camera\.raw\.(?P<form>mp4|avi)"

BY_STATE_MACHINE = "left"
"""The one camera that signals its frames to the state machine, where that is the clock."""


class Camera(msgspec.Struct, frozen=True):
    """A camera with a film in the session.

    Attributes
    ----------
    label
        ``left``, ``right``, ``body``, …
    collection
        Folder of the film.
    compressed
        Whether the film came as ``.mp4``, rather than as ``.avi`` alone.
    """

    label: str
    collection: str
    compressed: bool


def cameras_in(paths: Collection[str]) -> list[Camera]:
    """Return the cameras of a session's films, by label.

    A film that exists as ``.avi`` and as ``.mp4`` has been compressed here: its task stays.
    """
    extensions: dict[tuple[str, str], set[str]] = {}
    for path in paths:
        if film := re.fullmatch(_FILM, path):
            extensions.setdefault((film["label"], film["folder"]), set()).add(film["form"])
    return [
        Camera(*key, compressed="avi" not in forms) for key, forms in sorted(extensions.items())
    ]
