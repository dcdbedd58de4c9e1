"""The films on a session's page: what its script shows them by, beside trials and wheel."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from shared.results import addresses
from shared.results.numbers import rounded
from shared.results.source import SiteSession
from shared.results.store import encode
from shared.results.views.recording import Shown
from shared.results.views.session import Numbers, TrialArrays

TRIALS = {
    "start": "intervals_0",
    "stimulus": "stimOn_times",
    "movement": "firstMovement_times",
    "feedback": "feedback_times",
}
"""Moments of a trial that are shown, and the columns that have them."""


class FilmOfCamera(Struct, frozen=True):
    """A camera's film, and the times of its frames; keys of the site."""

    camera: str
    film: str
    times: str
    told: str = ""


class WheelFiles(Struct, frozen=True):
    """The wheel's positions (rad) and their times (s); keys of the site."""

    times: str
    position: str


class Films(Struct, frozen=True):
    """What a session's page shows films by.

    Attributes
    ----------
    cameras : list of FilmOfCamera
        `told` says why their frames may be shown at wrong times.
    wheel : WheelFiles, optional
    trials : dict
        Moments (s), one entry a trial; None where a thing did not happen.
    correct : list of bool
        Whether each trial was.
    """

    cameras: list[FilmOfCamera]
    wheel: WheelFiles | None
    trials: dict[str, Numbers]
    correct: list[bool]


def films_of(session: SiteSession, trials: TrialArrays | None) -> Shown | None:
    """Return a session's films as files of the site, None if it has none.

    Parameters
    ----------
    session : SiteSession
    trials : dict of array, optional
    """
    found = session.films
    if not found:
        return None
    folder = addresses.films_folder(session.id)
    cameras: list[FilmOfCamera] = []
    copied: dict[str, str] = {}
    for one in found:
        film, times = f"{folder}{one.camera}.mp4", f"{folder}{one.camera}.times.npy"
        copied |= {film: one.film, times: one.times}
        cameras.append(FilmOfCamera(one.camera, film, times, _doubt(session, one.camera)))
    wheel = None
    files = session.wheel.files if session.wheel else {}
    if {"timestamps", "position"} <= files.keys():
        wheel = WheelFiles(f"{folder}wheel.times.npy", f"{folder}wheel.position.npy")
        copied |= {wheel.times: files["timestamps"], wheel.position: files["position"]}
    about = f"{folder}films.json"
    content = Films(cameras, wheel, *_trials(trials))
    return Shown(about, {about: encode(content)}, copied)


def _doubt(session: SiteSession, camera: str) -> str:
    """Say why frames may be shown at wrong times; empty if nothing is known against them."""
    judged = session.quality.get(f"_video{camera.capitalize()}_timestamps")
    if judged in ("WARNING", "FAIL"):
        return "The film and the times of its frames do not go together: times may be wrong."
    if session.quality.get(f"_sync_{camera}Camera_method") == "counts":
        return "Frames were timed by their number alone: they may be some frames off."
    return ""


def _trials(trials: TrialArrays | None) -> tuple[dict[str, Numbers], list[bool]]:
    if trials is None:
        return {}, []
    told: dict[str, Numbers] = {
        label: [rounded(float(each), 6) for each in trials[name]]
        for label, name in TRIALS.items()
        if name in trials
    }
    return told, [bool(each) for each in np.asarray(trials["feedbackType"]) == 1]
