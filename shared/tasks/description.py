"""The experiment description 1.0.0, and what the files say where a session has none."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from shared.alf import names
from shared.alf.layout import RAW_EPHYS, raw_collections_in

DESCRIPTION_NAME = "_ibl_experiment.description.yaml"
"""Where a session says what hardware recorded it."""

DESCRIPTION_FIELD = "experiment_description"
"""Where ingest keeps the parsed description in the session's JSON."""

NAMED = ("cameras", "neuropixel")
"""Devices of which a session has several, each with a name."""

FILES = (
    (r"raw_video_data/.*_(left|right|body|belly)Camera\.raw\.", "cameras"),
    (r"raw_ephys_data/(probe\w+)/.*\.(?:ap|lf)\.(?:[ce]?bin)$", "neuropixel"),
    (r"raw_behavior_data/.*micData\.raw\.|.*\.raw\.(?:wav|flac)$", "microphone"),
    (r"raw_widefield_data/", "widefield"),
    (r"raw_(?:mesoscope|imaging)_data\w*/", "mesoscope"),
    (r"raw_photometry_data/", "neurophotometrics"),
)
"""Files by which a device is known, where nothing describes the session (ibllib's folders)."""

_NIDQ = re.compile(r"raw_ephys_data/(?:[^/]+/)?[^/]*\.nidq\.(?:meta|[ce]?bin)$")


MOST_PROTOCOLS, MOST_DEVICES = 50, 500
"""Protocols and devices of one session; a session has had nine protocols and eight probes."""


class BadDescription(ValueError):
    """An experiment description that cannot be read."""


def description_in(json: Any) -> Mapping[str, Any] | None:
    """Return the experiment description in the JSON of a session, which anybody may have written.

    Raises
    ------
    BadDescription
        It is no object.
    """
    found = json.get(DESCRIPTION_FIELD) if isinstance(json, Mapping) else None
    if found is None or isinstance(found, Mapping):
        return found
    raise BadDescription(f"{DESCRIPTION_NAME}: it must be an object")


class Protocol(msgspec.Struct, frozen=True):
    """A task protocol that a session ran.

    Attributes
    ----------
    name
        As rig or description call it; None where nothing says.
    collection
        Folder of its raw files.
    extractors
        Names that the description asks for instead of the usual.
    """

    name: str | None
    collection: str
    extractors: tuple[str, ...] = ()


class Device(msgspec.Struct, frozen=True):
    """A device that recorded: its kind, as ``cameras``, and its name if there are several."""

    kind: str
    name: str = ""

    def __str__(self) -> str:
        """Return what people call it: ``camera left``, ``probe00``, ``microphone``."""
        if self.kind == "cameras":
            return f"camera {self.name}".strip()
        return self.name or self.kind


def protocols_in(
    paths: Iterable[str], description: Mapping[str, Any] | None, task_protocol: str | None = None
) -> list[Protocol]:
    """Return the task protocols that a session ran, in their order.

    The experiment description says so where there is one; otherwise the folders do:
    ``raw_behavior_data`` (one protocol) or ``raw_task_data_NN`` (protocol NN).

    Raises
    ------
    BadDescription
        The description's ``tasks`` are not a list of {protocol: {collection: …}}.
    """
    if description and description.get("tasks"):
        return _described(description["tasks"])
    collections = raw_collections_in(paths)
    told = [name for name in (task_protocol or "").split("/") if name]
    if len(told) == 1:
        told *= len(collections)
    if len(told) != len(collections):
        return [Protocol(None, collection) for collection in collections]
    return [Protocol(*pair) for pair in zip(told, collections, strict=True)]


def _described(tasks: Any) -> list[Protocol]:
    """Return the protocols that a description names, each in a folder of its own."""
    try:
        found = [
            Protocol(
                str(name),
                str(devices["collection"]),
                tuple(map(str, devices.get("extractors") or ())),
            )
            for protocol in tasks
            for name, devices in protocol.items()
            if devices.get("collection")
        ]
        for each in found:
            names.check("collection", each.collection)
    except (AttributeError, TypeError):
        raise BadDescription(
            f"{DESCRIPTION_NAME}: tasks must be a list of {{protocol: {{collection: …}}}}"
        ) from None
    except ValueError as error:
        raise BadDescription(f"{DESCRIPTION_NAME}: collection: {error}") from None
    if len(found) > MOST_PROTOCOLS:
        text = f"{len(found)} protocols are more than {MOST_PROTOCOLS}"
        raise BadDescription(f"{DESCRIPTION_NAME}: {text}")
    return found


def overrides(description: Mapping[str, Any] | None, collection: str) -> tuple[str, ...]:
    """Return the extractors that a description asks for in a collection."""
    found = protocols_in((), description) if description and description.get("tasks") else []
    return next((each.extractors for each in found if each.collection == collection), ())


def sorter_of(description: Mapping[str, Any] | None, probe: str) -> str | None:
    """Return the sorter that a description asks for (``neuropixel: {probe00: {sorter: …}}``).

    Raises
    ------
    BadDescription
        It is none that a folder can be named by.
    """
    about: Any = description or {}
    for key in ("devices", "neuropixel", probe, "sorter"):
        about = about.get(key) if isinstance(about, Mapping) else None
    if about is None:
        return None
    try:
        names.check("collection", f"alf/{about}")
    except ValueError as error:
        raise BadDescription(f"{DESCRIPTION_NAME}: sorter: {error}") from None
    return str(about)


def clock_of(paths: Collection[str], description: Mapping[str, Any] | None) -> str:
    """Return the clock of a session: ``bpod``, or the device that the others are synchronised to.

    Raises
    ------
    BadDescription
        ``sync`` does not name exactly one device.
    """
    sync = (description or {}).get("sync")
    if sync:
        if not isinstance(sync, Mapping) or len(sync) != 1:
            raise BadDescription(f"{DESCRIPTION_NAME}: sync must name exactly one device")
        return str(next(iter(sync)))
    return "nidq" if any(_NIDQ.match(path) for path in paths) else "bpod"


class MainClock(msgspec.Struct, frozen=True):
    """The clock that a session's devices are synchronised to.

    Attributes
    ----------
    device
        ``bpod``, ``nidq``, …
    collection
        Folder of its recording.
    readable
        Whether its pulses can be found here: in a recording of SpikeGLX.
    """

    device: str
    collection: str = RAW_EPHYS.rstrip("/")
    readable: bool = False


def main_clock(paths: Collection[str], description: Mapping[str, Any] | None) -> MainClock:
    """Return the clock of a session, and where its pulses are.

    Raises
    ------
    BadDescription
        ``sync`` does not name exactly one device, or a folder that none can be.
    """
    device = clock_of(paths, description)
    said = ((description or {}).get("sync") or {}).get(device)
    about = said if isinstance(said, Mapping) else {}
    found = min((path for path in paths if _NIDQ.match(path)), default=RAW_EPHYS)
    collection = str(about.get("collection") or found.rpartition("/")[0])
    try:
        names.check("collection", collection)
    except ValueError as error:
        raise BadDescription(f"{DESCRIPTION_NAME}: collection: {error}") from None
    by_spikeglx = (
        device == "nidq"
        and about.get("acquisition_software") in (None, "spikeglx")
        and about.get("extension") in (None, "bin", "cbin", "ebin")
    )
    return MainClock(device, collection, by_spikeglx)


def devices_in(paths: Collection[str], description: Mapping[str, Any] | None) -> list[Device]:
    """Return the devices that recorded beside the task's, as the description or the files say.

    Raises
    ------
    BadDescription
        ``devices`` is no object, or has more than anybody records with.
    """
    devices = (description or {}).get("devices")
    found: list[Device] = []
    if devices is not None:
        if not isinstance(devices, Mapping):
            raise BadDescription(f"{DESCRIPTION_NAME}: devices must be an object")
        for kind, about in devices.items():
            if kind in NAMED and isinstance(about, Mapping):
                found += [Device(str(kind), str(name)) for name in about]
            else:
                found.append(Device(str(kind)))
        if len(found) > MOST_DEVICES:
            text = f"{len(found)} devices are more than {MOST_DEVICES}"
            raise BadDescription(f"{DESCRIPTION_NAME}: {text}")
    else:
        for pattern, kind in FILES:
            matches = [match for path in paths if (match := re.match(pattern, path))]
            found += sorted(
                {Device(kind, next((g for g in m.groups() if g), "")) for m in matches}, key=str
            )
    clock = main_clock(paths, description)
    if clock.device == "bpod" or clock.readable:
        return found
    return [*found, Device("sync pulses", f"sync of {clock.device}")]
