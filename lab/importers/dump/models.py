"""The conversion of each model of Alyx (3.6), in the order in which rows are carried.

One file, because it is a table: what Alyx has is looked up here by model and field.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.importers.dump import finish
from lab.importers.dump.parts import (
    CarriedField,
    Finish,
    coded,
    day,
    many,
    number,
    one,
    same,
    time,
)

USER, SUBJECT, LAB = "misc.labmember", "subjects.subject", "misc.lab"
SESSION, LINE = "actions.session", "subjects.line"


@dataclass(frozen=True)
class AlyxModel:
    """A model of Alyx.

    Attributes
    ----------
    name : str
        ``app.model``.
    resource : str
        Resource of its rows; empty if they are parts of other rows.
    parts : tuple of CarriedField
        Fields that are carried.
    ignored : str
        Fields that are computed here, or useless without the old server.
    name_field : str
        Field of the sent row by which others refer to it; ``id`` for the identifier.
    unique : bool
        Whether two rows of one name are two things, so that the later gets another name; else
        they are one thing, as in lists of words.
    owner : str
        Field with the row that it is a part of.
    parent : str
        AlyxModel whose row of the same primary key has the other fields.
    finish : callable, optional
    """

    name: str
    resource: str
    parts: tuple[CarriedField, ...] = ()
    ignored: str = ""
    name_field: str = "id"
    unique: bool = False
    owner: str = ""
    parent: str = ""
    finish: Finish | None = None


LIGHT = {0: "Normal", 1: "Inverted"}
GENES = {0: "absent", 1: "present"}


def _words(name: str, resource: str, fields: str = "name description json") -> AlyxModel:
    return AlyxModel(name, resource, same(fields), name_field="name")


def _action(*, server: bool = False) -> tuple[CarriedField, ...]:
    """Return the fields of every action; restrictions and sessions are in the lab's time."""
    return (
        *same("name json narrative"),
        one("subject", SUBJECT, needed=True),
        one("lab", LAB),
        one("location", "misc.lablocation"),
        many("users", USER, always=True),
        many("procedures", "actions.proceduretype"),
        time("start_time", needed=True, server=server),
        time("end_time", server=server),
    )


BEFORE_ANIMALS = (
    _words("data.datarepositorytype", "data-repository-type", "name json"),
    AlyxModel(
        "data.datarepository",
        "data-repository",
        (
            *same(
                "name timezone globus_path globus_endpoint_id hostname data_url"
                " globus_is_personal json"
            ),
            one("repository_type", "data.datarepositorytype"),
        ),
        name_field="name",
    ),
    _words("actions.watertype", "water-type", "name json"),
    _words("misc.cagetype", "cage-types"),
    _words("misc.enrichment", "enrichments"),
    _words("misc.food", "foods"),
    AlyxModel(
        "misc.lab",
        "labs",
        (
            *same("name institution address timezone json"),
            number("reference_weight_pct"),
            number("zscore_weight_pct"),
            many("repositories", "data.datarepository", always=True),
            one("cage_type", "misc.cagetype"),
            one("enrichment", "misc.enrichment"),
            one("food", "misc.food"),
            coded("light_cycle", LIGHT),
        ),
        ignored="cage_cleaning_frequency_days",
        name_field="name",
        finish=finish.lab,
    ),
    AlyxModel(
        "misc.labmember",
        "users",
        same(
            "username email first_name last_name is_stock_manager is_public_user is_active"
            " groups>is_husbandry"
        ),
        ignored="password last_login date_joined is_staff is_superuser user_permissions"
        " allowed_users",
        name_field="username",
        finish=finish.user,
    ),
    AlyxModel(
        "misc.labmembership",
        "lab-memberships",
        (
            one("user", USER, needed=True),
            one("lab", LAB, needed=True),
            *same("role json"),
            day("start_date"),
            day("end_date"),
        ),
    ),
    AlyxModel(
        "subjects.project",
        "projects",
        (*same("name description"), many("users", USER)),
        name_field="name",
    ),
    AlyxModel(
        "misc.lablocation",
        "locations",
        (*same("name json"), one("lab", LAB, needed=True)),
        name_field="name",
        unique=True,
    ),
    AlyxModel(
        "data.datasettype",
        "dataset-types",
        (*same("name description filename_pattern"), one("created_by", USER)),
        name_field="name",
    ),
    _words(
        "data.dataformat",
        "data-formats",
        "name description file_extension matlab_loader_function python_loader_function json",
    ),
    AlyxModel(
        "data.revision",
        "revisions",
        (*same("name description json"), time("created_datetime")),
        name_field="name",
    ),
    _words("data.tag", "tags", "name description protected public hash json"),
    _words("actions.proceduretype", "procedures"),
    _words("actions.cullreason", "cull-reasons"),
    _words("actions.cullmethod", "cull-methods"),
    _words("subjects.species", "species", "name nickname"),
    _words("subjects.strain", "strains", "name description"),
    _words("subjects.source", "sources", "name description"),
    _words("subjects.sequence", "sequences", "name base_pairs description json"),
    AlyxModel(
        "subjects.allele",
        "alleles",
        (*same("nickname name json"), many("sequences", "subjects.sequence")),
        name_field="nickname",
    ),
    AlyxModel(
        "subjects.line",
        "lines",
        (
            *same(
                "name nickname description target_phenotype source_identifier source_url"
                " expression_data_url is_active json subject_autoname_index"
                " breeding_pair_autoname_index litter_autoname_index"
            ),
            many("alleles", "subjects.allele"),
            one("strain", "subjects.strain"),
            one("species", "subjects.species"),
            one("source", "subjects.source"),
            one("lab", LAB),
        ),
        name_field="name",
        unique=True,
        finish=finish.line,
    ),
    AlyxModel(
        "subjects.zygosityrule",
        "zygosity-rules",
        (
            one("line", LINE, needed=True),
            one("allele", "subjects.allele", needed=True),
            one("sequence0", "subjects.sequence", needed=True),
            coded("sequence0_result", GENES, to="result0"),
            one("sequence1", "subjects.sequence"),
            coded("sequence1_result", GENES, to="result1"),
            number("zygosity", whole=True),
            *same("json"),
        ),
        owner="line",
        finish=finish.rule,
    ),
    AlyxModel(
        "subjects.subjectrequest",
        "subject-requests",
        (
            one("user", USER, needed=True),
            one("line", LINE, needed=True),
            number("count", whole=True),
            time("date_time", needed=True),
            day("due_date"),
            *same("description json"),
        ),
    ),
)

ANIMALS = (
    AlyxModel(
        SUBJECT,
        "subjects",
        (
            *same(
                "nickname sex cage ear_mark description adverse_effects actual_severity"
                " to_be_genotyped to_be_culled json"
            ),
            *(day(f"{each}_date") for each in ("birth", "death", "wean", "genotype", "reduced")),
            one("responsible_user", USER, always=True),
            one("species", "subjects.species"),
            one("litter", "subjects.litter"),
            one("strain", "subjects.strain"),
            one("source", "subjects.source"),
            one("line", LINE),
            one("lab", LAB, needed=True),
            many("projects", "subjects.project"),
            one("request", "subjects.subjectrequest"),
        ),
        ignored="protocol_number",
        finish=finish.subject,
    ),
    AlyxModel(
        "subjects.breedingpair",
        "breeding-pairs",
        (
            *same("name description json"),
            one("line", LINE, needed=True),
            day("start_date"),
            day("end_date"),
            *(one(each, SUBJECT) for each in ("father", "mother1", "mother2")),
        ),
        name_field="name",
        unique=True,
        finish=finish.pair,
    ),
    AlyxModel(
        "subjects.litter",
        "litters",
        (
            *same("name description json"),
            one("line", LINE),
            one("breeding_pair", "subjects.breedingpair"),
            day("birth_date"),
        ),
        name_field="name",
        unique=True,
        finish=finish.litter,
    ),
)
"""Carried by generations: an animal after its litter, a litter after its pair and parents."""

SESSIONS = AlyxModel(
    SESSION,
    "sessions",
    (
        *(part for part in _action() if part.field != "name"),
        many("projects", "subjects.project"),
        one("parent_session", SESSION),
        *same("type task_protocol qc extended_qc"),
        *(number(each, whole=True) for each in ("number", "n_trials", "n_correct_trials")),
    ),
    ignored="auto_datetime",
)

AFTER_ANIMALS = (
    AlyxModel(
        "misc.housing",
        "cages",
        (
            *same("cage_name>name json"),
            one("cage_type", "misc.cagetype"),
            one("enrichment", "misc.enrichment"),
            one("food", "misc.food"),
            coded("light_cycle", LIGHT),
        ),
        ignored="name cage_cleaning_frequency_days",
        finish=finish.housing,
    ),
    AlyxModel(
        "misc.housingsubject",
        "stays",
        (
            one("subject", SUBJECT, needed=True),
            one("housing", "misc.housing", to="cage", needed=True),
            time("start_datetime", to="start", needed=True),
            time("end_datetime", to="end"),
            *same("json"),
        ),
        owner="subject",
        finish=finish.stay,
    ),
)

AFTER_SESSIONS = (
    AlyxModel(
        "data.dataset",
        "datasets",
        (
            *same(
                "name file_size hash version collection default_dataset qc json created_datetime"
                " content_type object_id"
            ),
            one("session", SESSION),
            one("created_by", USER, always=True),
            one("dataset_type", "data.datasettype"),
            one("data_format", "data.dataformat"),
            one("revision", "data.revision"),
            many("tags", "data.tag"),
        ),
        ignored="auto_datetime md5 generating_software provenance_directory",
        finish=finish.dataset,
    ),
    AlyxModel(
        "experiments.brainregion",
        "brain-regions",
        same("acronym name parent"),
        ignored="ontology description lft rght tree_id level",
        finish=finish.region,
    ),
    AlyxModel(
        "experiments.coordinatesystem",
        "coordinate-systems",
        same("name description json"),
        name_field="name",
    ),
    AlyxModel(
        "experiments.probemodel",
        "probe-models",
        same("probe_model>name description json"),
        ignored="name probe_manufacturer",
        name_field="name",
    ),
    AlyxModel("experiments.imagingtype", "imaging-types", same("name json"), name_field="name"),
    AlyxModel("experiments.imagingstack", "imaging-stack", same("name json")),
    AlyxModel(
        "experiments.chronicinsertion",
        "chronic-insertions",
        (
            *same("name serial json"),
            one("subject", SUBJECT, needed=True),
            one("lab", LAB),
            one("model", "experiments.probemodel"),
            time("start_time"),
        ),
        ignored="users location procedures narrative end_time chronicrecording_ptr",
        parent="actions.chronicrecording",
    ),
    AlyxModel(
        "experiments.probeinsertion",
        "insertions",
        (
            *same("name serial json"),
            one("session", SESSION, needed=True),
            one("model", "experiments.probemodel"),
            one("chronic_insertion", "experiments.chronicinsertion"),
        ),
        ignored="auto_datetime datasets",
    ),
    AlyxModel(
        "experiments.trajectoryestimate",
        "trajectories",
        (
            *same("provenance json"),
            *(number(each) for each in ("x", "y", "z", "depth", "theta", "phi", "roll")),
            one("probe_insertion", "experiments.probeinsertion"),
            one("chronic_insertion", "experiments.chronicinsertion"),
            one("coordinate_system", "experiments.coordinatesystem"),
        ),
        ignored="datetime",
    ),
    AlyxModel(
        "experiments.channel",
        "channels",
        (
            *same("name brain_region json"),
            *(number(each) for each in ("axial", "lateral", "x", "y", "z")),
            one("trajectory_estimate", "experiments.trajectoryestimate", needed=True),
        ),
    ),
    AlyxModel(
        "experiments.fov",
        "fields-of-view",
        (
            *same("name json"),
            one("session", SESSION, needed=True),
            one("imaging_type", "experiments.imagingtype"),
            one("stack", "experiments.imagingstack"),
        ),
        ignored="auto_datetime datasets",
    ),
    AlyxModel(
        "experiments.fovlocation",
        "fov-location",
        (
            *same("provenance default_provenance x y z n_xyz brain_region"),
            one("field_of_view", "experiments.fov", needed=True),
            one("coordinate_system", "experiments.coordinatesystem"),
        ),
        ignored="auto_datetime",
        finish=finish.fov_location,
    ),
    AlyxModel(
        "actions.weighing",
        "weighings",
        (
            one("subject", SUBJECT, needed=True),
            one("user", USER, always=True),
            time("date_time", needed=True, server=True),
            number("weight"),
            *same("json"),
        ),
    ),
    AlyxModel(
        "actions.wateradministration",
        "water-administrations",
        (
            one("subject", SUBJECT, needed=True),
            one("user", USER, always=True),
            one("session", SESSION),
            one("water_type", "actions.watertype"),
            time("date_time", needed=True, server=True),
            number("water_administered"),
            *same("adlib json"),
        ),
    ),
    AlyxModel(
        "actions.waterrestriction",
        "water-restriction",
        (
            *(part for part in _action() if part.field != "name"),
            number("reference_weight"),
            one("water_type", "actions.watertype"),
        ),
        owner="subject",
        finish=finish.restriction,
    ),
    AlyxModel(
        "actions.surgery",
        "surgeries",
        (*_action(server=True), *same("outcome_type"), number("implant_weight")),
    ),
    AlyxModel(
        "actions.virusinjection",
        "virus-injections",
        (
            *_action(server=True),
            *same("virus_batch injection_type"),
            number("injection_volume"),
            number("rate_of_injection"),
        ),
    ),
    AlyxModel("actions.otheraction", "other-actions", _action(server=True)),
    AlyxModel("actions.chronicrecording", "other-actions", _action(server=True)),
    AlyxModel(
        "subjects.genotypetest",
        "genotype-tests",
        (
            one("subject", SUBJECT, needed=True),
            one("sequence", "subjects.sequence", needed=True),
            coded("test_result", GENES),
            *same("json"),
        ),
        owner="subject",
        finish=finish.genotype_test,
    ),
    AlyxModel(
        "actions.cull",
        "culls",
        (
            one("subject", SUBJECT, needed=True),
            one("user", USER, always=True),
            day("date", needed=True),
            one("cull_reason", "actions.cullreason"),
            one("cull_method", "actions.cullmethod"),
            *same("description json"),
        ),
        owner="subject",
    ),
    AlyxModel(
        "actions.notificationrule",
        "notification-rules",
        (one("user", USER, needed=True), *same("notification_type subjects_scope json")),
    ),
    AlyxModel(
        "data.datanotice",
        "data-notices",
        (
            *same("name description importance version_affected json"),
            many("datasets", "data.dataset"),
            time("affected_date_start", to="start_datetime"),
            time("affected_date_end", to="end_datetime"),
        ),
        ignored="created_by created_datetime",
    ),
    AlyxModel(
        "misc.note",
        "notes",
        (
            one("user", USER, needed=True),
            time("date_time", needed=True),
            *same("text json image content_type object_id"),
        ),
        finish=finish.note,
    ),
)

PARTS = (
    AlyxModel("subjects.zygosity", "", owner="subject"),
    AlyxModel("data.filerecord", "", owner="dataset"),
)
"""Models whose rows become parts of their owners' rows."""

ORDER = (*BEFORE_ANIMALS, *ANIMALS, *AFTER_ANIMALS, SESSIONS, *AFTER_SESSIONS)
MODELS = {model.name: model for model in (*ORDER, *PARTS)}

ALIASES = {
    "auth.user": USER,
    "actions.ephyssession": SESSION,
    "actions.imagingsession": SESSION,
    "subjects.subjecttest": SUBJECT,
}
"""Other names of models: of Django's own users, and of Alyx's proxies."""

SECRET = "secrets of the old server are never copied"  # noqa: S105 - a sentence
USED = "it is read, to know what other rows mean"

LEFT = {
    "authtoken.token": SECRET,
    "authtoken.tokenproxy": SECRET,
    "sessions.session": SECRET,
    "auth.permission": "permissions are decided by roles here",
    "auth.group": USED,
    "contenttypes.contenttype": USED,
    "sites.site": "it is the old server's address",
    "admin.logentry": "it is the old pages' list of recent actions",
    "reversion.revision": "histories are kept as far as they are in a row's json",
    "reversion.version": "histories are kept as far as they are in a row's json",
    "jobs.task": "tasks are made anew from the sessions' data",
    "data.download": "it is a record of the old server's use",
    "actions.notification": "it is a message of the old server, sent or out of date",
}
"""Models that are not carried, and why."""

SECRETS = frozenset({"password"})
"""Fields that are never carried."""

NATURAL = {
    USER: "username",
    SUBJECT: "nickname",
    "subjects.species": "nickname",
    "subjects.allele": "nickname",
    "subjects.line": "nickname",
    "experiments.probemodel": "probe_model",
}
"""Fields of a model's natural key; other models use the name."""
