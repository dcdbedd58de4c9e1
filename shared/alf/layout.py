"""Files of a session's raw task data, trials, wheel and sorted spikes, in every layout.

The layouts of the public data and of the rigs of all versions:

- ``alf/_ibl_trials.table.pqt``, with a few columns in separate files (since 2021);
- ``alf/_ibl_trials.choice.npy`` and its like, a file for each column (public data of 2019);
- ``alf/task_00/…``, ``alf/task_01/…``: several protocols in a session (rigs since version 8);
- ``alf/probe00/…``, ``alf/probe00/pykilosort/…``: sorted spikes by probe, and by sorter if named;
- ``raw_ephys_data/probe00/….ap.ebin`` with ``….ap.eh``: a probe's recording, compressed here;
- any of them below a revision, ``alf/#2024-05-06#/…``.

Only the names of files count; no file is opened.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

import msgspec

from .errors import ALFInvalid
from .path import DatasetPath, parse_dataset_path, without_uuid

TABLE = "table"
"""Attribute of the file that holds an object's columns side by side."""

TRIAL_COLUMNS = ("choice", "contrastLeft", "contrastRight", "feedbackType")
"""Columns that the behaviour pages need (ONE convention, object `trials`)."""

SPIKE_ARRAYS = ("times", "clusters", "amps", "depths")
"""Arrays that the pages of sorted spikes need (ONE convention, object `spikes`)."""

RAW_EPHYS = "raw_ephys_data/"
"""Folder of the probes' recordings, with a folder for each probe (ONE convention)."""

_TASK = r"alf(?:/task_(\d{2}))?"
_RAW_TASK = r"raw_behavior_data|raw_task_data_(\d{2})"


class ObjectFiles(msgspec.Struct, frozen=True):
    """The files of an object in one collection, one revision of each attribute.

    Attributes
    ----------
    collection : str
        Folder, without the revision's.
    files : dict of str
        Paths within the session by attribute; a timescale is appended to the attribute
        (``times_bpod``).
    """

    collection: str
    files: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def table(self) -> str | None:
        """The path of the table; None if each column is a file."""
        path = self.files.get(TABLE)
        return path if path and path.endswith(".pqt") else None

    def columns(self) -> dict[str, str]:
        """Return the paths of the columns that are separate arrays, by attribute."""
        return {name: path for name, path in self.files.items() if path.endswith(".npy")}


def trials_in(paths: Iterable[str], preferred: Collection[str] = ()) -> list[ObjectFiles]:
    """Return the trials of a session, one entry per protocol in the order they ran.

    Parameters
    ----------
    paths : iterable of str
        Datasets' paths within the session; other paths are skipped.
    preferred : collection of str
        Paths of default revisions; without a default the latest revision counts.
    """
    candidates = [
        trials
        for trials in objects(paths, "trials", preferred)
        if re.fullmatch(_TASK, trials.collection)
    ]
    return [
        trials
        for trials in candidates
        if trials.table or set(TRIAL_COLUMNS) <= trials.files.keys()
    ]


def wheel_in(paths: Iterable[str], preferred: Collection[str] = ()) -> list[ObjectFiles]:
    """Return the wheel's positions of a session, one entry per protocol in the order they ran."""
    candidates = [
        wheel
        for wheel in objects(paths, "wheel", preferred)
        if re.fullmatch(_TASK, wheel.collection)
    ]
    return [wheel for wheel in candidates if "position" in wheel.files]


def sortings_in(paths: Iterable[str], preferred: Collection[str] = ()) -> list[ObjectFiles]:
    """Return the sorted spikes of a session, one entry per probe and sorter."""
    candidates = objects(paths, "spikes", preferred)
    return [
        spikes
        for spikes in candidates
        if spikes.collection.startswith("alf/") and "times" in spikes.files
    ]


class RecordingFiles(msgspec.Struct, frozen=True):
    """The files of a compressed raw recording of a probe.

    Attributes
    ----------
    probe : str
        Its folder's name, ``probe00``.
    band : str
        ``ap``, ``lf``, or ``wide`` if the name has neither.
    data, index : str
        Paths within the session of samples (``.ebin``) and index (``.eh``).
    overview : str, optional
        Path of the loudness by channel and second (``.rms.npy``).
    """

    probe: str
    band: str
    data: str
    index: str
    overview: str | None = None


def recordings_in(paths: Iterable[str], preferred: Collection[str] = ()) -> list[RecordingFiles]:
    """Return the compressed recordings of a session's probes, sorted by probe and band.

    Parameters
    ----------
    paths, preferred
        See :func:`trials_in`. Recordings without an index are skipped.
    """
    chosen: dict[tuple[str, str], tuple[tuple[bool, str], str]] = {}
    raw = (path for path in paths if path.startswith(RAW_EPHYS))
    for path, parsed in _parsed(raw):
        key = (parsed.collection, parsed.filename)
        rank = (path in preferred, parsed.revision or "")
        if key not in chosen or chosen[key][0] < rank:
            chosen[key] = (rank, path)
    files = {key: path for key, (_, path) in chosen.items()}
    recordings = []
    for (collection, name), data in sorted(files.items()):
        stem = name.removesuffix(".ebin")
        index = files.get((collection, f"{stem}.eh"))
        if stem == name or index is None:
            continue
        probe = collection.removeprefix(RAW_EPHYS).partition("/")[0]
        band = next((part for part in stem.split(".") if part in ("ap", "lf")), "wide")
        overview = files.get((collection, f"{stem}.rms.npy"))
        recordings.append(RecordingFiles(probe, band, data, index, overview))
    return sorted(recordings, key=lambda one: (one.probe, one.band))


class FilmFiles(msgspec.Struct, frozen=True):
    """The files of a camera's film.

    Attributes
    ----------
    camera : str
        ``left``, ``right``, ``body``, …
    film, times : str
        Paths within the session of the film (``.mp4``) and of the times of its frames.
    """

    camera: str
    film: str
    times: str


def films_in(paths: Iterable[str], preferred: Collection[str] = ()) -> list[FilmFiles]:
    """Return the films of a session whose frames have times, sorted by camera.

    Parameters
    ----------
    paths, preferred
        See :func:`trials_in`.
    """
    films: dict[str, tuple[tuple[bool, str], str]] = {}
    times: dict[str, tuple[tuple[bool, str], str]] = {}
    for path, parsed in _parsed(path for path in paths if "Camera." in path):
        name = re.fullmatch(r"_iblrig_(\w+)Camera\.raw\.mp4|_ibl_(\w+)Camera\.times\.npy",
                            parsed.filename)  # fmt: skip
        if not name:
            continue
        chosen, rank = films if name[1] else times, (path in preferred, parsed.revision or "")
        camera = name[1] or name[2]
        if camera not in chosen or chosen[camera][0] < rank:
            chosen[camera] = (rank, path)
    return [
        FilmFiles(camera, path, times[camera][1])
        for camera, (_, path) in sorted(films.items())
        if camera in times
    ]


def objects(paths: Iterable[str], name: str, preferred: Collection[str] = ()) -> list[ObjectFiles]:
    """Return the files of an object by collection, sorted.

    Parameters
    ----------
    paths, preferred
        See :func:`trials_in`.
    name : str
        Object, with any namespace.
    """
    chosen: dict[tuple[str, str], tuple[tuple[bool, str], str]] = {}
    for path, parsed in _parsed(path for path in paths if f"{name}." in path):
        if parsed.object != name:
            continue
        attribute = "_".join(part for part in (parsed.attribute, parsed.timescale) if part)
        key = (parsed.collection, attribute)
        rank = (path in preferred, parsed.revision)
        if key not in chosen or chosen[key][0] < rank:
            chosen[key] = (rank, path)
    by_collection: dict[str, dict[str, str]] = {}
    for (collection, attribute), (_, path) in sorted(chosen.items()):
        by_collection.setdefault(collection, {})[attribute] = path
    return [ObjectFiles(collection, files) for collection, files in by_collection.items()]


def raw_collections_in(paths: Iterable[str]) -> list[str]:
    """Return the folders of raw task data among paths within a session, sorted."""
    folders = {path.partition("/")[0] for path in paths if "/" in path}
    return sorted(name for name in folders if re.fullmatch(_RAW_TASK, name))


def output_collection(raw_collection: str) -> str:
    """Return the collection of a protocol's results, by the folder of its raw data.

    Parameters
    ----------
    raw_collection : str
        ``raw_behavior_data`` (one protocol) or ``raw_task_data_NN`` (protocol NN).

    Examples
    --------
    >>> output_collection("raw_behavior_data"), output_collection("raw_task_data_01")
    ('alf', 'alf/task_01')
    """
    match = re.fullmatch(_RAW_TASK, raw_collection)
    return f"alf/task_{match[1]}" if match and match[1] else "alf"


def _parsed(paths: Iterable[str]) -> Iterator[tuple[str, DatasetPath]]:
    for path in paths:
        try:
            yield path, parse_dataset_path(without_uuid(path))
        except ALFInvalid:
            continue
