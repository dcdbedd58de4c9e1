"""Where raw task data, trials, wheel and sorted spikes of a session lie, in every layout.

The layouts, as the public data and the rigs of all versions have them:

- ``alf/_ibl_trials.table.pqt`` with a few columns in files of their own beside it (since 2021);
- ``alf/_ibl_trials.choice.npy`` and its like, a file for each column (public data of 2019);
- ``alf/task_00/…``, ``alf/task_01/…``: several protocols in a session (rigs since version 8);
- ``alf/probe00/…``, ``alf/probe00/pykilosort/…``: sorted spikes by probe, and by sorter if named;
- ``raw_ephys_data/probe00/….ap.ebin`` with ``….ap.eh``: what a probe recorded, compressed here;
- any of them below a revision, ``alf/#2024-05-06#/…``.

Files are judged by their names alone; nothing is opened here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

import msgspec

from .errors import ALFInvalid
from .path import DatasetPath, parse_dataset_path, without_uuid

TABLE = "table"
"""Attribute of the one file that holds an object's columns side by side."""

TRIAL_COLUMNS = ("choice", "contrastLeft", "contrastRight", "feedbackType")
"""Columns without which there is no behaviour to show (ONE convention, object `trials`)."""

SPIKE_ARRAYS = ("times", "clusters", "amps", "depths")
"""Arrays without which sorted spikes cannot be shown (ONE convention, object `spikes`)."""

RAW_EPHYS = "raw_ephys_data/"
"""Folder of what probes recorded, with a folder for each probe (ONE convention)."""

_TASK = re.compile(r"alf(?:/task_(\d{2}))?")
_RAW_TASK = re.compile(r"raw_behavior_data|raw_task_data_(\d{2})")


class ObjectFiles(msgspec.Struct, frozen=True):
    """The files of an object in one collection, of each attribute the revision that counts.

    Attributes
    ----------
    collection : str
        Folder, without the revision's.
    files : dict of str
        Path within the session by attribute; an attribute with a timescale has it appended
        (``times_bpod``).
    """

    collection: str
    files: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def table(self) -> str | None:
        """The path of the table; None where each column is a file."""
        path = self.files.get(TABLE)
        return path if path and path.endswith(".pqt") else None

    def columns(self) -> dict[str, str]:
        """Return the paths of the columns that are arrays of their own, by attribute."""
        return {name: path for name, path in self.files.items() if path.endswith(".npy")}


def trials_in(paths: Iterable[str], preferred: Collection[str] = ()) -> list[ObjectFiles]:
    """Return the trials of a session, one entry per protocol in the order they ran.

    Parameters
    ----------
    paths : iterable of str
        Datasets' paths within the session; those that are no datasets are passed over.
    preferred : collection of str
        Paths that are the default among their revisions; without one the latest counts.
    """
    found = [one for one in objects(paths, "trials", preferred) if _TASK.fullmatch(one.collection)]
    return [one for one in found if one.table or set(TRIAL_COLUMNS) <= one.files.keys()]


def wheel_in(paths: Iterable[str], preferred: Collection[str] = ()) -> list[ObjectFiles]:
    """Return the wheel's positions of a session, one entry per protocol in the order they ran."""
    found = [one for one in objects(paths, "wheel", preferred) if _TASK.fullmatch(one.collection)]
    return [one for one in found if "position" in one.files]


def sortings_in(paths: Iterable[str], preferred: Collection[str] = ()) -> list[ObjectFiles]:
    """Return the sorted spikes of a session, one entry per probe and sorter."""
    found = objects(paths, "spikes", preferred)
    return [one for one in found if one.collection.startswith("alf/") and "times" in one.files]


class RecordingFiles(msgspec.Struct, frozen=True):
    """A compressed raw recording of a probe, of the revision that counts.

    Attributes
    ----------
    probe : str
        Its folder's name, ``probe00``.
    band : str
        ``ap``, ``lf``, or ``wide`` where the name tells none.
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
        As for :func:`trials_in`. A recording without its index is passed over.
    """
    chosen: dict[tuple[str, str], tuple[tuple[bool, str], str]] = {}
    raw = (path for path in paths if path.startswith(RAW_EPHYS))
    for path, parsed in _parsed(raw):
        key = (parsed.collection, parsed.filename)
        rank = (path in preferred, parsed.revision or "")
        if key not in chosen or chosen[key][0] < rank:
            chosen[key] = (rank, path)
    files = {key: path for key, (_, path) in chosen.items()}
    found = []
    for (collection, name), data in sorted(files.items()):
        stem = name.removesuffix(".ebin")
        index = files.get((collection, f"{stem}.eh"))
        if stem == name or index is None:
            continue
        probe = collection.removeprefix(RAW_EPHYS).partition("/")[0]
        band = next((part for part in stem.split(".") if part in ("ap", "lf")), "wide")
        overview = files.get((collection, f"{stem}.rms.npy"))
        found.append(RecordingFiles(probe, band, data, index, overview))
    return sorted(found, key=lambda one: (one.probe, one.band))


class FilmFiles(msgspec.Struct, frozen=True):
    """The film of a camera, of the revision that counts.

    Attributes
    ----------
    camera : str
        ``left``, ``right``, ``body``, …
    film, times : str
        Paths within the session of the film (``.mp4``) and of its frames' times.
    """

    camera: str
    film: str
    times: str


def films_in(paths: Iterable[str], preferred: Collection[str] = ()) -> list[FilmFiles]:
    """Return the films of a session whose frames have times, sorted by camera.

    Parameters
    ----------
    paths, preferred
        As for :func:`trials_in`.
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
        As for :func:`trials_in`.
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
    found = {path.partition("/")[0] for path in paths if "/" in path}
    return sorted(name for name in found if _RAW_TASK.fullmatch(name))


def output_collection(raw_collection: str) -> str:
    """Return where a protocol's results belong, by the folder of its raw data.

    Parameters
    ----------
    raw_collection : str
        ``raw_behavior_data`` (one protocol) or ``raw_task_data_NN`` (protocol NN).

    Examples
    --------
    >>> output_collection("raw_behavior_data"), output_collection("raw_task_data_01")
    ('alf', 'alf/task_01')
    """
    match = _RAW_TASK.fullmatch(raw_collection)
    return f"alf/task_{match[1]}" if match and match[1] else "alf"


def _parsed(paths: Iterable[str]) -> Iterator[tuple[str, DatasetPath]]:
    for path in paths:
        try:
            yield path, parse_dataset_path(without_uuid(path))
        except ALFInvalid:
            continue
