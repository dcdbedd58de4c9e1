"""The steps of an import from Alyx, in order: which list, which rows, how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.importers.alyx_rows import (
    RowContext,
    aggregate_row,
    chronic_row,
    dataset_row,
    event_row,
    lab_row,
    named_row,
    repository_row,
    restriction_row,
    session_row,
    subject_row,
    surgery_row,
    task_row,
    user_row,
)
from lab.importers.carrier import Row


@dataclass(frozen=True)
class Step:
    """One list of Alyx that is copied row by row.

    Attributes
    ----------
    resource : str
        Route of the list, and resource of Fornix.
    carried : str
        Fields that are copied, separated by spaces.
    computed : str
        Fields that Fornix computes itself, or that repeat other rows.
    key : str
        Field that identifies a row in the report; ``'id'`` for the identifier.
    convert : callable, optional
        Changes a row before it is sent; raises :class:`RowUnfit`.
    filters : tuple of (str, str)
        Query of the list.
    by_lab : bool
        Whether its rows name animals by nickname alone: if two labs share a nickname, the list is
        read lab by lab.
    apart : str, optional
        Field of rows of which none refers to another of the list, so that several batches are
        sent at once; rows of equal value go together.
    """

    resource: str
    carried: str
    computed: str = ""
    key: str = "id"
    convert: Callable[[RowContext, Row], None] | None = None
    filters: tuple[tuple[str, str], ...] = ()
    by_lab: bool = False
    apart: str | None = None


SESSIONS = Step(
    "sessions",
    "subject users location procedures lab projects type task_protocol number start_time end_time"
    " narrative parent_session n_trials n_correct_trials extended_qc qc json auto_datetime"
    # of a Fornix:
    " public embargo_until synthetic",
    "project notes wateradmin_session_related data_dataset_session_related probe_insertion"
    " field_of_view",
    convert=session_row,
)

DATASETS = Step(
    "datasets",
    "name created_by created_datetime dataset_type data_format collection session file_size hash"
    " version file_records auto_datetime revision default_dataset tags qc json",
    "experiment_number protected public",
    convert=dataset_row,
)

BEFORE_SESSIONS = (
    Step(
        "data-repository",
        "name timezone globus_path globus_endpoint_id hostname data_url repository_type"
        " globus_is_personal json",
        key="name",
        convert=repository_row,
    ),
    Step(
        "labs",
        "name institution address timezone repositories reference_weight_pct zscore_weight_pct"
        " json"
        # of a Fornix:
        " open_lab wean_age_days sample_age_days report_hour notice_hour light_cycle",
        key="name",
        convert=lab_row,
    ),
    Step(
        "users",
        "username email lab allowed_users is_stock_manager is_public_user is_active"
        # of a Fornix:
        " first_name last_name is_husbandry preferences",
        "subjects_responsible",
        key="username",
        convert=user_row,
    ),
    Step("projects", "name description users json embargo_until", key="name"),
    Step("dataset-types", "name filename_pattern description created_by json", key="name"),
    Step(
        "data-formats",
        "name description file_extension matlab_loader_function python_loader_function json",
        key="name",
    ),
    Step("revisions", "name description created_datetime json", key="name"),
    Step(
        "tags",
        "name description protected public hash json embargo_until embargo_zone",
        "datasets sessions",
        key="name",
    ),
    Step("water-type", "name json", key="name"),
    Step("procedures", "name description json", key="name"),
    Step("locations", "name lab json", key="name"),
    Step(
        "subjects",
        "nickname responsible_user birth_date death_date species sex litter strain source line"
        " projects lab description json"
        # of a Fornix:
        " wean_date genotype_date reduced_date cage ear_mark adverse_effects actual_severity"
        " to_be_genotyped to_be_culled zygosities embargo_until",
        "protocol_number age_weeks session_projects alive reference_weight last_water_restriction"
        " expected_water remaining_water weighings water_administrations father mother tags",
        key="nickname",
        convert=subject_row,
    ),
)

AFTER_SESSIONS = (
    Step(
        "datasets",
        DATASETS.carried + " content_type object_id",
        DATASETS.computed,
        convert=aggregate_row,
        filters=(("django", "session__isnull,True"),),
    ),
    Step(
        "chronic-insertions",
        "name subject lab model start_time serial json",
        "probe_insertion",
        convert=chronic_row,
        by_lab=True,
    ),
    Step(
        "insertions",
        "session model name json serial auto_datetime chronic_insertion",
        "session_info datasets",
        convert=named_row,
    ),
    Step(
        "trajectories",
        "probe_insertion chronic_insertion x y z depth theta phi roll provenance"
        " coordinate_system datetime json",
        "session probe_name subject",
        convert=named_row,
    ),
    Step(
        "brain-regions",
        "id acronym name description parent ontology",
        "related_descriptions",
        key="acronym",
    ),
    Step("channels", "axial lateral x y z brain_region trajectory_estimate json", apart="id"),
    Step("imaging-stack", "name json", "slices"),
    Step("fields-of-view", "session imaging_type name stack json", "location", convert=named_row),
    Step(
        "fov-location",
        "field_of_view provenance default_provenance x y z n_xyz brain_region coordinate_system",
        "auto_datetime",
        convert=named_row,
    ),
    Step(
        "weighings",
        "subject date_time weight user unusual",
        convert=event_row,
        by_lab=True,
        apart="id",
    ),
    Step(
        "water-administrations",
        "subject date_time water_administered water_type user session adlib",
        convert=event_row,
        by_lab=True,
        apart="id",
    ),
    Step(
        "water-restriction",
        "subject start_time end_time water_type reference_weight",
        convert=restriction_row,
        by_lab=True,
    ),
    Step(
        "surgeries",
        "name json subject users procedures narrative start_time end_time outcome_type"
        " implant_weight unusual",
        "lab",
        convert=surgery_row,
    ),
    Step("notes", "user date_time content_type object_id text json"),
    Step(
        "tasks",
        "name executable graph status priority level cpu gpu ram io_charge time_out_secs"
        " time_elapsed_secs log session version arguments data_repository datetime",
        "parents lab attempt hold",
        convert=task_row,
        apart="session",
    ),
)

NOT_COPIED = {
    "downloads": "a record of the old server's use",
    "data-notices": "they speak of the old server's data",
}
"""Routes that are not copied, and why."""
