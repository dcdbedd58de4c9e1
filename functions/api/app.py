"""The API's Lambda entry point: routes put together, and what every request goes through.

Each request is authenticated, checked against the rule of its route (deny by default) and
answered with one body shape on errors. This happens here, once, for every route, whichever module
it comes from.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
from collections.abc import Callable
from typing import Any

from chalice.app import Chalice, Response

from functions.api import auth, permissions
from functions.api.errors import JSON, ApiError, response_to
from shared.records import search

BODIES = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]
"""Content types that requests may have; ONE sends its login as a form and images as multipart."""

ROUTES = (
    *("account", "downloads", "register_file", "cache_tables", "water"),
    *("uploads", "claims", "imports", "predictions"),
)
"""Modules of `functions.api.routes`, each with a blueprint ``routes``."""

app = Chalice("fornix", configure_logs=False)


def _guarded(path: str, view: Callable[..., Any]) -> Callable[..., Any]:
    """Return a view that only callers named by its rule reach, with errors in one shape."""

    @functools.wraps(view)
    def guarded(**arguments: Any) -> Response:
        request: Any = app.current_request
        try:
            search.begin()
            permissions.check(path, request.method, auth.caller(request))
            answer = view(**arguments)
        except Exception as error:  # every error becomes an answer
            return response_to(error)
        if isinstance(answer, Response):
            return answer
        body = json.dumps(answer, separators=(",", ":"), ensure_ascii=False)
        return Response(body, headers=dict(JSON))

    return guarded


@app.middleware("http")
def _one_shape(event: Any, get_response: Callable[[Any], Response]) -> Response:
    """Give Chalice's own errors (wrong method, wrong content type) the API's body shape."""
    response = get_response(event)
    body = response.body
    if response.status_code >= 400 and isinstance(body, dict) and "Code" in body:
        detail = body.get("Message", "")
        if response.status_code == 405:
            detail = f'Method "{event.method}" not allowed.'
        return ApiError(response.status_code, detail).response()
    return response


def _assemble() -> None:
    """Register all routes; resources first, then what is not plain reading and writing."""
    from functions.api import resource_routes

    for name in ROUTES:
        if importlib.util.find_spec(f"functions.api.routes.{name}"):
            module = importlib.import_module(f"functions.api.routes.{name}")
            app.register_blueprint(module.routes)
    resource_routes.register(app)
    for path, entries in app.routes.items():
        for entry in entries.values():
            entry.view_function = _guarded(path, entry.view_function)
            entry.content_types = BODIES


_assemble()
