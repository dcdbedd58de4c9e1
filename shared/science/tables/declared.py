"""The declared tables: names, columns, keys and references."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Tier(StrEnum):
    """Kind of a DataJoint table, by the prefix of its name in the database."""

    LOOKUP = "#"
    MANUAL = ""
    IMPORTED = "_"
    COMPUTED = "__"


class ColumnKind(StrEnum):
    """Type of a column."""

    TEXT = "text"
    UUID = "uuid"
    INTEGER = "integer"
    NUMBER = "number"
    FLAG = "flag"
    DATE = "date"
    TIME = "time"
    ARRAY = "array"


class DeclaredColumn(msgspec.Struct, frozen=True):
    """A column.

    Attributes
    ----------
    key : bool
        Whether it is part of the primary key.
    null : bool
        Whether it may be unknown.
    says : str
    """

    name: str
    kind: ColumnKind
    says: str = ""
    key: bool = False
    null: bool = False


class TableReference(msgspec.Struct, frozen=True):
    """Columns that refer to the key of another table.

    Attributes
    ----------
    table : str
        Name of the other table.
    columns : dict of str
        Own column by the other's; left out if they have the same name.
    """

    table: str
    columns: dict[str, str] = msgspec.field(default_factory=dict)


class DeclaredTable(msgspec.Struct, frozen=True):
    """A table.

    Attributes
    ----------
    name : str
        Class in DataJoint; ``TrialSet.Trial`` for a part table.
    schema : str
        Its database, after the prefix ``ibl_``.
    tier : Tier
    columns : tuple of DeclaredColumn
        Key first.
    references : tuple of TableReference
    of_subject : bool
        Whether each row belongs to one animal.
    says : str
    """

    name: str
    schema: str
    tier: Tier
    columns: tuple[DeclaredColumn, ...]
    references: tuple[TableReference, ...] = ()
    of_subject: bool = True
    says: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """The columns of the primary key."""
        return tuple(column.name for column in self.columns if column.key)

    @property
    def sql_name(self) -> str:
        """Name in the database (DataJoint's convention)."""
        return self.tier.value + "__".join(_snake(part) for part in self.name.split("."))

    @property
    def parquet_name(self) -> str:
        """Name in SQL without a server: ``action_weighing``."""
        return f"{self.schema}_{'_'.join(_snake(part) for part in self.name.split('.'))}"


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))


_SUBJECT = DeclaredColumn("subject_uuid", ColumnKind.UUID, key=True)
_SESSION = (
    _SUBJECT,
    DeclaredColumn("session_start_time", ColumnKind.TIME, "On the lab's clock.", key=True),
)
_TRIAL = (*_SESSION, DeclaredColumn("trial_id", ColumnKind.INTEGER, "From 1.", key=True))


def _text(name: str, says: str = "", *, key: bool = False, null: bool = False) -> DeclaredColumn:
    return DeclaredColumn(name, ColumnKind.TEXT, says, key, null)


def _number(name: str, says: str, *, null: bool = True) -> DeclaredColumn:
    return DeclaredColumn(name, ColumnKind.NUMBER, says, null=null)


def _array(name: str, says: str) -> DeclaredColumn:
    return DeclaredColumn(name, ColumnKind.ARRAY, says, null=True)


def _integer(name: str, says: str, *, null: bool = True) -> DeclaredColumn:
    return DeclaredColumn(name, ColumnKind.INTEGER, says, null=null)


TABLES: tuple[DeclaredTable, ...] = (
    DeclaredTable(
        "Lab",
        "reference",
        Tier.LOOKUP,
        (
            _text("lab_name", key=True),
            _text("institution", null=True),
            _text("institution_short"),
            _text("time_zone"),
        ),
        of_subject=False,
    ),
    DeclaredTable(
        "Project", "reference", Tier.LOOKUP, (_text("project_name", key=True),), of_subject=False
    ),
    DeclaredTable(
        "LabLocation",
        "reference",
        Tier.MANUAL,
        (_text("lab_name", key=True), _text("location_name", key=True)),
        (TableReference("Lab"),),
        of_subject=False,
    ),
    DeclaredTable(
        "WaterType", "action", Tier.LOOKUP, (_text("watertype_name", key=True),), of_subject=False
    ),
    DeclaredTable(
        "TrainingStatus",
        "analyses_behavior",
        Tier.LOOKUP,
        (_text("training_status", key=True),),
        of_subject=False,
    ),
    DeclaredTable(
        "Subject",
        "subject",
        Tier.MANUAL,
        (
            _SUBJECT,
            _text("subject_nickname"),
            _text("sex", "M, F or U."),
            DeclaredColumn("subject_birth_date", ColumnKind.DATE, null=True),
        ),
    ),
    DeclaredTable(
        "SubjectLab",
        "subject",
        Tier.MANUAL,
        (_SUBJECT, _text("lab_name")),
        (TableReference("Subject"), TableReference("Lab")),
    ),
    DeclaredTable(
        "SubjectProject",
        "subject",
        Tier.MANUAL,
        (_SUBJECT, _text("subject_project", key=True)),
        (
            TableReference("Subject"),
            TableReference("Project", {"project_name": "subject_project"}),
        ),
    ),
    DeclaredTable(
        "Session",
        "acquisition",
        Tier.MANUAL,
        (
            *_SESSION,
            DeclaredColumn("session_uuid", ColumnKind.UUID),
            _integer("session_number", "Of the day."),
            _text("session_lab", null=True),
            _text("session_location", null=True),
            _text("task_protocol", null=True),
        ),
        (
            TableReference("Subject"),
            TableReference(
                "LabLocation", {"lab_name": "session_lab", "location_name": "session_location"}
            ),
        ),
    ),
    DeclaredTable(
        "Weighing",
        "action",
        Tier.MANUAL,
        (
            _SUBJECT,
            DeclaredColumn("weighing_time", ColumnKind.TIME, key=True),
            _number("weight", "Grams.", null=False),
        ),
        (TableReference("Subject"),),
    ),
    DeclaredTable(
        "WaterAdministration",
        "action",
        Tier.MANUAL,
        (
            _SUBJECT,
            DeclaredColumn("administration_time", ColumnKind.TIME, key=True),
            _number("water_administered", "Millilitres."),
            DeclaredColumn("adlib", ColumnKind.FLAG, "Whether without limit."),
            _text("watertype_name"),
        ),
        (TableReference("Subject"), TableReference("WaterType")),
    ),
    DeclaredTable(
        "WaterRestriction",
        "action",
        Tier.MANUAL,
        (
            _SUBJECT,
            DeclaredColumn("restriction_start_time", ColumnKind.TIME, key=True),
            DeclaredColumn("restriction_end_time", ColumnKind.TIME, null=True),
            _number("reference_weight", "Grams."),
        ),
        (TableReference("Subject"),),
    ),
    DeclaredTable(
        "TrialSet",
        "behavior",
        Tier.IMPORTED,
        (*_SESSION, _integer("n_trials", "Trials.", null=False)),
        (TableReference("Session"),),
    ),
    DeclaredTable(
        "TrialSet.Trial",
        "behavior",
        Tier.IMPORTED,
        (
            *_TRIAL,
            _number("trial_start_time", "Seconds."),
            _number("trial_end_time", "Seconds."),
            _number("trial_response_time", "Seconds."),
            _text("trial_response_choice", "CCW, CW or No Go."),
            _number("trial_stim_on_time", "Seconds."),
            _number("trial_go_cue_time", "Seconds."),
            _number("trial_feedback_time", "Seconds."),
            _number("trial_stim_contrast_left", "0 to 1; 0 if the grating is on the right."),
            _number("trial_stim_contrast_right", "0 to 1; 0 if the grating is on the left."),
            _integer("trial_feedback_type", "1 reward, -1 noise."),
            _number("trial_reward_volume", "Microlitres."),
            _number("trial_stim_prob_left", "Probability of the left side."),
        ),
        (TableReference("TrialSet"),),
    ),
    DeclaredTable(
        "Settings",
        "behavior",
        Tier.IMPORTED,
        (*_SESSION, _text("pybpod_board", null=True)),
        (TableReference("Session"),),
    ),
    DeclaredTable(
        "AmbientSensorData",
        "behavior",
        Tier.IMPORTED,
        (
            *_TRIAL,
            _number("temperature_c", "Degrees Celsius."),
            _number("air_pressure_mb", "Millibar."),
            _number("relative_humidity", "Per cent."),
        ),
        (TableReference("TrialSet.Trial"),),
    ),
    DeclaredTable(
        "WheelMoveSet",
        "group_shared_wheel",
        Tier.IMPORTED,
        (
            *_SESSION,
            _integer("n_movements", "Detected movements."),
            _number("total_displacement", "Radians from first to last position."),
            _number("total_distance", "Radians of the whole path."),
        ),
        (TableReference("Session"),),
    ),
    DeclaredTable(
        "PsychResults",
        "analyses_behavior",
        Tier.COMPUTED,
        (
            *_SESSION,
            _number("performance", "Share correct of trials with a visible grating."),
            _number(
                "performance_easy", "Share correct of trials with a contrast of 50 % or more."
            ),
        ),
        (TableReference("TrialSet"),),
    ),
    DeclaredTable(
        "SessionTrainingStatus",
        "analyses_behavior",
        Tier.COMPUTED,
        (
            *_SESSION,
            _text("training_status"),
            DeclaredColumn("good_enough_for_brainwide_map", ColumnKind.FLAG),
        ),
        (TableReference("PsychResults"), TableReference("TrainingStatus")),
    ),
    DeclaredTable(
        "BehavioralSummaryByDate",
        "analyses_behavior",
        Tier.COMPUTED,
        (
            _SUBJECT,
            DeclaredColumn("session_date", ColumnKind.DATE, key=True),
            _number("performance", "As of PsychResults, over the sessions of the day."),
            _number("performance_easy", "As of PsychResults, over the sessions of the day."),
            _integer("n_trials_date", "Trials of the day."),
            _integer("training_day", "From 1, days with a session."),
            _integer("training_week", "From 1, weeks since the first day."),
        ),
        (TableReference("Subject"),),
    ),
    DeclaredTable(
        "ProbeInsertion",
        "ephys",
        Tier.MANUAL,
        (
            *_SESSION,
            DeclaredColumn("probe_idx", ColumnKind.INTEGER, "From 0, by name.", key=True),
            _text("probe_name"),
        ),
        (TableReference("Session"),),
    ),
    DeclaredTable(
        "DefaultCluster",
        "ephys",
        Tier.IMPORTED,
        (
            *_SESSION,
            DeclaredColumn("probe_idx", ColumnKind.INTEGER, key=True),
            DeclaredColumn("cluster_id", ColumnKind.INTEGER, "Number in the ONE files.", key=True),
            _integer("cluster_channel", "Channel of the largest amplitude."),
            _number("cluster_depth", "Micrometres from the tip."),
            _number("cluster_amp", "Volts, median of the spikes."),
            _integer("spike_count", "Spikes."),
            _number("firing_rate", "Spikes a second of the time it fires in."),
            _number("label", "Share of three quality checks passed."),
            _array("cluster_spikes_times", "Seconds, a value a spike."),
            _array("cluster_spikes_amps", "Volts, a value a spike."),
            _array("cluster_spikes_depths", "Micrometres from the tip, a value a spike."),
        ),
        (TableReference("ProbeInsertion"),),
    ),
)
"""All tables, each after the ones it refers to."""

BY_NAME = {table.name: table for table in TABLES}
