"""Which tasks a session has, and which may run."""

from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.alf.layout import output_collection
from shared.tasks.description import BadDescription, protocols_in
from shared.tasks.planning import canonical, plan, unprocessed
from shared.tasks.readiness import obstacles, settled
from shared.tasks.signature import Expected, identifier, missing, selected
from tests.flow import RAW

EID = "4ecb5d24-f5cc-402c-be28-9d0f7cb14b3a"


@dataclass
class Stored:
    id: str
    executable: str
    status: str
    parents: list = field(default_factory=list)
    arguments: str = "{}"


def stored(planned, **status):
    return [
        Stored(
            task.id,
            task.name,
            status.get(task.name.partition(".")[2], "Waiting"),
            list(task.parents),
            canonical(task.arguments),
        )
        for task in planned
    ]


def test_a_behaviour_session_has_trials_then_wheel():
    trials, wheel = plan(EID, RAW)
    assert [(t.name, t.level, t.parents) for t in (trials, wheel)] == [
        ("task.trials", 0, ()),
        ("task.wheel", 1, (trials.id,)),
    ]
    assert trials.arguments == {"collection": "raw_behavior_data", "output_collection": "alf"}


def test_planning_again_plans_the_same():
    assert plan(EID, RAW) == plan(EID, list(reversed(RAW)))


def test_without_an_encoder_there_is_no_wheel_task():
    assert [task.name for task in plan(EID, RAW[:2])] == ["task.trials"]


def test_a_session_of_other_data_has_no_tasks():
    assert plan(EID, ["alf/spikes.times.npy", "notes.text.txt"]) == []


def test_each_protocol_has_its_own_tasks():
    paths = [path.replace("behavior_data", f"task_data_{n:02}") for n in (0, 1) for path in RAW]
    tasks = plan(EID, paths)
    assert [(t.name, t.arguments["output_collection"]) for t in tasks] == [
        ("task.trials", "alf/task_00"),
        ("task.wheel", "alf/task_00"),
        ("task.trials", "alf/task_01"),
        ("task.wheel", "alf/task_01"),
    ]
    assert len({task.id for task in tasks}) == 4


def test_the_experiment_description_names_the_protocols():
    paths = [path.replace("behavior_data", f"task_data_{n:02}") for n in (0, 1) for path in RAW]
    description = {"tasks": [{"choiceWorld": {"collection": "raw_task_data_01"}}]}
    (protocol,) = protocols_in(paths, description)
    assert (protocol.name, protocol.collection) == ("choiceWorld", "raw_task_data_01")
    assert {t.arguments["collection"] for t in plan(EID, paths, description)} == {
        "raw_task_data_01"
    }


@pytest.mark.parametrize("tasks", [["x"], "raw", [{"p": "x"}], [3]])
def test_a_broken_description_is_named(tasks):
    with pytest.raises(BadDescription, match=r"_ibl_experiment\.description\.yaml: tasks must be"):
        plan(EID, RAW, {"tasks": tasks})


@pytest.mark.parametrize(
    ("raw", "out"),
    [("raw_behavior_data", "alf"), ("raw_task_data_03", "alf/task_03"), ("other", "alf")],
)
def test_results_go_beside_their_protocol(raw, out):
    assert output_collection(raw) == out


def test_a_child_waits_for_its_parent():
    tasks = stored(plan(EID, RAW))
    assert obstacles(tasks[0], tasks, RAW) == []
    assert obstacles(tasks[1], tasks, RAW) == ["parent task.trials is Waiting"]


@pytest.mark.parametrize("status", ["Complete", "Incomplete"])
def test_a_child_runs_after_its_parent(status):
    tasks = stored(plan(EID, RAW), trials=status)
    assert obstacles(tasks[1], tasks, RAW) == []


@pytest.mark.parametrize("status", ["Errored", "Empty", "Abandoned", "Held", "Started"])
def test_a_child_of_a_failed_parent_stays_held(status):
    tasks = stored(plan(EID, RAW), trials=status)
    assert obstacles(tasks[1], tasks, RAW) == [f"parent task.trials is {status}"]


def test_a_missing_input_is_named():
    tasks = stored(plan(EID, RAW), trials="Complete")
    assert obstacles(tasks[1], tasks, RAW[:3]) == [
        "input raw_behavior_data/_iblrig_encoderPositions.raw.ssv is missing"
    ]


@pytest.mark.parametrize(
    ("trials", "wheel", "done"),
    [
        ("Complete", "Complete", True),
        ("Errored", "Held", True),
        ("Complete", "Waiting", False),
        ("Started", "Held", False),
    ],
)
def test_a_session_is_settled_when_nothing_waits_or_runs(trials, wheel, done):
    assert settled(stored(plan(EID, RAW), trials=trials, wheel=wheel)) is done


def test_signatures_match_name_and_collection():
    signature = [Expected("_ibl_trials.*.npy", "alf"), Expected("x.y.npy", "", required=False)]
    paths = ["alf/_ibl_trials.repNum.npy", "alf/deep/_ibl_trials.repNum.npy", "x.y.npy"]
    assert selected(signature, paths) == [paths[0], paths[2]]
    assert missing(signature, paths[1:]) == signature[:1]


@given(st.uuids(version=4), st.text(), st.text(), st.text())
def test_task_ids_are_uuid4_of_their_session(session, graph, name, arguments):
    one = identifier(str(session), graph, name, arguments)
    assert UUID(one).version == 4
    assert one.replace("-", "")[:12] == session.hex[:12]
    assert one == identifier(str(session), graph, name, arguments)
    assert one != identifier(str(uuid4()), graph, name, arguments)


def names(planned):
    return [task.name for task in planned]


EPHYS = ["raw_ephys_data/_spikeglx_ephysData_g0_t0.nidq.cbin"]
CAMERA = ["raw_video_data/_iblrig_leftCamera.raw.mp4"]


@pytest.mark.parametrize(
    ("protocol", "decided"),
    [
        (None, True),
        ("_iblrig_tasks_trainingChoiceWorld6.4.2", True),
        ("_iblrig_tasks_biasedChoiceWorld5.0.0", True),
        ("_iblrig_tasks_ephysChoiceWorld7.1.2", True),
        ("_iblrig_tasks_advancedChoiceWorld", True),
        ("_iblrig_tasks_neuromodulatorChoiceWorld", True),
        ("_iblrig_tasks_ephysPassiveStimulation", False),
        ("_iblrig_tasks_spontaneous", False),
        ("my_own_task", False),
    ],
)
def test_only_protocols_of_the_decision_task_have_its_tasks(protocol, decided):
    planned = plan(EID, RAW, task_protocol=protocol)
    assert names(planned) == (["task.trials", "task.wheel"] if decided else [])
    told = unprocessed(RAW, task_protocol=protocol)
    if decided:
        assert told == []
    else:
        assert told == [
            f"protocol {protocol} in raw_behavior_data: recorded, not processed here: "
            f"no task for {protocol}"
        ]


@pytest.mark.parametrize("protocol", ["_iblrig_tasks_habituationChoiceWorld6.4.2", "habituation"])
def test_habituation_has_a_task_of_its_own(protocol):
    assert names(plan(EID, RAW, task_protocol=protocol)) == ["task.habituation"]
    assert unprocessed(RAW, task_protocol=protocol) == []
    # without the task's data there is nothing to extract yet
    assert plan(EID, ["raw_behavior_data/_iblrig_taskSettings.raw.json"], None, protocol) == []


def test_what_the_description_asks_for_goes_before_the_session_s_protocol():
    description = {"tasks": [{"my_own_task": {"collection": "raw_behavior_data"}}]}
    assert plan(EID, RAW, description, "trainingChoiceWorld") == []


def test_extractors_of_the_description_s_own_are_not_replaced_by_ours():
    about = {"collection": "raw_behavior_data", "extractors": ["MyTrials"]}
    description = {"tasks": [{"trainingChoiceWorld": about}]}
    assert plan(EID, RAW, description) == []
    (told,) = unprocessed(RAW, description)
    assert "the description asks for the extractors MyTrials" in told


NIDQ = {"sync": {"nidq": {"collection": "raw_ephys_data", "extension": "bin"}}}


@pytest.mark.parametrize(("paths", "description"), [(RAW[:2], NIDQ), (RAW[:2] + EPHYS, None)])
def test_trials_and_wheel_go_to_the_main_clock_after_its_pulses(paths, description):
    pulses, trials, wheel = plan(EID, paths, description)
    assert names((pulses, trials, wheel)) == [
        "sync.pulses",
        "task.trials_nidq",
        "task.wheel_nidq",  # the board sees the wheel: the encoder's files are not needed
    ]
    assert trials.parents == (pulses.id,)
    assert set(wheel.parents) == {pulses.id, trials.id}
    assert trials.arguments["sync_collection"] == pulses.arguments["collection"]
    assert [task.hold for task in (pulses, trials, wheel)] == [None] * 3
    assert unprocessed(paths, description) == []


def test_without_the_recording_the_tasks_of_the_main_clock_are_held_with_the_reason():
    tasks = stored(plan(EID, RAW, NIDQ))
    assert obstacles(tasks[0], tasks, RAW)[0] == "input raw_ephys_data/*.*bin is missing"
    assert obstacles(tasks[1], tasks, RAW)[:2] == [
        "parent sync.pulses is Waiting",
        "input raw_ephys_data/_spikeglx_sync.times.*npy is missing",
    ]


def test_pulses_that_came_with_the_session_are_not_looked_for_again():
    known = [f"raw_ephys_data/_spikeglx_sync.{name}.npy" for name in ("times", "channels")]
    assert names(plan(EID, RAW + known, NIDQ)) == ["task.trials_nidq", "task.wheel_nidq"]


def test_a_raw_recording_is_compressed_before_its_pulses_are_looked_for():
    paths = [*RAW, f"{EPHYS[0][:-4]}bin", f"{EPHYS[0][:-4]}meta"]
    compress, pulses, *_ = plan(EID, paths)
    assert (compress.name, pulses.parents) == ("ephys.compress", (compress.id,))


@pytest.mark.parametrize(
    ("sync", "protocol"),
    [
        ({"tdms": {"collection": "raw_ephys_data"}}, "trainingChoiceWorld"),
        ({"nidq": {"acquisition_software": "timeline"}}, "trainingChoiceWorld"),
        ({"tdms": {}}, "habituationChoiceWorld"),
    ],
)
def test_what_cannot_be_brought_to_the_main_clock_is_held(sync, protocol):
    planned = [
        task for task in plan(EID, RAW, {"sync": sync}, protocol) if task.name != "sync.pulses"
    ]
    (clock,) = sync
    assert planned
    assert all(f"The session's clock is {clock}" in task.hold for task in planned)


@pytest.mark.parametrize("folder", ["../up", "/etc", "a b", "raw\nx"])
def test_a_folder_of_the_clock_that_none_can_be_is_refused(folder):
    with pytest.raises(BadDescription, match="collection"):
        plan(EID, RAW, {"sync": {"nidq": {"collection": folder}}})


def test_a_description_that_says_bpod_is_believed():
    planned = plan(EID, RAW + EPHYS, {"sync": {"bpod": {"collection": "raw_behavior_data"}}})
    assert [task.hold for task in planned] == [None, None]


@pytest.mark.parametrize("sync", ["nidq", [], {"nidq": {}, "bpod": {}}, 3])
def test_a_sync_that_names_no_one_device_is_refused(sync):
    if sync == []:
        assert plan(EID, RAW, {"sync": sync})
        return
    with pytest.raises(BadDescription, match="sync must name exactly one device"):
        plan(EID, RAW, {"sync": sync})


def test_every_section_of_a_description_has_its_tasks_or_is_told():
    description = {
        "devices": {
            "cameras": {"left": {}, "body": {}},
            "neuropixel": {"probe00": {}, "probe01": {}},
            "microphone": {"microphone": {}},
            "widefield": {},
            "mesoscope": {},
            "neurophotometrics": {},
            "laser_of_our_own": {},
        },
        "sync": {"nidq": {}},
        "tasks": [
            {"trainingChoiceWorld": {"collection": "raw_behavior_data"}},
            {"passiveChoiceWorld": {"collection": "raw_task_data_01"}},
        ],
    }
    told = unprocessed(RAW, description)
    assert [text.partition(":")[0] for text in told] == [
        *("camera left", "camera body", "probe00", "probe01", "microphone", "widefield"),
        *("mesoscope", "neurophotometrics", "laser_of_our_own"),
    ]
    assert all(": recorded, not processed here: " in text for text in told)


def test_without_a_description_devices_are_known_by_their_files():
    paths = [
        *(*RAW, *CAMERA),
        "raw_ephys_data/probe00/_spikeglx_ephysData_g0_t0.imec0.ap.cbin",
        "raw_widefield_data/imaging.frames.mov",
        "raw_behavior_data/_iblrig_micData.raw.wav",
    ]
    assert [text.partition(":")[0] for text in unprocessed(paths)] == [
        *("probe00", "microphone", "widefield"),  # the left camera's film has tasks
    ]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["tasks", "devices", "sync", "x"]), inner, max_size=4
            )
        ),
        max_leaves=8,
    )
)
def test_any_description_is_planned_or_refused_in_words(value):
    description = value if isinstance(value, dict) else {"tasks": value}
    for reader in (lambda: plan(EID, RAW, description), lambda: unprocessed(RAW, description)):
        with suppress(BadDescription):  # any other exception is a fault
            reader()
