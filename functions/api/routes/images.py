"""Images: redirects to their bytes."""

from __future__ import annotations

from chalice.app import Blueprint, Response

from functions.api.call import Call
from functions.api.engine.declarations import KINDS
from functions.api.engine.visible import visible_to
from functions.api.engine.writes import find
from functions.api.errors import ApiError, Invalid, not_found
from functions.api.routes.downloads import presigned, redirect
from shared.model.images import WIDTHS, kept_key

routes = Blueprint(__name__)

SIZES = ("original", *map(str, WIDTHS))


@routes.route("/images/{id}", methods=["GET"])
def image(id: str) -> Response:
    """Redirect to an image: the original, or a picture 200 or 800 pixels across."""
    call = Call(routes.current_request)
    record = find(KINDS["image"], id)
    if not all(where.on_rows()(record) for where in visible_to(call.who, KINDS["image"])):
        raise not_found("Image")
    size = call.query.get("size") or "original"
    if size not in SIZES:
        raise Invalid({"size": [f"One of {', '.join(SIZES)}."]})
    if record["state"] == "refused":
        raise ApiError(410, f"The image was refused: {record.get('reason')}")
    if record["state"] != "ready":
        raise ApiError(409, "The image has not arrived yet; try again.", {"Retry-After": "1"})
    extension = record["content_type"].partition("/")[2] if size == "original" else "jpeg"
    return redirect(presigned(kept_key(record["id"], size), f"{record['id']}.{extension}"))
