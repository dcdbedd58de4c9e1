"""What forms know of the resources: from the declarations, the same by file and by request."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from functions.api.resources import RESOURCES
from tests.api.conftest import Api


def form(api: Api, path: str) -> dict[str, Any]:
    found = {each["path"]: each for each in api.ok("GET", "/forms", user=None)["resources"]}
    return found[path]


def test_a_weighing_has_a_form_that_fills_in_who_and_when(api: Api) -> None:
    shown = form(api, "weighings")

    assert shown["label"] == "Weighings"
    assert shown["singular"] == "Weighing"
    assert shown["lab"] == "subject"
    assert shown["actions"]["create"] == "member"
    fields = {each["name"]: each for each in shown["fields"]}
    assert fields["weight"] == {
        "name": "weight",
        "label": "Weight",
        "type": "float",
        "required": True,
        "null": False,
        "maximum": 10000.0,
        "minimum": 0.0,
        "unit": "g",
    }
    assert fields["date_time"]["fills_in"] == "now"
    assert fields["user"]["fills_in"] == "me"
    assert (fields["subject"]["to"], fields["subject"]["required"]) == ("subject", True)


def test_every_resource_has_a_form_and_no_hidden_field_is_in_one(api: Api) -> None:
    shown = api.ok("GET", "/forms", user=None)["resources"]

    assert [each["path"] for each in shown] == sorted(RESOURCES)
    users = next(each for each in shown if each["path"] == "users")
    assert "password" not in {each["name"] for each in users["fields"]}
    assert users["actions"]["create"] == "manager"


def test_every_default_that_is_worked_out_says_how() -> None:
    unsaid = [
        f"{path}.{name}"
        for path, resource in RESOURCES.items()
        for name, field in resource.fields.items()
        if callable(field.default)
        and getattr(field.default, "word", "") not in ("me", "now", "lab")
    ]
    assert unsaid == [], "declare the function with fills_in"


def test_patterns_are_as_browsers_read_them(api: Api) -> None:
    (username,) = [e for e in form(api, "users")["fields"] if e["name"] == "username"]
    fields = {each["name"]: each for each in form(api, "subjects")["fields"]}

    assert username["pattern"] == r"[a-zA-Z0-9_][a-zA-Z0-9_.@+\-]*"
    assert fields["sex"]["choices"] == ["M", "F", "U"]
    assert fields["birth_date"]["earliest"] == "1990-01-01"


def test_a_client_that_has_the_forms_is_sent_nothing(api: Api) -> None:
    first = api("GET", "/forms", user=None)

    again = api("GET", "/forms", user=None, headers={"If-None-Match": first.headers["ETag"]})

    assert (again.status, again.raw) == (304, b"")
    assert first.headers["ETag"] == f'"{first.body["hash"]}"'


def test_the_file_is_what_the_api_answers(api: Api, tmp_path: Path) -> None:
    target = tmp_path / "generated" / "forms.json"

    said = subprocess.run(
        [sys.executable, "-m", "functions.api.forms", str(target)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert re.fullmatch(r".*forms\.json: \d+ kinds, \d+ bytes\n", said)
    assert json.loads(target.read_text()) == api.ok("GET", "/forms", user=None)
