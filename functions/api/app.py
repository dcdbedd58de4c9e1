"""The API's Lambda entry point: routes put together, and what every request goes through.

Each request is authenticated, checked against the rule of its route (deny by default) and
answered with one body shape on errors. This happens here, once, for every route, whichever module
it comes from.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
from collections.abc import Callable
from typing import Any

from chalice.app import Chalice, Response, RouteEntry

from functions.api import permissions
from functions.api.auth import identify
from functions.api.errors import JSON, ApiError, response_to
from shared.records import search

BODIES = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]
"""Content types that requests may have; ONE sends its login as a form and images as multipart."""

LATER: dict[str, tuple[str, ...]] = {
    "downloads": (
        *("GET /data/{path+}", "HEAD /data/{path+}", "GET /uploaded/{path+}"),
        "POST /new-download",
    ),
    "register_file": ("POST /register-file", "GET /check-protected"),
    "cache_tables": (
        *("GET /cache/info", "GET /cache/info/{tag}", "GET /cache.zip"),
        "GET /cache-files/{grant}/cache.zip",
    ),
    "water": ("GET /water-requirement/{nickname}", "GET /water-restricted-subjects"),
    "uploads": (
        *("POST /uploads", "GET /uploads", "GET /uploads/{upload}"),
        *("POST /uploads/{upload}/parts", "POST /uploads/{upload}/assemble"),
        *("POST /uploads/{upload}/complete", "POST /reindex"),
    ),
    "claims": (
        *("POST /tasks/{id}/claim", "POST /tasks/{id}/heartbeat", "POST /tasks/{id}/log"),
        *("POST /tasks/{id}/complete", "POST /tasks/{id}/release", "POST /workers/credentials"),
    ),
    "imports": ("POST /import",),
    "predictions": ("GET /training-prediction/{nickname}",),
}
"""Routes of the modules of `functions.api.routes` that are imported when first asked for.

Each module has a blueprint ``routes`` with just these. It keeps the start of the function short.
"""

CHALLENGED = ("/data/{path+}", "/uploaded/{path+}")
"""Paths of files; API Gateway asks before them whether an account is needed (`handler`)."""

app = Chalice("fornix", configure_logs=False)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer API Gateway: a request, or as its authorizer whether one may come in.

    Who may read a file is up to the file's route, which is asked here already: if it would answer
    that credentials are needed, API Gateway refuses by itself, with the header that makes clients
    send them. It would rename that header in a function's answer. Denied instead of raised
    ("Unauthorized"), because that would count as an error of the function.
    """
    if event.get("type") != "REQUEST":
        return app(event, context)
    headers = {name.lower(): value for name, value in (event["headers"] or {}).items()}
    known = bool(headers.get("authorization"))
    refused = not known and app({"body": None, **event}, context)["statusCode"] == 401
    return {
        "principalId": "account" if known else "anonymous",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Deny" if refused else "Allow",
                    "Resource": "*",  # it is for this request alone: no answer is cached
                }
            ],
        },
    }


def _guarded(path: str, view: Callable[..., Any], module: str | None = None) -> Callable[..., Any]:
    """Return a view that only callers named by its rule reach, with errors in one shape."""

    @functools.wraps(view)
    def guarded(**arguments: Any) -> Response:
        request: Any = app.current_request
        try:
            search.begin()
            if module:
                _module(module)  # which adds the rules of its routes
            permissions.check(path, request.method, identify.caller(request))
            answer = view(**arguments)
        except Exception as error:  # every error becomes an answer
            return response_to(error)
        if isinstance(answer, Response):
            return answer
        body = json.dumps(answer, separators=(",", ":"), ensure_ascii=False)
        return Response(body, headers=dict(JSON))

    return guarded


EXPOSED = "ETag,Location,Retry-After,X-Request-ID"
"""Headers of answers that pages of the site may read."""


@app.middleware("http")
def _for_the_site(event: Any, get_response: Callable[[Any], Response]) -> Response:
    """Let pages of the results site read answers, errors too; API Gateway answers preflights."""
    response = get_response(event)
    site = os.environ.get("FORNIX_SITE_URL", "").rstrip("/")
    if site and event.headers.get("origin") == site:
        response.headers["Access-Control-Allow-Origin"] = site
        response.headers["Access-Control-Expose-Headers"] = EXPOSED
    if site:
        response.headers["Vary"] = "Origin"
    return response


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


@functools.lru_cache
def _module(name: str) -> Chalice:
    """Import a module of routes; return an app that has them."""
    part = Chalice(f"fornix-{name}", configure_logs=False)
    part.register_blueprint(importlib.import_module(f"functions.api.routes.{name}").routes)
    return part


def _later(name: str, path: str, method: str) -> Callable[..., Any]:
    """Return a view that imports its module when it is first called; so are its rules."""

    def view(**arguments: Any) -> Any:
        part = _module(name)
        part.current_request = app.current_request
        return part.routes[path][method].view_function(**arguments)

    view.__name__ = f"{name}.{method}"
    return view


def load_all() -> dict[str, Chalice]:
    """Import all modules of routes, e.g. to describe them."""
    return {name: _module(name) for name in LATER}


def _add(path: str, method: str, view: Callable[..., Any], module: str | None = None) -> None:
    """Add a route as Chalice does, without its checks: three hundred of them take a while."""
    guarded = _guarded(path, view, module)
    app.routes[path][method] = RouteEntry(
        guarded, view.__name__, path, method, content_types=BODIES
    )


def _assemble() -> None:
    """Register all routes."""
    from functions.api import resources  # noqa: F401 - importing declares them
    from functions.api.engine import handlers
    from functions.api.routes import account

    handlers.register(app, _add)
    for name, lines in LATER.items():
        for line in lines:
            method, path = line.split()
            _add(path, method, _later(name, path, method), name)
    plain = Chalice("fornix-account", configure_logs=False)
    plain.register_blueprint(account.routes)
    for path, entries in plain.routes.items():
        for method, entry in entries.items():
            _add(path, method, _of_part(plain, entry.view_function))


def _of_part(part: Chalice, view: Callable[..., Any]) -> Callable[..., Any]:
    """Return a view of another app's blueprint that sees this app's request."""

    @functools.wraps(view)
    def passed_on(**arguments: Any) -> Any:
        part.current_request = app.current_request
        return view(**arguments)

    return passed_on


_assemble()
