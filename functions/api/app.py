"""The API's Lambda entry point: all routes, and the steps that every request goes through.

Each request is authenticated, checked against the rule of its route (deny by default) and
answered with one body shape on errors. This happens here for every route of every module.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from shared.records import lean

with lean.at_once(), lean.missing("typing_extensions"):
    from chalice.app import Chalice, Response

    from functions.api import permissions
    from functions.api.auth import cookies, identify
    from functions.api.body import written
    from functions.api.engine import handlers
    from functions.api.errors import JSON, ApiError, not_found, response_to
    from functions.api.resources import RESOURCES
    from functions.api.routes import (
        account,
        audit,
        batch,
        board,
        cache_tables,
        changes,
        claims,
        colony,
        downloads,
        exports,
        forms,
        images,
        imports,
        lab_pages,
        predictions,
        register_file,
        releases,
        reports,
        runs,
        session,
        tagging,
        uploads,
        water,
        webhooks,
    )
    from shared import catalog
    from shared.records import env

BODIES = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]
"""Content types that requests may have; ONE sends its login as a form and images as multipart."""

CHALLENGED = ("/data/{path+}", "/uploaded/{path+}")
"""Paths of files; API Gateway first asks `handler` whether they need an account."""

LONGEST_NAME = 1800
"""Characters of a name in a path; keys of the table have at most 2,048 bytes."""

log = logging.getLogger(__name__)

app = Chalice("fornix", configure_logs=False)


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer API Gateway: a request, or as its authorizer whether a request is let in.

    The file's route decides who may read a file, so the authorizer runs that route. If the route
    asks for credentials, API Gateway refuses the request itself, with the header that makes
    clients send them; it would rename that header in a function's answer. The answer is a denial,
    because raising "Unauthorized" would count as an error of the function.
    """
    if event.get("type") != "REQUEST":
        return app(event, context)
    headers = {name.lower(): value for name, value in (event["headers"] or {}).items()}
    has_credentials = bool(headers.get("authorization"))
    refused = not has_credentials and app({"body": None, **event}, context)["statusCode"] == 401
    return {
        "principalId": "account" if has_credentials else "anonymous",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Deny" if refused else "Allow",
                    "Resource": "*",  # for this request alone: no answer is cached
                }
            ],
        },
    }


def _guarded(path: str, view: Callable[..., Any]) -> Callable[..., Any]:
    """Return a view that admits only the callers of its rule and answers errors in one shape."""

    def guarded(**arguments: Any) -> Response:
        request: Any = app.current_request
        try:
            catalog.start_request()
            if any(len(value) > LONGEST_NAME for value in arguments.values()):
                raise not_found("Record")
            asks = cookies.is_from_a_page(request)
            permissions.check(path, request.method, identify.caller(request), asks=asks)
            answer = view(**arguments)
        except catalog.Damaged as error:
            return _without_snapshot(error, request.method, lambda: guarded(**arguments))
        except Exception as error:  # every error becomes an answer
            return response_to(error)
        if isinstance(answer, Response):
            return answer
        return Response(written(answer), headers=dict(JSON))

    guarded.__doc__ = view.__doc__  # for the schema
    return guarded


def _without_snapshot(
    error: catalog.Damaged, method: str, again: Callable[[], Response]
) -> Response:
    """Answer a request that met an unreadable file of the snapshot; another snapshot is used.

    Only a request that changes nothing is repeated at once; the client repeats the others.
    """
    log.warning("%s The index is read anew.", error)
    try:
        catalog.leave_snapshot()
    except Exception as another:  # every error becomes an answer
        return response_to(another)
    if method in ("GET", "HEAD"):
        return again()
    text = "The index is being read anew; send this again."
    return ApiError(503, text, headers={"Retry-After": "1"}).response()


SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
"""Headers of every answer: private data of one caller, and not a page."""

EXPOSED = "ETag,Location,Retry-After,X-Request-ID"
"""Headers of answers that pages of the site may read."""


@app.middleware("http")
def _for_the_site(event: Any, get_response: Callable[[Any], Response]) -> Response:
    """Let pages of the results site read answers and errors; API Gateway answers preflights."""
    response = get_response(event)
    site = env.site_url()
    if site and event.headers.get("origin") == site:
        response.headers["Access-Control-Allow-Origin"] = site
        response.headers["Access-Control-Expose-Headers"] = EXPOSED
    if site:
        response.headers["Vary"] = "Origin"
    return response


@app.middleware("http")
def _safe(event: Any, get_response: Callable[[Any], Response]) -> Response:
    """Add the headers against caching and content sniffing."""
    response = get_response(event)
    for name, value in SAFE.items():
        response.headers.setdefault(name, value)
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


@app.route("/api/schema", methods=["GET"])
def schema() -> Response:
    """Describe all routes (OpenAPI 3)."""
    from functions.api.engine import openapi  # a client asks once per session

    return Response(openapi.text(app), headers=dict(JSON))


for blueprint in (
    handlers.blueprint(RESOURCES.values()),
    account.routes,
    audit.routes,
    batch.routes,
    cache_tables.routes,
    board.routes,
    changes.routes,
    claims.routes,
    colony.routes,
    downloads.routes,
    exports.routes,
    forms.routes,
    images.routes,
    imports.routes,
    lab_pages.routes,
    predictions.routes,
    register_file.routes,
    releases.routes,
    reports.routes,
    runs.routes,
    session.routes,
    tagging.routes,
    uploads.routes,
    water.routes,
    webhooks.routes,
):
    app.register_blueprint(blueprint)

for _path, _entries in app.routes.items():
    for _entry in _entries.values():
        _entry.view_function = _guarded(_path, _entry.view_function)
        _entry.content_types = BODIES
