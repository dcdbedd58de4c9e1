"""Where probes are in the brain: trajectories and channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from functions.api.engine.declarations import (
    Body,
    Resource,
    Row,
    choice,
    datetime,
    declare,
    integer,
    json,
    number,
    ref,
    text,
)
from functions.api.engine.filters import Select
from functions.api.errors import Invalid
from shared import catalog
from shared.model import moment
from shared.model.histology import ALIGNED
from shared.records import keys
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call
    from functions.api.engine.plan import Plan
from functions.api.resources.inside import (
    WORK,
    histology_changed,
    named_list,
    on_day,
    session_from,
)
from functions.api.resources.regions import check_region
from functions.api.shown.sessions import session_info

PROVENANCE = {
    "Planned": 10,
    "Micro-manipulator": 30,
    "Histology track": 50,
    "Ephys aligned histology track": 70,
}


def _prepare_trajectory(body: Body, old: Body | None, call: Call) -> Body:
    if bool(body.get("probe_insertion")) == bool(body.get("chronic_insertion")):
        raise Invalid(
            {"non_field_errors": ["Give either a probe insertion or a chronic insertion."]}
        )
    body = {**body, "datetime": moment.now().isoformat()}
    insertion = catalog.table("insertion").get(body.get("probe_insertion") or "") or {}
    body["session"] = insertion.get("session")
    return body


def _show_trajectory(shown: Body, row: Row, call: Call) -> Body:
    insertion = catalog.table("insertion").get(row.get("probe_insertion") or "") or {}
    info = session_info(insertion["session"], call) if insertion else None
    return {
        "id": row["id"],
        **shown,
        "probe_name": insertion.get("name"),
        "session": info,
    }


def _filed(body: Body) -> tuple[str, str] | None:
    """Return where gsi1 files a trajectory: under its probe, by its provenance."""
    if not body.get("probe_insertion"):
        return None
    named = next(name for name, value in PROVENANCE.items() if value == body["provenance"])
    return keys.trajectories_of(body["probe_insertion"], named)


def _tell_dispatch(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """Have the places of the sites found anew when the alignments of a probe have changed."""
    session = (after or {}).get("session")
    if session and after and after["provenance"] == PROVENANCE[ALIGNED] and after.get("json"):
        plan.then(lambda: histology_changed(session))


def _trajectory_session(value: str, call: Call, select: Select) -> list[Where]:
    return [Where("session", "exact", value.rpartition("/")[2])]


declare(
    named_list("coordinate-systems", "coordinate-system", "experiments", "IBL-Allen"),
    Resource(
        path="trajectories",
        kind="trajectory",
        model="experiments.trajectoryestimate",
        access=WORK,
        lab="probe_insertion",
        public_by="session",
        fields={
            "probe_insertion": ref("insertion", by="id", on_delete="cascade"),
            "chronic_insertion": ref("chronic-insertion", by="id", on_delete="cascade"),
            "x": number(required=True),
            "y": number(required=True),
            "z": number(),
            "depth": number(required=True),
            "theta": number(required=True, minimum=0, maximum=180),
            "phi": number(required=True, minimum=-180, maximum=360),
            "roll": number(),
            "provenance": choice(PROVENANCE, required=True, null=False),
            "coordinate_system": ref("coordinate-system"),
            "datetime": datetime(read_only=True),
            "json": json(),
        },
        filters={
            "session": _trajectory_session,
            "date": on_day,
            "probe": "probe_insertion__name",
            "subject": "probe_insertion__session__subject__iexact",
            "lab": "probe_insertion__session__lab__iexact",
            "project": "probe_insertion__session__projects__icontains",
            "experiment_number": "probe_insertion__session__number",
        },
        reverse={"channels": ("channel", "trajectory_estimate", "id")},
        parent=_filed,
        effects=(_tell_dispatch,),
        unique=(("provenance", "probe_insertion"), ("provenance", "chronic_insertion")),
        prepare=_prepare_trajectory,
        show=_show_trajectory,
        example={
            "probe_insertion": "<insertion id>",
            "x": 0.1,
            "y": 0.2,
            "depth": 4000,
            "theta": 10,
            "phi": 180,
            "provenance": "Planned",
        },
    ),
    Resource(
        path="channels",
        kind="channel",
        model="experiments.channel",
        access=WORK,
        lab="trajectory_estimate",
        fields={
            "name": text(maximum=255),
            "axial": number(),
            "lateral": number(),
            "x": number(),
            "y": number(),
            "z": number(),
            "brain_region": integer(to="brain-region", check=check_region),
            "trajectory_estimate": ref(
                "trajectory", by="id", required=True, null=False, on_delete="cascade"
            ),
            "json": json(),
        },
        filters={
            "session": _trajectory_session,
            "probe_insertion": "trajectory_estimate__probe_insertion",
            "subject": "trajectory_estimate__probe_insertion__session__subject__iexact",
            "lab": "trajectory_estimate__probe_insertion__session__lab__iexact",
        },
        public_by="session",
        prepare=session_from("trajectory", "trajectory_estimate"),
        unique=(("trajectory_estimate", "axial", "lateral"),),
        many=True,
        example={"trajectory_estimate": "<trajectory id>", "axial": 20, "lateral": 43},
    ),
)
