"""Predicted training time of a mouse, from the nightly analysis; for members of the labs."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

from chalice.app import Blueprint

from functions.api.call import Call
from functions.api.engine import meanings
from functions.api.engine.declarations import KINDS
from functions.api.errors import not_found
from shared.model.prefixes import PREDICTIONS
from shared.records import aws, env

routes = Blueprint(__name__)


@routes.route("/training-prediction/{nickname}", methods=["GET"])
def prediction(nickname: str) -> dict[str, Any]:
    """Return the chances of each quartile of training time, and how far to trust them."""
    call = Call(routes.current_request)
    key = meanings.key_in_address(call, KINDS["subject"], unquote(nickname))
    client = aws.client("s3")
    try:
        answer = client.get_object(Bucket=env.data_bucket(), Key=PREDICTIONS)
    except client.exceptions.NoSuchKey:
        raise not_found("Prediction") from None
    predictions = json.loads(answer["Body"].read())
    chances = predictions["subjects"].get(key)
    if chances is None:
        raise not_found("Prediction")
    return {**chances, "statement": predictions["statement"]}
