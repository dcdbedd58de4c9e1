"""Imaging: fields of view, their locations, and stacks of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from functions.api.engine.declarations import (
    KINDS,
    Body,
    Resource,
    Row,
    choice,
    datetime,
    declare,
    flag,
    json,
    ref,
    text,
)
from functions.api.engine.visible import belonging, nested
from shared import catalog
from shared.records import keys
from shared.records.where import Where

if TYPE_CHECKING:
    from functions.api.call import Call
    from functions.api.engine.plan import Plan
from functions.api.resources.inside import (
    DATASET_FILTERS,
    SESSION_FILTERS,
    WORK,
    named_list,
    places,
    prepare_part,
    session_from,
)
from functions.api.resources.regions import atlas_filters, check_regions, views_in


def _one_default(plan: Plan, before: Body | None, after: Body | None, call: Call) -> None:
    """Keep one default location per field of view."""
    if after is None or not after.get("default_provenance"):
        return
    wheres = [
        Where("field_of_view", "exact", after["field_of_view"]),
        Where("default_provenance", "exact", True),
        Where("id", "exact", after["id"], negate=True),
    ]
    for location in plan.select("fov-location", wheres):
        plan.change(
            KINDS["fov-location"],
            location["id"],
            lambda each: {**each, "default_provenance": False},
        )


def _show_view(shown: Body, row: Row, call: Call) -> Body:
    locations = belonging(call, row, "fov-location", "field_of_view")
    return {"id": row["id"], **shown, "location": nested(call, "fov-location", locations)}


def _show_stack(shown: Body, row: Row, call: Call) -> Body:
    views = belonging(call, row, "field-of-view", "stack")
    return {**shown, "slices": nested(call, "field-of-view", views)}


def _stacks_in(lookup: str, value: str) -> set[str]:
    """Return the stacks with a slice in a region."""
    views = [Where("id", "in", views_in(lookup, value))]
    stacks: set[str] = catalog.table("field-of-view").select(views).values("stack") - {None}
    return stacks


def _few_floats(value: Sequence[float]) -> None:
    if len(value) > 8:
        raise ValueError("Ensure this field has no more than 8 elements.")


def _floats(**options: Any) -> Any:
    from functions.api.engine.declarations import Field

    return Field("floats", default=(), check=_few_floats, param=False, **options)


declare(
    named_list("imaging-types", "imaging-type", "experiments", "mesoscope"),
    Resource(
        path="fields-of-view",
        kind="field-of-view",
        model="experiments.fov",
        access=WORK,
        lab="session",
        public_by="session",
        fields={
            "session": ref("session", by="id", required=True, null=False, on_delete="cascade"),
            "imaging_type": ref("imaging-type"),
            "name": text(maximum=255),
            "stack": ref("imaging-stack", by="id"),
            "json": json(),
            "auto_datetime": datetime(read_only=True),
        },
        filters={
            **SESSION_FILTERS,
            "imaging_type": "imaging_type__icontains",
            **DATASET_FILTERS,
            **atlas_filters(views_in),
        },
        reverse={
            "datasets": ("dataset", places, "place"),
            "location": ("fov-location", "field_of_view", "id"),
            "notes": ("note", "object_id", "id"),
        },
        unique=(("session", "name"),),
        prepare=prepare_part,
        place=lambda body: (keys.session(body["session"]), f"F#{body['id']}"),
        show=_show_view,
        example={"session": "<session id>", "name": "FOV_00"},
    ),
    Resource(
        path="fov-location",
        kind="fov-location",
        model="experiments.fovlocation",
        access=WORK,
        lab="field_of_view",
        fields={
            "field_of_view": ref(
                "field-of-view", by="id", required=True, null=False, on_delete="cascade"
            ),
            "provenance": choice({"E": "E", "F": "F", "L": "L", "H": "H"}, required=True),
            "default_provenance": flag(),
            "x": _floats(),
            "y": _floats(),
            "z": _floats(),
            "n_xyz": _floats(),
            "brain_region": json(to="brain-region", shape="any", check=check_regions),
            "coordinate_system": ref("coordinate-system"),
            "auto_datetime": datetime(read_only=True),
        },
        unique=(("provenance", "field_of_view"),),
        public_by="session",
        prepare=session_from("field-of-view", "field_of_view"),
        effects=(_one_default,),
        show=lambda shown, row, call: {"id": row["id"], **shown},
        example={"field_of_view": "<field of view id>", "provenance": "E"},
    ),
    Resource(
        path="imaging-stack",
        kind="imaging-stack",
        model="experiments.imagingstack",
        access=WORK,
        fields={"name": text(maximum=255), "json": json()},
        filters=atlas_filters(_stacks_in),
        reverse={"slices": ("field-of-view", "stack", "id")},
        show=_show_stack,
        example={"name": "stack 1"},
    ),
)
