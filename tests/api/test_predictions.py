"""Predicted training times: for members of the labs, as the nightly analysis left them."""

from __future__ import annotations

import json

from shared.records import aws

KEY = "cache/training-predictions.json"


def test_members_read_what_the_analysis_left_and_others_do_not(api, bucket) -> None:
    path = "/training-prediction/FI_001"
    assert api("GET", path).status == 404
    row = {"subject": "FI_001", "quartile": "Q2", "probabilities": {"Q1": 0.1, "Q2": 0.9}}
    body = json.dumps({"statement": "A hint.", "subjects": {"FI_001": row}})
    aws.client("s3").put_object(Bucket=bucket, Key=KEY, Body=body.encode())
    assert api.ok("GET", path) == {**row, "statement": "A hint."}
    assert api("GET", "/training-prediction/FI_999").status == 404
    for user in (None, "fimbrialab_rig", "fimbrialab_worker"):
        assert api("GET", path, user=user).status == 403
