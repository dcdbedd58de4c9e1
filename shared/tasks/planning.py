"""The pipeline of a session: which tasks its hardware and protocols ask for.

One file, because tasks wait for each other across the devices of a session.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Any

import msgspec

from shared.alf.layout import RAW_EPHYS, output_collection
from shared.model.protocols import is_decision, protocol_of
from shared.tasks.cameras import BY_STATE_MACHINE, Camera, cameras_in
from shared.tasks.declared import audio, video
from shared.tasks.declared.behaviour import (
    HABITUATION,
    HABITUATION_NIDQ,
    PASSIVE,
    TRIALS,
    TRIALS_NIDQ,
    WHEEL,
    WHEEL_NIDQ,
)
from shared.tasks.declared.ephys import COMPRESS, ON_GPU, RAW_QUALITY, SORT, SORT_GPU
from shared.tasks.declared.histology import CHANNELS, SITES
from shared.tasks.declared.release import NWB, NWB_LINK, NWB_RAW
from shared.tasks.declared.sync import ALIGN, ALIGN_PROBES, PULSES, PULSES_PROBE
from shared.tasks.description import (
    Device,
    MainClock,
    Protocol,
    devices_in,
    main_clock,
    overrides,
    protocols_in,
    sorter_of,
)
from shared.tasks.registry import PipelineTask, pipelines
from shared.tasks.signature import Expected, TaskDeclaration, identifier

SITE_PLACES, CHANNEL_PLACES = "/electrodeSites.mlapdv.npy", "/channels.localCoordinates.npy"
"""Files without which channels cannot be placed in the brain."""

GRAPH = "behaviour"
"""Name of the built-in pipeline (Alyx's ``graph``)."""

WRONG_CLOCK = (
    "The session's clock is {clock}, and no task here brings this to it yet: on the Bpod's clock "
    "the times would be wrong."
)

NO_SYNC = (
    "There is no sync recording (nidq) yet, which relates this probe to the behaviour. Upload it "
    "(raw_ephys_data/*.nidq.*), or name the session's clock in its description (sync)."
)
"""Why a probe's tasks wait where nothing says what its clock is related to."""

ON_MAIN_CLOCK = {
    TRIALS.name: TRIALS_NIDQ,
    WHEEL.name: WHEEL_NIDQ,
    HABITUATION.name: HABITUATION_NIDQ,
    PASSIVE.name: PASSIVE,
}
"""Tasks of a session whose clock is a board's, by the name of the task that they replace."""

TASK_DATA = "*taskData.raw*"

DECISION = ((TRIALS, TASK_DATA), (WHEEL, "*encoder[EP]*.raw*"))
"""Tasks of a protocol of the decision task, and the files that only they need."""

WITHOUT_CHOICES = {
    "habituation": ((HABITUATION, TASK_DATA),),
    "passive": ((PASSIVE, "*taskSettings.raw*"),),
}
"""The same for habituation and passive protocols, by the kind of protocol."""


NOT_YET = {
    "neuropixel": "no recording of its spikes beside that of an NI board, which is the clock "
    "(probes of phase 3A are clocks themselves)",
    "cameras": "no film of it, or no pulses that tell when its frames were taken",
    "microphone": "its sound is compressed, and no task finds when it was heard",
}
"""The steps that are missing for some kinds of devices."""

EPHYS, VIDEO, AUDIO = "ephys", "video", "audio"
"""Names of the built-in pipelines of raw recordings, of films and of sounds."""


HISTOLOGY = "histology"
"""Name of the built-in pipeline of the places of probes in the brain."""

RELEASE = "release"
"""Name of the built-in pipeline of releases."""


class Planned(msgspec.Struct, frozen=True):
    """A task of a session's pipeline.

    Attributes
    ----------
    hold
        Why it must not run yet, even if its inputs are complete.
    """

    id: str
    name: str
    graph: str
    level: int
    arguments: dict[str, str]
    parents: tuple[str, ...]
    declaration: TaskDeclaration
    hold: str | None = None


def canonical(arguments: Mapping[str, Any]) -> str:
    """Return arguments as canonical JSON: sorted keys, no spaces."""
    return json.dumps(arguments, sort_keys=True, separators=(",", ":"))


def plan(
    session: str,
    paths: Collection[str],
    description: Mapping[str, Any] | None = None,
    task_protocol: str | None = None,
) -> list[Planned]:
    """Return the tasks that a session's data ask for, parents before children.

    A task is planned where the data that only it needs are present: task.trials with task data,
    task.wheel with either of the rotary encoder's files (until the other one comes, the task is
    held). Habituation has a task of its own. Protocols that are unknown, or known not to be of the
    decision task, have no tasks. Where the session's clock is a board's, its pulses are found
    first, and the decision task uses that clock. Tasks whose data cannot be brought to the
    session's clock are held, and so are those of a probe that nothing relates to a clock.

    Parameters
    ----------
    session
        The session's UUID.
    paths
        Its visible datasets, relative to the session, without revision folders.
    description
        The parsed experiment description, if the session has one.
    task_protocol
        The session's protocol, if no description names it; several are joined by ``/``.

    Raises
    ------
    BadDescription
        The description is not valid.
    """
    planned: list[Planned] = []
    protocols = protocols_in(paths, description, task_protocol)
    clock = _clock(paths, description, protocols)
    for collection in _raw_recordings(paths, clock):
        arguments = {"collection": collection}
        planned.append(_plan(session, EPHYS, COMPRESS, None, planned, given=arguments))
    in_probes = clock.device == "imec"
    if in_probes:
        for collection in _probes(paths):
            arguments = {"collection": collection}
            planned.append(_plan(session, EPHYS, PULSES_PROBE, None, planned, given=arguments))
    elif clock.readable and (_recorded(paths, clock) or not _pulses_known(paths, clock)):
        arguments = {"collection": clock.collection}
        planned.append(_plan(session, EPHYS, PULSES, None, planned, given=arguments))
    for collection in _probes(paths):
        arguments = {"collection": collection}
        planned.append(_plan(session, EPHYS, RAW_QUALITY, None, planned, given=arguments))
        own, to_sort = _sorting(collection, description)
        came_sorted = _sorted_elsewhere(paths, to_sort)
        hold = NO_SYNC if _lacks_sync(collection, paths, clock, description) else None
        if clock.readable or hold:
            arguments = {"collection": collection, "sync_collection": clock.collection}
            align = ALIGN_PROBES if in_probes else ALIGN
            planned.append(_plan(session, EPHYS, align, None, planned, hold, arguments))
            if not came_sorted:
                planned.append(_plan(session, EPHYS, own, None, planned, hold, to_sort))
    for protocol in protocols:
        replaced = _replaced(protocol, paths)
        for task, evidence in _built_in(protocol, clock):
            if task.name in replaced:
                continue
            own, hold, arguments = _on_clock(task, clock)
            # the main clock sees the wheel itself
            needed = TASK_DATA if own.stands_for else evidence
            if _has(paths, needed, protocol.collection):
                planned.append(_plan(session, GRAPH, own, protocol, planned, hold, arguments))
    of_task = next(
        (one.collection for one in protocols if _has(paths, TASK_DATA, one.collection)), ""
    )
    for camera in cameras_in(paths):
        for own, hold, arguments in _of_camera(camera, clock, of_task):
            planned.append(_plan(session, VIDEO, own, None, planned, hold, arguments))
    if any(_has(paths, pose.name, pose.collection) for pose in video.POSES):
        planned.append(_plan(session, VIDEO, video.FEATURES, None, planned))
    for collection in _sounds(paths):
        arguments = {"collection": collection}
        planned.append(_plan(session, AUDIO, audio.COMPRESS, None, planned, given=arguments))
    for probe, folder in _sorted_with_sites(paths):
        arguments = {"site_collection": probe, "output_collection": folder}
        planned.append(_plan(session, HISTOLOGY, CHANNELS, None, planned, given=arguments))
    for graph, pipeline in pipelines().items():
        for lab_task in pipeline.task:
            for where in protocols if lab_task.per == "protocol" else [None]:
                if _asked(lab_task, where, paths):
                    planned.append(_plan(session, graph, lab_task.declaration, where, planned))
    return planned


def plan_nwb(session: str, tag: str, collection: str, *, copies: bool) -> list[Planned]:
    """Return the tasks that write a session's released data as NWB.

    Parameters
    ----------
    copies : bool
        Whether its raw recordings are copied; by default they are read where they lie.
    """
    arguments = {"tag": tag, "output_collection": collection}
    wanted = (NWB, NWB_RAW if copies else NWB_LINK)
    return [_plan(session, RELEASE, each, None, [], given=arguments) for each in wanted]


def unprocessed(
    paths: Collection[str],
    description: Mapping[str, Any] | None = None,
    task_protocol: str | None = None,
) -> list[str]:
    """Name the recordings of a session that no task here handles.

    Parameters
    ----------
    paths, description, task_protocol
        As for `plan`.

    Raises
    ------
    BadDescription
        The description is not valid.
    """
    covered = {name for one in pipelines().values() for each in one.task for name in each.covers}
    protocols = protocols_in(paths, description, task_protocol)
    clock = _clock(paths, description, protocols)
    probes = {
        one.removeprefix(RAW_EPHYS)
        for one in _probes(paths)
        if clock.readable or _lacks_sync(one, paths, clock, description)
    }
    on_bpod = clock.device == "bpod"
    timed = {
        each.label for each in cameras_in(paths) if not on_bpod or each.label == BY_STATE_MACHINE
    }
    sentences = [
        _told(str(device), NOT_YET.get(device.kind, f"no task for {device.kind}"))
        for device in _uncovered(devices_in(paths, description), covered)
        if not (device.kind == "cameras" and device.name in timed)
        and not (device.kind == "neuropixel" and device.name in probes)
    ]
    own = [each for one in pipelines().values() for each in one.task if each.per == "protocol"]
    for protocol in protocols:
        if _built_in(protocol, clock) or any(_asked(each, protocol, paths) for each in own):
            continue
        name = protocol.name or "a protocol without a name"
        why = f"no task for {name}"
        if names := overrides(description, protocol.collection):
            why = f"the description asks for the extractors {', '.join(names)}"
        sentences.append(_told(f"protocol {name} in {protocol.collection}", why))
    return sentences


def _told(what: str, why: str) -> str:
    return f"{what}: recorded, not processed here: {why}"


def _uncovered(devices: list[Device], covered: set[str]) -> Iterator[Device]:
    return (device for device in devices if device.kind not in covered)


def _built_in(protocol: Protocol, clock: MainClock) -> tuple[tuple[TaskDeclaration, str], ...]:
    """Return a protocol's built-in tasks with their evidence; none for an unknown protocol.

    Only a board records the events of a passive protocol.

    A protocol without a name is taken for the decision task: its settings show if it is not.
    """
    if protocol.extractors:
        return ()
    if protocol.name is None or is_decision(protocol.name):
        return DECISION
    kind = protocol_of(protocol.name)
    if kind == "passive" and clock.device == "bpod":
        return ()
    return WITHOUT_CHOICES.get(kind, ())


def _has(paths: Collection[str], pattern: str, collection: str) -> bool:
    expected = Expected(pattern, collection)
    return any(expected.matches(path) for path in paths)


def _on_clock(
    task: TaskDeclaration, clock: MainClock
) -> tuple[TaskDeclaration, str | None, dict[str, str]]:
    """Return the task for a session's clock, why it must wait, and its arguments."""
    if clock.device == "bpod":
        return task, None, {}
    if clock.readable and task.name in ON_MAIN_CLOCK:
        return ON_MAIN_CLOCK[task.name], None, {"sync_collection": clock.collection}
    return task, WRONG_CLOCK.format(clock=clock.device), {}


def _of_camera(
    camera: Camera, clock: MainClock, of_task: str
) -> Iterator[tuple[TaskDeclaration, str | None, dict[str, str]]]:
    """Yield the tasks of a camera, why each must wait, and its arguments."""
    on_bpod = clock.device == "bpod"
    arguments = {"camera": camera.label, "collection": camera.collection}
    if not camera.compressed:
        yield video.COMPRESS, None, arguments | {"clock": "bpod" if on_bpod else "nidq"}
    by_task = {"task_collection": of_task} if of_task else {}
    if clock.readable:
        yield video.TIMES_NIDQ, None, arguments | {"sync_collection": clock.collection}
    elif not on_bpod:
        yield video.TIMES_NIDQ, WRONG_CLOCK.format(clock=clock.device), arguments
    elif of_task and camera.label == BY_STATE_MACHINE:
        yield video.TIMES_BPOD, None, arguments | by_task
    else:
        return
    yield video.MOTION, None, arguments | by_task


def _clock(
    paths: Collection[str], description: Mapping[str, Any] | None, protocols: list[Protocol]
) -> MainClock:
    """Return the clock of a session.

    Without a description and a sync recording, the protocol says it, as in the reference (ibllib
    4.1.0, ``get_acquisition_description``): those of ephys rigs are beside a board, whose
    recording has not come yet. Others are on the Bpod's clock, whatever is recorded beside them.
    """
    clock = main_clock(paths, description)
    lacking = any(_lacks_sync(probe, paths, clock, description) for probe in _probes(paths))
    if lacking and any("ephys" in (each.name or "") for each in protocols):
        return MainClock("nidq", readable=True)
    return clock


def _lacks_sync(
    probe: str, paths: Collection[str], clock: MainClock, description: Mapping[str, Any] | None
) -> bool:
    """Tell whether a probe's spikes are to be sorted, and nothing says what its clock is."""
    if clock.device != "bpod" or (description or {}).get("sync"):
        return False
    _, given = _sorting(probe, description)
    return not _sorted_elsewhere(paths, given)


def _recorded(paths: Collection[str], clock: MainClock) -> bool:
    return _has(paths, PULSES.inputs[0].name, clock.collection)


def _pulses_known(paths: Collection[str], clock: MainClock) -> bool:
    """Tell whether the main clock's pulses came with the session, even without its recording."""
    return _has(paths, PULSES.outputs[0].name, clock.collection)


def _probes(paths: Collection[str]) -> list[str]:
    """Return the folders with a recording of a probe's spikes."""
    folders = {path.rpartition("/")[0] for path in paths if path.startswith(RAW_EPHYS)}
    return sorted(
        folder
        for folder in folders
        if all(_has(paths, pattern, folder) for pattern in ("*.ap.*bin", "*.ap.meta"))
    )


def _sorted_with_sites(paths: Collection[str]) -> list[tuple[str, str]]:
    """Return the folders of sites whose places are known, each with one of sorted channels."""
    known = {path.rpartition("/")[0] for path in paths if path.endswith(SITE_PLACES)}
    folders = sorted({path.rpartition("/")[0] for path in paths if path.endswith(CHANNEL_PLACES)})
    return [
        (probe, folder)
        for folder in folders
        for probe in (folder, folder.rpartition("/")[0])
        if probe in known
    ]


def plan_sites(session: str, probe: str, histology: str) -> Planned:
    """Return the task that finds where the sites of a probe lie; it is one, whatever is known.

    Parameters
    ----------
    session : str
        The session's UUID.
    probe : str
        Name of the probe.
    histology : str
        `shared.model.histology.HistologyRecord`, JSON.
    """
    given = {"collection": f"{RAW_EPHYS}{probe}", "site_collection": f"alf/{probe}"}
    task = _plan(session, HISTOLOGY, SITES, None, [], given=given)
    arguments = task.arguments | {"histology": histology}
    return msgspec.structs.replace(task, arguments=arguments, declaration=SITES.filled(arguments))


def _sounds(paths: Collection[str]) -> list[str]:
    """Return the folders with the sound of a microphone as the rig wrote it."""
    folders = (path.rpartition("/")[0] for path in paths)
    return sorted({folder for folder in folders if _has(paths, audio.RECORDED, folder)})


def _sorting(
    collection: str, description: Mapping[str, Any] | None
) -> tuple[TaskDeclaration, dict[str, str]]:
    """Return the task that sorts a probe's spikes, and its arguments."""
    probe = collection.removeprefix(RAW_EPHYS)
    sorter = sorter_of(description, probe) or dict(SORT.arguments)["sorter"]
    arguments = {
        "collection": collection,
        "output_collection": f"alf/{probe}/{sorter}",
        "sorter": sorter,
    }
    return SORT_GPU if sorter in ON_GPU else SORT, arguments


def _sorted_elsewhere(paths: Collection[str], given: Mapping[str, str]) -> bool:
    """Tell whether a probe's spikes came already sorted, as in an imported session."""
    own = given["output_collection"]
    probe = own.rpartition("/")[0]
    sorted_in = {path.rpartition("/")[0] for path in paths if path.endswith("/spikes.times.npy")}
    return any(each == probe or each.startswith(f"{probe}/") for each in sorted_in - {own})


def _raw_recordings(paths: Collection[str], clock: MainClock) -> list[str]:
    """Return the folders with raw SpikeGLX files that describe their own content."""
    of_clock = f"{clock.collection}/" if clock.device == "nidq" and clock.readable else RAW_EPHYS
    folders = {path.rpartition("/")[0] for path in paths if path.startswith((RAW_EPHYS, of_clock))}
    return sorted(
        folder
        for folder in folders
        if all(_has(paths, pattern, folder) for pattern in ("*.bin", "*.meta"))
    )


def _asked(task: PipelineTask, protocol: Protocol | None, paths: Collection[str]) -> bool:
    """Tell whether a session's data ask for a task of a lab's pipeline."""
    if protocol is not None and not fnmatchcase(protocol.name or "", task.protocol):
        return False
    where = protocol.collection if protocol else "*"
    return any(_has(paths, pattern, where) for pattern in task.evidence)


def _replaced(protocol: Protocol, paths: Collection[str]) -> set[str]:
    """Return the built-in tasks that a lab's pipeline replaces by its own."""
    own = (task for pipeline in pipelines().values() for task in pipeline.task if task.replaces)
    return {
        name
        for task in own
        if task.per == "protocol" and _asked(task, protocol, paths)
        for name in task.replaces
    }


def _in_any(collection: str | None, patterns: Collection[str]) -> bool:
    """Tell whether a folder is one of some, which may be patterns as in a signature."""
    return collection is not None and any(fnmatchcase(collection, each) for each in patterns)


def _plan(
    session: str,
    graph: str,
    task: TaskDeclaration,
    protocol: Protocol | None,
    planned: list[Planned],
    hold: str | None = None,
    given: Mapping[str, str] = MappingProxyType({}),
) -> Planned:
    """Return one task with its arguments, and its parents among those planned before."""
    arguments = dict(task.arguments) | dict(given)
    if protocol is not None:
        arguments["collection"] = protocol.collection
        arguments["output_collection"] = output_collection(protocol.collection)
        if "extractors" in arguments and protocol.extractors:
            arguments["extractors"] = ",".join(protocol.extractors)
    folders = ("collection", "sync_collection", "task_collection")
    same = {arguments[name] for name in folders if name in arguments}
    camera = arguments.get("camera")
    parents = [
        parent
        for parent in planned
        if {parent.name, parent.declaration.stands_for} & set(task.parents)
        and (not same or _in_any(parent.arguments.get("collection"), same))
        and (camera is None or parent.arguments.get("camera", camera) == camera)
    ]
    return Planned(
        id=identifier(session, graph, task.name, canonical(arguments)),
        name=task.name,
        graph=graph,
        level=max((parent.level + 1 for parent in parents), default=0),
        arguments=arguments,
        parents=tuple(parent.id for parent in parents),
        declaration=task.filled(arguments),
        hold=hold,
    )
