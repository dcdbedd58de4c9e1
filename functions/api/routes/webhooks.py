"""Deliveries of webhooks: their log, a test delivery, and repeated delivery."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
from chalice.app import Blueprint, Response

from functions.api import permissions
from functions.api.call import Call
from functions.api.engine.declarations import KINDS, Body
from functions.api.engine.read_values import is_uuid
from functions.api.engine.visible import visible_to
from functions.api.engine.writes import find
from functions.api.errors import JSON, ApiError, Invalid, not_found
from shared.model import moment
from shared.model.webhooks import TEST, DeliveryState, HookEvent
from shared.webhooks import follow, store
from shared.webhooks.store import Delivery

routes = Blueprint(__name__)

USUAL = 50
MOST = 200
"""Default and most deliveries of an answer."""


def _hook(call: Call, id: str) -> Body:
    """Return a webhook that the caller may manage.

    Raises
    ------
    ApiError
        404, also if it is another lab's.
    """
    hook = find(KINDS["webhook"], id)
    if not all(where.on_rows()(hook) for where in visible_to(call.who, KINDS["webhook"])):
        raise not_found("Webhook")
    permissions.check_lab(call.who, hook["lab"])
    return hook


def _shown(item: Delivery) -> dict[str, Any]:
    return {
        "id": item.sk,
        "event": item.event,
        "made": f"{item.made}Z",
        "state": item.state,
        "tries": int(item.tries),
        "next_at": f"{item.next_at}Z" if item.next_at else None,
        "attempts": msgspec.to_builtins(item.tried),
        "body": msgspec.json.decode(item.body),
    }


@routes.route("/webhooks/{id}/deliveries", methods=["GET"])
def deliveries(id: str) -> dict[str, Any]:
    """Say what a webhook was told in the last month, latest first; go on with ``before``."""
    call = Call(routes.current_request)
    hook = _hook(call, id)
    text = call.query.get("limit") or str(USUAL)
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:6]) <= MOST:
        raise Invalid({"limit": [f"A whole number from 1 to {MOST}."]})
    page = store.of_webhook(hook["id"], call.query.get("before", ""), int(text))
    last = str(page[-1].g1sk) if len(page) == int(text) else None
    return {"results": [_shown(delivery) for delivery in page], "next": last}


@routes.route("/webhooks/{id}/test", methods=["POST"])
def test(id: str) -> Response:
    """Send a webhook a delivery that tells nothing, to see whether it arrives."""
    call = Call(routes.current_request)
    hook = _hook(call, id)
    if not hook["active"]:
        raise ApiError(409, "The webhook is turned off; set active to true first.")
    at = f"{moment.stamp()}Z"
    event = HookEvent(str(uuid.uuid4()), TEST, at, (hook["lab"],), {"webhook": hook["id"]})
    item = store.make(hook["id"], event)
    follow.send(hook["id"], item.sk)
    return _accepted(item)


@routes.route("/webhooks/{id}/deliveries/{delivery}", methods=["POST"])
def again(id: str, delivery: str) -> Response:
    """Send a delivery once more, with its id: its receiver knows it by that."""
    call = Call(routes.current_request)
    hook = _hook(call, id)
    item = store.find(hook["id"], delivery.lower()) if is_uuid(delivery) else None
    if item is None:
        raise not_found("Delivery")
    if item.state == DeliveryState.WAITS:
        raise ApiError(409, "It is waiting to be sent; its log says when.")
    store.again(item)
    follow.send(hook["id"], item.sk)
    return _accepted(item)


def _accepted(item: Delivery) -> Response:
    body = msgspec.json.encode({"id": item.sk, "state": DeliveryState.WAITS})
    return Response(body.decode(), status_code=202, headers=dict(JSON))
