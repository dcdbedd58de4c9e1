"""The experiment description 1.0.0, and its replacement by a session's files if it is missing."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from shared.alf import names
from shared.alf.layout import RAW_EPHYS, raw_collections_in
from shared.model.protocols import PASSIVE_PROTOCOL, protocol_of

DESCRIPTION_NAME = "_ibl_experiment.description.yaml"
"""Name of the file that describes the hardware of a session."""

DESCRIPTION_FIELD = "experiment_description"
"""Field of the session's JSON in which ingest keeps the parsed description."""

RAW_PASSIVE = "raw_passive_data"
"""Folder of the passive protocol on rigs before version 8."""

NAMED = ("cameras", "neuropixel")
"""Kinds of devices of which a session may have several, each with a name."""

FILES = (
    (r"raw_video_data/.*_(left|right|body|belly)Camera\.raw\.", "cameras"),
    (r"raw_ephys_data/(probe\w+)/.*\.(?:ap|lf)\.[ce]?bin$", "neuropixel"),
    (r"raw_behavior_data/.*micData\.raw\.|.*\.raw\.(?:wav|flac)$", "microphone"),
    (r"raw_widefield_data/", "widefield"),
    (r"raw_(?:mesoscope|imaging)_data\w*/", "mesoscope"),
    (r"raw_photometry_data/", "neurophotometrics"),
)
"""Files that show a device in sessions without a description (ibllib's folders)."""

_NIDQ = r"raw_ephys_data/(?:[^/]+/)?[^/]*\.nidq\.(?:meta|[ce]?bin)$"
_BOARD_PULSES = r"raw_ephys_data/_spikeglx_sync\.times\.npy$"
_PHASE_3A = r"raw_ephys_data/[^/]+/[^/]*\.imec\.ap\.(?:meta|[ce]?bin)$"

EACH_PROBE = f"{RAW_EPHYS}*"
"""Folders of the pulses of a session whose clock is a probe's: which one, the pulses tell."""

MOST_PROTOCOLS, MOST_DEVICES = 50, 500
"""Most protocols and devices of a session; a real session had nine and eight probes."""


class BadDescription(ValueError):
    """An experiment description that cannot be read."""


def description_in(json: Any) -> Mapping[str, Any] | None:
    """Return the experiment description in the JSON of a session, which anybody may have written.

    Raises
    ------
    BadDescription
        It is not an object.
    """
    description = json.get(DESCRIPTION_FIELD) if isinstance(json, Mapping) else None
    if description is None or isinstance(description, Mapping):
        return description
    raise BadDescription(f"{DESCRIPTION_NAME}: it must be an object")


class Protocol(msgspec.Struct, frozen=True):
    """A task protocol that a session ran.

    Attributes
    ----------
    name
        The rig's or the description's name of it; None if neither names it.
    collection
        Folder of its raw files.
    extractors
        Names that the description asks for instead of the default.
    """

    name: str | None
    collection: str
    extractors: tuple[str, ...] = ()


class Device(msgspec.Struct, frozen=True):
    """A device that recorded: its kind, as ``cameras``, and its name if there are several."""

    kind: str
    name: str = ""

    def __str__(self) -> str:
        """Return the name for people: ``camera left``, ``probe00``, ``microphone``."""
        if self.kind == "cameras":
            return f"camera {self.name}".strip()
        return self.name or self.kind


def protocols_in(
    paths: Iterable[str], description: Mapping[str, Any] | None, task_protocol: str | None = None
) -> list[Protocol]:
    """Return the task protocols that a session ran, in their order.

    The experiment description says so where there is one; otherwise the folders do:
    ``raw_behavior_data`` (one protocol) or ``raw_task_data_NN`` (protocol NN), and
    ``raw_passive_data``, where rigs before version 8 wrote the passive protocol.

    Raises
    ------
    BadDescription
        The description's ``tasks`` are not a list of {protocol: {collection: …}}.
    """
    if description and description.get("tasks"):
        return _described(description["tasks"])
    collections = raw_collections_in(paths)
    described = [name for name in (task_protocol or "").split("/") if name]
    passive = []
    if any(path.startswith(f"{RAW_PASSIVE}/") for path in paths):
        passive = [Protocol(PASSIVE_PROTOCOL, RAW_PASSIVE)]
        described = [name for name in described if protocol_of(name) != "passive"]
    if len(described) == 1:
        described *= len(collections)
    if len(described) != len(collections):
        return [Protocol(None, collection) for collection in collections] + passive
    return [Protocol(*pair) for pair in zip(described, collections, strict=True)] + passive


def _described(tasks: Any) -> list[Protocol]:
    """Return the protocols that a description names, each in a folder of its own."""
    try:
        protocols = [
            Protocol(
                str(name),
                str(devices["collection"]),
                tuple(map(str, devices.get("extractors") or ())),
            )
            for protocol in tasks
            for name, devices in protocol.items()
            if devices.get("collection")
        ]
        for named in protocols:
            names.check("collection", named.collection)
    except (AttributeError, TypeError):
        raise BadDescription(
            f"{DESCRIPTION_NAME}: tasks must be a list of {{protocol: {{collection: …}}}}"
        ) from None
    except ValueError as error:
        raise BadDescription(f"{DESCRIPTION_NAME}: collection: {error}") from None
    if len(protocols) > MOST_PROTOCOLS:
        text = f"{len(protocols)} protocols are more than {MOST_PROTOCOLS}"
        raise BadDescription(f"{DESCRIPTION_NAME}: {text}")
    return protocols


def overrides(description: Mapping[str, Any] | None, collection: str) -> tuple[str, ...]:
    """Return the extractors that a description asks for in a collection."""
    protocols = protocols_in((), description) if description and description.get("tasks") else []
    return next(
        (protocol.extractors for protocol in protocols if protocol.collection == collection), ()
    )


def sorter_of(description: Mapping[str, Any] | None, probe: str) -> str | None:
    """Return the sorter that a description asks for (``neuropixel: {probe00: {sorter: …}}``).

    Raises
    ------
    BadDescription
        It cannot name a folder.
    """
    value: Any = description or {}
    for key in ("devices", "neuropixel", probe, "sorter"):
        value = value.get(key) if isinstance(value, Mapping) else None
    if value is None:
        return None
    try:
        names.check("collection", f"alf/{value}")
    except ValueError as error:
        raise BadDescription(f"{DESCRIPTION_NAME}: sorter: {error}") from None
    return str(value)


def clock_of(paths: Collection[str], description: Mapping[str, Any] | None) -> str:
    """Return the clock of a session: ``bpod``, or the device that the others are synchronised to.

    A rig of Neuropixels 3A has no board: its devices are wired to the probes (``imec``). SpikeGLX
    names the files of these probes without a number, ``….imec.ap.bin``. Descriptions that the
    IBL wrote for them later name a ``nidq`` all the same (ibllib 4.1.0), so a description is
    believed where there is a board's recording, or its pulses.

    Raises
    ------
    BadDescription
        ``sync`` does not name exactly one device.
    """
    sync = (description or {}).get("sync")
    if sync and (not isinstance(sync, Mapping) or len(sync) != 1):
        raise BadDescription(f"{DESCRIPTION_NAME}: sync must name exactly one device")
    board = any(re.match(_NIDQ, path) or re.match(_BOARD_PULSES, path) for path in paths)
    without_board = not board and any(re.match(_PHASE_3A, path) for path in paths)
    if not sync:
        if without_board:
            return "imec"
        return "nidq" if any(re.match(_NIDQ, path) for path in paths) else "bpod"
    device = str(next(iter(sync)))
    return "imec" if device == "nidq" and without_board else device


class MainClock(msgspec.Struct, frozen=True):
    """The clock that a session's devices are synchronised to.

    Attributes
    ----------
    device
        ``bpod``, ``nidq``, ``imec``, …
    collection
        Folder of its pulses; of those of probes a pattern, `EACH_PROBE`.
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
        ``sync`` does not name exactly one device, or names an impossible folder.
    """
    device = clock_of(paths, description)
    if device == "imec":
        return MainClock(device, EACH_PROBE, readable=True)
    entry = ((description or {}).get("sync") or {}).get(device)
    settings = entry if isinstance(entry, Mapping) else {}
    recording = min((path for path in paths if re.match(_NIDQ, path)), default=RAW_EPHYS)
    collection = str(settings.get("collection") or recording.rpartition("/")[0])
    try:
        names.check("collection", collection)
    except ValueError as error:
        raise BadDescription(f"{DESCRIPTION_NAME}: collection: {error}") from None
    by_spikeglx = (
        device == "nidq"
        and settings.get("acquisition_software") in (None, "spikeglx")
        and settings.get("extension") in (None, "bin", "cbin", "ebin")
    )
    return MainClock(device, collection, by_spikeglx)


def devices_in(paths: Collection[str], description: Mapping[str, Any] | None) -> list[Device]:
    """Return the devices that recorded beside the task, by the description or the files.

    Raises
    ------
    BadDescription
        ``devices`` is not an object, or has too many devices.
    """
    devices = (description or {}).get("devices")
    recorded: list[Device] = []
    if devices is not None:
        if not isinstance(devices, Mapping):
            raise BadDescription(f"{DESCRIPTION_NAME}: devices must be an object")
        for kind, about in devices.items():
            if kind in NAMED and isinstance(about, Mapping):
                recorded += [Device(str(kind), str(name)) for name in about]
            else:
                recorded.append(Device(str(kind)))
        if len(recorded) > MOST_DEVICES:
            text = f"{len(recorded)} devices are more than {MOST_DEVICES}"
            raise BadDescription(f"{DESCRIPTION_NAME}: {text}")
    else:
        for pattern, kind in FILES:
            matches = [match for path in paths if (match := re.match(pattern, path))]
            recorded += sorted(
                {Device(kind, next((g for g in m.groups() if g), "")) for m in matches}, key=str
            )
    clock = main_clock(paths, description)
    if clock.device == "bpod" or clock.readable:
        return recorded
    return [*recorded, Device("sync pulses", f"sync of {clock.device}")]
