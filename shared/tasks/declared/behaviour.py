"""Declarations of the built-in tasks of a behaviour session recorded by iblrig.

Inputs are those of the reference extractor (ibllib ``ChoiceWorldTrialsBpod``), split in two so
that trials come out where the wheel's files are damaged.
"""

from __future__ import annotations

import msgspec

from shared.tasks.signature import Expected, TaskDeclaration

RAW = "{collection}"
OUT = "{output_collection}"
ARGUMENTS = (("collection", "raw_behavior_data"), ("output_collection", "alf"))

TRIALS = TaskDeclaration(
    name="task.trials",
    arguments=ARGUMENTS,
    inputs=(
        Expected("_iblrig_taskData.raw.jsonable", RAW),
        Expected("_iblrig_taskSettings.raw.json", RAW),
        Expected("_iblrig_encoderEvents.raw.ssv", RAW, required=False),
        Expected("_iblrig_encoderPositions.raw.ssv", RAW, required=False),
    ),
    outputs=(
        Expected("_ibl_trials.table.pqt", OUT),
        Expected("_ibl_trials.*.npy", OUT, required=False),
    ),
    priority=90,
    time_out_secs=1800,
)

WHEEL = TaskDeclaration(
    name="task.wheel",
    arguments=ARGUMENTS,
    inputs=(
        Expected("_iblrig_taskData.raw.jsonable", RAW),
        Expected("_iblrig_taskSettings.raw.json", RAW),
        Expected("_iblrig_encoderEvents.raw.ssv", RAW),
        Expected("_iblrig_encoderPositions.raw.ssv", RAW),
    ),
    outputs=(
        Expected("_ibl_wheel.position.npy", OUT),
        Expected("_ibl_wheel.timestamps.npy", OUT),
        Expected("_ibl_wheelMoves.intervals.npy", OUT),
        Expected("_ibl_wheelMoves.peakAmplitude.npy", OUT),
    ),
    parents=("task.trials",),
    priority=80,
    time_out_secs=1800,
)

PULSES = (
    *(
        # a probe's have its name in theirs
        Expected(f"_spikeglx_sync.{name}.*npy", "{sync_collection}")
        for name in ("times", "channels", "polarities")
    ),
    Expected("*.wiring*.json", "{sync_collection}", required=False),
)
"""Events on the main clock."""

ON_MAIN_CLOCK = (*ARGUMENTS, ("sync_collection", "raw_ephys_data"))

TRIALS_NIDQ = msgspec.structs.replace(
    TRIALS,
    name="task.trials_nidq",
    arguments=ON_MAIN_CLOCK,
    inputs=(*TRIALS.inputs, *PULSES),
    parents=("sync.pulses",),
    stands_for="task.trials",
)

WHEEL_NIDQ = msgspec.structs.replace(
    WHEEL,
    name="task.wheel_nidq",
    arguments=ON_MAIN_CLOCK,
    inputs=(*TRIALS.inputs, *PULSES),
    parents=("sync.pulses", "task.trials_nidq"),
    stands_for="task.wheel",
)

HABITUATION = TaskDeclaration(
    name="task.habituation",
    arguments=ARGUMENTS,
    inputs=(
        Expected("_iblrig_taskData.raw.jsonable", RAW),
        Expected("_iblrig_taskSettings.raw.json", RAW),
    ),
    outputs=tuple(
        Expected(f"_ibl_trials.{name}.npy", OUT)
        for name in (
            *("contrastLeft", "contrastRight", "feedback_times", "feedbackType", "goCue_times"),
            *("goCueTrigger_times", "intervals", "rewardVolume", "stimOff_times"),
            *("stimOffTrigger_times", "stimOn_times", "stimOnTrigger_times"),
        )
    ),
    priority=90,
    time_out_secs=1800,
)

HABITUATION_NIDQ = msgspec.structs.replace(
    HABITUATION,
    name="task.habituation_nidq",
    arguments=ON_MAIN_CLOCK,
    inputs=(*HABITUATION.inputs, *PULSES),
    outputs=(*HABITUATION.outputs, Expected("_ibl_trials.stimCenter_times.npy", OUT)),
    parents=("sync.pulses",),
    stands_for="task.habituation",
)

PASSIVE = TaskDeclaration(
    name="task.passive",
    arguments=ON_MAIN_CLOCK,
    inputs=(
        Expected("_iblrig_taskSettings.raw.json", RAW),
        Expected("_iblrig_RFMapStim.raw.bin", RAW, required=False),
        *PULSES,
    ),
    outputs=(
        Expected("_ibl_passivePeriods.intervalsTable.csv", OUT),
        Expected("_ibl_passiveRFM.times.npy", OUT, required=False),
        Expected("_ibl_passiveGabor.table.csv", OUT, required=False),
        Expected("_ibl_passiveStims.table.csv", OUT, required=False),
    ),
    parents=("sync.pulses",),
    priority=80,
    time_out_secs=1800,
)
"""Finds the stimuli and sounds of a passive protocol; only a board records them."""

TASKS = (TRIALS, WHEEL, TRIALS_NIDQ, WHEEL_NIDQ, HABITUATION, HABITUATION_NIDQ, PASSIVE)
