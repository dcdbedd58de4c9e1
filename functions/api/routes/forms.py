"""Descriptions of all resources for forms; the notebook app has the same from its own origin."""

from __future__ import annotations

from typing import Any

from chalice.app import Blueprint, Response

from functions.api.call import matches
from functions.api.errors import JSON

routes = Blueprint(__name__)


@routes.route("/forms", methods=["GET"])
def declared() -> Response:
    """Describe the resources' fields for forms and grids; 304 if the client has them."""
    from functions.api import forms  # a client asks once per session

    request: Any = routes.current_request
    all_forms = forms.forms()
    headers: dict[str, Any] = {**JSON, "ETag": f'"{all_forms.hash}"', "Cache-Control": "no-cache"}
    if matches(request, all_forms.hash):
        return Response("", status_code=304, headers=headers)
    return Response(forms.text(all_forms).decode(), headers=headers)
