"""The embedded cloud's short ways: the same resource is found as by ministack's own search."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.local.shortcuts import Shortcuts, asks_table, matched, whole

ROOT = Path(__file__).parents[2]
PARTS = ("sessions", "subjects", "{id}", "{name}", "{rest+}")


def resources_of(paths: list[list[str]]) -> dict[str, dict[str, Any]]:
    """Return a REST API's resources, each part below its parent."""
    resources: dict[str, dict[str, Any]] = {"root": {"id": "root", "path": "/"}}
    for path in paths:
        parent = "root"
        for part in path:
            here = f"{parent}/{part}"
            resources.setdefault(here, {"id": here, "parentId": parent, "pathPart": part})
            parent = here
            if part.endswith("+}"):
                break
    return resources


CASES = """
import json, random, sys
from ministack.services.apigateway_v1 import _match_recursive
from infra.local.shortcuts import matched
from tests.infra.test_shortcuts import PARTS, resources_of
draw, found = random.Random(1), 0
for _ in range(3000):
    paths = [
        [draw.choice(PARTS) for _ in range(draw.randint(1, 4))] for _ in range(draw.randint(0, 6))
    ]
    asked = [draw.choice(("sessions", "subjects", "x", "{id}")) for _ in range(draw.randint(1, 5))]
    resources = resources_of(paths)
    theirs = _match_recursive(resources, "root", asked, {})
    ours = matched(resources, "root", asked, {})
    assert ours[0] == theirs[0] and (ours[0] is None or ours == theirs), (paths, asked)
    found += ours[0] is not None
print(found)
"""


def test_resources_are_found_as_by_ministack() -> None:
    # In a process of its own, because importing ministack changes logging for good.
    done = subprocess.run([sys.executable, "-c", CASES], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 1000


def test_a_deployment_with_other_resources_is_seen() -> None:
    resources = resources_of([["sessions"]])
    assert matched(resources, "root", ["labs"], {})[0] is None
    resources["new"] = {"id": "new", "parentId": "root", "pathPart": "labs"}
    assert matched(resources, "root", ["labs"], {})[0] == resources["new"]


def scope(path: str, **headers: str) -> dict[str, Any]:
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "path": path, "headers": lines}


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        (scope("/", x_amz_target="DynamoDB_20120810.Query"), True),
        (scope("/", x_amz_target="DynamoDBStreams_20120810.GetRecords"), False),
        (scope("/", x_amz_target="AmazonSQS.ReceiveMessage"), False),
        (scope("/_aws/execute-api/abc/v1/sessions"), True),
        (scope("/bucket/key"), False),
        ({"type": "lifespan"}, False),
    ],
)
def test_only_the_table_and_the_api_go_the_short_way(asked: dict[str, Any], fits: bool) -> None:
    assert Shortcuts.fits(asked) is fits
    if fits:
        assert asks_table(asked) == ("execute" not in asked["path"])


def test_a_client_that_hangs_up_within_its_request_has_no_body() -> None:
    parts = iter(
        [{"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.disconnect"}]
    )

    async def receive() -> Any:
        return next(parts)

    assert asyncio.run(whole(receive)) is None
