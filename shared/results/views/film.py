"""The films on a session's page: the data with which its script shows them, trials and wheel."""

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
"""Moments of a trial to show, and their columns."""


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
    """The data with which a session's page shows films.

    Attributes
    ----------
    cameras : list of FilmOfCamera
        `told` says why their frames may be shown at wrong times.
    wheel : WheelFiles, optional
    trials : dict
        Moments (s), one entry per trial; None if an event did not happen.
    correct : list of bool
        Whether each trial was correct.
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
    films = session.films
    if not films:
        return None
    folder = addresses.films_folder(session.id)
    cameras: list[FilmOfCamera] = []
    copied: dict[str, str] = {}
    for film_files in films:
        film, times = f"{folder}{film_files.camera}.mp4", f"{folder}{film_files.camera}.times.npy"
        copied |= {film: film_files.film, times: film_files.times}
        cameras.append(
            FilmOfCamera(film_files.camera, film, times, _doubt(session, film_files.camera))
        )
    wheel = None
    files = session.wheel.files if session.wheel else {}
    if {"timestamps", "position"} <= files.keys():
        wheel = WheelFiles(f"{folder}wheel.times.npy", f"{folder}wheel.position.npy")
        copied |= {wheel.times: files["timestamps"], wheel.position: files["position"]}
    key = f"{folder}films.json"
    content = Films(cameras, wheel, *_trials(trials))
    return Shown(key, {key: encode(content)}, copied)


def _doubt(session: SiteSession, camera: str) -> str:
    """Say why frames may be shown at wrong times; empty if there is no doubt."""
    judged = session.quality.get(f"_video{camera.capitalize()}_timestamps")
    if judged in ("WARNING", "FAIL"):
        return "The film and the times of its frames do not go together: times may be wrong."
    if session.quality.get(f"_sync_{camera}Camera_method") == "counts":
        return "Frames were timed by their number alone: they may be some frames off."
    return ""


def _trials(trials: TrialArrays | None) -> tuple[dict[str, Numbers], list[bool]]:
    if trials is None:
        return {}, []
    moments: dict[str, Numbers] = {
        label: [rounded(float(each), 6) for each in trials[name]]
        for label, name in TRIALS.items()
        if name in trials
    }
    return moments, [bool(each) for each in np.asarray(trials["feedbackType"]) == 1]
