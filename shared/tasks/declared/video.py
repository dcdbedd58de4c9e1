"""Declarations of the built-in tasks of a session's cameras."""

from __future__ import annotations

import msgspec

from shared.tasks.declared.behaviour import PULSES
from shared.tasks.signature import Expected, TaskDeclaration

WHERE, OUT = "{collection}", "alf"
NAME = "_iblrig_{camera}Camera"
DESCRIPTION = Expected("_ibl_experiment.description.yaml", "", required=False)

ARGUMENTS = (("camera", "left"), ("collection", "raw_video_data"))

FILM = Expected(f"{NAME}.raw.mp4", WHERE)
TIMES = Expected("_ibl_{camera}Camera.times.npy", OUT)

FRAME_DATA = tuple(
    Expected(f"{NAME}.{name}", WHERE, required=False)
    for name in ("frameData*.bin", "frame_counter*.bin", "GPIO*.bin", "timestamps*.ssv")
)
"""Data of each frame from the rig: one file, or three from older rigs."""

COMPRESS = TaskDeclaration(
    name="video.compress",
    arguments=(*ARGUMENTS, ("clock", "bpod")),
    inputs=(Expected(f"{NAME}.raw.avi", WHERE),),
    outputs=(FILM,),
    priority=90,
    ram=4,
    cpu=2,
    time_out_secs=8 * 3600,
)
"""Compresses a film, and proves that no frame is missing."""

TIMES_BPOD = TaskDeclaration(
    name="video.times",
    arguments=(*ARGUMENTS, ("task_collection", "raw_behavior_data")),
    inputs=(
        FILM,
        *FRAME_DATA,
        DESCRIPTION,
        Expected("_iblrig_taskData.raw.jsonable", "{task_collection}"),
        Expected("_iblrig_taskSettings.raw.json", "{task_collection}"),
    ),
    outputs=(TIMES,),
    parents=("video.compress",),
    priority=40,
    time_out_secs=2 * 3600,
)
"""Finds when each frame was taken, by the state machine, and judges the film."""

TIMES_NIDQ = msgspec.structs.replace(
    TIMES_BPOD,
    name="video.times_nidq",
    arguments=(*ARGUMENTS, ("sync_collection", "raw_ephys_data")),
    inputs=(FILM, *FRAME_DATA, DESCRIPTION, *PULSES),
    parents=("video.compress", "sync.pulses"),
    stands_for="video.times",
)
"""Finds the times of frames by the board that is the main clock, and judges the film."""

MOTION = TaskDeclaration(
    name="video.motion",
    arguments=(*ARGUMENTS, ("task_collection", "raw_behavior_data")),
    inputs=(
        FILM,
        TIMES,
        Expected("_ibl_wheel.position.npy", "alf*", required=False),
        Expected("_ibl_wheel.timestamps.npy", "alf*", required=False),
    ),
    outputs=(
        Expected("{camera}Camera.ROIMotionEnergy.npy", OUT),
        Expected("{camera}ROIMotionEnergy.position.npy", OUT),
    ),
    parents=("video.times", "task.wheel"),
    priority=30,
    time_out_secs=8 * 3600,
)
"""Measures motion, and compares the wheel in the film with its encoder."""

POSES = tuple(
    Expected(f"*Camera.{attribute}.pqt", "alf*", required=False)
    for attribute in ("dlc", "lightningPose", "pose")
)
"""Positions of the animal's points in each frame, from any tracker."""

FEATURES = TaskDeclaration(
    name="video.features",
    inputs=(
        *POSES,
        Expected("*Camera.times.npy", OUT),
        Expected("_ibl_trials.table.pqt", "alf*", required=False),
    ),
    outputs=(
        Expected("_ibl_*Camera.features.pqt", OUT, required=False),
        Expected("licks.times.npy", OUT, required=False),
    ),
    parents=("video.times", "task.trials"),
    priority=30,
    time_out_secs=3600,
)
"""Finds licks and the width of the pupil in the points of trackers, and judges these."""

TASKS = (COMPRESS, TIMES_BPOD, TIMES_NIDQ, MOTION, FEATURES)
