"""The drill: an installation at work loses its table and gets it back from its bucket."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from functions.journal.verify import MAY_BE_GONE
from infra.local.seed import connect
from shared.records.table import TABLE_SCHEMA
from shared.records.transactions import NOT_JOURNALED
from tests.integration.test_flow import LAB, SUBJECT, api, folder, fornix, upload, worked
from tests.system import Cloud

__all__ = ["api", "folder", "fornix"]

pytestmark = [pytest.mark.proof, pytest.mark.timeout(900)]

LOST_WITH_THE_TABLE = {*NOT_JOURNALED, *MAY_BE_GONE, "Restore", "Tries"}
"""Kinds that a restore leaves out, each with its reason where it is declared."""

LISTS = (
    *("labs", "users", "subjects", "projects", "sessions", "datasets", "tasks", "weighings"),
    *("water-administrations", "notes", "data-repository", "dataset-types", "audit"),
)


def operate(cloud: Cloud, *arguments: str, code: int = 0) -> str:
    """Run a command as the deployment's operator; return what it says."""
    command = [sys.executable, "-m", "lab.cli", *arguments, "--home", str(cloud.home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def rows(cloud: Cloud) -> dict[tuple[str, str], Any]:
    """Return every item that is to come back."""
    pages = (
        cloud.client("dynamodb")
        .get_paginator("scan")
        .paginate(TableName=cloud.env["FORNIX_TABLE"], ConsistentRead=True)
    )
    return {
        (item["pk"]["S"], item["sk"]["S"]): item
        for page in pages
        for item in page["Items"]
        if item.get("_k", {"S": "Tries"})["S"] not in LOST_WITH_THE_TABLE
    }


def answers(client: Any) -> dict[str, list[str]]:
    """Return what the lists show a member."""
    found = {}
    for name in LISTS:
        try:
            listed = client.get(f"/{name}")["results"]
        except Exception as error:  # a list that this account or release does not have
            listed = [type(error).__name__]
        found[name] = sorted(json.dumps(row, sort_keys=True) for row in listed)
    return found


def test_a_lost_table_comes_back_row_by_row(
    cloud: Cloud, api: Any, fornix: Any, folder: Any
) -> None:
    # Given mice with weights, one deleted again, and a session with tasks that have run
    eid = upload(fornix, folder)["eid"]
    worked(fornix, api, eid)
    for weight in (20.1, 20.4):
        api.post("/weighings", {"subject": SUBJECT, "weight": weight})
    gone = api.post("/weighings", {"subject": SUBJECT, "weight": 22})
    api.request("DELETE", "/weighings" + gone["url"].partition("/weighings")[2])
    # and a journal that its own function writes, with its own role
    assert cloud.invoke("journal", {"kind": "journal", "once": True})["transactions"] >= 0
    assert "agree" in operate(cloud, "backup", "verify")
    before, shown = rows(cloud), answers(api)
    assert {"Session", "Dataset", "Doc", "Task", "Audit", "Password"} <= {
        item["_k"]["S"] for item in before.values()
    }
    # When the table is lost, and restored
    table = cloud.env["FORNIX_TABLE"]
    client = cloud.client("dynamodb")
    client.delete_table(TableName=table)
    client.create_table(TableName=table, BillingMode="PAY_PER_REQUEST", **TABLE_SCHEMA)
    assert rows(cloud) == {}
    operate(cloud, "restore", "--dry-run")
    assert rows(cloud) == {}
    operate(cloud, "restore")
    # Then it is the same, item by item
    assert rows(cloud) == before
    assert "agree" in operate(cloud, "backup", "verify")
    # and people find what they had, with the passwords they had
    cloud.restart()
    assert answers(connect(cloud._home, f"{LAB}_member")) == shown
    # and what they do next is journaled, too
    api = connect(cloud._home, f"{LAB}_member")
    api.post("/weighings", {"subject": SUBJECT, "weight": 21})
    assert "agree" in operate(cloud, "backup", "verify")
